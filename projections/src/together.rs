//! Questions about single ids that come at the same time are asked in one statement.
//!
//! While a statement is under way, whoever asks waits; the first of those who waited then asks for all of
//! them. No timer: who comes alone asks at once and alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use event_log::database::Database;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Postgres, Sqlite};
use tokio::sync::oneshot;
use uuid::Uuid;

/// How many ids a statement asks for: it stands `IN ($1, …, $32)`.
pub(crate) const IDS: usize = 32;

/// What both engines give as a row, to any number of askers.
pub trait Row:
    for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Clone + Send + Sync + Unpin + 'static
{
    /// The id it was asked by.
    fn id(&self) -> Uuid;
}

/// The questions of one statement on the tables of one generation.
pub(crate) struct Together<R>(Mutex<Waiting<R>>);

struct Waiting<R> {
    /// Somebody asks just now.
    asking: bool,
    others: Vec<(Uuid, oneshot::Sender<Turn<R>>)>,
}

enum Turn<R> {
    /// Somebody asked for us.
    Rows(Vec<R>),
    /// It is on us to ask.
    Ask(Asking<R>),
}

/// The right to ask, which goes to the next who waits when it is dropped.
struct Asking<R>(Option<Arc<Together<R>>>);

impl<R> std::fmt::Debug for Together<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Together")
    }
}

impl<R> Default for Together<R> {
    fn default() -> Self {
        Self(Mutex::new(Waiting {
            asking: false,
            others: Vec::new(),
        }))
    }
}

impl<R: Row> Together<R> {
    /// The rows of `id`, by a statement that begins after this was called.
    pub(crate) async fn rows(
        self: &Arc<Self>,
        database: &Database,
        sql: &str,
        id: Uuid,
    ) -> Result<Vec<R>, sqlx::Error> {
        let turn = self.begin(id);
        let turn = match turn {
            Ok(asking) => Turn::Ask(asking),
            Err(reply) => match reply.await {
                Ok(turn) => turn,
                // who asked for us failed or went away: every asker meets its own trouble
                Err(_) => return fetch(database, sql, &[id]).await,
            },
        };
        let _asking = match turn {
            Turn::Rows(rows) => return Ok(rows),
            Turn::Ask(asking) => asking,
        };
        let others = self.others();
        if others.is_empty() {
            return fetch(database, sql, &[id]).await;
        }
        let mut ids: Vec<Uuid> = others.iter().map(|(id, _)| *id).collect();
        ids.push(id);
        ids.sort_unstable();
        ids.dedup();
        let mut found: HashMap<Uuid, Vec<R>> = HashMap::with_capacity(ids.len());
        for row in fetch::<R>(database, sql, &ids).await? {
            found.entry(row.id()).or_default().push(row);
        }
        for (id, reply) in others {
            let rows = found.get(&id).cloned().unwrap_or_default();
            let _gone = reply.send(Turn::Rows(rows));
        }
        Ok(found.remove(&id).unwrap_or_default())
    }

    /// The right to ask, or a place among those who wait.
    fn begin(self: &Arc<Self>, id: Uuid) -> Result<Asking<R>, oneshot::Receiver<Turn<R>>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.asking {
            let (reply, turn) = oneshot::channel();
            waiting.others.push((id, reply));
            return Err(turn);
        }
        waiting.asking = true;
        Ok(Asking(Some(Arc::clone(self))))
    }

    /// Those who have waited longest, as many as fit beside the one who asks.
    fn others(&self) -> Vec<(Uuid, oneshot::Sender<Turn<R>>)> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.others.len().min(IDS - 1);
        waiting.others.drain(..most).collect()
    }
}

impl<R> Drop for Asking<R> {
    fn drop(&mut self) {
        let Some(together) = self.0.take() else {
            return;
        };
        let mut waiting = together.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !waiting.others.is_empty() {
            let (_, reply) = waiting.others.remove(0);
            match reply.send(Turn::Ask(Self(Some(Arc::clone(&together))))) {
                Ok(()) => return,
                Err(Turn::Ask(mut refused)) => refused.0 = None,
                Err(Turn::Rows(_)) => {}
            }
        }
        waiting.asking = false;
    }
}

async fn fetch<R: Row>(
    database: &Database,
    sql: &str,
    ids: &[Uuid],
) -> Result<Vec<R>, sqlx::Error> {
    macro_rules! ask {
        ($engine:ty, $on:expr) => {{
            let mut query = sqlx::query_as::<$engine, R>(sql);
            for place in 0..IDS {
                query = query.bind(ids.get(place).copied());
            }
            query.fetch_all($on).await
        }};
    }
    match database {
        Database::Postgres(on) => ask!(Postgres, on),
        Database::Sqlite(on) => ask!(Sqlite, on),
    }
}
