//! A way to the database that may fall silent: what passes through it then is swallowed, and whoever was in
//! it is never heard again, even after it opens. Nothing is refused and nothing is closed.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The way, on a free loopback port.
pub struct Hole {
    port: u16,
    /// Goes up when it falls silent and when it opens again: odd is silent.
    turns: Arc<watch::Sender<u64>>,
}

impl Hole {
    /// An open way to `server` (`host:port`).
    pub async fn before(server: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let hole = Self {
            port: listener.local_addr()?.port(),
            turns: Arc::new(watch::Sender::new(0)),
        };
        let turns = Arc::clone(&hole.turns);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (server, turns) = (server.clone(), turns.subscribe());
                tokio::spawn(async move {
                    let _ended = pass(near, server, turns).await;
                });
            }
        });
        Ok(hole)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on everything is swallowed.
    pub fn fall_silent(&self) {
        self.turns.send_modify(|turns| *turns |= 1);
    }

    /// New connections pass again.
    pub fn open(&self) {
        self.turns.send_modify(|turns| *turns += *turns & 1);
    }
}

async fn pass(
    mut near: TcpStream,
    server: String,
    mut turns: watch::Receiver<u64>,
) -> std::io::Result<()> {
    let began = *turns.borrow_and_update();
    if began % 2 == 1 {
        return swallow(&mut near).await;
    }
    let mut far = TcpStream::connect(server).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let fallen = {
        let (near_reads, near_writes) = near.split();
        let (far_reads, far_writes) = far.split();
        tokio::select! {
            biased;
            _ = turns.changed() => true,
            ended = copy(near_reads, far_writes) => { ended?; false }
            ended = copy(far_reads, near_writes) => { ended?; false }
        }
    };
    if fallen {
        // the database does not hear that the server is gone either
        tokio::try_join!(swallow(&mut near), swallow(&mut far))?;
    }
    Ok(())
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..read]).await?;
    }
}

/// Reads until the other side gives up, and says nothing.
async fn swallow(from: &mut TcpStream) -> std::io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    while from.read(&mut bytes).await? > 0 {}
    Ok(())
}
