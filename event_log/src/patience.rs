//! How long a statement may take on Postgres, seen from here: a server that is gone without a word must
//! not keep a caller, nor a place in the pool.
//!
//! The server's own limits (`LIMITS`, `SESSION`) end what is slow or blocked while it can be reached.
//! [`limited`] ends the wait when it cannot, and makes the pool look twice at connections that come back
//! soon after.

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::pool::CloseEvent;
use sqlx::{Connection, PgConnection};

/// How long a statement may take, with the wait for its connection.
pub const STATEMENT: Duration = Duration::from_secs(5);
/// After a statement was given up, connections are tested for so long before they go back into the pool.
const WARY: Duration = Duration::from_secs(10);
/// How long such a test may take.
const TEST: Duration = Duration::from_secs(1);

/// Ends the transactions of a node that vanished, so that its row locks are gone before its leases are;
/// ends statements before [`STATEMENT`] does. For transactions where a pooler may stand in between, since it
/// keeps nothing else.
pub(crate) const LIMITS: &str = "SET LOCAL statement_timeout = '4500ms'; SET LOCAL lock_timeout = '4s'; SET LOCAL idle_in_transaction_session_timeout = '2s'";

/// The same for whatever runs inside [`unhurried`].
pub(crate) const NO_LIMITS: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '2s'";

/// The same for a session, whose end without a word the server is to notice within some ten seconds. What it
/// commits is on the disk whatever the server's default: a key lost in a crash would take with it what an append
/// that is tried again still seals with it.
pub(crate) const SESSION: &str = "SET synchronous_commit = on; SET statement_timeout = '4500ms'; SET lock_timeout = '4s'; SET idle_in_transaction_session_timeout = '2s'; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 5; SET tcp_user_timeout = 10000";

static SINCE: LazyLock<Instant> = LazyLock::new(Instant::now);
/// Milliseconds since [`SINCE`] when a statement was last given up, plus one; 0 for never.
static GIVEN_UP: AtomicU64 = AtomicU64::new(0);

tokio::task_local! {
    static UNHURRIED: ();
}

/// Runs work whose transactions may take as long as they need: indexes, bulk loads, whole tables.
///
/// A statement outside a transaction keeps the limits of its session.
pub async fn unhurried<T>(work: impl Future<Output = T>) -> T {
    UNHURRIED.scope((), work).await
}

/// True inside [`unhurried`].
pub(crate) fn is_unhurried() -> bool {
    UNHURRIED.try_with(|()| ()).is_ok()
}

/// Waits for a statement; `None` when it takes too long.
pub async fn limited<T>(statement: impl Future<Output = T>) -> Option<T> {
    let mut statement = pin!(statement);
    // dropped before the statement, and so before its connection goes back
    let unfinished = Unfinished;
    let outcome = if is_unhurried() {
        Some(statement.as_mut().await)
    } else {
        tokio::time::timeout(STATEMENT, statement.as_mut())
            .await
            .ok()
    };
    if outcome.is_some() {
        std::mem::forget(unfinished);
    }
    outcome
}

/// [`limited`], for what fails like a statement.
pub async fn bounded<T>(
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    limited(statement).await.unwrap_or_else(|| Err(timed_out()))
}

/// [`bounded`], for a connection that somebody holds: ends when its pool is given up as well.
pub async fn held<T>(
    mut given_up: CloseEvent,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    bounded(async { given_up.do_until(statement).await.flatten() }).await
}

/// What a statement that takes too long fails with.
pub(crate) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "the database does not answer",
    ))
}

/// Whether a connection may go back into its pool. The pool asks the server as well, but without end.
pub(crate) async fn is_alive(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    if !is_wary() {
        return Ok(true);
    }
    match tokio::time::timeout(TEST, connection.ping()).await {
        Ok(pong) => pong.map(|()| true),
        Err(_) => Err(timed_out()),
    }
}

/// True for some time after a statement was given up.
pub(crate) fn is_wary() -> bool {
    let given_up = GIVEN_UP.load(Ordering::SeqCst);
    given_up != 0 && now().saturating_sub(given_up) <= millis(WARY)
}

struct Unfinished;

impl Drop for Unfinished {
    fn drop(&mut self) {
        GIVEN_UP.store(now(), Ordering::SeqCst);
    }
}

fn now() -> u64 {
    millis(SINCE.elapsed()) + 1
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX - 1)
}
