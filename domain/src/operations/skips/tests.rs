//! The rules of skipping, given, when, then.

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::test::{AggregateTestExecutor, TestFramework};
use proptest::prelude::*;

use super::*;
use crate::rejection::Violation;

type Outcome = Result<(), Violation>;

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn reason() -> Result<SkipReason, Violation> {
    SkipReason::parse("Written by a build that never left the laboratory.")
}

fn skip(position: i64, stopped_at: &[i64]) -> Result<SkipsCommand, Violation> {
    Ok(SkipsCommand::Skip {
        projection: "audit".to_owned(),
        position,
        stopped_at: stopped_at.to_vec(),
        reason: reason()?,
        now: now(),
    })
}

fn skipped(position: i64) -> Result<SkipsEvent, Violation> {
    Ok(SkipsEvent::EventSkipped {
        projection: "audit".to_owned(),
        position,
        reason: reason()?,
        skipped_at: now(),
    })
}

fn given(events: Vec<SkipsEvent>) -> AggregateTestExecutor<Skips> {
    TestFramework::with(()).given(events)
}

#[test]
fn an_event_at_which_a_projection_has_stopped_is_skipped() -> Outcome {
    given(Vec::new())
        .when(skip(7, &[3, 7])?)
        .then_expect_events(vec![skipped(7)?]);
    given(vec![skipped(3)?])
        .when(skip(7, &[7])?)
        .then_expect_events(vec![skipped(7)?]);
    Ok(())
}

#[test]
fn an_event_that_stops_nothing_is_not_skipped() -> Outcome {
    for stopped_at in [&[][..], &[6], &[8]] {
        given(vec![skipped(3)?])
            .when(skip(7, stopped_at)?)
            .then_expect_error_message("the projection has not stopped at this position");
    }
    Ok(())
}

#[test]
fn skipping_an_event_again_changes_nothing() -> Outcome {
    for stopped_at in [&[][..], &[7]] {
        given(vec![skipped(7)?])
            .when(skip(7, stopped_at)?)
            .then_expect_events(Vec::new());
    }
    Ok(())
}

#[test]
fn a_reason_says_something_and_stays_short() -> Outcome {
    for (text, code) in [
        ("", "too_short"),
        ("  too few   ", "too_short"),
        ("two\nlines of it", "bad_characters"),
        ("a bell \u{7} rings", "bad_characters"),
    ] {
        let refused = SkipReason::parse(text).err().map(|fault| fault.code);
        assert_eq!(refused, Some(code), "{text:?}");
    }
    assert!(SkipReason::parse(&"ä".repeat(500)).is_ok());
    let long = SkipReason::parse(&"ä".repeat(501)).err();
    assert_eq!(long.map(|fault| fault.code), Some("too_long"));
    assert_eq!(
        SkipReason::parse("  ten letters  ")?.as_str(),
        "ten letters"
    );
    Ok(())
}

proptest! {
    #[test]
    fn what_is_left_out_is_what_was_skipped(positions in proptest::collection::vec(1..1_000_i64, 0..50)) {
        let mut state = Skips::default();
        for position in &positions {
            let Ok(event) = skipped(*position) else { panic!("no reason") };
            cqrs_es::Aggregate::apply(&mut state, event);
        }
        prop_assert_eq!(state.positions(), positions.into_iter().collect());
    }
}
