//! What the server is measured against: axum and sqlx with nothing around them, in a process of their own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use argon2::{Algorithm, Argon2, Params, Version};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{FromRow, PgPool, SqlitePool};
use tokio::net::TcpListener;
use uuid::Uuid;

/// The word that makes this program serve yardsticks instead of measuring.
pub const WORD: &str = "serve-yardsticks";
/// Rows that are selected from.
pub const ROWS: u64 = 10_000;
/// As many as the server opens on either engine.
pub const POSTGRES_CONNECTIONS: u32 = 10;
const SQLITE_READERS: u32 = 8;

const TABLES: [&str; 2] = [
    "CREATE TABLE people (id UUID NOT NULL PRIMARY KEY, username TEXT NOT NULL, email TEXT NOT NULL, \
     role TEXT NOT NULL, two_factor BOOLEAN NOT NULL, created_at TEXT NOT NULL)",
    "CREATE TABLE writings (id UUID NOT NULL PRIMARY KEY, words TEXT NOT NULL)",
];
const ADD_PERSON: &str = "INSERT INTO people (id, username, email, role, two_factor, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6)";
const PERSON: &str =
    "SELECT id, username, email, role, two_factor, created_at FROM people WHERE id = $1";
const ADD_WRITING: &str = "INSERT INTO writings (id, words) VALUES ($1, $2)";
/// About what is stored of an answer: a row of the log is some 500 bytes.
const FILLING: &str = "a row of the event log carries its stream, its place in it, who did it and why, a hash of \
    its content and the sealed payload, which together make some five hundred bytes, and so does this text, so \
    that both sides hand the same number of bytes to the write-ahead log and to the disk beneath it; compression \
    plays no part in either of them, since what is stored inline is far too short to be worth the effort of it.";

/// The id of one of the rows.
pub fn row(number: u64) -> Uuid {
    Uuid::from_u64_pair(0x0199_d2a5_6f3e_7c41, number % ROWS)
}

/// Serves on `listen` until it is killed: a constant, one SELECT, one INSERT.
pub async fn serve(listen: &str, database: &str) -> anyhow::Result<()> {
    let router = if database.starts_with("postgres") {
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .test_before_acquire(false)
            .connect(database)
            .await?;
        on_postgres(pool.clone(), pool).await?
    } else {
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .test_before_acquire(false)
                .connect_with(options.clone())
        };
        // one writer is faster than several that wait for each other
        on_sqlite(pool(1).await?, pool(SQLITE_READERS).await?).await?
    };
    let listener = TcpListener::bind(listen).await?;
    axum::serve(listener, router.route("/constant", get(constant))).await?;
    Ok(())
}

#[derive(Serialize, FromRow)]
struct Person {
    id: Uuid,
    username: String,
    email: String,
    role: String,
    two_factor: bool,
    created_at: String,
}

impl Person {
    fn example(number: u64) -> Self {
        Self {
            id: row(number),
            username: format!("member_{number}"),
            email: format!("member_{number}@people.example.org"),
            role: "member".to_owned(),
            two_factor: false,
            created_at: "2026-03-01T09:30:00.123456Z".to_owned(),
        }
    }
}

/// What is posted, whatever it is.
#[derive(Deserialize)]
#[serde(transparent)]
struct Posted(Box<RawValue>);

#[derive(Serialize)]
struct Answered {
    answered: usize,
    total: usize,
}

impl Posted {
    fn answer(&self) -> Answered {
        Answered {
            answered: self.0.get().len(),
            total: FILLING.len(),
        }
    }
}

async fn constant() -> Json<Person> {
    Json(Person::example(7))
}

fn failed(error: &sqlx::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
}

/// A router over pools of one engine; the same text for both.
macro_rules! router {
    ($name:ident, $pool:ty) => {
        async fn $name(writer: $pool, reader: $pool) -> anyhow::Result<Router> {
            async fn select(State(pool): State<$pool>, Path(id): Path<Uuid>) -> Response {
                let person = sqlx::query_as::<_, Person>(PERSON)
                    .bind(id)
                    .fetch_one(&pool)
                    .await;
                person.map_or_else(
                    |error| failed(&error),
                    |person| Json(person).into_response(),
                )
            }
            async fn insert(State(pool): State<$pool>, Json(posted): Json<Posted>) -> Response {
                let added = sqlx::query(ADD_WRITING)
                    .bind(fresh())
                    .bind(FILLING)
                    .execute(&pool)
                    .await;
                added.map_or_else(
                    |error| failed(&error),
                    |_| Json(posted.answer()).into_response(),
                )
            }
            for table in TABLES {
                sqlx::query(table).execute(&writer).await?;
            }
            let mut filling = writer.begin().await?;
            for number in 0..ROWS {
                let person = Person::example(number);
                sqlx::query(ADD_PERSON)
                    .bind(person.id)
                    .bind(person.username)
                    .bind(person.email)
                    .bind(person.role)
                    .bind(person.two_factor)
                    .bind(person.created_at)
                    .execute(&mut *filling)
                    .await?;
            }
            filling.commit().await?;
            let reading = Router::new()
                .route("/rows/{id}", get(select))
                .with_state(reader);
            Ok(Router::new()
                .route("/rows", post(insert))
                .with_state(writer)
                .merge(reading))
        }
    };
}

router!(on_postgres, PgPool);
router!(on_sqlite, SqlitePool);

#[expect(clippy::disallowed_methods, reason = "a benchmark makes its own ids")]
fn fresh() -> Uuid {
    Uuid::now_v7()
}

/// Hashes passwords on `threads` threads for a while, with the server's parameters; hashes a second.
pub fn hashing(threads: usize, span: Duration, memory: u32, passes: u32) -> anyhow::Result<f64> {
    let params =
        Params::new(memory, passes, 1, None).map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
    let argon2 = Arc::new(Argon2::new(Algorithm::Argon2id, Version::V0x13, params));
    let began = Instant::now();
    let running: Vec<_> = (0..threads)
        .map(|_| {
            let argon2 = Arc::clone(&argon2);
            std::thread::spawn(move || {
                let (mut hashes, mut out) = (0_u32, [0; 32]);
                while began.elapsed() < span {
                    let outcome = argon2.hash_password_into(
                        b"correct-horse-7-battery-staple",
                        b"sixteen bytes in",
                        &mut out,
                    );
                    if outcome.is_err() {
                        break;
                    }
                    hashes += 1;
                }
                hashes
            })
        })
        .collect();
    let mut hashes = 0;
    for thread in running {
        let Ok(done) = thread.join() else {
            bail!("a hashing thread panicked");
        };
        hashes += done;
    }
    Ok(f64::from(hashes) / began.elapsed().as_secs_f64())
}
