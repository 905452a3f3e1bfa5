//! The ladder of failed proofs: the more of them, the longer until the next is looked at.
//!
//! It is kept by the HMAC of what was typed, so that names nobody has wait like any other, and it is
//! shared by all nodes. In one process the attempts at one name go one after the other, so that a burst
//! of guesses meets the wait its first one caused.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::id::AccountId;
use event_log::database::{Database, Statement};
use event_log::keys::Secret;
use event_log::{execute, fetch_one, fetch_optional, statement};
use tokio::sync::{Mutex, MutexGuard};
use unicode_normalization::UnicodeNormalization;

static STANDING: Statement = statement!("sql/ladder_standing.sql");
static FAILED: Statement = statement!("sql/ladder_failed.sql");
static WAIT: Statement = statement!("sql/ladder_wait.sql");
static CLEAR: Statement = statement!("sql/ladder_clear.sql");
static FORGET: Statement = statement!("sql/ladder_forget.sql");

/// The longest wait.
const LONGEST: TimeDelta = TimeDelta::minutes(15);
/// After so long without another failure all are forgotten.
const FORGOTTEN: TimeDelta = TimeDelta::hours(24);
/// Attempts at different names that may wait for each other, at worst.
const TURNS: usize = 1_024;
/// Longest wait for the attempts at the same name that came before.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// Whose failures are counted together.
#[derive(Clone, Copy)]
pub enum Climber<'a> {
    /// Whoever logs in under this name, as typed.
    Identifier(&'a str),
    /// A member whose account is known: second factors, and passwords asked for again.
    Account(AccountId),
}

/// Why a proof is not looked at.
#[derive(Debug, thiserror::Error)]
pub enum NotNow {
    /// There were too many failures.
    #[error("too many failed attempts")]
    Waiting {
        /// Whole seconds until the next attempt counts.
        seconds: u64,
    },
    /// Too many attempts at the same name are under way.
    #[error("too many attempts at the same time")]
    Busy,
    /// The state home does not answer.
    #[error("the ladder of failed attempts cannot be read")]
    Database(#[from] sqlx::Error),
}

/// All ladders.
#[derive(Debug)]
pub struct Ladder {
    database: Database,
    key: Secret,
    turns: Vec<Mutex<()>>,
}

/// One attempt that may be looked at. Dropped without a word, it changes nothing.
#[derive(Debug)]
#[must_use]
pub struct Attempt<'a> {
    ladder: &'a Ladder,
    key: [u8; 32],
    failed_before: bool,
    _turn: MutexGuard<'a, ()>,
}

impl Ladder {
    /// The ladders of a state home, under the key that hashes their names.
    pub fn new(database: Database, key: Secret) -> Self {
        Self {
            database,
            key,
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Admits one attempt, or says how long to wait. Nothing is counted yet.
    pub async fn attempt(
        &self,
        climber: Climber<'_>,
        now: DateTime<Utc>,
    ) -> Result<Attempt<'_>, NotNow> {
        let key = self.hashed(climber);
        let turn = tokio::time::timeout(TURN_WAIT, self.turn(key).lock());
        let turn = turn.await.map_err(|_| NotNow::Busy)?;
        let standing: Option<(i64, DateTime<Utc>)> = fetch_optional!(
            self.database,
            (i64, DateTime<Utc>),
            STANDING.on(self.database.engine()),
            key.as_slice(),
            now - FORGOTTEN
        )?;
        if let Some((_, retry_at)) = standing
            && retry_at > now
        {
            let milliseconds = (retry_at - now).num_milliseconds();
            let seconds = u64::try_from(milliseconds).unwrap_or(0).div_ceil(1_000);
            return Err(NotNow::Waiting {
                seconds: seconds.max(1),
            });
        }
        Ok(Attempt {
            ladder: self,
            key,
            failed_before: standing.is_some(),
            _turn: turn,
        })
    }

    /// Forgets the failures under one name.
    pub async fn clear(&self, climber: Climber<'_>) -> Result<(), sqlx::Error> {
        self.clear_key(self.hashed(climber)).await
    }

    /// Drops what is forgotten.
    pub async fn forget(&self, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
        let forget = FORGET.on(self.database.engine());
        execute!(self.database, forget, now - FORGOTTEN)
    }

    async fn clear_key(&self, key: [u8; 32]) -> Result<(), sqlx::Error> {
        let clear = CLEAR.on(self.database.engine());
        execute!(self.database, clear, key.as_slice()).map(|_| ())
    }

    fn hashed(&self, climber: Climber<'_>) -> [u8; 32] {
        let name = match climber {
            Climber::Identifier(typed) => {
                let folded: String = typed.nfkc().collect();
                format!("identifier\u{0}{}", folded.trim().to_lowercase())
            }
            Climber::Account(id) => format!("account\u{0}{id}"),
        };
        self.key.hmac(format!("ladder\u{0}{name}").as_bytes())
    }

    fn turn(&self, key: [u8; 32]) -> &Mutex<()> {
        &self.turns[usize::from(u16::from_be_bytes([key[0], key[1]])) % TURNS]
    }
}

impl Attempt<'_> {
    /// Counts a failure.
    pub async fn failed(self, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let engine = self.ladder.database.engine();
        let mut transaction = self.ladder.database.begin().await?;
        let (failures,) = fetch_one!(
            in transaction,
            (i64,),
            FAILED.on(engine),
            self.key.as_slice(),
            now,
            now - FORGOTTEN
        )?;
        let retry_at = now + wait(failures);
        execute!(in transaction, WAIT.on(engine), self.key.as_slice(), retry_at)?;
        transaction.commit().await
    }

    /// Forgets all failures: every factor was right.
    pub async fn succeeded(self) -> Result<(), sqlx::Error> {
        if self.failed_before {
            self.ladder.clear_key(self.key).await?;
        }
        Ok(())
    }
}

/// How long the attempt after so many failures has to wait: 1 s below 3 failures, 3 s below 9, 5 s below
/// 25, and from there on twice as long each time, up to 15 minutes.
fn wait(failures: i64) -> TimeDelta {
    match failures {
        ..3 => TimeDelta::seconds(1),
        3..9 => TimeDelta::seconds(3),
        9..25 => TimeDelta::seconds(5),
        _ => {
            let doublings = u32::try_from(failures - 24).unwrap_or(u32::MAX).min(20);
            LONGEST.min(TimeDelta::seconds(5 << doublings))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_climbs_in_steps_and_ends_at_fifteen_minutes() {
        let seconds = |failures| wait(failures).num_seconds();
        assert_eq!([1, 2, 3, 8, 9, 24].map(seconds), [1, 1, 3, 3, 5, 5]);
        assert_eq!(
            [25, 26, 31, 32, 1_000].map(seconds),
            [10, 20, 640, 900, 900]
        );
        assert_eq!(seconds(i64::MAX), 900);
    }
}
