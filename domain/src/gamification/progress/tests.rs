//! The stories of an account's progress: given, when, then.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use cqrs_es::test::TestFramework;
use cqrs_es::{Aggregate as _, DomainEvent};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::aggregate::Aggregate as _;
use crate::id::AccountId;
use crate::rejection::{Kind, Rejection};

const MEMBER: AccountId = AccountId(Uuid::from_u128(1));
const STAFF: AccountId = AccountId(Uuid::from_u128(2));

const EXAM: Activity = Activity::Exam {
    deep_dive: false,
    flagged: false,
};
const DEEP_DIVE: Activity = Activity::Exam {
    deep_dive: true,
    flagged: false,
};
const FLAGGED: Activity = Activity::Exam {
    deep_dive: false,
    flagged: true,
};

fn hour(hours: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::hours(hours)
}

fn day(days: u64) -> NaiveDate {
    hour(0).date_naive() + Days::new(days)
}

/// An account's progress that follows what it is told.
#[derive(Default)]
struct Story {
    progress: Progress,
    causes: u128,
}

impl Story {
    fn tell(&mut self, command: &ProgressCommand) -> Vec<ProgressEvent> {
        let events = self.progress.decide(command).unwrap_or_default();
        for event in &events {
            self.progress.apply(event.clone());
        }
        events
    }

    fn next_cause(&mut self) -> Uuid {
        self.causes += 1;
        Uuid::from_u128(1_000 + self.causes)
    }

    fn does(
        &mut self,
        activity: Activity,
        at: DateTime<Utc>,
        local_day: NaiveDate,
    ) -> Vec<ProgressEvent> {
        let cause = self.next_cause();
        self.tell(&record(activity, cause, at, local_day))
    }

    fn writes_on(&mut self, days: impl IntoIterator<Item = u64>) -> Vec<ProgressEvent> {
        days.into_iter()
            .flat_map(|days| {
                let at = hour(0) + TimeDelta::days(i64::try_from(days).unwrap_or_default());
                self.does(Activity::Journal, at, day(days))
            })
            .collect()
    }

    fn journal(&self) -> Streak {
        self.progress.streaks().journal
    }
}

fn record(
    activity: Activity,
    cause: Uuid,
    at: DateTime<Utc>,
    local_day: NaiveDate,
) -> ProgressCommand {
    ProgressCommand::RecordActivity {
        account_id: MEMBER,
        activity,
        cause,
        at,
        local_day,
    }
}

fn award(awarded_by: Option<AccountId>) -> ProgressCommand {
    let Ok(amount) = Amount::try_new(250) else {
        panic!("an amount in range");
    };
    ProgressCommand::AwardXp {
        account_id: MEMBER,
        amount,
        awarded_by,
        cause: Uuid::from_u128(7),
        at: hour(1),
    }
}

fn xp(events: &[ProgressEvent], wanted: Reason) -> Vec<u32> {
    events
        .iter()
        .filter_map(|event| match event {
            ProgressEvent::XpAwarded { amount, reason, .. } if *reason == wanted => Some(*amount),
            _ => None,
        })
        .collect()
}

fn xp_awarded() -> ProgressEvent {
    ProgressEvent::XpAwarded {
        account_id: MEMBER,
        amount: 50,
        reason: Reason::JournalEntry,
        cause: Uuid::from_u128(5),
        at: hour(0),
    }
}

fn extended(activity: StreakKind) -> ProgressEvent {
    ProgressEvent::StreakExtended {
        account_id: MEMBER,
        activity,
        day: day(0),
        current: 1,
        longest: 1,
        freezes: 0,
        cause: Uuid::from_u128(5),
        at: hour(0),
    }
}

fn erased() -> ProgressEvent {
    ProgressEvent::ProgressErased { erased_at: hour(9) }
}

fn framework() -> TestFramework<Progress> {
    TestFramework::with(())
}

#[test]
fn the_first_entry_earns_fifty_and_begins_two_streaks() {
    framework()
        .given_no_previous_events()
        .when(record(
            Activity::Journal,
            Uuid::from_u128(5),
            hour(0),
            day(0),
        ))
        .then_expect_events(vec![
            xp_awarded(),
            extended(StreakKind::Journal),
            extended(StreakKind::Any),
        ]);
}

#[test]
fn the_same_cause_counts_once() {
    framework()
        .given(vec![xp_awarded(), extended(StreakKind::Journal)])
        .when(record(
            Activity::Journal,
            Uuid::from_u128(5),
            hour(0),
            day(0),
        ))
        .then_expect_events(vec![]);
}

