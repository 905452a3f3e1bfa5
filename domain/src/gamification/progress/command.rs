//! What can be asked of a member's progress.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::value::{Activity, Amount};
use crate::id::AccountId;

/// A request to an account's progress.
#[derive(Debug, Clone, PartialEq)]
pub enum ProgressCommand {
    /// The member did something: award what it earns and extend the streaks.
    RecordActivity {
        /// Who did it.
        account_id: AccountId,
        /// What.
        activity: Activity,
        /// Id of the event that says so.
        cause: Uuid,
        /// When that event was recorded.
        at: DateTime<Utc>,
        /// The date of `at` in the member's time zone.
        local_day: NaiveDate,
    },
    /// Staff give XP.
    AwardXp {
        /// Who gets them.
        account_id: AccountId,
        /// How many.
        amount: Amount,
        /// Which member of the staff gives them; `None` from the command line.
        awarded_by: Option<AccountId>,
        /// Id of the request behind it: the same one counts once.
        cause: Uuid,
        /// The present time.
        at: DateTime<Utc>,
    },
    /// Forget the account's progress for ever: asked by the purge alone.
    Erase {
        /// The present time.
        now: DateTime<Utc>,
    },
}
