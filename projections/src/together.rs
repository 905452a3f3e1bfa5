//! Rows by single ids: those who ask at the same time share a statement, as [`event_log::together`] says.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use event_log::database::Held;
use event_log::patience;
use event_log::together::Kind;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Postgres, Sqlite};
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

/// The rows of a statement by id.
pub(crate) struct ById<R> {
    sql: Arc<str>,
    rows: PhantomData<fn() -> R>,
}

impl<R> ById<R> {
    /// By the statement of this text.
    pub(crate) fn new(sql: Arc<str>) -> Self {
        let rows = PhantomData;
        Self { sql, rows }
    }
}

impl<R: Row> Kind for ById<R> {
    type Question = Uuid;
    type Answer = Vec<R>;
    const MOST: usize = IDS;

    async fn ask(&self, on: &mut Held, asked: &[Uuid]) -> Result<Vec<Vec<R>>, sqlx::Error> {
        let mut ids = asked.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut found: HashMap<Uuid, Vec<R>> = HashMap::with_capacity(ids.len());
        for row in fetch::<R>(on, &self.sql, &ids).await? {
            found.entry(row.id()).or_default().push(row);
        }
        let several = ids.len() < asked.len();
        let mut rows = |id| {
            if several {
                found.get(id).cloned()
            } else {
                found.remove(id)
            }
        };
        Ok(asked
            .iter()
            .map(|id| rows(id).unwrap_or_default())
            .collect())
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
    use event_log::database::Database;
    use event_log::together::Together;
    use sqlx::SqlitePool;
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

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

    #[tokio::test]
    async fn everybody_gets_their_own_rows_however_many_ask() -> Result<(), sqlx::Error> {
        let together = Arc::<Together<ById<Toy>>>::default();
        let database = Database::Sqlite(toys(150).await?);
        let by_id = ById::new(statement().into());
        let asking = (0..200)
            .map(|number| together.answer(&database, &by_id, Uuid::from_u128(number % 160)));
        let answers = futures::future::join_all(asking).await;
        for (number, answer) in (0..200).zip(answers) {
            let number = number % 160;
            let name = (number < 150).then(|| number.to_string());
            let names: Vec<String> = answer
                .unwrap_or_default()
                .into_iter()
                .map(|toy| toy.name)
                .collect();
            assert_eq!(names, Vec::from_iter(name));
        }
        Ok(())
    }
}
