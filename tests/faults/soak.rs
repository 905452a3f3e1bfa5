//! Many writers with conflicts, tasks that are aborted in the middle, and a foreign transaction that stays
//! open: somebody who follows the log by position misses nothing.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use event_log::append::{Append, AppendError, Appender, Bounds, Verdict};
use event_log::database::Engine;
use event_log::homes::Target;
use event_log::reader::Reader;
use rand::RngExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::support::engines::{Installation, Outcome};
use super::support::raw;
use super::{form, tell, together};

const WRITERS: usize = 64;
/// Streams that all writers write to, so that they conflict.
const SHARED: usize = 16;

/// What the writers were told: where each of their events stands.
#[derive(Default)]
struct Told {
    events: HashMap<Uuid, i64>,
    conflicts: usize,
    aborted: usize,
}

fn append(stream: &str, expected: i64, count: i64) -> Append {
    let sequences = expected + 1..=expected + count;
    let payloads = sequences.map(|sequence| format!(r#"{{"sequence":{sequence}}}"#));
    raw::decided("soak", stream, expected, "soaked", payloads)
}

/// Appends until it has a verdict; sometimes the caller goes away in the middle and asks again.
async fn settle(
    appender: &Appender,
    append: &Append,
    told: &mut Told,
) -> Result<Verdict, AppendError> {
    loop {
        if rand::rng().random_bool(0.02) {
            let (under_way, appender) = (append.clone(), appender.clone());
            let task = tokio::spawn(async move { appender.append(under_way).await });
            let micros = rand::rng().random_range(0..3_000);
            tokio::time::sleep(Duration::from_micros(micros)).await;
            task.abort();
            told.aborted += 1;
        }
        match appender.append(append.clone()).await {
            Err(AppendError::QueueFull | AppendError::Unknown) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            settled => return settled,
        }
    }
}

impl Told {
    fn note(&mut self, append: &Append, verdict: &Verdict) -> Outcome {
        let Verdict::Appended { position, .. } = verdict else {
            return Err(format!("a verdict nobody waits for: {verdict:?}").into());
        };
        for (before, event) in (0..).zip(append.events.iter().rev()) {
            self.events.insert(event.event_id, position - before);
        }
        Ok(())
    }
}

/// What the writers share.
struct Writing {
    appender: Appender,
    /// Events still to be written.
    left: AtomicUsize,
    /// Last sequence of each shared stream that anybody was told of.
    known: Vec<AtomicI64>,
}

impl Writing {
    fn take(&self) -> Option<i64> {
        let wanted = rand::rng().random_range(1..=3_usize);
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left > 0).then(|| left.saturating_sub(wanted))
            });
        i64::try_from(left.ok()?.min(wanted)).ok()
    }

    async fn write(&self, writer: usize) -> Result<Told, Box<dyn Error>> {
        let mut told = Told::default();
        let mut number = 0;
        while let Some(count) = self.take() {
            number += 1;
            if rand::rng().random_bool(0.8) {
                let append = append(&format!("{writer}-{number}"), 0, count);
                let verdict = settle(&self.appender, &append, &mut told).await?;
                told.note(&append, &verdict)?;
            } else {
                self.write_shared(count, &mut told).await?;
            }
        }
        Ok(told)
    }

    /// To a stream that others write to as well, decided on what may have grown old.
    async fn write_shared(&self, count: i64, told: &mut Told) -> Outcome {
        let stream = rand::rng().random_range(0..SHARED);
        loop {
            let known = self.known[stream].load(Ordering::Relaxed);
            let append = append(&format!("shared-{stream}"), known, count);
            let verdict = settle(&self.appender, &append, told).await?;
            match verdict {
                Verdict::Conflict => {
                    told.conflicts += 1;
                    tokio::task::yield_now().await;
                }
                Verdict::Appended { sequence, .. } => {
                    self.known[stream].fetch_max(sequence, Ordering::Relaxed);
                    return told.note(&append, &verdict);
                }
                other => return Err(format!("{other:?}").into()),
            }
        }
    }
}

