//! The four homes of the data, how they are opened and how they are migrated.
//!
//! No transaction spans two homes. On Postgres a home is a schema, on SQLite a file.

use std::borrow::Cow;
use std::num::NonZero;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgTransactionManager};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor, PgConnection, TransactionManager};

use crate::database::{Database, is_unavailable};
use crate::patience;
use crate::pool::Pool;

static LOG_SHARED: Migrator = sqlx::migrate!("../migrations/log/shared");
static LOG_POSTGRES: Migrator = sqlx::migrate!("../migrations/log/postgres");
static LOG_SQLITE: Migrator = sqlx::migrate!("../migrations/log/sqlite");
static STATE_SHARED: Migrator = sqlx::migrate!("../migrations/state/shared");
static KEYS_SHARED: Migrator = sqlx::migrate!("../migrations/keys/shared");
static READ_SHARED: Migrator = sqlx::migrate!("../migrations/read/shared");

/// Held while schemas are made or changed, so that nodes that start together do it one after the other.
const MIGRATION_LOCK: i64 = 0x50_55_4c_53_45;

/// What a pooled SQLite connection keeps of its file, as `PRAGMA cache_size` counts: 512 KiB. The system's page
/// cache has the rest, once for all of them.
const SQLITE_CACHE: &str = "-512";

/// After how many pages of its write-ahead log a SQLite file takes them over. Whoever commits does it, and holds up
/// everybody who waits for that commit: little and often.
const SQLITE_CHECKPOINT: &str = "100";

/// Where the homes are.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A Postgres server; the URL may hold a password, so `Debug` does not show it.
    Postgres {
        /// `postgres://…`; may lead through a connection pooler.
        url: String,
        /// The same database without a pooler that moves sessions about, for what needs a session: the
        /// appender and wake-ups. `None` when `url` is as good.
        direct_url: Option<String>,
        /// The most connections this process opens for requests and projections.
        max_connections: u32,
    },
    /// A directory for the files `events.db`, `state.db`, `keys.db` and `read.db`.
    Sqlite {
        /// The directory; made when absent.
        directory: PathBuf,
    },
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Postgres {
                max_connections, ..
            } => f
                .debug_struct("Postgres")
                .field("max_connections", max_connections)
                .finish_non_exhaustive(),
            Self::Sqlite { directory } => f
                .debug_struct("Sqlite")
                .field("directory", directory)
                .finish(),
        }
    }
}

/// Why the homes cannot be opened or migrated.
#[derive(Debug, thiserror::Error)]
pub enum HomesError {
    /// The URL cannot be read; it is not repeated here since it may hold a password.
    #[error("the database URL cannot be read")]
    Url(#[source] sqlx::Error),
    /// The database does not answer.
    #[error("the database cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// A connection pooler hands every transaction another session and forgets prepared statements.
    #[error(
        "DATABASE_URL leads through a pooler in transaction mode that does not know prepared statements: use session mode, or PgBouncer 1.21 or later with max_prepared_statements"
    )]
    Unprepared,
    /// The appender would have no session of its own.
    #[error(
        "{name} leads through a pooler in transaction mode: set SOULSENSE_DATABASE_DIRECT_URL to an address of the database itself"
    )]
    NotDirect {
        /// The option.
        name: &'static str,
    },
    /// The two URLs are of two databases.
    #[error("SOULSENSE_DATABASE_DIRECT_URL leads to another database than DATABASE_URL")]
    Elsewhere,
    /// The directory for SQLite files cannot be made or written.
    #[error("the data directory {} cannot be written", .0.display())]
    Directory(PathBuf, #[source] std::io::Error),
    /// The schema was made by a later version of this program.
    #[error(
        "the {home} schema has migration {version}, which this version of soulsense does not know: use a newer soulsense"
    )]
    Newer {
        /// Which home.
        home: &'static str,
        /// The migration this binary lacks.
        version: i64,
    },
    /// The schema is behind this binary.
    #[error("the {home} schema is behind this version of soulsense: run `soulsense migrate`")]
    Behind {
        /// Which home.
        home: &'static str,
    },
    /// A migration failed.
    #[error("the {home} schema cannot be migrated")]
    Migration {
        /// Which home.
        home: &'static str,
        /// The cause.
        #[source]
        source: MigrateError,
    },
}