#[test]
fn at_most_five_entries_earn_in_any_24_hours() {
    let mut story = Story::default();
    for entry in 0..5 {
        let events = story.does(Activity::Journal, hour(entry), day(0));
        assert_eq!(xp(&events, Reason::JournalEntry), [50]);
    }
    assert!(story.does(Activity::Journal, hour(5), day(0)).is_empty());
    let almost = hour(24) - TimeDelta::microseconds(1);
    assert!(
        xp(
            &story.does(Activity::Journal, almost, day(1)),
            Reason::JournalEntry
        )
        .is_empty()
    );
    assert_eq!(
        xp(
            &story.does(Activity::Journal, hour(24), day(1)),
            Reason::JournalEntry
        ),
        [50]
    );
    assert!(story.does(Activity::Journal, hour(24), day(1)).is_empty());
    assert_eq!(story.progress.total_xp(), 300);
}

#[test]
fn an_entry_beyond_the_five_still_counts_its_day() {
    let mut story = Story::default();
    for _ in 0..5 {
        story.does(Activity::Journal, hour(0), day(0));
    }
    story.does(Activity::Journal, hour(2), day(1));
    assert_eq!(story.journal().current, 2);
}

#[test]
fn an_exam_earns_a_hundred_and_a_deep_dive_sixty() {
    let mut story = Story::default();
    assert_eq!(
        xp(&story.does(EXAM, hour(0), day(0)), Reason::ExamCompleted),
        [100]
    );
    assert_eq!(
        xp(
            &story.does(DEEP_DIVE, hour(0), day(0)),
            Reason::DeepDiveCompleted
        ),
        [60]
    );
    assert_eq!(story.progress.total_xp(), 160);
    assert_eq!(story.progress.streaks().exam.current, 1);
    assert_eq!(story.progress.streaks().any.current, 1);
    assert_eq!(story.journal(), Streak::default());
}

#[test]
fn a_flagged_exam_earns_neither_xp_nor_a_day() {
    framework()
        .given_no_previous_events()
        .when(record(FLAGGED, Uuid::from_u128(5), hour(0), day(0)))
        .then_expect_events(vec![]);
}

#[test]
fn each_seven_days_of_a_streak_earn_two_hundred() {
    let mut story = Story::default();
    let events = story.writes_on(0..21);
    assert_eq!(xp(&events, Reason::JournalStreak), [200, 200, 200]);
    assert_eq!(story.progress.total_xp(), 21 * 50 + 3 * 200);
}

#[test]
fn a_new_run_earns_its_seven_days_again() {
    let mut story = Story::default();
    let events = story.writes_on((0..7).chain(20..27));
    assert_eq!(xp(&events, Reason::JournalStreak), [200, 200]);
}

#[test]
fn seven_days_of_mixed_activity_earn_no_streak_bonus() {
    let mut story = Story::default();
    for days in 0..7 {
        let activity = if days % 2 == 0 {
            EXAM
        } else {
            Activity::Journal
        };
        let events = story.does(activity, hour(24 * days), day(days.unsigned_abs()));
        assert!(xp(&events, Reason::JournalStreak).is_empty());
        assert!(xp(&events, Reason::ExamStreak).is_empty());
    }
    assert_eq!(story.progress.streaks().any.current, 7);
}

#[test]
fn a_day_counts_once_and_a_missed_day_begins_a_new_run() {
    let mut story = Story::default();
    story.writes_on([0, 0, 1, 2]);
    assert_eq!(story.journal().current, 3);
    story.writes_on([4]);
    assert_eq!(
        story.journal(),
        Streak {
            current: 1,
            longest: 3,
            freezes: 0,
            last_day: Some(day(4))
        }
    );
}

#[test]
fn a_freeze_earned_in_fourteen_days_covers_one_missed_day() {
    let mut story = Story::default();
    story.writes_on(0..14);
    assert_eq!(story.journal().freezes, 1);
    story.writes_on([15]);
    assert_eq!((story.journal().current, story.journal().freezes), (15, 0));
    story.writes_on([17]);
    assert_eq!((story.journal().current, story.journal().longest), (1, 15));
}

#[test]
fn at_most_two_freezes_are_held() {
    let mut story = Story::default();
    story.writes_on(0..42);
    assert_eq!(story.journal().freezes, 2);
    story.writes_on([44]);
    assert_eq!((story.journal().current, story.journal().freezes), (43, 0));
}

