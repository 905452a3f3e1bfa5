//! Many rows in one statement: every way they are handed over writes the same rows.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use event_log::database::{Database, Engine, Statement};
use event_log::rows::fetch_by_id;
use event_log::{execute, execute_rows, fetch_all, fetch_one};
use uuid::Uuid;

use crate::support::engines::{Installation, Outcome, each_engine, id, now};

static TABLE: Statement = Statement::new(
    "table",
    "CREATE TABLE {read.things} (
        id UUID PRIMARY KEY, place BIGINT NOT NULL, name TEXT, bytes BYTEA, at TIMESTAMPTZ, day DATE,
        yes BOOLEAN, share DOUBLE PRECISION)",
);
static ADD: Statement = Statement::new(
    "add",
    "INSERT INTO {read.things} (id, place, name, bytes, at, day, yes, share)\n{rows}\n",
);
static SAVE: Statement = Statement::new(
    "save",
    "INSERT INTO {read.things} (id, place, name, bytes, at, day, yes, share) {rows}
     ON CONFLICT (id) DO UPDATE SET name = excluded.name",
);
static RENAME: Statement = Statement::new(
    "rename",
    "WITH change (id, name) AS ({rows})
     UPDATE {read.things} AS t SET name = c.name FROM change c WHERE t.id = c.id",
);
static DROP: Statement = Statement::new("drop", "DELETE FROM {read.things} WHERE id IN ({rows})");
static FIND: Statement = Statement::new(
    "find",
    "SELECT id, place, name, bytes, at, day, yes, share FROM {read.things} WHERE id IN ({rows})",
);
static CLEAR: Statement = Statement::new("clear", "DELETE FROM {read.things}");
static ALL: Statement = Statement::new(
    "all",
    "SELECT id, place, name, bytes, at, day, yes, share FROM {read.things} ORDER BY place",
);

/// Around where another way begins.
const COUNTS: [usize; 7] = [0, 1, 2, 63, 64, 65, 300];

#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
struct Thing {
    id: Uuid,
    place: i64,
    name: Option<String>,
    bytes: Option<Vec<u8>>,
    at: Option<DateTime<Utc>>,
    day: Option<NaiveDate>,
    yes: Option<bool>,
    share: Option<f64>,
}

impl Thing {
    /// Every third has nothing, every fifth something awkward.
    fn at(place: i64, today: DateTime<Utc>) -> Self {
        let some = place % 3 != 0;
        let name = if place % 5 == 0 {
            "ü\t\\N\n'\","
        } else {
            "name"
        };
        Self {
            id: id(),
            place,
            name: some.then(|| name.to_owned()),
            bytes: some.then(|| vec![0, 255, b'\\']),
            at: some.then(|| today + TimeDelta::microseconds(place)),
            day: some.then(|| today.date_naive()),
            yes: some.then_some(place % 2 == 0),
            share: some.then_some(0.1),
        }
    }
}

fn things(count: usize) -> Result<Vec<Thing>, std::num::TryFromIntError> {
    // both engines keep microseconds
    let today = DateTime::from_timestamp_micros(now().timestamp_micros()).unwrap_or_default();
    Ok((0..i64::try_from(count)?)
        .map(|place| Thing::at(place, today))
        .collect())
}

async fn write(
    database: &Database,
    statement: &Statement,
    things: &[Thing],
) -> Result<u64, sqlx::Error> {
    let text = statement.on(database.engine());
    let mut transaction = database.begin_derived().await?;
    let touched = execute_rows!(in transaction, text, things, |row, thing| {
        row.push_bind(thing.id);
        row.push_bind(thing.place);
        row.push_bind(thing.name.as_deref());
        row.push_bind(thing.bytes.as_ref());
        row.push_bind(thing.at);
        row.push_bind(thing.day);
        row.push_bind(thing.yes);
        row.push_bind(thing.share);
    })?;
    transaction.commit().await?;
    Ok(touched)
}

