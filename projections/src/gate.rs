//! Whose turn it is to write read models: a rebuild writes as wide as pays and never stands before what is
//! live. SQLite has one writer and wakes whoever waits for it by chance; here they queue.

use std::sync::Arc;

use event_log::database::Engine;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Transactions of a rebuild that run at the same time on Postgres.
const WIDE: usize = 3;

/// The gate before the read home.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    rebuilds: Arc<Semaphore>,
    writers: Arc<Semaphore>,
}

/// The right to write, until dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _rebuild: Option<OwnedSemaphorePermit>,
    _writer: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(crate) fn new(engine: Engine) -> Self {
        let (rebuilds, writers) = match engine {
            Engine::Postgres => (WIDE, Semaphore::MAX_PERMITS),
            Engine::Sqlite => (1, 1),
        };
        Self {
            rebuilds: Arc::new(Semaphore::new(rebuilds)),
            writers: Arc::new(Semaphore::new(writers)),
        }
    }

    /// Waits for a turn. A rebuild waits for the other rebuilds first, so that at most one of them is in
    /// the way of a live read model on SQLite.
    pub(crate) async fn enter(&self, rebuild: bool) -> Turn {
        // the semaphores are never closed
        let rebuild = if rebuild {
            Arc::clone(&self.rebuilds).acquire_owned().await.ok()
        } else {
            None
        };
        Turn {
            _rebuild: rebuild,
            _writer: Arc::clone(&self.writers).acquire_owned().await.ok(),
        }
    }
}