/// The open homes.
#[derive(Debug, Clone)]
pub struct Homes {
    /// Events, head, claims, command ids, policy checkpoints.
    pub log: Database,
    /// What is neither history nor derivable.
    pub state: Database,
    /// Wrapped keys.
    pub keys: Database,
    /// Read models and their checkpoints: what a rebuild recreates.
    pub read: Database,
    target: Target,
}

impl Homes {
    /// Opens the pools, with three seconds of patience for a connection.
    pub async fn open(target: &Target) -> Result<Self, HomesError> {
        Self::open_waiting(target, Duration::from_secs(3)).await
    }

    /// Opens the pools; whoever wants a connection from them waits at most `wait`. On SQLite it makes
    /// the directory and the files.
    pub async fn open_waiting(target: &Target, wait: Duration) -> Result<Self, HomesError> {
        match target {
            Target::Postgres {
                max_connections,
                direct_url,
                ..
            } => {
                let options = PgPoolOptions::new()
                    .max_connections(*max_connections)
                    .acquire_timeout(wait)
                    .idle_timeout(Duration::from_mins(5))
                    .test_before_acquire(false)
                    .after_connect(|connection, _| {
                        Box::pin(
                            async move { connection.execute(patience::SESSION).await.map(|_| ()) },
                        )
                    })
                    .after_release(|connection, _| {
                        // what was begun on it and not ended
                        PgTransactionManager::start_rollback(connection);
                        Box::pin(patience::is_alive(connection))
                    })
                    .before_acquire(|connection, meta| {
                        Box::pin(async move {
                            // a connection in steady use is not pinged; one that slept may be dead
                            Ok(meta.idle_for < Duration::from_secs(1)
                                || connection.ping().await.is_ok())
                        })
                    });
                // a lone address is refused unless it keeps sessions
                let keeps_sessions = direct_url.is_none();
                let pool = Pool::connect(options, target.postgres_options()?, keeps_sessions)
                    .await
                    .map_err(HomesError::Unreachable)?;
                let database = Database::Postgres(pool);
                Ok(Self {
                    log: database.clone(),
                    state: database.clone(),
                    keys: database.clone(),
                    read: database,
                    target: target.clone(),
                })
            }
            Target::Sqlite { directory } => {
                tokio::fs::create_dir_all(directory)
                    .await
                    .map_err(|cause| HomesError::Directory(directory.clone(), cause))?;
                Ok(Self {
                    log: target
                        .sqlite_pool("events.db", SqliteSynchronous::Full, wait)
                        .await?,
                    state: target
                        .sqlite_pool("state.db", SqliteSynchronous::Full, wait)
                        .await?,
                    keys: target
                        .sqlite_pool("keys.db", SqliteSynchronous::Full, wait)
                        .await?,
                    read: target
                        .sqlite_pool("read.db", SqliteSynchronous::Normal, wait)
                        .await?,
                    target: target.clone(),
                })
            }
        }
    }

    /// Where these homes are.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Brings the schemas of the four homes up to this binary. Read models are not migrated: a projection
    /// makes its own tables, generation by generation. Safe to run from several nodes at once.
    pub async fn migrate(&self) -> Result<(), HomesError> {
        for (home, database, migrator) in self.migrators() {
            migrate(home, database, &migrator).await?;
        }
        Ok(())
    }

