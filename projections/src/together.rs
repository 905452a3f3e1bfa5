//! Questions about single ids that come at the same time are asked in one statement.
//!
//! While a statement is under way, whoever asks waits; the first of those who waited then asks for all of
//! them, over the same connection. No timer: who comes alone asks at once and alone.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use event_log::database::{Database, Held, is_unavailable};
use event_log::patience;
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
    /// Somebody asked for us and the database is away.
    Away(Arc<sqlx::Error>),
    /// It is on us to ask.
    Ask(Asking<R>),
}

/// The right to ask, which goes to the next who waits when it is dropped, with the connection.
struct Asking<R> {
    together: Option<Arc<Together<R>>>,
    /// Absent before the first statement, during a statement, and after one that failed.
    held: Option<Held>,
}

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
                // who asked for us went away, or something is wrong with the statement
                Err(_) => return fetch(&mut database.hold().await?, sql, &[id]).await,
            },
        };
        let mut asking = match turn {
            Turn::Rows(rows) => return Ok(rows),
            Turn::Away(error) => return Err(sqlx::Error::Io(io::Error::other(error))),
            Turn::Ask(asking) => asking,
        };
        // whoever is about to ask as well gets to it
        tokio::task::yield_now().await;
        let others = self.others();
        let mut ids: Vec<Uuid> = others.iter().map(|(id, _)| *id).collect();
        ids.push(id);
        ids.sort_unstable();
        ids.dedup();
        let mut found: HashMap<Uuid, Vec<R>> = HashMap::with_capacity(ids.len());
        let rows = match asking.ask(database, sql, &ids).await {
            Ok(rows) => rows,
            Err(error) if is_unavailable(&error) => return Err(self.away(error, others)),
            Err(error) => return Err(error),
        };
        for row in rows {
            found.entry(row.id()).or_default().push(row);
        }
        for (id, reply) in others {
            let rows = found.get(&id).cloned().unwrap_or_default();
            let _gone = reply.send(Turn::Rows(rows));
        }
        Ok(found.remove(&id).unwrap_or_default())
    }

    /// Tells everybody who waits, so that nobody waits for the database once more.
    fn away(
        &self,
        error: sqlx::Error,
        mut others: Vec<(Uuid, oneshot::Sender<Turn<R>>)>,
    ) -> sqlx::Error {
        let error = Arc::new(error);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        others.append(&mut waiting.others);
        drop(waiting);
        for (_, reply) in others {
            let _gone = reply.send(Turn::Away(Arc::clone(&error)));
        }
        sqlx::Error::Io(io::Error::other(error))
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
        Ok(Asking {
            together: Some(Arc::clone(self)),
            held: None,
        })
    }

    /// Those who have waited longest, as many as fit beside the one who asks.
    fn others(&self) -> Vec<(Uuid, oneshot::Sender<Turn<R>>)> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.others.len().min(IDS - 1);
        waiting.others.drain(..most).collect()
    }
}

impl<R: Row> Asking<R> {
    async fn ask(
        &mut self,
        database: &Database,
        sql: &str,
        ids: &[Uuid],
    ) -> Result<Vec<R>, sqlx::Error> {
        let mut held = match self.held.take().filter(|held| !held.is_given_up()) {
            Some(held) => held,
            None => database.hold().await?,
        };
        let rows = fetch(&mut held, sql, ids).await?;
        self.held = Some(held);
        Ok(rows)
    }
}

impl<R> Drop for Asking<R> {
    fn drop(&mut self) {
        let Some(together) = self.together.take() else {
            return;
        };
        let mut waiting = together.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !waiting.others.is_empty() {
            let (_, reply) = waiting.others.remove(0);
            let next = Self {
                together: Some(Arc::clone(&together)),
                held: self.held.take(),
            };
            match reply.send(Turn::Ask(next)) {
                Ok(()) => return,
                Err(Turn::Ask(mut refused)) => {
                    refused.together = None;
                    self.held = refused.held.take();
                }
                Err(Turn::Rows(_) | Turn::Away(_)) => {}
            }
        }
        waiting.asking = false;
        if let Some(held) = self.held.take() {
            held.keep_warm();
        }
    }
}