#[test]
fn a_gap_wider_than_the_freezes_uses_them_up() {
    let mut story = Story::default();
    story.writes_on(0..28);
    assert_eq!(story.journal().freezes, 2);
    story.writes_on([31]);
    assert_eq!(
        story.journal(),
        Streak {
            current: 1,
            longest: 28,
            freezes: 0,
            last_day: Some(day(31))
        }
    );
}

#[test]
fn activity_on_an_earlier_day_breaks_no_streak() {
    let mut story = Story::default();
    story.writes_on([3, 4, 5]);
    let before = story.journal();
    let late = story.does(Activity::Journal, hour(200), day(1));
    assert_eq!(xp(&late, Reason::JournalEntry), [50]);
    assert_eq!(late.len(), 1);
    assert_eq!(story.journal(), before);
    story.writes_on([6]);
    assert_eq!(story.journal().current, 4);
}

#[test]
fn a_streak_is_read_as_it_stands_on_the_day() {
    let streak = Streak {
        current: 9,
        longest: 20,
        freezes: 1,
        last_day: Some(day(10)),
    };
    let on = |days| {
        let StreakToday {
            current,
            freezes,
            active_today,
            longest,
        } = streak.as_of(day(days));
        assert_eq!(longest, 20);
        (current, freezes, active_today)
    };
    assert_eq!(on(10), (9, 1, true));
    assert_eq!(on(11), (9, 1, false));
    assert_eq!(on(12), (9, 0, false));
    assert_eq!(on(13), (0, 0, false));
    assert_eq!(on(9), (9, 1, true));
    assert_eq!(
        Streak::default().as_of(day(0)),
        StreakToday {
            current: 0,
            longest: 0,
            freezes: 0,
            active_today: false
        }
    );
}

#[test]
fn staff_give_xp_once_for_a_request_and_never_to_themselves() {
    let given = ProgressEvent::XpAwarded {
        account_id: MEMBER,
        amount: 250,
        reason: Reason::AdminAward,
        cause: Uuid::from_u128(7),
        at: hour(1),
    };
    for awarded_by in [None, Some(STAFF)] {
        framework()
            .given_no_previous_events()
            .when(award(awarded_by))
            .then_expect_events(vec![given.clone()]);
    }
    framework()
        .given(vec![given])
        .when(award(Some(STAFF)))
        .then_expect_events(vec![]);
    framework()
        .given_no_previous_events()
        .when(award(Some(MEMBER)))
        .then_expect_error(ProgressError::OwnAward);
}

#[test]
fn an_award_outside_its_range_is_refused() {
    for amount in [i64::MIN, -1, 0, 10_001, i64::MAX] {
        assert!(Amount::try_new(amount).is_err());
    }
    assert!(Amount::try_new(1).is_ok() && Amount::try_new(10_000).is_ok());
}

#[test]
fn another_accounts_progress_is_not_found() {
    framework()
        .given(vec![xp_awarded()])
        .when(ProgressCommand::RecordActivity {
            account_id: STAFF,
            activity: EXAM,
            cause: Uuid::from_u128(8),
            at: hour(1),
            local_day: day(0),
        })
        .then_expect_error(ProgressError::NotFound);
}

#[test]
fn erased_progress_shows_nothing_and_earns_nothing() {
    framework()
        .given(vec![xp_awarded()])
        .when(ProgressCommand::Erase { now: hour(9) })
        .then_expect_events(vec![erased()]);
    for command in [
        ProgressCommand::Erase { now: hour(10) },
        record(EXAM, Uuid::from_u128(8), hour(10), day(0)),
    ] {
        framework()
            .given(vec![xp_awarded(), erased()])
            .when(command)
            .then_expect_events(vec![]);
    }
    framework()
        .given(vec![xp_awarded(), erased()])
        .when(award(None))
        .then_expect_error(ProgressError::NotFound);

    let mut progress = Progress::default();
    progress.apply(xp_awarded());
    assert_eq!(progress.subject(), Some(MEMBER));
    progress.apply(erased());
    assert_eq!(progress.total_xp(), 0);
    assert_eq!(progress.streaks(), Streaks::default());
    assert_eq!(progress.subject(), Some(MEMBER));
}

#[test]
fn only_the_erasure_may_follow_when_the_subject_is_being_erased() {
    assert!(Progress::erases(&erased()));
    assert!(!Progress::erases(&xp_awarded()));
    assert!(!Progress::erases(&extended(StreakKind::Any)));
}

