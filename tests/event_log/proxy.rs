//! A TCP proxy in front of PostgreSQL that breaks the appender's connection at a chosen moment.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next statement on the appender's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It never reaches the server.
    BeforeTheRequest,
    /// The server carries it out and answers; the answer is lost.
    BeforeTheReply,
    /// The answer is lost, and the connection stays open and silent.
    Silence,
}

type Plan = Arc<Mutex<VecDeque<Cut>>>;

/// A running proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    port: u16,
    plan: Plan,
}

impl Proxy {
    /// Listens on a free loopback port for connections to `server` (`host:port`).
    pub async fn before(server: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let plan = Plan::default();
        let proxy = Self {
            port,
            plan: Arc::clone(&plan),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, plan) = (server.clone(), Arc::clone(&plan));
                tokio::spawn(async move {
                    // however a connection ends, both of its sides are closed
                    let _ended = forward(client, &server, &plan).await;
                });
            }
        });
        Ok(proxy)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Breaks the appender's next statements like this, one after the other.
    pub fn cut(&self, cuts: impl IntoIterator<Item = Cut>) {
        plan(&self.plan).extend(cuts);
    }

    /// Cuts that are still to come.
    pub fn planned(&self) -> usize {
        plan(&self.plan).len()
    }
}

fn plan(plan: &Plan) -> std::sync::MutexGuard<'_, VecDeque<Cut>> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn forward(mut client: TcpStream, server: &str, cuts: &Plan) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut ours = false;
    let mut due: Option<Cut> = None;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                ours = ours || contains(bytes, b"soulsense appender");
                // only the statement that appends, not the session's settings or its preparation
                if ours && due.is_none() && contains(bytes, b"t-cut") {
                    due = plan(cuts).pop_front();
                }
                if due == Some(Cut::BeforeTheRequest) {
                    return Ok(());
                }
                server.write_all(bytes).await?;
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                match due {
                    Some(Cut::BeforeTheReply) => return Ok(()),
                    Some(Cut::Silence) => {}
                    _ => client.write_all(bytes).await?,
                }
            }
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
