//! Whether the database is there, as one connection of its own sees it: for readiness, which must answer
//! whatever the database does, and for giving up connections that will never answer.

use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteSynchronous;
use sqlx::{ConnectOptions, PgConnection, SqliteConnection};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::database::{Database, Engine, Statement};
use crate::homes::{Homes, HomesError, Target};
use crate::pool::Pool;
use crate::reader::Head;

static HEAD: Statement = crate::statement!("../sql/head.sql");

/// How often the database is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often while it is away.
const LOOK_FOR_RETURN: Duration = Duration::from_millis(100);
/// A look that takes longer has seen nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// A database that was not seen for so long is away, unless it is known to be gone before.
pub const SILENCE: Duration = Duration::from_secs(3);
/// How much longer a silent connection has after another one has answered.
const GRACE: Duration = Duration::from_millis(500);
/// Looks in a row at which nobody listens, or the server ends, that make it gone.
const REFUSALS: u32 = 2;

/// What was seen last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Nobody has looked yet.
    Unseen,
    /// The log's head was read.
    Seen {
        /// Its position.
        position: i64,
        /// When.
        at: Instant,
    },
    /// Nobody answers.
    Away {
        /// When it was last seen.
        since: Instant,
    },
}

/// Whether the database is there; clones share what is seen.
#[derive(Debug, Clone)]
pub struct Presence(Arc<watch::Sender<Sight>>);

impl Default for Presence {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Sight::Unseen)))
    }
}

impl Presence {
    /// What was seen last. Asks nobody.
    #[must_use]
    pub fn now(&self) -> Sight {
        *self.0.borrow()
    }

    /// Looks for the first time.
    pub async fn look(&self, homes: &Homes) -> Result<(), HomesError> {
        let mut eye = Eye::of(homes);
        let look = eye.look().await.map_err(HomesError::Unreachable)?;
        self.saw(look.position);
        Ok(())
    }

    /// Looks until stopped. While the database is away, the pools of `homes` are given up.
    pub async fn watch(&self, homes: &Homes, stop: &CancellationToken) {
        let mut eye = Eye::of(homes);
        let mut seen = Instant::now();
        let mut refusals = 0;
        let mut away = false;
        let mut pause = LOOK;
        while tokio::time::timeout(pause, stop.cancelled()).await.is_err() {
            match eye.look().await {
                Ok(Look { position, anew }) => {
                    if anew && !away {
                        tracing::warn!("connections to the database have died in silence");
                        pools(homes).for_each(Pool::give_up);
                    }
                    pools(homes).for_each(Pool::renew);
                    if away {
                        let seconds = seen.elapsed().as_secs();
                        tracing::info!(seconds, "the database is back");
                    }
                    (away, refusals, pause) = (false, 0, LOOK);
                    seen = Instant::now();
                    self.saw(position);
                }
                Err(error) => {
                    pause = LOOK_FOR_RETURN;
                    refusals = if refuses(&error) { refusals + 1 } else { 0 };
                    let silent = matches!(error, sqlx::Error::PoolTimedOut);
                    let gone = refusals >= REFUSALS || (silent && seen.elapsed() >= SILENCE);
                    if gone && !away {
                        away = true;
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the database is away"
                        );
                        self.0.send_replace(Sight::Away { since: seen });
                        pools(homes).for_each(Pool::give_up);
                    }
                }
            }
        }
    }

    fn saw(&self, position: i64) {
        let at = Instant::now();
        self.0.send_replace(Sight::Seen { position, at });
    }
}

/// True when nobody listens, the connection was broken, or the server is ending or starting.
fn refuses(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(cause) => {
            matches!(cause.code().as_deref(), Some("57P01" | "57P02" | "57P03"))
        }
        _ => false,
    }
}

/// The pools that may be given up: SQLite's files are never away.
fn pools(homes: &Homes) -> impl Iterator<Item = &Pool> {
    let homes = [&homes.log, &homes.state, &homes.keys, &homes.read];
    homes.into_iter().filter_map(|home| match home {
        Database::Postgres(pool) => Some(pool),
        Database::Sqlite(_) => None,
    })
}

/// A connection that nobody else uses, so that no queue is between it and the database.
struct Eye<'a> {
    target: &'a Target,
    connection: Option<Open>,
}

struct Look {
    position: i64,
    /// A new connection was answered while one that was open stays silent: others will, too.
    anew: bool,
}

enum Open {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl<'a> Eye<'a> {
    fn of(homes: &'a Homes) -> Self {
        Self {
            target: homes.target(),
            connection: None,
        }
    }

    /// Reads the log's head; when the connection is silent, by another one.
    async fn look(&mut self) -> Result<Look, sqlx::Error> {
        // taken out while in use: a connection that did not answer is never used again
        let Some(mut open) = self.connection.take() else {
            return self.look_anew().await.map(|position| Look {
                position,
                anew: false,
            });
        };
        let mut head = Box::pin(open.head());
        if let Ok(answer) = tokio::time::timeout(PATIENCE, &mut head).await {
            drop(head);
            let position = answer?.position;
            self.connection = Some(open);
            return Ok(Look {
                position,
                anew: false,
            });
        }
        let position = self.look_anew().await?;
        // a machine that is merely slow answers on both
        let anew = tokio::time::timeout(GRACE, head).await.is_err();
        Ok(Look { position, anew })
    }

    async fn look_anew(&mut self) -> Result<i64, sqlx::Error> {
        let looked = tokio::time::timeout(PATIENCE, async {
            let mut open = Open::of(self.target).await?;
            let head = open.head().await?;
            self.connection = Some(open);
            Ok(head.position)
        });
        looked.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

impl Open {
    async fn of(target: &Target) -> Result<Self, sqlx::Error> {
        let options = |error: HomesError| sqlx::Error::Configuration(error.into());
        Ok(match target {
            Target::Postgres { .. } => {
                let connect = target.postgres_options().map_err(options)?;
                Self::Postgres(connect.connect().await?)
            }
            Target::Sqlite { .. } => {
                let file = target.sqlite_options("events.db", SqliteSynchronous::Full);
                Self::Sqlite(file.map_err(options)?.connect().await?)
            }
        })
    }

    async fn head(&mut self) -> Result<Head, sqlx::Error> {
        match self {
            Self::Postgres(on) => {
                sqlx::query_as(HEAD.on(Engine::Postgres))
                    .fetch_one(on)
                    .await
            }
            Self::Sqlite(on) => sqlx::query_as(HEAD.on(Engine::Sqlite)).fetch_one(on).await,
        }
    }
}
