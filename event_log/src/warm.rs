//! Warm connections: a statement ended well on each of them a moment ago, and the next one may begin at once.
//!
//! sqlx asks the server about every connection that comes back to its pool, which takes server and process as
//! long as a small statement does. So what ended well stays here instead, and goes to sqlx's pool, which looks
//! at it and at its age, when something went wrong on it, when nobody wanted it for [`FRESH`], and when it was
//! here for [`KEPT`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::{CloseEvent, PoolConnection};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::patience;

/// So long after its last statement a connection is used without a look at it.
const FRESH: Duration = Duration::from_secs(1);
/// So long a connection keeps out of sqlx's pool at most.
const KEPT: Duration = Duration::from_mins(1);

/// A pool of sqlx's and the warm connections out of it.
///
/// Whoever wants a connection has a permit first, of which there are as many as connections at most. No more
/// connections are kept here than there are permits left, so that whoever has one finds a connection either here
/// or in sqlx's pool.
#[derive(Debug)]
pub(crate) struct Warm {
    pool: PgPool,
    permits: Arc<Semaphore>,
    kept: Mutex<VecDeque<Kept>>,
    wait: Duration,
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    /// When it left sqlx's pool.
    taken: Instant,
    /// When its last statement ended.
    since: Instant,
}

/// A connection on loan. It goes back to sqlx's pool when dropped.
#[derive(Debug)]
pub(crate) struct Loan {
    connection: PoolConnection<Postgres>,
    taken: Instant,
    warm: Arc<Warm>,
    _permit: OwnedSemaphorePermit,
}

impl Warm {
    /// Around a pool made with these options.
    pub(crate) fn new(pool: PgPool, options: &PgPoolOptions) -> Arc<Self> {
        let connections = usize::try_from(options.get_max_connections()).unwrap_or(usize::MAX);
        Arc::new(Self {
            pool,
            permits: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            kept: Mutex::default(),
            wait: options.get_acquire_timeout(),
        })
    }

    /// sqlx's pool.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The right to a connection, waited for as long as the options say.
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit, sqlx::Error> {
        if self.pool.is_closed() {
            return Err(sqlx::Error::PoolClosed);
        }
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = Arc::clone(&self.permits).acquire_owned();
        tokio::time::timeout(self.wait, self.pool.close_event().do_until(waiting))
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)??
            .map_err(|_| sqlx::Error::PoolClosed)
    }

    /// A connection, warm if there is one.
    pub(crate) async fn borrow(self: &Arc<Self>) -> Result<Loan, sqlx::Error> {
        let permit = self.permit().await?;
        let (connection, taken) = match self.last() {
            Some(kept) => (kept.connection, kept.taken),
            None => (self.pool.acquire().await?, Instant::now()),
        };
        Ok(Loan {
            connection,
            taken,
            warm: Arc::clone(self),
            _permit: permit,
        })
    }

    /// Makes room in sqlx's pool for somebody who has a permit and asks there.
    pub(crate) fn make_room(&self) {
        let mut kept = self.kept();
        let most = self.permits.available_permits();
        while kept.len() > most {
            kept.pop_front();
        }
    }

    /// Gives all warm connections back to sqlx's pool.
    pub(crate) fn cool_down(&self) {
        let kept = std::mem::take(&mut *self.kept());
        drop(kept);
    }

    /// The connection used last, if it may be used again.
    fn last(&self) -> Option<Kept> {
        let mut kept = self.kept();
        let last = kept.pop_back()?;
        if last.is_good() {
            return Some(last);
        }
        // the others were used before it
        kept.retain(Kept::is_good);
        None
    }

    fn keep(&self, returned: Kept) {
        let mut kept = self.kept();
        while kept.front().is_some_and(|first| !first.is_good()) {
            kept.pop_front();
        }
        // looked at under the lock, so that whoever cools down a closed pool finds all there is
        if !self.pool.is_closed() && !patience::is_wary() && returned.is_good() {
            kept.push_back(returned);
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Warm {
    /// sqlx's pool is not given anything back now, since there may be no runtime to do so.
    fn drop(&mut self) {
        for kept in self.kept().drain(..) {
            drop(kept.connection.detach());
        }
    }
}

impl Kept {
    fn is_good(&self) -> bool {
        self.since.elapsed() < FRESH && self.taken.elapsed() < KEPT
    }
}

impl Loan {
    /// Completes when the pool is given up.
    pub(crate) fn given_up(&self) -> CloseEvent {
        self.warm.pool.close_event()
    }

    /// True when the pool was given up.
    pub(crate) fn is_given_up(&self) -> bool {
        self.warm.pool.is_closed()
    }

    /// Keeps the connection warm. For when its last statement has ended well, outside of any transaction.
    pub(crate) fn keep_warm(self) {
        self.warm.keep(Kept {
            connection: self.connection,
            taken: self.taken,
            since: Instant::now(),
        });
    }

    /// Closes the connection when it is dropped.
    pub(crate) fn close_on_drop(&mut self) {
        self.connection.close_on_drop();
    }
}

impl std::ops::Deref for Loan {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl std::ops::DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
