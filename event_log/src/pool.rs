//! A pool of Postgres connections that is given up as a whole when the database is away.
//!
//! A connection whose peer has fallen silent answers nothing, for ever, and a pool that pings what comes
//! back to it waits for it just as long: the place in the pool is lost. So when the database is away
//! ([`crate::presence`] tells) the whole pool is given up, with everything that waits for it, and when
//! the database is back a new one takes its place.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use sqlx::pool::CloseEvent;
use sqlx::postgres::{
    PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTransactionManager,
    PgTypeInfo,
};
use sqlx::{
    Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, TransactionManager,
};
use tokio::sync::OwnedSemaphorePermit;

use crate::warm::{Loan, Warm};

/// How long connections of a pool that was given up may take to close.
const CLOSING: Duration = Duration::from_secs(5);

/// A pool; clones share it. Statements through it fail with [`sqlx::Error::PoolClosed`] when it is given
/// up meanwhile, and until it is begun anew.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: PgPoolOptions,
    connect: PgConnectOptions,
    keeps_sessions: bool,
    current: RwLock<Arc<Warm>>,
}

impl Pool {
    /// A pool with one connection made, so that a wrong address is noticed here. Its connections keep their
    /// sessions, or some pooler may hand each transaction another one.
    pub async fn connect(
        options: PgPoolOptions,
        connect: PgConnectOptions,
        keeps_sessions: bool,
    ) -> Result<Self, sqlx::Error> {
        let pool = options.clone().connect_with(connect.clone()).await?;
        let warm = Warm::new(pool, &options);
        Ok(Self(Arc::new(Shared {
            options,
            connect,
            keeps_sessions,
            current: RwLock::new(warm),
        })))
    }

    /// False when what is set for a session may be lost with the next transaction.
    #[must_use]
    pub fn keeps_sessions(&self) -> bool {
        self.0.keeps_sessions
    }

    fn warm(&self) -> Arc<Warm> {
        let current = self.0.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// The pool as it is now. Who keeps it for longer than a statement keeps one that may be given up. For its
    /// connections see [`lend`](Self::lend).
    #[must_use]
    pub fn current(&self) -> PgPool {
        self.warm().pool().clone()
    }

    /// The pool as it is now for somebody who takes one connection from it, and the right to do so.
    pub async fn lend(&self) -> Result<(PgPool, OwnedSemaphorePermit), sqlx::Error> {
        let warm = self.warm();
        let permit = warm.permit().await?;
        warm.make_room();
        Ok((warm.pool().clone(), permit))
    }

    /// A connection for several statements.
    pub async fn hold(&self) -> Result<Held, sqlx::Error> {
        self.warm().borrow().await.map(Held)
    }

    /// A transaction that ends with the pool.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        self.begin_with("BEGIN").await
    }

    /// The same with another statement to begin it.
    pub async fn begin_with(
        &self,
        statement: impl Into<Cow<'static, str>>,
    ) -> Result<Transaction, sqlx::Error> {
        let mut loan = self.warm().borrow().await?;
        let mut given_up = loan.given_up();
        let begin = PgTransactionManager::begin(&mut loan, Some(statement.into()));
        given_up.do_until(begin).await??;
        Ok(Transaction(loan))
    }

    /// Ends everything that waits for the pool's connections; new statements fail at once.
    pub fn give_up(&self) {
        let warm = self.warm();
        // it is closed as soon as it is asked to; waiting for its connections is tidying up
        drop(warm.pool().close());
        warm.cool_down();
        tokio::spawn(async move {
            let _late = tokio::time::timeout(CLOSING, warm.pool().close()).await;
        });
    }

    /// Puts a new pool in place of one that was given up; one that was not is left alone.
    pub fn renew(&self) {
        if !self.warm().pool().is_closed() {
            return;
        }
        let options = self.0.options.clone();
        let fresh = options.connect_lazy_with(self.0.connect.clone());
        let fresh = Warm::new(fresh, &self.0.options);
        *self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Closes the pool and waits for its connections, though not for silent ones.
    pub async fn close(&self) {
        let warm = self.warm();
        let closing = warm.pool().close();
        warm.cool_down();
        if tokio::time::timeout(CLOSING, closing).await.is_err() {
            tracing::warn!("some database connections did not close in time");
        }
    }
}

/// A connection that goes back to its pool when dropped.
#[derive(Debug)]
pub struct Held(Loan);

impl Held {
    /// Completes when the pool is given up.
    #[must_use]
    pub fn given_up(&self) -> CloseEvent {
        self.0.given_up()
    }

    /// True when its pool was given up.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.0.is_given_up()
    }

    /// Gives the connection to the next who wants one, without a look at it: for when its last statement has
    /// ended well, outside of any transaction.
    pub fn keep_warm(self) {
        self.0.keep_warm();
    }
}

impl std::ops::Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl std::ops::DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

/// A transaction that ends when its pool is given up; rolled back on the way back to the pool when dropped.
#[derive(Debug)]
pub struct Transaction(Loan);

impl Transaction {
    /// Completes when the pool is given up.
    #[must_use]
    pub fn given_up(&self) -> CloseEvent {
        self.0.given_up()
    }

    /// Makes the transaction's work durable.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        let mut given_up = self.given_up();
        let commit = PgTransactionManager::commit(&mut self.0);
        given_up.do_until(commit).await??;
        self.0.keep_warm();
        Ok(())
    }

    /// Runs `COPY … FROM STDIN` over data that is all there; how many rows it wrote.
    ///
    /// sqlx does not count the answers to a `COPY`. Whoever gives up waiting for one would leave them to the
    /// next user of the connection, as answers to other questions, so it is closed then.
    pub(crate) async fn copy(&mut self, text: &str, data: &[u8]) -> Result<u64, sqlx::Error> {
        let torn = Torn(&mut self.0);
        let mut copy = torn.0.copy_in_raw(text).await?;
        copy.send(data).await?;
        let rows = copy.finish().await?;
        std::mem::forget(torn);
        Ok(rows)
    }
}

/// A connection that owes answers which nobody counts.
struct Torn<'a>(&'a mut Loan);

impl Drop for Torn<'_> {
    fn drop(&mut self) {
        self.0.close_on_drop();
    }
}

impl std::ops::Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl std::ops::DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

impl Pool {
    /// Runs one statement, to its end.
    async fn run<T>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut loan = self.warm().borrow().await?;
        let mut given_up = loan.given_up();
        let outcome = given_up.do_until(statement(&mut loan)).await??;
        loan.keep_warm();
        Ok(outcome)
    }
}

/// All rows of a statement come at once: a connection is not kept waiting by whoever reads them.
impl<'p> Executor<'p> for &Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        stream::once(async move {
            let all = pool.run(async |on| on.fetch_many(query).try_collect::<Vec<_>>().await);
            let all = all.await?;
            Ok::<_, sqlx::Error>(stream::iter(all.into_iter().map(Ok)))
        })
        .try_flatten()
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        async move { pool.run(async |on| on.fetch_optional(query).await).await }.boxed()
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement<'q>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        async move {
            pool.run(async |on| on.prepare_with(sql, parameters).await)
                .await
        }
        .boxed()
    }

    fn describe<'e, 'q: 'e>(
        self,
        sql: &'q str,
    ) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        async move { pool.run(async |on| on.describe(sql).await).await }.boxed()
    }
}
