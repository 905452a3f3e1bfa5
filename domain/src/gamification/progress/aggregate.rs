//! The rules of progress.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::ProgressCommand;
use super::error::ProgressError;
use super::event::ProgressEvent;
use super::streak::{Streak, Streaks};
use super::value::{Activity, Reason, StreakKind};
use crate::aggregate::{Aggregate, KeyScope};
use crate::id::AccountId;

/// How many of the latest causes a stream remembers.
pub const REMEMBERED_CAUSES: usize = 32;

const ENTRY_XP: u32 = 50;
const ENTRIES_A_DAY: usize = 5;
const ENTRY_WINDOW: TimeDelta = TimeDelta::hours(24);
const EXAM_XP: u32 = 100;
const DEEP_DIVE_XP: u32 = 60;
const STREAK_XP: u32 = 200;
const STREAK_DAYS: u32 = 7;

/// An account's progress in one of its situations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum Progress {
    /// Nothing was earned yet.
    #[default]
    Unstarted,
    /// Something was earned.
    Running(Ledger),
    /// The account is erased.
    Erased {
        /// Whose it was.
        account_id: AccountId,
    },
}

/// What an account has earned, and what is needed to judge the next activity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    account_id: AccountId,
    total_xp: u64,
    streaks: Streaks,
    /// Times of the latest awards for entries, at most [`ENTRIES_A_DAY`], in order.
    entry_awards: Vec<DateTime<Utc>>,
    /// The latest causes, at most [`REMEMBERED_CAUSES`], the newest last.
    causes: Vec<Uuid>,
}

crate::aggregate!(
    Progress,
    "progress",
    ProgressCommand,
    ProgressEvent,
    ProgressError
);

impl Aggregate for Progress {
    const KEY_SCOPE: KeyScope = KeyScope::Clear;

    fn decide(&self, command: &ProgressCommand) -> Result<Vec<ProgressEvent>, ProgressError> {
        match (self, command) {
            (
                Self::Unstarted,
                ProgressCommand::RecordActivity { account_id, .. }
                | ProgressCommand::AwardXp { account_id, .. },
            ) => Ledger::of(*account_id).decide(command),
            (
                Self::Running(ledger),
                ProgressCommand::RecordActivity { .. } | ProgressCommand::AwardXp { .. },
            ) => ledger.decide(command),
            (Self::Running(_), ProgressCommand::Erase { now }) => {
                Ok(vec![ProgressEvent::ProgressErased { erased_at: *now }])
            }
            (Self::Erased { .. }, ProgressCommand::AwardXp { .. }) => Err(ProgressError::NotFound),
            (Self::Erased { .. }, ProgressCommand::RecordActivity { .. })
            | (Self::Unstarted | Self::Erased { .. }, ProgressCommand::Erase { .. }) => {
                Ok(Vec::new())
            }
        }
    }

    fn subject(&self) -> Option<AccountId> {
        self.account_id()
    }

    fn erases(event: &ProgressEvent) -> bool {
        matches!(event, ProgressEvent::ProgressErased { .. })
    }
}

/// An activity on its way to what it earns.
#[derive(Clone, Copy)]
struct Occasion {
    cause: Uuid,
    at: DateTime<Utc>,
    local_day: NaiveDate,
}

impl Ledger {
    fn of(account_id: AccountId) -> Self {
        Self {
            account_id,
            ..Self::default()
        }
    }

    fn decide(&self, command: &ProgressCommand) -> Result<Vec<ProgressEvent>, ProgressError> {
        match *command {
            ProgressCommand::RecordActivity { account_id, .. }
            | ProgressCommand::AwardXp { account_id, .. }
                if account_id != self.account_id =>
            {
                Err(ProgressError::NotFound)
            }
            ProgressCommand::AwardXp { awarded_by, .. } if awarded_by == Some(self.account_id) => {
                Err(ProgressError::OwnAward)
            }
            ProgressCommand::RecordActivity { cause, .. }
            | ProgressCommand::AwardXp { cause, .. }
                if self.causes.contains(&cause) =>
            {
                Ok(Vec::new())
            }
            ProgressCommand::AwardXp {
                amount, cause, at, ..
            } => Ok(vec![self.award(
                amount.get(),
                Reason::AdminAward,
                cause,
                at,
            )]),
            ProgressCommand::RecordActivity {
                activity,
                cause,
                at,
                local_day,
                ..
            } => Ok(self.record(
                activity,
                Occasion {
                    cause,
                    at,
                    local_day,
                },
            )),
            ProgressCommand::Erase { .. } => Ok(Vec::new()),
        }
    }

