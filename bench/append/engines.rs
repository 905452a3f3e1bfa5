//! Where the sides put their events: fresh databases on either engine.

use std::str::FromStr;

use event_log::homes::Target;
use postgres_es::PostgresEventRepository;
use sqlite_es::SqliteEventRepository;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, PgConnection};
use tempfile::TempDir;

use crate::Failure;
use crate::process;
use crate::sides::{Theirs, moment};

/// What both libraries' own pools open.
const CONNECTIONS: u32 = 10;

const PLAIN_TABLE: &str = "CREATE TABLE plain_events (
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint CHECK (sequence >= 0) NOT NULL,
    event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence))";

/// An engine, with the databases made on it.
pub enum Engine {
    /// Files in a temporary directory.
    Sqlite(TempDir),
    /// A server, with a connection to manage databases.
    Postgres {
        /// How to reach the server.
        server: Box<PgConnectOptions>,
        /// To its own database.
        connection: Box<PgConnection>,
        /// Names of the databases made.
        made: Vec<String>,
    },
}

impl Engine {
    /// SQLite in a temporary directory.
    pub fn sqlite() -> Result<Self, Failure> {
        Ok(Self::Sqlite(tempfile::tempdir()?))
    }

    /// The server of the given URL.
    pub async fn postgres(url: &str) -> Result<Self, Failure> {
        let server = Box::new(PgConnectOptions::from_str(url)?);
        let connection = Box::new(server.connect().await?);
        Ok(Self::Postgres {
            server,
            connection,
            made: Vec::new(),
        })
    }

    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres { .. } => "Postgres",
        }
    }

    /// The library that it is compared with.
    pub fn library(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite-es",
            Self::Postgres { .. } => "postgres-es",
        }
    }

    /// The first process of the database server, when it is one of this machine's.
    pub async fn server(&mut self) -> Result<Option<u32>, Failure> {
        let Self::Postgres { connection, .. } = self else {
            return Ok(None);
        };
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut **connection)
            .await?;
        Ok(process::parent_named(u32::try_from(backend)?, "postgres"))
    }

    /// A new, empty database.
    pub async fn fresh(&mut self) -> Result<Target, Failure> {
        let name = format!("soulsense_bench_{}", moment().1.simple());
        match self {
            Self::Sqlite(directory) => Ok(Target::Sqlite {
                directory: directory.path().join(name),
            }),
            Self::Postgres {
                server,
                connection,
                made,
            } => {
                sqlx::query(&format!("CREATE DATABASE {name} TEMPLATE template0"))
                    .execute(&mut **connection)
                    .await?;
                let url = server.clone().database(&name).to_url_lossy();
                made.push(name);
                Ok(Target::Postgres {
                    url: url.to_string(),
                    direct_url: None,
                    max_connections: CONNECTIONS,
                })
            }
        }
    }

    /// Drops what was made.
    pub async fn clear(&mut self) -> Result<(), Failure> {
        if let Self::Postgres {
            connection, made, ..
        } = self
        {
            for name in made.drain(..) {
                sqlx::query(&format!("DROP DATABASE {name} WITH (FORCE)"))
                    .execute(&mut **connection)
                    .await?;
            }
        }
        Ok(())
    }
}

/// The other side's table and pool, beside ours in the same database or directory.
pub async fn theirs(target: &Target) -> Result<Theirs, Failure> {
    match target {
        Target::Postgres { url, .. } => {
            let pool = PgPoolOptions::new()
                .max_connections(CONNECTIONS)
                .connect(url)
                .await?;
            sqlx::query(PLAIN_TABLE).execute(&pool).await?;
            let events = PostgresEventRepository::new(pool);
            Ok(Theirs::Postgres(
                events.with_tables("plain_events", "snapshots"),
            ))
        }
        Target::Sqlite { directory } => {
            let options = SqliteConnectOptions::new()
                .filename(directory.join("theirs.db"))
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full);
            let pool = SqlitePoolOptions::new()
                .max_connections(CONNECTIONS)
                .connect_with(options)
                .await?;
            sqlx::query(PLAIN_TABLE).execute(&pool).await?;
            let events = SqliteEventRepository::new(pool);
            Ok(Theirs::Sqlite(
                events.with_tables("plain_events", "snapshots"),
            ))
        }
    }
}
