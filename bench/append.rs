//! How fast commands are appended: the full sealed row through our store against the plain row through
//! postgres-es's and sqlite-es's own `persist`, with the same durability, both in one run and in turns.
//!
//! `cargo bench --bench append` measures SQLite in a temporary directory, and Postgres on the server of
//! `TEST_POSTGRES_URL`, in a database of its own.

#![expect(clippy::print_stderr, reason = "a benchmark says what it left out")]

#[expect(dead_code, reason = "goals are other benchmarks' and `growth`'s")]
mod report;

use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use domain::id::AccountId;
use domain::{Aggregate, KeyScope, Kind, Personal, Rejection};
use event_log::append::{Bounds, Verdict};
use event_log::homes::{Homes, Target};
use event_log::keys::{Keys, Secret};
use event_log::log::{Decided, Loaded};
use event_log::{EventLog, Metadata};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use sqlite_es::SqliteEventRepository;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use uuid::Uuid;

use report::{Report, Row};

type Failure = Box<dyn Error + Send + Sync>;

const CALLERS: [usize; 5] = [1, 16, 64, 256, 1024];
const TURNS: usize = 3;
const TURN: Duration = Duration::from_secs(2);
/// What both libraries' own pools open.
const CONNECTIONS: u32 = 10;
/// About as much text as a short journal entry.
const WORDS: &str = "Today I listened before I answered, and the talk with my sister went better than I had feared. \
    I noticed how my shoulders sank when she laughed, and I would like to remember that the next time.";

const PLAIN_TABLE: &str = "CREATE TABLE plain_events (
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint CHECK (sequence >= 0) NOT NULL,
    event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence))";

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark is where time and ids come from"
)]
fn moment() -> (DateTime<Utc>, Uuid) {
    (Utc::now(), Uuid::now_v7())
}

/// What is appended: a letter somebody wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LetterEvent {
    LetterWritten {
        owner: AccountId,
        words: Personal<String>,
    },
}

