//! Stories that must come out the same on both engines, each on an installation of its own.

use std::error::Error;
use std::panic::AssertUnwindSafe;

use chrono::{DateTime, Utc};
use event_log::database::Engine;
use event_log::homes::{Homes, Target};
use futures::FutureExt;
use tempfile::TempDir;
use uuid::Uuid;

use super::postgres::{FreshDatabase, fresh_database};

/// What a story gives back: `?` works on any error.
pub type Outcome = Result<(), Box<dyn Error>>;

/// An empty installation, its homes migrated. It goes when it is dropped.
#[derive(Debug)]
pub struct Installation {
    /// The open homes.
    pub homes: Homes,
    directory: Option<TempDir>,
    database: Option<FreshDatabase>,
}

impl Installation {
    /// An installation on one engine, before any migration.
    pub async fn bare(engine: Engine) -> Result<Self, Box<dyn Error>> {
        let (target, directory, database) = match engine {
            Engine::Sqlite => {
                let directory = tempfile::tempdir()?;
                let target = Target::Sqlite {
                    directory: directory.path().join("data"),
                };
                (target, Some(directory), None)
            }
            Engine::Postgres => {
                let database = fresh_database().await?;
                let target = Target::Postgres {
                    url: database.url().to_owned(),
                    direct_url: None,
                    max_connections: 8,
                };
                (target, None, Some(database))
            }
        };
        Ok(Self {
            homes: Homes::open(&target).await?,
            directory,
            database,
        })
    }

    /// An installation on one engine.
    pub async fn on(engine: Engine) -> Result<Self, Box<dyn Error>> {
        let installation = Self::bare(engine).await?;
        installation.homes.migrate().await?;
        Ok(installation)
    }

    /// Which engine it runs on.
    pub fn engine(&self) -> Engine {
        self.homes.log.engine()
    }

    /// Where it is, for whoever opens it a second time.
    pub fn target(&self) -> &Target {
        self.homes.target()
    }

    /// The same homes through other pools, as another process would have them.
    pub async fn reopened(&self) -> Result<Homes, Box<dyn Error>> {
        Ok(Homes::open(self.target()).await?)
    }

    /// The directory of the SQLite files.
    pub fn directory(&self) -> Option<std::path::PathBuf> {
        match self.target() {
            Target::Sqlite { directory } => Some(directory.clone()),
            Target::Postgres { .. } => None,
        }
    }

    async fn close(self) {
        self.homes.close().await;
        drop(self.directory);
        if let Some(database) = self.database {
            // what stays goes with the throw-away cluster
            let _ = database.close().await;
        }
    }
}

/// Tells a story on SQLite, then on Postgres; a failure names the engine.
pub async fn each_engine(story: impl AsyncFn(&Installation) -> Outcome) -> Outcome {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let installation = Installation::on(engine).await?;
        let told = AssertUnwindSafe(Box::pin(story(&installation)))
            .catch_unwind()
            .await;
        installation.close().await;
        let Ok(outcome) = told else {
            panic!("on {engine:?}: what the message above says")
        };
        outcome.map_err(|error| format!("on {engine:?}: {}", causes(&*error)))?;
    }
    Ok(())
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The time of day, which tests take from the machine and pass on as an argument.
#[expect(
    clippy::disallowed_methods,
    reason = "a test's time has to come from somewhere"
)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A fresh id.
#[expect(
    clippy::disallowed_methods,
    reason = "a test's ids have to come from somewhere"
)]
pub fn id() -> Uuid {
    Uuid::now_v7()
}
