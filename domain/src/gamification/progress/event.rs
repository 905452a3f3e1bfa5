//! What happened to a member's progress.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::value::{Reason, StreakKind};
use crate::id::AccountId;

/// A fact about an account's progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ProgressEvent {
    /// The member earned XP.
    XpAwarded {
        /// Who.
        account_id: AccountId,
        /// How many.
        amount: u32,
        /// What for.
        reason: Reason,
        /// Id of the event or request behind it. With `reason` it is the award's own name: there is
        /// never a second award with both.
        cause: Uuid,
        /// When the cause was recorded.
        at: DateTime<Utc>,
    },
    /// A day was counted in a streak; with `current` 1 a new run began.
    StreakExtended {
        /// Whose.
        account_id: AccountId,
        /// Which of the three streaks.
        activity: StreakKind,
        /// The day, on the member's calendar.
        day: NaiveDate,
        /// Days of the run, this one included.
        current: u32,
        /// Days of the longest run there was.
        longest: u32,
        /// Freezes held afterwards.
        freezes: u8,
        /// Id of the event behind it.
        cause: Uuid,
        /// When the cause was recorded.
        at: DateTime<Utc>,
    },
    /// The account's progress is forgotten for ever.
    ProgressErased {
        /// When.
        erased_at: DateTime<Utc>,
    },
}

crate::event_types!(ProgressEvent {
    XpAwarded: "xp_awarded" 1,
    StreakExtended: "streak_extended" 1,
    ProgressErased: "progress_erased" 1,
});
