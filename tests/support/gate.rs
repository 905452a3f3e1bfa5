//! A door between server and database that can be shut: connections through it break, new ones are refused.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// An open or shut door on a free loopback port.
#[derive(Clone)]
pub struct Gate {
    port: u16,
    passing: Arc<Mutex<Option<JoinSet<()>>>>,
}

impl Gate {
    /// An open door before `server` (`host:port`).
    pub async fn before(server: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let gate = Self {
            port: listener.local_addr()?.port(),
            passing: Arc::new(Mutex::new(Some(JoinSet::new()))),
        };
        let passing = Arc::clone(&gate.passing);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let server = server.clone();
                let mut passing = passing.lock().unwrap_or_else(PoisonError::into_inner);
                // a shut door drops the connection at once
                if let Some(passing) = passing.as_mut() {
                    passing.spawn(async move {
                        if let Ok(mut far) = TcpStream::connect(server).await {
                            let _ended = copy_bidirectional(&mut near, &mut far).await;
                        }
                    });
                }
            }
        });
        Ok(gate)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Breaks what passes and lets nothing in.
    pub fn shut(&self) {
        *self.passing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Lets connections in again.
    pub fn open(&self) {
        let mut passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        *passing = Some(JoinSet::new());
    }
}