    /// Refuses a schema that is behind or ahead of this binary, changing nothing.
    pub async fn check(&self) -> Result<(), HomesError> {
        for (home, database, migrator) in self.migrators() {
            let table = match database {
                Database::Postgres(_) => format!("{home}._sqlx_migrations"),
                Database::Sqlite(_) => "_sqlx_migrations".to_owned(),
            };
            let text = format!("SELECT version FROM {table} ORDER BY version");
            let applied: Vec<(i64,)> =
                crate::fetch_all!(database, (i64,), &text).or_else(|cause| match cause {
                    absent @ sqlx::Error::Database(_) if !is_unavailable(&absent) => Ok(Vec::new()),
                    other => Err(HomesError::Unreachable(other)),
                })?;
            if let Some((version,)) = applied
                .iter()
                .find(|(version,)| !migrator.version_exists(*version))
            {
                return Err(HomesError::Newer {
                    home,
                    version: *version,
                });
            }
            if applied.len() < migrator.iter().count() {
                return Err(HomesError::Behind { home });
            }
        }
        Ok(())
    }

    /// What SQLite says of each home's file: `ok` when it is whole. Nothing on Postgres.
    pub async fn quick_check(&self) -> Result<Vec<(&'static str, String)>, HomesError> {
        let mut found = Vec::new();
        for (home, database, _) in self.migrators() {
            if let Database::Sqlite(pool) = database {
                let complaint = sqlx::query_scalar("PRAGMA quick_check(1)")
                    .fetch_one(pool)
                    .await
                    .map_err(HomesError::Unreachable)?;
                found.push((home, complaint));
            }
        }
        Ok(found)
    }

    /// Name and version of the database.
    pub async fn server_version(&self) -> Result<String, HomesError> {
        let version: Result<String, sqlx::Error> = match &self.log {
            Database::Postgres(pool) => {
                sqlx::query_scalar("SELECT 'PostgreSQL ' || current_setting('server_version')")
                    .fetch_one(pool)
                    .await
            }
            Database::Sqlite(pool) => {
                sqlx::query_scalar("SELECT 'SQLite ' || sqlite_version()")
                    .fetch_one(pool)
                    .await
            }
        };
        version.map_err(HomesError::Unreachable)
    }

    /// Closes all pools, without waiting for ever on a server that is gone.
    pub async fn close(&self) {
        let closing = async {
            for database in [&self.read, &self.state, &self.keys, &self.log] {
                database.close().await;
            }
        };
        if tokio::time::timeout(patience::STATEMENT, closing)
            .await
            .is_err()
        {
            tracing::warn!("connections to the database could not be closed in time");
        }
    }

    fn migrators(&self) -> [(&'static str, &Database, Migrator); 4] {
        let own = match self.log {
            Database::Postgres(_) => &LOG_POSTGRES,
            Database::Sqlite(_) => &LOG_SQLITE,
        };
        [
            ("log", &self.log, merged(&[&LOG_SHARED, own])),
            ("state", &self.state, merged(&[&STATE_SHARED])),
            ("keys", &self.keys, merged(&[&KEYS_SHARED])),
            ("read", &self.read, merged(&[&READ_SHARED])),
        ]
    }
}

impl Target {
    /// How to connect to Postgres for requests and projections, perhaps through a pooler.
    pub(crate) fn postgres_options(&self) -> Result<PgConnectOptions, HomesError> {
        match self {
            Self::Postgres { url, .. } => postgres_options(url),
            Self::Sqlite { .. } => Err(not_postgres()),
        }
    }

    /// How to connect to Postgres for a session that keeps its settings.
    pub(crate) fn direct_options(&self) -> Result<PgConnectOptions, HomesError> {
        match self {
            Self::Postgres {
                url, direct_url, ..
            } => postgres_options(direct_url.as_deref().unwrap_or(url)),
            Self::Sqlite { .. } => Err(not_postgres()),
        }
    }

    /// How to open one SQLite file.
    pub(crate) fn sqlite_options(
        &self,
        file: &str,
        synchronous: SqliteSynchronous,
    ) -> Result<SqliteConnectOptions, HomesError> {
        let Self::Sqlite { directory } = self else {
            return Err(HomesError::Url(sqlx::Error::Protocol(
                "not a SQLite target".into(),
            )));
        };
        Ok(SqliteConnectOptions::new()
            .filename(directory.join(file))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("secure_delete", "ON")
            .pragma("wal_autocheckpoint", SQLITE_CHECKPOINT))
    }