#[tokio::test]
async fn rows_come_back_as_they_were_however_many_they_are() -> Outcome {
    each_engine(async |installation| {
        let read = &installation.homes.read;
        let engine = read.engine();
        execute!(read, TABLE.on(engine))?;
        for count in COUNTS {
            for statement in [&ADD, &SAVE] {
                let written = things(count)?;
                let touched = write(read, statement, &written).await?;
                assert_eq!(touched, u64::try_from(count)?, "{}", statement.name());
                let found: Vec<Thing> = fetch_all!(read, Thing, ALL.on(engine))?;
                assert_eq!(found, written, "{} of {count}", statement.name());
                execute!(read, CLEAR.on(engine))?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn many_rows_are_changed_found_and_deleted_by_their_ids() -> Outcome {
    each_engine(async |installation| {
        let read = &installation.homes.read;
        let engine = read.engine();
        execute!(read, TABLE.on(engine))?;
        for count in COUNTS {
            let written = things(count + 10)?;
            write(read, &ADD, &written).await?;
            let some = &written[5..5 + count];
            let mut transaction = read.begin_derived().await?;
            let renamed = execute_rows!(in transaction, RENAME.on(engine), some, |row, thing| {
                row.push_bind(thing.id);
                row.push_bind((thing.place % 2 == 0).then_some("other"));
            })?;
            transaction.commit().await?;
            assert_eq!(renamed, u64::try_from(count)?);
            let ids: Vec<Uuid> = some.iter().map(|thing| thing.id).collect();
            let mut found: Vec<Thing> = fetch_by_id(read, FIND.on(engine), &ids).await?;
            found.sort_by_key(|thing| thing.place);
            assert_eq!(found.len(), count);
            for (found, before) in found.iter().zip(some) {
                assert_eq!(found.id, before.id);
                let name = (before.place % 2 == 0).then_some("other");
                assert_eq!(found.name.as_deref(), name);
            }
            let mut transaction = read.begin_derived().await?;
            let gone = execute_rows!(in transaction, DROP.on(engine), ids, |row, id| {
                row.push_bind(*id);
            })?;
            transaction.commit().await?;
            assert_eq!(gone, u64::try_from(count)?);
            let left: Vec<Thing> = fetch_all!(read, Thing, ALL.on(engine))?;
            let kept: Vec<&Thing> = written[..5].iter().chain(&written[5 + count..]).collect();
            assert_eq!(left.iter().collect::<Vec<_>>(), kept);
            execute!(read, CLEAR.on(engine))?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_row_that_is_there_already_undoes_all_of_its_statement() -> Outcome {
    each_engine(async |installation| {
        let read = &installation.homes.read;
        let engine = read.engine();
        execute!(read, TABLE.on(engine))?;
        for count in [2, 300] {
            let mut twice = things(count)?;
            twice[count - 1].id = twice[0].id;
            let refused = write(read, &ADD, &twice).await;
            assert!(
                matches!(&refused, Err(sqlx::Error::Database(error)) if error.is_unique_violation()),
                "{refused:?}"
            );
            let left: Vec<Thing> = fetch_all!(read, Thing, ALL.on(engine))?;
            assert_eq!(left, []);
        }
        Ok(())
    })
    .await
}

/// An answer that nobody waited for must not be taken for the answer to somebody else's question.
#[tokio::test]
async fn rows_whose_writer_gave_up_leave_no_answer_behind_for_others() -> Outcome {
    let installation = Installation::on(Engine::Postgres).await?;
    let database = &installation.homes.read;
    for text in [
        "CREATE TABLE read.things (place BIGINT NOT NULL)",
        "CREATE FUNCTION read.linger() RETURNS trigger LANGUAGE plpgsql
             AS 'BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END'",
        "CREATE TRIGGER linger AFTER INSERT ON read.things EXECUTE FUNCTION read.linger()",
    ] {
        execute!(database, text)?;
    }
    for _ in 0..3 {
        let mut transaction = database.begin().await?;
        let places: Vec<i64> = (0..300).collect();
        let writing = async {
            execute_rows!(in transaction, "INSERT INTO read.things (place) {rows}", places, |row, place| {
                row.push_bind(*place);
            })
        };
        let written = tokio::time::timeout(Duration::from_millis(150), writing).await;
        assert!(written.is_err(), "{written:?}");
        drop(transaction);
        for number in 0..30_i64 {
            let (answer,): (i64,) =
                fetch_one!(database, (i64,), "SELECT CAST($1 AS BIGINT)", number)?;
            assert_eq!(answer, number);
        }
    }
    Ok(())
}
