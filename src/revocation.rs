//! Access tokens that ended before their time, kept in memory by following clear columns of the log.
//!
//! Every node polls by itself, so a logout or a lost role is in force everywhere within a second, without
//! a database read per request. A node that cannot see the log refuses authenticated requests.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use domain::id::{AccountId, SessionId};
use domain::identity::account::{Account, AccountEvent};
use domain::identity::session::Session;
use event_log::RecordedEvent;
use event_log::reader::Reader;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::tokens::AccessClaims;

/// How often the log is looked at.
const POLL: Duration = Duration::from_millis(250);
/// Without a look for so long, nobody can be let in.
const BLIND: Duration = Duration::from_secs(5);
/// A look that takes longer is given up, so that one silent connection does not make this node blind.
const PATIENCE: Duration = Duration::from_secs(3);
/// Events of a look.
const PAGE: i64 = 1_000;

/// Why a token with a good signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It ended before its time.
    #[error("the token was revoked")]
    Revoked,
    /// The log has not been seen for too long.
    #[error("revocations cannot be seen")]
    Blind,
}

/// The follower.
#[derive(Debug)]
pub struct Revocations {
    reader: Reader,
    lifetime: TimeDelta,
    seen: RwLock<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    position: i64,
    looked: Option<Instant>,
    /// Tokens of a lower epoch are refused.
    accounts: HashMap<AccountId, (u64, DateTime<Utc>)>,
    sessions: HashMap<SessionId, DateTime<Utc>>,
}

impl Revocations {
    /// Knows nothing yet, and so refuses everybody.
    pub fn new(reader: Reader, lifetime: TimeDelta) -> Self {
        Self {
            reader,
            lifetime,
            seen: RwLock::default(),
        }
    }

    /// Refuses the token of a session or an account that ended it.
    pub fn check(&self, claims: &AccessClaims) -> Result<(), Refused> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        if seen.looked.is_none_or(|at| at.elapsed() > BLIND) {
            return Err(Refused::Blind);
        }
        let epoch = seen
            .accounts
            .get(&claims.sub)
            .map_or(0, |(epoch, _)| *epoch);
        if claims.epoch < epoch || seen.sessions.contains_key(&claims.sid) {
            return Err(Refused::Revoked);
        }
        Ok(())
    }

    /// Reads everything that can still matter: the last lifetime of a token.
    pub async fn catch_up(&self, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let head = self.reader.head().await?.position;
        let since = now - self.lifetime;
        // positions are gapless and recorded_at never runs backwards along them
        let (mut low, mut high) = (0, head);
        while low < high {
            let middle = low + (high - low) / 2;
            let page = self.reader.page(middle, middle + 1, 1).await?;
            if page.first().is_some_and(|event| event.recorded_at < since) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.seen
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .position = low;
        self.look(now, &|_| ()).await
    }

    /// Looks until stopped, and shows every event to `noticed` as well.
    pub async fn follow(
        &self,
        clock: &Clock,
        stop: &CancellationToken,
        noticed: impl Fn(&RecordedEvent) + Send,
    ) {
        while tokio::time::timeout(POLL, stop.cancelled()).await.is_err() {
            let look = tokio::time::timeout(PATIENCE, self.look(clock.now(), &noticed));
            let looked = look.await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
            if let Err(error) = looked {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "revocations cannot be read"
                );
            }
        }
    }

    async fn look(
        &self,
        now: DateTime<Utc>,
        noticed: &(impl Fn(&RecordedEvent) + Send),
    ) -> Result<(), sqlx::Error> {
        let mut after = self
            .seen
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .position;
        // what is committed later is not seen by this look
        let began = Instant::now();
        let head = self.reader.head().await?.position;
        while after < head {
            let page = self.reader.recent_page(after, head, PAGE).await?;
            let Some(last) = page.last().map(|event| event.position) else {
                break;
            };
            for event in &page {
                noticed(event);
            }
            let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
            for event in &page {
                seen.note(event);
            }
            seen.position = last;
            after = last;
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let over = now - self.lifetime - TimeDelta::minutes(1);
        seen.accounts.retain(|_, (_, at)| *at > over);
        seen.sessions.retain(|_, at| *at > over);
        seen.looked = Some(began);
        Ok(())
    }
}

impl Seen {
    fn note(&mut self, event: &RecordedEvent) {
        let moves_epoch = event.aggregate_type == Account::TYPE
            && AccountEvent::EPOCH_TYPES.contains(&event.event_type.as_str());
        if moves_epoch
            && let (Ok(account), Ok(epoch)) =
                (event.aggregate_id.parse(), u64::try_from(event.sequence))
        {
            self.accounts.insert(account, (epoch, event.recorded_at));
        }
        if event.aggregate_type == Session::TYPE
            && event.event_type == "session_revoked"
            && let Ok(session) = event.aggregate_id.parse()
        {
            self.sessions.insert(session, event.recorded_at);
        }
    }
}