    async fn sqlite_pool(
        &self,
        file: &str,
        synchronous: SqliteSynchronous,
        wait: Duration,
    ) -> Result<Database, HomesError> {
        let options = self
            .sqlite_options(file, synchronous)?
            .pragma("cache_size", SQLITE_CACHE);
        SqlitePoolOptions::new()
            .max_connections(sqlite_connections())
            .acquire_timeout(wait)
            .test_before_acquire(false)
            .before_acquire(|connection, _| {
                // SQLite itself ends a transaction for which there is no room; sqlx still counts it as open
                let stranded = connection.is_in_transaction();
                Box::pin(async move { Ok(!stranded) })
            })
            .connect_with(options)
            .await
            .map(Database::Sqlite)
            .map_err(HomesError::Unreachable)
    }
}

/// The most connections to one SQLite file. Each has a thread and a page cache of its own, and more than twice
/// the cores would wait for each other.
fn sqlite_connections() -> u32 {
    match std::thread::available_parallelism().map_or(1, NonZero::get) {
        ..4 => 4,
        _ => 8,
    }
}

fn postgres_options(url: &str) -> Result<PgConnectOptions, HomesError> {
    Ok(PgConnectOptions::from_str(url)
        .map_err(HomesError::Url)?
        .application_name("soulsense")
        // a start-up parameter that PgBouncer refuses, for a setting that values in binary do not need
        .extra_float_digits(None))
}

fn not_postgres() -> HomesError {
    HomesError::Url(sqlx::Error::Protocol("not a Postgres target".into()))
}

/// The migrations of a home in one order of versions: the shared text and the engine's own.
fn merged(parts: &[&Migrator]) -> Migrator {
    let mut migrations: Vec<Migration> =
        parts.iter().flat_map(|part| part.iter().cloned()).collect();
    migrations.sort_by_key(|migration| migration.version);
    Migrator {
        migrations: Cow::Owned(migrations),
        locking: false,
        ..Migrator::DEFAULT
    }
}

async fn migrate(
    home: &'static str,
    database: &Database,
    migrator: &Migrator,
) -> Result<(), HomesError> {
    let failed = |source: MigrateError| match source {
        MigrateError::VersionMissing(version) => HomesError::Newer { home, version },
        source => HomesError::Migration { home, source },
    };
    match database {
        Database::Postgres(pool) => {
            // a migration may take as long as it needs, and waits for other nodes'
            let begin = format!("BEGIN; {}", patience::NO_LIMITS);
            let mut transaction = pool
                .begin_with(begin)
                .await
                .map_err(HomesError::Unreachable)?;
            let connection: &mut PgConnection = &mut transaction;
            prepare_schema(connection, home)
                .await
                .map_err(|cause| failed(cause.into()))?;
            migrator.run_direct(connection).await.map_err(failed)?;
            transaction
                .commit()
                .await
                .map_err(|cause| failed(cause.into()))
        }
        Database::Sqlite(pool) => {
            // the write lock first: another process may be migrating the same file
            let mut transaction = pool
                .begin_with("BEGIN IMMEDIATE")
                .await
                .map_err(HomesError::Unreachable)?;
            migrator
                .run_direct(&mut *transaction)
                .await
                .map_err(failed)?;
            transaction
                .commit()
                .await
                .map_err(|cause| failed(cause.into()))
        }
    }
}

async fn prepare_schema(connection: &mut PgConnection, home: &str) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *connection)
        .await?;
    // home is one of four literals of this file
    let schema = format!("CREATE SCHEMA IF NOT EXISTS {home}");
    sqlx::query(&schema).execute(&mut *connection).await?;
    let path = format!("SET LOCAL search_path TO {home}");
    sqlx::query(&path).execute(&mut *connection).await?;
    Ok(())
}
