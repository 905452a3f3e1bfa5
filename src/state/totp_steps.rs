//! Which time steps of a second factor were used: a code counts once.

use chrono::{DateTime, TimeDelta, Utc};
use domain::id::AccountId;
use event_log::database::{Database, Statement};
use event_log::{execute, statement};

static USE: Statement = statement!("sql/use_totp_step.sql");
static FORGET: Statement = statement!("sql/forget_totp_steps.sql");
static ERASE: Statement = statement!("sql/erase_totp_steps.sql");

/// How long a step is remembered; a code is good for less than two minutes.
const REMEMBERED: TimeDelta = TimeDelta::hours(1);

/// The used steps of a state home.
#[derive(Debug, Clone)]
pub struct TotpSteps {
    database: Database,
}

impl TotpSteps {
    /// Of a state home.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Uses a step up; false when it or a later one was used before.
    pub async fn spend(
        &self,
        account: AccountId,
        step: u64,
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        let used = execute!(
            self.database,
            USE.on(self.database.engine()),
            account.0,
            i64::try_from(step).unwrap_or(i64::MAX),
            now
        )?;
        Ok(used == 1)
    }

    /// Drops steps whose codes are worthless by now.
    pub async fn forget(&self, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
        let forget = FORGET.on(self.database.engine());
        execute!(self.database, forget, now - REMEMBERED)
    }

    /// Drops all steps of an account.
    pub async fn erase(&self, account: AccountId) -> Result<(), sqlx::Error> {
        execute!(self.database, ERASE.on(self.database.engine()), account.0).map(|_| ())
    }
}