/// Follows the log until `end` says how long it is; every event where it stands.
async fn follow(
    reader: Reader,
    mut end: watch::Receiver<Option<i64>>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut seen: Vec<Uuid> = Vec::new();
    loop {
        let after = i64::try_from(seen.len()).unwrap_or(i64::MAX);
        if *end.borrow_and_update() == Some(after) {
            return Ok(seen);
        }
        let head = reader.head().await?.position;
        for event in reader.page(after, head, 1_000).await? {
            let expected = i64::try_from(seen.len() + 1).unwrap_or(i64::MAX);
            assert_eq!(event.position, expected, "the reader sees a gap");
            assert!(event.is_intact(), "an event is not what its hash says");
            seen.push(event.event_id);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Somebody else's transaction on the same database that has begun before and ends after everything. On SQLite
/// it only reads: a writer would hold up all others, whoever reads keeps the write-ahead log from being emptied.
enum Foreign {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Foreign {
    /// On a connection that knows nothing of this program's limits.
    async fn begin(target: &Target) -> Result<Self, Box<dyn Error>> {
        Ok(match target {
            Target::Postgres { url, .. } => {
                let mut connection = PgConnection::connect(url).await?;
                connection.execute("BEGIN").await?;
                connection
                    .execute("CREATE TABLE foreign_table AS SELECT pg_current_xact_id()")
                    .await?;
                Self::Postgres(connection)
            }
            Target::Sqlite { directory } => {
                let file = SqliteConnectOptions::new().filename(directory.join("events.db"));
                let mut connection = SqliteConnection::connect_with(&file).await?;
                connection.execute("BEGIN").await?;
                connection.execute("SELECT position FROM events").await?;
                Self::Sqlite(connection)
            }
        })
    }

    /// Fails when it did not last until now.
    async fn end(self) -> Outcome {
        match self {
            Self::Postgres(mut connection) => {
                connection.execute("DROP TABLE foreign_table").await?;
                connection.execute("COMMIT").await?;
            }
            Self::Sqlite(mut connection) => {
                connection.execute("COMMIT").await?;
            }
        }
        Ok(())
    }
}

async fn story(engine: Engine) -> Outcome {
    let _together = together().await;
    let installation = Installation::on(engine).await?;
    let homes = &installation.homes;
    let foreign = Foreign::begin(installation.target()).await?;
    let (appender, task) = Appender::start(installation.target(), Bounds::default()).await?;
    let writing = Arc::new(Writing {
        appender: appender.clone(),
        left: AtomicUsize::new(form().events),
        known: (0..SHARED).map(|_| AtomicI64::new(0)).collect(),
    });
    let (end, ended) = watch::channel(None);
    let following = tokio::spawn(follow(Reader::new(homes.log.clone()), ended));
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let writing = Arc::clone(&writing);
        writers.spawn(async move {
            let told = writing.write(writer).await;
            told.map_err(|error| error.to_string())
        });
    }
    let mut told = Told::default();
    while let Some(done) = writers.join_next().await {
        let done = done??;
        told.events.extend(done.events);
        told.conflicts += done.conflicts;
        told.aborted += done.aborted;
    }
    let took = began.elapsed();
    appender.close();
    task.finished().await;
    end.send_replace(Some(i64::try_from(told.events.len())?));
    let seen = tokio::time::timeout(Duration::from_mins(2), following)
        .await
        .map_err(|_| "the reader does not see as much as was written")???;
    foreign.end().await?;

    let missed = (1_i64..).zip(&seen);
    let missed = missed.filter(|(at, event)| told.events.get(event) != Some(at));
    let (missed, head) = (missed.count(), Reader::new(homes.log.clone()).head().await?);
    tell(&format!(
        "soak on {engine:?}: {} events by {WRITERS} writers in {took:.0?}, {} conflicts, {} aborted tasks, \
         {missed} missed or misplaced, head at {}",
        told.events.len(),
        told.conflicts,
        told.aborted,
        head.position
    ));
    assert_eq!(missed, 0);
    assert_eq!(seen.len(), told.events.len());
    assert_eq!(usize::try_from(head.position)?, told.events.len());
    assert_eq!(
        told.events.len(),
        form().events,
        "the ledger has every event"
    );
    assert!(told.conflicts > 0 && told.aborted > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_who_follows_the_log_misses_nothing() -> Outcome {
    story(Engine::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_who_follows_the_log_misses_nothing() -> Outcome {
    story(Engine::Postgres).await
}