async fn fetch<R: Row>(held: &mut Held, sql: &str, ids: &[Uuid]) -> Result<Vec<R>, sqlx::Error> {
    macro_rules! ask {
        ($engine:ty, $on:expr) => {{
            let mut query = sqlx::query_as::<$engine, R>(sql);
            for place in 0..IDS {
                query = query.bind(ids.get(place).copied());
            }
            query.fetch_all(&mut **$on)
        }};
    }
    match held {
        Held::Postgres(on) => {
            let given_up = on.given_up();
            patience::held(given_up, ask!(Postgres, on)).await
        }
        Held::Sqlite(on) => ask!(Sqlite, on).await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::SqlitePool;
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    #[derive(Debug, Clone, PartialEq, FromRow)]
    struct Toy {
        id: Uuid,
        name: String,
    }

    impl Row for Toy {
        fn id(&self) -> Uuid {
            self.id
        }
    }

    fn statement() -> String {
        let places: Vec<String> = (1..=IDS).map(|place| format!("${place}")).collect();
        format!(
            "SELECT id, name FROM toys WHERE id IN ({})",
            places.join(", ")
        )
    }

    /// One connection, so that a statement waits while it is held.
    async fn toys(count: u128) -> Result<SqlitePool, sqlx::Error> {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect("sqlite::memory:")
            .await?;
        sqlx::query("CREATE TABLE toys (id BLOB, name TEXT)")
            .execute(&pool)
            .await?;
        for number in 0..count {
            sqlx::query("INSERT INTO toys VALUES ($1, $2)")
                .bind(Uuid::from_u128(number))
                .bind(number.to_string())
                .execute(&pool)
                .await?;
        }
        Ok(pool)
    }

    async fn asked(
        together: &Arc<Together<Toy>>,
        pool: &SqlitePool,
        number: u128,
    ) -> Option<String> {
        let (database, id) = (Database::Sqlite(pool.clone()), Uuid::from_u128(number));
        let rows = together.rows(&database, &statement(), id).await.ok()?;
        Some(rows.into_iter().map(|toy| toy.name).collect())
    }

    #[tokio::test]
    async fn everybody_gets_their_own_rows_however_many_ask() -> Outcome {
        let (together, pool) = (Arc::default(), toys(150).await?);
        let asking = (0..200).map(|number| asked(&together, &pool, number % 160));
        let answers = futures::future::join_all(asking).await;
        for (number, answer) in (0..200).zip(answers) {
            let number = number % 160;
            let expected = if number < 150 {
                number.to_string()
            } else {
                String::new()
            };
            assert_eq!(answer, Some(expected));
        }
        Ok(())
    }

    #[tokio::test]
    async fn those_who_ask_after_each_other_share_a_connection_and_then_give_it_back() -> Outcome {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .after_release(|connection, _| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO returns DEFAULT VALUES")
                        .execute(connection)
                        .await
                        .map(|_| true)
                })
            })
            .connect("sqlite::memory:")
            .await?;
        let mut setup = pool.acquire().await?;
        for table in ["toys (id BLOB, name TEXT)", "returns (number INTEGER)"] {
            sqlx::query(&format!("CREATE TABLE {table}"))
                .execute(&mut *setup)
                .await?;
        }
        drop(setup);
        let together = Arc::default();
        // more than ten statements
        let asking = (0..400).map(|number| asked(&together, &pool, number));
        let answers = futures::future::join_all(asking).await;
        assert!(answers.iter().all(Option::is_some));
        let (returns,): (i64,) = sqlx::query_as("SELECT count(*) FROM returns")
            .fetch_one(&pool)
            .await?;
        assert_eq!(returns, 2, "after the tables were made, and at the end");
        Ok(())
    }

    #[tokio::test]
    async fn who_asks_for_others_and_goes_away_leaves_nobody_waiting() -> Outcome {
        let (together, pool) = (Arc::default(), toys(3).await?);
        let held = pool.acquire().await?;
        let first = tokio::time::timeout(Duration::from_millis(50), asked(&together, &pool, 0));
        let others = async {
            tokio::task::yield_now().await;
            futures::join!(asked(&together, &pool, 1), asked(&together, &pool, 2))
        };
        let letting_go = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(held);
        };
        let (first, others, ()) = futures::join!(first, others, letting_go);
        assert!(first.is_err());
        assert_eq!(others, (Some("1".to_owned()), Some("2".to_owned())));
        assert_eq!(asked(&together, &pool, 0).await, Some("0".to_owned()));
        Ok(())
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_waited_for_once_by_all() -> Outcome {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_millis(500))
            .connect("sqlite::memory:")
            .await?;
        let (together, _held) = (Arc::default(), pool.acquire().await?);
        let asking = (0..100).map(|number| asked(&together, &pool, number));
        let answers = tokio::time::timeout(
            Duration::from_millis(900),
            futures::future::join_all(asking),
        );
        assert!(answers.await?.iter().all(Option::is_none));
        Ok(())
    }
}