domain::event_types!(LetterEvent { LetterWritten: "letter_written" 1 });

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Letter {
    owner: Option<AccountId>,
    words: Option<Personal<String>>,
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Rejection for Never {
    fn code(&self) -> &'static str {
        "letter.never"
    }

    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

domain::aggregate!(Letter, "letter", LetterEvent, LetterEvent, Never);

impl Letter {
    fn fold(&mut self, event: LetterEvent) {
        let LetterEvent::LetterWritten { owner, words } = event;
        self.owner = Some(owner);
        self.words = Some(words);
    }
}

impl Aggregate for Letter {
    const KEY_SCOPE: KeyScope = KeyScope::Subject;

    fn decide(&self, command: &LetterEvent) -> Result<Vec<LetterEvent>, Never> {
        Ok(vec![command.clone()])
    }

    fn subject(&self) -> Option<AccountId> {
        self.owner
    }
}

/// Our store: seal, hash, judge, number, write.
struct Ours {
    log: EventLog,
    owner: AccountId,
}

impl Ours {
    async fn open(target: &Target) -> Result<Self, Failure> {
        let homes = Homes::open(target).await?;
        homes.migrate().await?;
        let keys = Arc::new(Keys::new(homes.keys.clone(), &Secret::random()));
        let (now, owner) = moment();
        keys.create_subject(owner, owner, now).await?;
        let (log, _task) = EventLog::open(homes, keys, Vec::new(), Bounds::default(), now).await?;
        Ok(Self {
            log,
            owner: AccountId(owner),
        })
    }
}

/// Theirs: a transaction with one INSERT of the seven columns.
enum Theirs {
    Postgres(PostgresEventRepository),
    Sqlite(SqliteEventRepository),
}

enum Side {
    Ours(Box<Ours>),
    Theirs(Theirs),
}

impl Side {
    /// One event for a new stream.
    async fn append(&self) -> Result<(), Failure> {
        let (now, id) = moment();
        let stream = id.to_string();
        let words = Personal::Known(WORDS.to_owned());
        let role = "member";
        match self {
            Self::Ours(ours) => {
                let before = Loaded::<Letter>::default();
                let metadata = Metadata {
                    correlation_id: id,
                    causation_id: None,
                    actor_id: ours.owner.to_string(),
                    actor_role: role,
                };
                let decided = Decided {
                    id: &stream,
                    before: &before,
                    events: &[(
                        id,
                        LetterEvent::LetterWritten {
                            owner: ours.owner,
                            words,
                        },
                    )],
                    metadata: &metadata,
                    remember: None,
                    key_id: id,
                    now,
                };
                match ours.log.append(decided).await?.0 {
                    Verdict::Appended { .. } => Ok(()),
                    verdict => Err(format!("{verdict:?}").into()),
                }
            }
            Self::Theirs(theirs) => {
                let event = LetterEvent::LetterWritten {
                    owner: AccountId(id),
                    words,
                };
                let event = SerializedEvent::new(
                    stream,
                    1,
                    <Letter as cqrs_es::Aggregate>::TYPE.to_owned(),
                    "letter_written".to_owned(),
                    "1".to_owned(),
                    serde_json::to_value(&event)?,
                    serde_json::json!({"actor_role": role}),
                );
                theirs.persist::<Letter>(&[event]).await
            }
        }
    }
}

impl Theirs {
    async fn persist<A: Aggregate>(&self, events: &[SerializedEvent]) -> Result<(), Failure> {
        match self {
            Self::Postgres(repository) => repository.persist::<A>(events, None).await,
            Self::Sqlite(repository) => repository.persist::<A>(events, None).await,
        }
        .map_err(Into::into)
    }
}

/// What came of one turn.
struct Turn {
    /// Appends a second.
    rate: f64,
    failed: u64,
    latencies: Vec<Duration>,
}

async fn turn(side: &Arc<Side>, callers: usize) -> Turn {
    let began = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let side = Arc::clone(side);
            tokio::spawn(async move {
                let (mut latencies, mut failed) = (Vec::new(), 0);
                while began.elapsed() < TURN {
                    let asked = Instant::now();
                    match side.append().await {
                        Ok(()) => latencies.push(asked.elapsed()),
                        Err(_) => failed += 1,
                    }
                }
                (latencies, failed)
            })
        })
        .collect();
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for (more, bad) in futures::future::join_all(tasks).await.into_iter().flatten() {
        latencies.extend(more);
        failed += bad;
    }
    Turn {
        rate: count(latencies.len()) / began.elapsed().as_secs_f64(),
        failed,
        latencies,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few minutes")]
fn count(number: usize) -> f64 {
    number as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Milliseconds that `share` of a hundred calls were answered within.
fn percentile(sorted: &[Duration], share: usize) -> f64 {
    let at = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |one| one.as_secs_f64() * 1e3)
}

async fn compare(
    report: &mut Report,
    engine: &str,
    library: &str,
    ours: Ours,
    theirs: Theirs,
) -> Result<(), Failure> {
    report.engine(engine, ours.log.homes().server_version().await?);
    let sides = [
        Arc::new(Side::Ours(Box::new(ours))),
        Arc::new(Side::Theirs(theirs)),
    ];
    for callers in CALLERS {
        let mut rates = [Vec::new(), Vec::new()];
        let mut latencies = [Vec::new(), Vec::new()];
        let mut failed = [0, 0];
        for _ in 0..TURNS {
            for (at, side) in sides.iter().enumerate() {
                let turn = turn(side, callers).await;
                rates[at].push(turn.rate);
                latencies[at].extend(turn.latencies);
                failed[at] += turn.failed;
            }
        }
        if failed != [0, 0] {
            return Err(format!("appends failed: ours {}, theirs {}", failed[0], failed[1]).into());
        }
        for all in &mut latencies {
            all.sort_unstable();
        }
        let [ours, theirs] = rates.map(median);
        let mut row = Row::new(engine, format!("callers: {callers}"), "appends/s", ours)
            .against(library, theirs);
        for (side, latencies) in ["ours", library].into_iter().zip(&latencies) {
            for share in [50, 99] {
                let name = format!("{side} p{share}");
                row = row.with(name, percentile(latencies, share), "ms");
            }
        }
        report.add(row)?;
    }
    Ok(())
}

async fn sqlite(report: &mut Report) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let target = Target::Sqlite {
        directory: directory.path().join("ours"),
    };
    let ours = Ours::open(&target).await?;
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("theirs.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect_with(options)
        .await?;
    sqlx::query(PLAIN_TABLE).execute(&pool).await?;
    let theirs = SqliteEventRepository::new(pool).with_tables("plain_events", "snapshots");
    compare(report, "SQLite", "sqlite-es", ours, Theirs::Sqlite(theirs)).await
}

async fn postgres(report: &mut Report, url: &str) -> Result<(), Failure> {
    let server = PgConnectOptions::from_str(url)?;
    let mut connection = server.connect().await?;
    let name = format!("soulsense_bench_{}", moment().1.simple());
    sqlx::query(&format!("CREATE DATABASE {name} TEMPLATE template0"))
        .execute(&mut connection)
        .await?;
    let measured = postgres_in(report, server.clone().database(&name)).await;
    sqlx::query(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    measured
}

async fn postgres_in(report: &mut Report, options: PgConnectOptions) -> Result<(), Failure> {
    let target = Target::Postgres {
        url: options.to_url_lossy().to_string(),
        direct_url: None,
        max_connections: CONNECTIONS,
    };
    let ours = Ours::open(&target).await?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect_with(options)
        .await?;
    sqlx::query(PLAIN_TABLE).execute(&pool).await?;
    let theirs = PostgresEventRepository::new(pool).with_tables("plain_events", "snapshots");
    compare(
        report,
        "Postgres",
        "postgres-es",
        ours,
        Theirs::Postgres(theirs),
    )
    .await
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut report = Report::new("append");
    sqlite(&mut report).await?;
    match std::env::var("TEST_POSTGRES_URL") {
        Ok(url) if !url.is_empty() => postgres(&mut report, &url).await?,
        _ => eprintln!("TEST_POSTGRES_URL is not set: Postgres is left out"),
    }
    Ok(report.finish()?)
}