    fn record(&self, activity: Activity, occasion: Occasion) -> Vec<ProgressEvent> {
        let (earned, streak, bonus) = match activity {
            Activity::Exam { flagged: true, .. } => return Vec::new(),
            Activity::Journal => (
                self.earns_for_an_entry(occasion.at)
                    .then_some((ENTRY_XP, Reason::JournalEntry)),
                StreakKind::Journal,
                Reason::JournalStreak,
            ),
            Activity::Exam {
                deep_dive: false, ..
            } => (
                Some((EXAM_XP, Reason::ExamCompleted)),
                StreakKind::Exam,
                Reason::ExamStreak,
            ),
            Activity::Exam {
                deep_dive: true, ..
            } => (
                Some((DEEP_DIVE_XP, Reason::DeepDiveCompleted)),
                StreakKind::Exam,
                Reason::ExamStreak,
            ),
        };
        let Occasion {
            cause,
            at,
            local_day,
        } = occasion;

        let mut events = Vec::new();
        if let Some((amount, reason)) = earned {
            events.push(self.award(amount, reason, cause, at));
        }
        if let Some(extended) = self.streaks.get(streak).extended(local_day) {
            events.push(self.extension(streak, extended, occasion));
            if extended.current.is_multiple_of(STREAK_DAYS) {
                events.push(self.award(STREAK_XP, bonus, cause, at));
            }
        }
        if let Some(extended) = self.streaks.any.extended(local_day) {
            events.push(self.extension(StreakKind::Any, extended, occasion));
        }
        events
    }

    /// Fewer than five awards for entries in the 24 hours up to `at`, and after it.
    fn earns_for_an_entry(&self, at: DateTime<Utc>) -> bool {
        let recent = |award: &&DateTime<Utc>| at.signed_duration_since(**award) < ENTRY_WINDOW;
        self.entry_awards.iter().filter(recent).count() < ENTRIES_A_DAY
    }

    fn award(&self, amount: u32, reason: Reason, cause: Uuid, at: DateTime<Utc>) -> ProgressEvent {
        ProgressEvent::XpAwarded {
            account_id: self.account_id,
            amount,
            reason,
            cause,
            at,
        }
    }

    fn extension(&self, kind: StreakKind, streak: Streak, occasion: Occasion) -> ProgressEvent {
        ProgressEvent::StreakExtended {
            account_id: self.account_id,
            activity: kind,
            day: occasion.local_day,
            current: streak.current,
            longest: streak.longest,
            freezes: streak.freezes,
            cause: occasion.cause,
            at: occasion.at,
        }
    }

    fn remember(&mut self, cause: Uuid) {
        if !self.causes.contains(&cause) {
            self.causes.push(cause);
            let surplus = self.causes.len().saturating_sub(REMEMBERED_CAUSES);
            self.causes.drain(..surplus);
        }
    }

    fn count_entry(&mut self, at: DateTime<Utc>) {
        self.entry_awards.push(at);
        self.entry_awards.sort_unstable();
        let surplus = self.entry_awards.len().saturating_sub(ENTRIES_A_DAY);
        self.entry_awards.drain(..surplus);
    }
}

impl Progress {
    fn fold(&mut self, event: ProgressEvent) {
        *self = match (std::mem::take(self), event) {
            (
                progress,
                ProgressEvent::XpAwarded {
                    account_id,
                    amount,
                    reason,
                    cause,
                    at,
                },
            ) => {
                let mut ledger = progress.into_ledger(account_id);
                ledger.total_xp = ledger.total_xp.saturating_add(u64::from(amount));
                ledger.remember(cause);
                if reason == Reason::JournalEntry {
                    ledger.count_entry(at);
                }
                Self::Running(ledger)
            }
            (
                progress,
                ProgressEvent::StreakExtended {
                    account_id,
                    activity,
                    day,
                    current,
                    longest,
                    freezes,
                    cause,
                    ..
                },
            ) => {
                let mut ledger = progress.into_ledger(account_id);
                ledger.remember(cause);
                *ledger.streaks.get_mut(activity) = Streak {
                    current,
                    longest,
                    freezes,
                    last_day: Some(day),
                };
                Self::Running(ledger)
            }
            (progress, ProgressEvent::ProgressErased { .. }) => progress
                .account_id()
                .map_or(Self::Unstarted, |account_id| Self::Erased { account_id }),
        };
    }

    fn into_ledger(self, account_id: AccountId) -> Ledger {
        match self {
            Self::Running(ledger) => ledger,
            Self::Unstarted | Self::Erased { .. } => Ledger::of(account_id),
        }
    }

    /// Whose it is, also when it is erased; `None` before anything was earned.
    #[must_use]
    pub fn account_id(&self) -> Option<AccountId> {
        match self {
            Self::Unstarted => None,
            Self::Running(ledger) => Some(ledger.account_id),
            Self::Erased { account_id } => Some(*account_id),
        }
    }

    /// All XP ever earned, 0 when erased.
    #[must_use]
    pub fn total_xp(&self) -> u64 {
        match self {
            Self::Running(ledger) => ledger.total_xp,
            Self::Unstarted | Self::Erased { .. } => 0,
        }
    }

    /// The streaks as they stood after their last counted days.
    #[must_use]
    pub fn streaks(&self) -> Streaks {
        match self {
            Self::Running(ledger) => ledger.streaks,
            Self::Unstarted | Self::Erased { .. } => Streaks::default(),
        }
    }
}
