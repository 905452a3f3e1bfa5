//! A network that swallows packets: connections through it stay open, and nothing arrives until it heals.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::story::awaits;

/// A way to a server, on a free loopback port.
#[derive(Clone)]
pub struct BlackHole {
    port: u16,
    silent: watch::Sender<bool>,
    /// How often what was open has been abandoned.
    abandoned: watch::Sender<u32>,
    trigger: Arc<Mutex<Option<&'static [u8]>>>,
}

impl BlackHole {
    /// An open way to `server` (`host:port`).
    pub async fn before(server: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let hole = Self {
            port: listener.local_addr()?.port(),
            silent: watch::Sender::new(false),
            abandoned: watch::Sender::new(0),
            trigger: Arc::default(),
        };
        let way = hole.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (way, server) = (way.clone(), server.clone());
                tokio::spawn(async move {
                    // however one direction ends, both are closed
                    let _ended = way.pass(near, &server).await;
                });
            }
        });
        Ok(hole)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing arrives, in either direction.
    pub fn swallow(&self) {
        self.silent.send_replace(true);
    }

    /// Nothing arrives any more once somebody sends these bytes to the server, themselves included.
    pub fn swallow_at(&self, bytes: &'static [u8]) {
        *self.trigger.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }

    /// Returns when it has fallen silent.
    pub async fn silence(&self) {
        awaits("the network falls silent");
        let mut seen = self.silent.subscribe();
        let _silent = seen.wait_for(|silent| *silent).await;
    }

    /// Connections that are open stay so, for ever silent; new ones work. As when the server's machine is
    /// replaced by another.
    pub fn abandon(&self) {
        self.abandoned.send_modify(|times| *times += 1);
    }

    /// What was sent meanwhile arrives, as after retransmissions.
    pub fn heal(&self) {
        self.silent.send_replace(false);
    }

    async fn pass(&self, near: TcpStream, server: &str) -> std::io::Result<()> {
        let since = *self.abandoned.borrow();
        self.open(since).await;
        let far = TcpStream::connect(server).await?;
        let ((near_read, near_write), (far_read, far_write)) =
            (near.into_split(), far.into_split());
        tokio::select! {
            ended = self.carry(near_read, far_write, since, true) => ended,
            ended = self.carry(far_read, near_write, since, false) => ended,
        }
    }

    async fn carry(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        since: u32,
        there: bool,
    ) -> std::io::Result<()> {
        let mut bytes = vec![0; 1 << 16];
        loop {
            let count = from.read(&mut bytes).await?;
            if there {
                self.watch(&bytes[..count]);
            }
            self.open(since).await;
            if count == 0 {
                return Ok(());
            }
            to.write_all(&bytes[..count]).await?;
        }
    }

    fn watch(&self, bytes: &[u8]) {
        let mut trigger = self.trigger.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wanted) = *trigger
            && bytes.windows(wanted.len()).any(|part| part == wanted)
        {
            *trigger = None;
            self.swallow();
        }
    }

    /// Waits until something may arrive, which may be never.
    async fn open(&self, since: u32) {
        let mut seen = self.silent.subscribe();
        drop(seen.wait_for(|silent| !silent).await);
        if *self.abandoned.borrow() != since {
            std::future::pending::<()>().await;
        }
    }
}