#[test]
fn the_state_stays_small_however_much_happens() -> Result<(), serde_json::Error> {
    let mut story = Story::default();
    story.writes_on(0..100);
    let small = serde_json::to_string(&story.progress)?.len();
    story.writes_on(100..1_000);
    let later = serde_json::to_string(&story.progress)?.len();
    assert!(later < small + 16, "{small} {later}");
    Ok(())
}

#[test]
fn events_survive_the_round_trip_under_their_listed_names() -> Result<(), serde_json::Error> {
    let events = [xp_awarded(), extended(StreakKind::Exam), erased()];
    assert_eq!(events.len(), ProgressEvent::TYPES.len());
    for (event, (name, version)) in events.into_iter().zip(ProgressEvent::TYPES) {
        let value = serde_json::to_value(&event)?;
        assert_eq!(value["type"], *name);
        assert_eq!(event.event_type(), *name);
        assert_eq!(event.event_version(), version.to_string());
        assert_eq!(serde_json::from_value::<ProgressEvent>(value)?, event);
    }
    Ok(())
}

#[test]
fn slugs_are_the_names_in_json() -> Result<(), serde_json::Error> {
    for kind in StreakKind::ALL {
        assert_eq!(serde_json::to_value(kind)?, kind.slug());
    }
    for reason in [
        Reason::JournalEntry,
        Reason::ExamCompleted,
        Reason::DeepDiveCompleted,
        Reason::JournalStreak,
        Reason::ExamStreak,
        Reason::AdminAward,
    ] {
        assert_eq!(serde_json::to_value(reason)?, reason.slug());
    }
    Ok(())
}

#[test]
fn every_rejection_has_a_code_of_gamification() {
    for (error, kind) in [
        (ProgressError::NotFound, Kind::NotFound),
        (ProgressError::OwnAward, Kind::Forbidden),
    ] {
        assert!(error.code().starts_with("gamification."));
        assert_eq!(error.kind(), kind);
    }
}

proptest! {
    #[test]
    fn a_streak_keeps_its_bounds_whatever_days_come(days in prop::collection::vec(0_u64..60, 0..120)) {
        let mut streak = Streak::default();
        for days in days {
            let before = streak;
            streak = streak.extended(day(days)).unwrap_or(streak);
            prop_assert!(streak.current <= streak.longest);
            prop_assert!(streak.freezes <= MAX_FREEZES);
            prop_assert!(streak.longest >= before.longest);
            prop_assert!(streak.last_day >= before.last_day);
            let today = streak.as_of(day(days));
            prop_assert!(today.active_today && today.current == streak.current);
        }
    }

    #[test]
    fn a_streak_never_grows_by_waiting(days in prop::collection::vec(0_u64..60, 1..60), read in 0_u64..200, later in 0_u64..50) {
        let streak = days.into_iter().fold(Streak::default(), |streak, days| streak.extended(day(days)).unwrap_or(streak));
        let (now, then) = (streak.as_of(day(read)), streak.as_of(day(read + later)));
        prop_assert!(then.current <= now.current);
        prop_assert!(then.freezes <= now.freezes);
        prop_assert!(now.current == streak.current || now.current == 0);
    }

    #[test]
    fn telling_everything_again_changes_nothing(activities in prop::collection::vec((0_i64..400, any::<bool>()), 0..REMEMBERED_CAUSES)) {
        let mut story = Story::default();
        let commands: Vec<ProgressCommand> = activities
            .into_iter()
            .map(|(hours, exam)| {
                let activity = if exam { EXAM } else { Activity::Journal };
                let cause = story.next_cause();
                record(activity, cause, hour(hours), hour(hours).date_naive())
            })
            .collect();
        for command in &commands {
            story.tell(command);
        }
        let before = story.progress.clone();
        for command in &commands {
            story.tell(command);
        }
        prop_assert_eq!(story.progress, before);
    }

    #[test]
    fn entries_never_earn_more_than_five_times_in_24_hours(mut hours in prop::collection::vec(0_i64..200, 0..80)) {
        hours.sort_unstable();
        let mut story = Story::default();
        let earned: Vec<i64> = hours
            .into_iter()
            .filter(|hours| !xp(&story.does(Activity::Journal, hour(*hours), day(0)), Reason::JournalEntry).is_empty())
            .collect();
        prop_assert!(earned.windows(6).all(|six| six[5] - six[0] >= 24));
    }
}
