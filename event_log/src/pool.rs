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
use futures::{FutureExt, StreamExt};
use sqlx::pool::{CloseEvent, PoolConnection};
use sqlx::postgres::{
    PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTransactionManager,
    PgTypeInfo,
};
use sqlx::{
    Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, TransactionManager,
};

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
    current: RwLock<PgPool>,
}

impl Pool {
    /// A pool with one connection made, so that a wrong address is noticed here.
    pub async fn connect(
        options: PgPoolOptions,
        connect: PgConnectOptions,
    ) -> Result<Self, sqlx::Error> {
        let pool = options.clone().connect_with(connect.clone()).await?;
        Ok(Self(Arc::new(Shared {
            options,
            connect,
            current: RwLock::new(pool),
        })))
    }

    /// The pool as it is now. Who keeps it for longer than a statement keeps one that may be given up.
    #[must_use]
    pub fn current(&self) -> PgPool {
        self.0
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A connection.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.current().acquire().await
    }

    /// A connection for several statements.
    pub async fn hold(&self) -> Result<Held, sqlx::Error> {
        let pool = self.current();
        let inner = pool.acquire().await?;
        Ok(Held { inner, pool })
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
        let pool = self.current();
        let begin = async {
            let mut connection = pool.acquire().await?;
            PgTransactionManager::begin(&mut connection, Some(statement.into())).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        let connection = pool.close_event().do_until(begin).await??;
        Ok(Transaction {
            connection,
            pool,
            torn: false,
        })
    }

    /// Ends everything that waits for the pool's connections; new statements fail at once.
    pub fn give_up(&self) {
        let pool = self.current();
        // it is closed as soon as it is asked to; waiting for its connections is tidying up
        drop(pool.close());
        tokio::spawn(async move {
            let _late = tokio::time::timeout(CLOSING, pool.close()).await;
        });
    }

    /// Puts a new pool in place of one that was given up; one that was not is left alone.
    pub fn renew(&self) {
        if !self.current().is_closed() {
            return;
        }
        let fresh = self
            .0
            .options
            .clone()
            .connect_lazy_with(self.0.connect.clone());
        *self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Closes the pool and waits for its connections, though not for silent ones.
    pub async fn close(&self) {
        let pool = self.current();
        if tokio::time::timeout(CLOSING, pool.close()).await.is_err() {
            tracing::warn!("some database connections did not close in time");
        }
    }
}

/// A connection that goes back to its pool when dropped.
#[derive(Debug)]
pub struct Held {
    inner: PoolConnection<Postgres>,
    pool: PgPool,
}

impl Held {
    /// Completes when the pool is given up.
    #[must_use]
    pub fn given_up(&self) -> CloseEvent {
        self.pool.close_event()
    }

    /// True when its pool was given up.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.pool.is_closed()
    }
}

impl std::ops::Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl std::ops::DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

/// A transaction that ends when its pool is given up; rolled back when dropped.
#[derive(Debug)]
pub struct Transaction {
    connection: PoolConnection<Postgres>,
    pool: PgPool,
    /// The connection owes answers that nobody counts.
    torn: bool,
}

impl Transaction {
    /// Completes when the pool is given up.
    #[must_use]
    pub fn given_up(&self) -> CloseEvent {
        self.pool.close_event()
    }

    /// Makes the transaction's work durable.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        let commit = PgTransactionManager::commit(&mut self.connection);
        self.pool.close_event().do_until(commit).await?
    }

    /// Runs `COPY … FROM STDIN` over data that is all there; how many rows it wrote.
    ///
    /// sqlx does not count the answers to a `COPY`. Whoever gives up waiting for one would leave them to the
    /// next user of the connection, as answers to other questions, so it is closed then.
    pub(crate) async fn copy(&mut self, text: &str, data: &[u8]) -> Result<u64, sqlx::Error> {
        self.torn = true;
        let mut copy = self.connection.copy_in_raw(text).await?;
        copy.send(data).await?;
        let rows = copy.finish().await?;
        self.torn = false;
        Ok(rows)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.torn {
            self.connection.close_on_drop();
        } else {
            PgTransactionManager::start_rollback(&mut self.connection);
        }
    }
}

impl std::ops::Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl std::ops::DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

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
        let pool = self.current();
        let rows = pool.fetch_many(query);
        let under_way = Some((rows, pool.close_event()));
        stream::unfold(under_way, |under_way| async {
            let (mut rows, mut given_up) = under_way?;
            match given_up.do_until(rows.next()).await {
                Ok(row) => row.map(|row| (row, Some((rows, given_up)))),
                Err(error) => Some((Err(error), None)),
            }
        })
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
        let pool = self.current();
        async move {
            let row = pool.fetch_optional(query);
            pool.close_event().do_until(row).await?
        }
        .boxed()
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement<'q>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.current();
        async move { pool.prepare_with(sql, parameters).await }.boxed()
    }

    fn describe<'e, 'q: 'e>(
        self,
        sql: &'q str,
    ) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.current();
        async move { pool.describe(sql).await }.boxed()
    }
}
