//! Whenever a member writes an entry or completes an exam, then their progress is told.
//!
//! These are the decisions alone; who feeds them events and dispatches the commands is elsewhere. The
//! command of one causing event is always the same, so that repeating it changes nothing.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::progress::{Activity, ProgressCommand};
use crate::id::AccountId;

/// Whenever an entry was written, then that is recorded as journal activity.
///
/// `cause` is the id of the `entry_written` event, `recorded_at` when it was recorded, `zone` the member's
/// time zone.
#[must_use]
pub fn on_entry_written(
    account_id: AccountId,
    cause: Uuid,
    recorded_at: DateTime<Utc>,
    zone: Tz,
) -> ProgressCommand {
    ProgressCommand::RecordActivity {
        account_id,
        activity: Activity::Journal,
        cause,
        at: recorded_at,
        local_day: local_day(recorded_at, zone),
    }
}

/// Whenever an exam was completed, then that is recorded as exam activity; `None` when its result is
/// erased, for then nobody can say whether it was flagged.
///
/// `cause` is the id of the `exam_completed` event, `recorded_at` when it was recorded, `zone` the member's
/// time zone. `deep_dive` says that the instrument is not `eq`; `flagged` that the result is rushed or
/// inconsistent, `None` that it is erased.
#[must_use]
pub fn on_exam_completed(
    account_id: AccountId,
    cause: Uuid,
    recorded_at: DateTime<Utc>,
    zone: Tz,
    deep_dive: bool,
    flagged: Option<bool>,
) -> Option<ProgressCommand> {
    Some(ProgressCommand::RecordActivity {
        account_id,
        activity: Activity::Exam {
            deep_dive,
            flagged: flagged?,
        },
        cause,
        at: recorded_at,
        local_day: local_day(recorded_at, zone),
    })
}

/// The date of `instant` on a calendar in `zone`.
#[must_use]
pub fn local_day(instant: DateTime<Utc>, zone: Tz) -> NaiveDate {
    instant.with_timezone(&zone).date_naive()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    const ACCOUNT: AccountId = AccountId(Uuid::from_u128(1));
    const CAUSE: Uuid = Uuid::from_u128(2);

    fn late_evening() -> DateTime<Utc> {
        Utc.timestamp_opt(1_709_246_400 - 60, 0)
            .single()
            .unwrap_or_default()
    }

    #[test]
    fn the_day_is_the_members_own() {
        for (zone, day) in [
            (Tz::UTC, "2024-02-29"),
            (Tz::Asia__Kolkata, "2024-03-01"),
            (Tz::America__Los_Angeles, "2024-02-29"),
            (Tz::Pacific__Kiritimati, "2024-03-01"),
        ] {
            assert_eq!(local_day(late_evening(), zone).to_string(), day);
        }
    }

    #[test]
    fn an_entry_is_journal_activity_on_the_members_day() {
        let command = on_entry_written(ACCOUNT, CAUSE, late_evening(), Tz::Asia__Kolkata);
        assert_eq!(
            command,
            ProgressCommand::RecordActivity {
                account_id: ACCOUNT,
                activity: Activity::Journal,
                cause: CAUSE,
                at: late_evening(),
                local_day: local_day(late_evening(), Tz::Asia__Kolkata),
            }
        );
    }

    #[test]
    fn an_exam_is_exam_activity_with_its_kind_and_flag() {
        let command = on_exam_completed(ACCOUNT, CAUSE, late_evening(), Tz::UTC, true, Some(false));
        assert!(matches!(
            command,
            Some(ProgressCommand::RecordActivity {
                activity: Activity::Exam {
                    deep_dive: true,
                    flagged: false
                },
                ..
            })
        ));
    }

    #[test]
    fn an_exam_whose_result_is_erased_tells_nothing() {
        let command = on_exam_completed(ACCOUNT, CAUSE, late_evening(), Tz::UTC, false, None);
        assert_eq!(command, None);
    }
}
