//! Streams through postgres-es and sqlite-es, opened on the way: the decorator every load goes through.

use std::collections::HashSet;
use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::persist::{
    PersistedEventRepository, PersistenceError, ReplayStream, SerializedEvent, SerializedSnapshot,
};
use postgres_es::PostgresEventRepository;
use serde_json::Value;
use sqlite_es::SqliteEventRepository;
use uuid::Uuid;

use crate::database::Database;
use crate::keys::{KeyError, Keys};
use crate::patience::{limited, timed_out};
use crate::pool::Pool;
use crate::sealing::{self, Place, SealingError};

enum Inner {
    Postgres(Pool),
    Sqlite(SqliteEventRepository),
}

/// A [`PersistedEventRepository`] whose events are opened. It only reads: appending is the appender's.
pub struct SealedRepository {
    inner: Inner,
    keys: Arc<Keys>,
}

impl SealedRepository {
    /// The repository of a log home.
    pub fn new(log: &Database, keys: Arc<Keys>) -> Self {
        let inner = match log {
            Database::Postgres(pool) => Inner::Postgres(pool.clone()),
            Database::Sqlite(pool) => Inner::Sqlite(SqliteEventRepository::new(pool.clone())),
        };
        Self { inner, keys }
    }

    /// Opens the events of one stream.
    pub(crate) async fn open(
        &self,
        mut events: Vec<SerializedEvent>,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let ids: HashSet<Uuid> = events
            .iter()
            .filter_map(|event| sealing::key_id(&event.payload))
            .collect();
        if ids.is_empty() {
            return Ok(events);
        }
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let keys = self.keys.by_id(&ids).await.map_err(unknown)?;
        for event in &mut events {
            let Some(id) = sealing::key_id(&event.payload) else {
                continue;
            };
            let key = keys.get(&id).ok_or(KeyError::Missing).map_err(unknown)?;
            let place = Place {
                aggregate_type: &event.aggregate_type,
                aggregate_id: &event.aggregate_id,
                sequence: i64::try_from(event.sequence).unwrap_or(i64::MAX),
                event_type: &event.event_type,
                event_version: &event.event_version,
            };
            sealing::open(&mut event.payload, key, place).map_err(unknown)?;
        }
        Ok(events)
    }
}

fn unknown(error: impl Into<SealingError>) -> PersistenceError {
    PersistenceError::UnknownError(Box::new(error.into()))
}

/// Lets `reading` read from the repository over the pool as it is now, until the pool is given up.
async fn on<T>(
    pool: &Pool,
    reading: impl AsyncFnOnce(PostgresEventRepository) -> Result<T, PersistenceError>,
) -> Result<T, PersistenceError> {
    let reading = async {
        let (current, _permit) = pool.lend().await?;
        let mut given_up = current.close_event();
        let repository = PostgresEventRepository::new(current);
        let repository = repository.with_tables("log.events", "log.snapshots");
        given_up.do_until(reading(repository)).await
    };
    limited(reading)
        .await
        .unwrap_or_else(|| Err(timed_out()))
        .map_err(away)?
}

fn away(error: sqlx::Error) -> PersistenceError {
    PersistenceError::ConnectionError(Box::new(error))
}

fn reads_only() -> PersistenceError {
    PersistenceError::UnknownError("this repository only reads whole streams".into())
}

impl PersistedEventRepository for SealedRepository {
    async fn get_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let events = match &self.inner {
            Inner::Postgres(pool) => {
                let read =
                    async |from: PostgresEventRepository| from.get_events::<A>(aggregate_id).await;
                on(pool, read).await
            }
            Inner::Sqlite(inner) => inner.get_events::<A>(aggregate_id).await,
        }?;
        self.open(events).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let events = match &self.inner {
            Inner::Postgres(pool) => {
                let read = async |from: PostgresEventRepository| {
                    from.get_last_events::<A>(aggregate_id, last_sequence).await
                };
                on(pool, read).await
            }
            Inner::Sqlite(inner) => {
                inner
                    .get_last_events::<A>(aggregate_id, last_sequence)
                    .await
            }
        }?;
        self.open(events).await
    }

    async fn get_snapshot<A: Aggregate>(
        &self,
        _aggregate_id: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        _events: &[SerializedEvent],
        _snapshot_update: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        Err(reads_only())
    }

    async fn stream_events<A: Aggregate>(
        &self,
        _aggregate_id: &str,
    ) -> Result<ReplayStream, PersistenceError> {
        Err(reads_only())
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        Err(reads_only())
    }
}
