//! Leases of background jobs: one node at a time, and no sooner than due.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use event_log::database::{Database, Statement};
use event_log::{execute, fetch_all, statement};
use sqlx::FromRow;
use uuid::Uuid;

static ADD: Statement = statement!("sql/add_job.sql");
static TAKE: Statement = statement!("sql/take_job.sql");
static FINISH: Statement = statement!("sql/finish_job.sql");
static LIST: Statement = statement!("sql/jobs.sql");

/// How long a job may run before another node may take it over, in milliseconds.
const LEASE_MS: i64 = 15 * 60 * 1_000;

/// How one job is.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// A node runs it now.
    pub running: bool,
    /// When it began last.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended last.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why its last run failed.
    pub error: Option<String>,
}

/// The jobs' rows, as one node sees them.
#[derive(Debug, Clone)]
pub struct Leases {
    database: Database,
    node: Uuid,
}

impl Leases {
    /// For the node of the given id.
    pub fn new(database: Database, node: Uuid) -> Self {
        Self { database, node }
    }

    /// Takes a job that has not been started within `every`; false when it is not due or another node
    /// runs it.
    pub async fn take(
        &self,
        job: &str,
        every: Duration,
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        let engine = self.database.engine();
        execute!(self.database, ADD.on(engine), job)?;
        let due = now - TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
        let taken = execute!(
            self.database,
            TAKE.on(engine),
            job,
            self.node,
            LEASE_MS,
            now,
            due
        )?;
        Ok(taken == 1)
    }

    /// Notes the end of a run; `error` must not hold anybody's words.
    pub async fn finish(
        &self,
        job: &str,
        error: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), sqlx::Error> {
        execute!(
            self.database,
            FINISH.on(self.database.engine()),
            job,
            self.node,
            error,
            now
        )
        .map(|_| ())
    }

    /// Every job that ever ran, by name.
    pub async fn list(&self) -> Result<Vec<JobStatus>, sqlx::Error> {
        fetch_all!(self.database, JobStatus, LIST.on(self.database.engine()))
    }
}
