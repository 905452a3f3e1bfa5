//! Tokens that stand for a proof for a few minutes, each for one purpose and one use. Only their hashes
//! are kept.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::id::AccountId;
use event_log::database::{Database, Statement};
use event_log::{execute, fetch_optional, statement};
use sha2::{Digest, Sha256};
use uuid::Uuid;

static ADD: Statement = statement!("sql/add_challenge.sql");
static FIND: Statement = statement!("sql/challenge.sql");
static SPEND: Statement = statement!("sql/spend_challenge.sql");
static FORGET: Statement = statement!("sql/forget_challenges.sql");
static ERASE: Statement = statement!("sql/erase_challenges.sql");

/// What a token is good for, and for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The password was right; the second factor is missing. Good for 5 minutes.
    SecondFactor,
    /// All factors were right; the account is about to be deleted. Good for 10 minutes.
    Restore,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SecondFactor => "second_factor",
            Self::Restore => "restore",
        }
    }

    /// How long a token is good.
    #[must_use]
    pub const fn lifetime(self) -> TimeDelta {
        match self {
            Self::SecondFactor => TimeDelta::minutes(5),
            Self::Restore => TimeDelta::minutes(10),
        }
    }
}

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// Who proved something.
    pub account: AccountId,
    /// The account's sequence at that time.
    pub sequence: u64,
}

/// The tokens of a state home.
#[derive(Debug, Clone)]
pub struct Challenges {
    database: Database,
}

impl Challenges {
    /// Of a state home.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// A fresh token.
    pub async fn issue(
        &self,
        purpose: Purpose,
        challenge: Challenge,
        now: DateTime<Utc>,
    ) -> Result<String, sqlx::Error> {
        let mut secret = [0_u8; 32];
        rand::fill(&mut secret);
        let token = BASE64_URL_SAFE_NO_PAD.encode(secret);
        execute!(
            self.database,
            ADD.on(self.database.engine()),
            hash(&token).as_slice(),
            purpose.as_str(),
            challenge.account.0,
            i64::try_from(challenge.sequence).unwrap_or(i64::MAX),
            now + purpose.lifetime()
        )?;
        Ok(token)
    }

    /// What a token stands for; `None` when it is not one of ours, spent, too old or for something else.
    pub async fn find(
        &self,
        purpose: Purpose,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Challenge>, sqlx::Error> {
        let row: Option<(Uuid, i64)> = fetch_optional!(
            self.database,
            (Uuid, i64),
            FIND.on(self.database.engine()),
            hash(token).as_slice(),
            purpose.as_str(),
            now
        )?;
        Ok(row.map(|(account, sequence)| Challenge {
            account: AccountId(account),
            sequence: u64::try_from(sequence).unwrap_or_default(),
        }))
    }

    /// Uses a token up; false when it cannot be used, for instance because somebody was faster.
    pub async fn spend(
        &self,
        purpose: Purpose,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        let spent = execute!(
            self.database,
            SPEND.on(self.database.engine()),
            hash(token).as_slice(),
            purpose.as_str(),
            now
        )?;
        Ok(spent == 1)
    }

    /// Drops tokens whose time is over.
    pub async fn forget(&self, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
        execute!(self.database, FORGET.on(self.database.engine()), now)
    }

    /// Drops all tokens of an account.
    pub async fn erase(&self, account: AccountId) -> Result<(), sqlx::Error> {
        execute!(self.database, ERASE.on(self.database.engine()), account.0).map(|_| ())
    }
}

/// A token has 256 random bits, so its hash needs no salt.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
