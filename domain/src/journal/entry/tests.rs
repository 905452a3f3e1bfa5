//! The stories of an entry: given, when, then.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use cqrs_es::test::TestFramework;
use cqrs_es::{Aggregate as _, DomainEvent};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::aggregate::Aggregate as _;
use crate::id::{AccountId, EntryId};
use crate::journal::patterns::Pattern;
use crate::journal::support::support_for;
use crate::personal::Personal;
use crate::rejection::{Kind, Rejection, Violation};

const OWNER: AccountId = AccountId(Uuid::from_u128(1));
const STRANGER: AccountId = AccountId(Uuid::from_u128(2));
const ENTRY: EntryId = EntryId(Uuid::from_u128(3));

fn at(day: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + day)
}

fn today() -> NaiveDate {
    at(0).date_naive()
}

fn draft(content: &str) -> Draft {
    Draft {
        content: Some(content.to_owned()),
        ..Draft::default()
    }
}

fn valid(draft: Draft) -> EntryBody {
    let Ok(body) = EntryBody::try_new(draft, today()) else {
        panic!("the draft of this test is valid");
    };
    body
}

fn violations(draft: Draft) -> Vec<(String, &'static str)> {
    EntryBody::try_new(draft, today())
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|Violation { pointer, code, .. }| (pointer.into_owned(), code))
        .collect()
}

fn refused(change: impl FnOnce(&mut Draft)) -> Vec<(String, &'static str)> {
    let mut draft = draft("A day like any other.");
    change(&mut draft);
    violations(draft)
}

fn one(pointer: &str, code: &'static str) -> Vec<(String, &'static str)> {
    vec![(pointer.to_owned(), code)]
}

fn morning() -> EntryBody {
    valid(draft("I was so happy and thankful this morning."))
}

fn evening() -> EntryBody {
    valid(draft("The evening was long and I got tired."))
}

fn written() -> EntryEvent {
    EntryEvent::EntryWritten {
        entry_id: ENTRY,
        account_id: OWNER,
        written_at: at(0),
        derived: Derived::of(&morning()).into(),
        body: morning().into(),
    }
}

fn revised() -> EntryEvent {
    EntryEvent::EntryRevised {
        revision: 2,
        revised_at: at(1),
        derived: Derived::of(&evening()).into(),
        body: evening().into(),
    }
}

fn deleted() -> EntryEvent {
    EntryEvent::EntryDeleted {
        deleted_at: at(2),
        restorable_until: at(32),
    }
}

fn restored() -> EntryEvent {
    EntryEvent::EntryRestored { restored_at: at(3) }
}

fn erased() -> EntryEvent {
    EntryEvent::EntryErased { erased_at: at(40) }
}

fn write(account_id: AccountId) -> EntryCommand {
    EntryCommand::Write {
        entry_id: ENTRY,
        account_id,
        body: Box::new(morning()),
        now: at(0),
    }
}

fn revise(account_id: AccountId, change: Change) -> EntryCommand {
    EntryCommand::Revise {
        account_id,
        expected: None,
        change,
        today: today(),
        now: at(1),
    }
}

fn replace(account_id: AccountId, body: EntryBody) -> EntryCommand {
    revise(account_id, Change::Replace(Box::new(body)))
}

fn merge(patch: Value) -> Result<EntryCommand, serde_json::Error> {
    let patch: Patch = serde_json::from_value(patch)?;
    Ok(revise(OWNER, Change::Merge(Box::new(patch))))
}

fn delete(account_id: AccountId) -> EntryCommand {
    EntryCommand::Delete {
        account_id,
        expected: None,
        now: at(2),
    }
}

fn restore(account_id: AccountId, day: i64) -> EntryCommand {
    EntryCommand::Restore {
        account_id,
        now: at(day),
    }
}

fn given(events: Vec<EntryEvent>) -> Entry {
    let mut entry = Entry::default();
    for event in events {
        entry.apply(event);
    }
    entry
}

fn framework() -> TestFramework<Entry> {
    TestFramework::with(())
}

#[test]
fn writing_an_entry_keeps_its_words_and_what_is_computed_from_them() {
    framework()
        .given_no_previous_events()
        .when(write(OWNER))
        .then_expect_events(vec![written()]);

    let entry = given(vec![written()]);
    assert_eq!(entry.status(), Status::Kept);
    assert_eq!(entry.entry_id(), Some(ENTRY));
    assert_eq!(entry.subject(), Some(OWNER));
    assert_eq!(entry.body(), Some(&morning()));
    assert_eq!(entry.created_at(), Some(at(0)));
    assert_eq!(entry.revision(), Some(1));
    let Some(derived) = entry.derived() else {
        panic!("what is computed from it is kept");
    };
    assert_eq!(derived.word_count, 8);
    assert!(derived.sentiment.is_some_and(|s| s.compound > 0.05));
    assert!(derived.patterns.contains(&Pattern::Positivity));
    assert!(derived.patterns.contains(&Pattern::Gratitude));
}

#[test]
fn an_entry_in_another_language_has_patterns_but_no_sentiment() {
    for (language, content, pattern) in [
        ("es", "Hoy estoy muy cansada del trabajo.", Pattern::Fatigue),
        ("hi", "आज मैं बहुत थका हुआ हूँ।", Pattern::Fatigue),
    ] {
        let derived = Derived::of(&valid(Draft {
            language: Some(language.to_owned()),
            ..draft(content)
        }));
        assert_eq!(derived.sentiment, None);
        assert_eq!(derived.sentiment_analyser, None);
        assert_eq!(derived.patterns, [pattern]);
    }
}

#[test]
fn an_entry_is_written_once() {
    framework()
        .given(vec![written()])
        .when(write(OWNER))
        .then_expect_error(EntryError::AlreadyWritten);
}

#[test]
fn an_entry_of_nine_characters_is_refused() {
    assert_eq!(violations(draft("123456789")), one("/content", "too_short"));
    assert_eq!(
        violations(draft("  123456789\n\n")),
        one("/content", "too_short")
    );
    assert_eq!(violations(draft("1234567890")), []);
    assert_eq!(violations(draft("आआआआआआआआआआ")), []);
}

#[test]
fn an_entry_of_more_than_fifty_thousand_characters_is_refused() {
    assert_eq!(violations(draft(&"é".repeat(50_000))), []);
    assert_eq!(
        violations(draft(&"é".repeat(50_001))),
        one("/content", "too_long")
    );
}

#[test]
fn an_entry_without_content_is_refused() {
    assert_eq!(violations(Draft::default()), one("/content", "required"));
}

#[test]
fn a_text_that_is_too_long_is_refused() {
    for (pointer, max) in [
        ("title", 200),
        ("stress_triggers", 500),
        ("daily_schedule", 1_000),
    ] {
        let with = |length: usize| {
            refused(|draft| {
                let text = Some("ñ".repeat(length));
                match pointer {
                    "title" => draft.title = text,
                    "stress_triggers" => draft.stress_triggers = text,
                    _ => draft.daily_schedule = text,
                }
            })
        };
        assert_eq!(with(max), []);
        assert_eq!(with(max + 1), one(&format!("/{pointer}"), "too_long"));
    }
}

#[test]
fn a_blank_text_is_as_good_as_absent() {
    let body = valid(Draft {
        title: Some(" \t".to_owned()),
        stress_triggers: Some(String::new()),
        ..draft("A day like any other.")
    });
    assert_eq!(body.title, None);
    assert_eq!(body.stress_triggers, None);
}

#[test]
fn a_rating_outside_one_to_ten_is_refused() {
    for rating in [i64::MIN, -1, 0, 11, 257, i64::MAX] {
        assert_eq!(
            refused(|draft| {
                draft.mood_rating = Some(rating);
                draft.energy_level = Some(rating);
                draft.stress_level = Some(rating);
                draft.sleep_quality = Some(rating);
            }),
            [
                ("/mood_rating".to_owned(), "out_of_range"),
                ("/energy_level".to_owned(), "out_of_range"),
                ("/stress_level".to_owned(), "out_of_range"),
                ("/sleep_quality".to_owned(), "out_of_range"),
            ]
        );
    }
    for rating in 1..=10 {
        assert_eq!(refused(|draft| draft.mood_rating = Some(rating)), []);
    }
}

#[test]
fn hours_outside_a_day_are_refused() {
    for hours in [-0.01, 24.001, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(
            refused(|d| d.sleep_hours = Some(hours)),
            one("/sleep_hours", "out_of_range")
        );
        assert_eq!(
            refused(|d| d.work_hours = Some(hours)),
            one("/work_hours", "out_of_range")
        );
    }
    for hours in [0.0, 7.25, 7.333_333, 24.0] {
        assert_eq!(refused(|draft| draft.sleep_hours = Some(hours)), []);
    }
}

#[test]
fn hours_are_kept_to_the_hundredth() -> Result<(), Box<dyn std::error::Error>> {
    let Ok(hours) = Hours::try_new(7.333_333) else {
        panic!("within a day");
    };
    assert_eq!(serde_json::to_string(&hours)?, "7.33");
    assert_eq!(serde_json::from_str::<Hours>("7.33")?, hours);
    assert_eq!(
        serde_json::from_str::<Hours>("7")?,
        Hours::try_new(7.0).map_err(|_| "range")?
    );
    Ok(())
}

#[test]
fn screen_time_of_more_than_a_day_is_refused() {
    for minutes in [-1, 1_441, 70_000] {
        assert_eq!(
            refused(|draft| draft.screen_time_mins = Some(minutes)),
            one("/screen_time_mins", "out_of_range")
        );
    }
    assert_eq!(refused(|draft| draft.screen_time_mins = Some(1_440)), []);
}

#[test]
fn an_unknown_language_is_refused() {
    assert_eq!(
        refused(|draft| draft.language = Some("fr".to_owned())),
        one("/language", "unknown_language")
    );
}

#[test]
fn an_entry_date_in_the_future_or_the_far_past_or_that_is_none_is_refused() {
    let on = |date: &str| refused(|draft| draft.entry_date = Some(date.to_owned()));
    let tomorrow = today()
        .succ_opt()
        .map(|day| day.to_string())
        .unwrap_or_default();
    assert_eq!(on(&tomorrow), one("/entry_date", "in_the_future"));
    assert_eq!(on("1899-12-31"), one("/entry_date", "too_early"));
    for date in [
        "",
        "2024-02-30",
        "2024-2-3",
        "+2024-02-3",
        "24-02-2003",
        "2024-02-03T00:00",
        "٢٠٢٤",
    ] {
        assert_eq!(on(date), one("/entry_date", "invalid_date"), "{date}");
    }
    assert_eq!(on(&today().to_string()), []);
    assert_eq!(on("1900-01-01"), []);
    assert_eq!(valid(draft("A day like any other.")).entry_date, today());
}

#[test]
fn tags_are_trimmed_lower_cased_and_kept_once() {
    let body = valid(Draft {
        tags: [" Work ", "work", "FAMÍLIA", "fami\u{301}lia"]
            .map(String::from)
            .to_vec(),
        ..draft("A day like any other.")
    });
    assert_eq!(body.tags, ["work", "família"]);
}

#[test]
fn a_blank_or_long_tag_is_refused_where_it_stands() {
    let tags = |tags: Vec<String>| refused(|draft| draft.tags = tags);
    assert_eq!(
        tags(vec![
            "a".into(),
            "A".into(),
            " ".into(),
            "x".repeat(51),
            "x".repeat(50)
        ]),
        [
            ("/tags/2".to_owned(), "too_short"),
            ("/tags/3".to_owned(), "too_long")
        ]
    );
}

#[test]
fn more_than_twenty_tags_are_refused() {
    let tags =
        |count: usize| refused(|draft| draft.tags = (0..count).map(|n| n.to_string()).collect());
    assert_eq!(tags(20), []);
    assert_eq!(tags(21), one("/tags", "too_many"));
    assert_eq!(
        refused(|draft| draft.tags = vec![String::new(); 10_000]),
        one("/tags", "too_many")
    );
}

#[test]
fn everything_wrong_is_named_at_once() {
    let found = violations(Draft {
        title: Some("x".repeat(201)),
        content: Some("short".to_owned()),
        tags: vec![" ".to_owned()],
        mood_rating: Some(11),
        sleep_hours: Some(25.0),
        language: Some("xx".to_owned()),
        entry_date: Some("soon".to_owned()),
        ..Draft::default()
    });
    let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/title",
            "/content",
            "/tags/0",
            "/mood_rating",
            "/sleep_hours",
            "/language",
            "/entry_date"
        ]
    );
}

#[test]
fn revising_keeps_the_whole_new_body_and_counts() {
    framework()
        .given(vec![written()])
        .when(replace(OWNER, evening()))
        .then_expect_events(vec![revised()]);

    let entry = given(vec![written(), revised()]);
    assert_eq!(entry.body(), Some(&evening()));
    assert_eq!(entry.revision(), Some(2));
    assert_eq!(entry.created_at(), Some(at(0)));
    assert_eq!(entry.updated_at(), Some(at(1)));
}

#[test]
fn revising_to_the_same_body_changes_nothing() {
    framework()
        .given(vec![written()])
        .when(replace(OWNER, morning()))
        .then_expect_events(vec![]);
}

#[test]
fn a_patch_changes_only_the_fields_it_names() -> Result<(), serde_json::Error> {
    let before = valid(Draft {
        title: Some("Monday".to_owned()),
        mood_rating: Some(4),
        tags: vec!["work".to_owned()],
        ..draft("A day like any other.")
    });
    let written = EntryEvent::EntryWritten {
        entry_id: ENTRY,
        account_id: OWNER,
        written_at: at(0),
        derived: Derived::of(&before).into(),
        body: before.clone().into(),
    };
    let mut after = before;
    after.title = None;
    after.mood_rating = Some(6);
    framework()
        .given(vec![written])
        .when(merge(json!({"title": null, "mood_rating": 6}))?)
        .then_expect_events(vec![EntryEvent::EntryRevised {
            revision: 2,
            revised_at: at(1),
            derived: Derived::of(&after).into(),
            body: after.into(),
        }]);
    Ok(())
}

#[test]
fn an_empty_patch_changes_nothing() -> Result<(), serde_json::Error> {
    framework()
        .given(vec![written()])
        .when(merge(json!({}))?)
        .then_expect_events(vec![]);
    Ok(())
}

#[test]
fn a_patch_that_breaks_a_rule_is_refused_field_by_field() -> Result<(), serde_json::Error> {
    let refused = given(vec![written()])
        .decide(&merge(json!({"content": null, "stress_level": 99}))?)
        .err();
    let Some(error) = refused else {
        panic!("it is refused");
    };
    assert_eq!(error.kind(), Kind::Invalid);
    let pointers: Vec<_> = error.violations().into_iter().map(|v| v.pointer).collect();
    assert_eq!(pointers, ["/content", "/stress_level"]);
    Ok(())
}

#[test]
fn a_patch_with_an_unknown_field_is_not_read() {
    assert!(serde_json::from_value::<Patch>(json!({"moood": 3})).is_err());
    assert!(serde_json::from_value::<Draft>(json!({"moood": 3})).is_err());
}

#[test]
fn a_patch_leaves_a_date_that_a_change_of_zone_put_into_tomorrow() -> Result<(), serde_json::Error>
{
    let yesterday = today().pred_opt().unwrap_or_default();
    let EntryCommand::Revise { change, now, .. } = merge(json!({"mood_rating": 5}))? else {
        panic!("a patch revises");
    };
    let decided = given(vec![written()]).decide(&EntryCommand::Revise {
        account_id: OWNER,
        expected: None,
        change,
        today: yesterday,
        now,
    });
    assert!(matches!(
        decided.as_deref(),
        Ok([EntryEvent::EntryRevised { .. }])
    ));
    Ok(())
}

#[test]
fn a_change_based_on_an_older_revision_is_stale() {
    let stale = |expected| EntryCommand::Revise {
        account_id: OWNER,
        expected,
        change: Change::Replace(Box::new(morning())),
        today: today(),
        now: at(4),
    };
    let entry = given(vec![written(), revised()]);
    assert_eq!(entry.decide(&stale(Some(1))), Err(EntryError::Stale));
    assert!(
        entry
            .decide(&stale(Some(2)))
            .is_ok_and(|events| events.len() == 1)
    );
    assert!(
        entry
            .decide(&stale(None))
            .is_ok_and(|events| events.len() == 1)
    );
    assert_eq!(
        entry.decide(&EntryCommand::Delete {
            account_id: OWNER,
            expected: Some(1),
            now: at(4)
        }),
        Err(EntryError::Stale)
    );
}

#[test]
fn another_members_entry_is_not_found_whatever_is_asked() {
    for events in [
        vec![written()],
        vec![written(), deleted()],
        vec![written(), erased()],
    ] {
        for command in [
            replace(STRANGER, evening()),
            delete(STRANGER),
            restore(STRANGER, 3),
        ] {
            framework()
                .given(events.clone())
                .when(command)
                .then_expect_error(EntryError::NotFound);
        }
    }
}

#[test]
fn an_entry_nobody_wrote_is_not_found() {
    for command in [
        replace(OWNER, evening()),
        delete(OWNER),
        restore(OWNER, 3),
        EntryCommand::Erase { now: at(1) },
    ] {
        framework()
            .given_no_previous_events()
            .when(command)
            .then_expect_error(EntryError::NotFound);
    }
}

#[test]
fn a_deleted_entry_can_be_restored_for_thirty_days() {
    framework()
        .given(vec![written()])
        .when(delete(OWNER))
        .then_expect_events(vec![deleted()]);
    framework()
        .given(vec![written(), deleted()])
        .when(restore(OWNER, 3))
        .then_expect_events(vec![restored()]);
    framework()
        .given(vec![written(), deleted()])
        .when(restore(OWNER, 31))
        .then_expect_events(vec![EntryEvent::EntryRestored {
            restored_at: at(31),
        }]);
    framework()
        .given(vec![written(), deleted()])
        .when(restore(OWNER, 32))
        .then_expect_error(EntryError::NotFound);
    assert_eq!(
        given(vec![written(), revised(), deleted(), restored()]),
        given(vec![written(), revised()])
    );
}

#[test]
fn a_deleted_entry_cannot_be_revised() {
    framework()
        .given(vec![written(), deleted()])
        .when(replace(OWNER, evening()))
        .then_expect_error(EntryError::NotFound);
    assert_eq!(
        given(vec![written(), deleted()]).status(),
        Status::Deleted {
            restorable_until: at(32)
        }
    );
}

#[test]
fn deleting_or_restoring_twice_changes_nothing() {
    framework()
        .given(vec![written(), deleted()])
        .when(delete(OWNER))
        .then_expect_events(vec![]);
    framework()
        .given(vec![written(), deleted(), restored()])
        .when(restore(OWNER, 4))
        .then_expect_events(vec![]);
}

#[test]
fn an_erased_entry_has_no_words_but_still_a_subject() {
    for events in [vec![written()], vec![written(), deleted()]] {
        framework()
            .given(events.clone())
            .when(EntryCommand::Erase { now: at(40) })
            .then_expect_events(vec![erased()]);
        let entry = given([events, vec![erased()]].concat());
        assert_eq!(entry.status(), Status::Erased);
        assert_eq!(entry.body(), None);
        assert_eq!(entry.derived(), None);
        assert_eq!(entry.subject(), Some(OWNER));
    }
    framework()
        .given(vec![written(), erased()])
        .when(EntryCommand::Erase { now: at(41) })
        .then_expect_events(vec![]);
    framework()
        .given(vec![written(), erased()])
        .when(restore(OWNER, 3))
        .then_expect_error(EntryError::NotFound);
}

#[test]
fn only_the_erasure_may_follow_when_the_subject_is_being_erased() {
    assert!(Entry::erases(&erased()));
    for event in [written(), revised(), deleted(), restored()] {
        assert!(!Entry::erases(&event));
    }
}

#[test]
fn an_entry_whose_key_is_gone_loads_and_is_not_found() {
    let event = EntryEvent::EntryWritten {
        entry_id: ENTRY,
        account_id: OWNER,
        written_at: at(0),
        body: Personal::Erased,
        derived: Personal::Erased,
    };
    let entry = given(vec![event]);
    assert_eq!(entry.body(), None);
    assert_eq!(entry.derived(), None);
    assert_eq!(
        entry.decide(&replace(OWNER, evening())),
        Err(EntryError::NotFound)
    );
    assert_eq!(
        entry.decide(&EntryCommand::Erase { now: at(40) }),
        Ok(vec![erased()])
    );
}

#[test]
fn events_survive_the_round_trip_under_their_listed_names() -> Result<(), serde_json::Error> {
    let events = [written(), revised(), deleted(), restored(), erased()];
    assert_eq!(events.len(), EntryEvent::TYPES.len());
    for (event, (name, version)) in events.into_iter().zip(EntryEvent::TYPES) {
        let value = serde_json::to_value(&event)?;
        assert_eq!(value["type"], *name);
        assert_eq!(event.event_type(), *name);
        assert_eq!(event.event_version(), version.to_string());
        assert_eq!(serde_json::from_value::<EntryEvent>(value)?, event);
    }
    Ok(())
}

#[test]
fn every_word_of_the_member_is_personal() -> Result<(), serde_json::Error> {
    for event in [written(), revised()] {
        let value = serde_json::to_value(&event)?;
        let clear: Vec<&String> = value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, field)| field.get("$personal").is_none())
            .map(|(name, _)| name)
            .collect();
        assert!(
            clear.iter().all(|name| [
                "type",
                "entry_id",
                "account_id",
                "written_at",
                "revised_at",
                "revision"
            ]
            .contains(&name.as_str())),
            "{clear:?}"
        );
    }
    Ok(())
}

#[test]
fn a_private_word_is_in_no_debug_text() {
    let body = valid(Draft {
        tags: vec!["thankful".to_owned()],
        ..draft("I was thankful this morning.")
    });
    let texts = [
        format!("{:?}", body.to_draft()),
        format!("{:?}", Derived::of(&body)),
        format!("{:?}", replace(OWNER, body.clone())),
        format!("{:?}", given(vec![written()])),
        format!("{body:?}"),
    ];
    for text in texts {
        assert!(
            !text.contains("thankful") && !text.contains("positivity"),
            "{text}"
        );
    }
}

#[test]
fn support_looks_at_all_the_member_wrote_and_is_in_no_event() -> Result<(), serde_json::Error> {
    let body = valid(Draft {
        stress_triggers: Some("thoughts of suicide".to_owned()),
        ..draft("A day like any other.")
    });
    let Some(support) = support_for(&body) else {
        panic!("support is offered");
    };
    assert_eq!(support_for(&morning()), None);

    let command = EntryCommand::Write {
        entry_id: ENTRY,
        account_id: OWNER,
        body: Box::new(body),
        now: at(0),
    };
    let events = Entry::default().decide(&command).unwrap_or_default();
    let stored = serde_json::to_string(&events)?;
    assert!(!stored.contains("support") && !stored.contains(&support.message));
    Ok(())
}

#[test]
fn every_rejection_has_a_code_of_the_journal() {
    for error in [
        EntryError::NotFound,
        EntryError::AlreadyWritten,
        EntryError::Stale,
        EntryError::Invalid(Vec::new()),
    ] {
        assert!(error.code().starts_with("journal."));
    }
}

fn any_draft() -> impl Strategy<Value = Draft> {
    let text = |max| {
        prop::option::of(prop::collection::vec(any::<char>(), 0..=max).prop_map(String::from_iter))
    };
    (
        text(200),
        "\\S{10}\\PC{0,400}",
        prop::collection::vec("\\S{1,10}", 0..=20),
        prop::option::of(1_i64..=10),
        prop::option::of(0.0..=24.0_f64),
        prop::option::of(0_i64..=1_440),
        text(500),
        prop::sample::select(vec!["en", "es", "hi"]),
    )
        .prop_map(
            |(title, content, tags, rating, hours, minutes, stress_triggers, language)| Draft {
                title,
                content: Some(content),
                tags,
                mood_rating: rating,
                energy_level: rating,
                sleep_hours: hours,
                screen_time_mins: minutes,
                stress_triggers,
                language: Some(language.to_owned()),
                ..Draft::default()
            },
        )
}

proptest! {
    #[test]
    fn any_words_in_range_are_accepted_and_survive_the_event(draft in any_draft()) {
        let body = EntryBody::try_new(draft, today());
        prop_assert!(body.is_ok(), "{:?}", body.err());
        let body = body.unwrap_or_else(|_| morning());
        let command = EntryCommand::Write { entry_id: ENTRY, account_id: OWNER, body: Box::new(body.clone()), now: at(0) };
        let events = Entry::default().decide(&command);
        prop_assert!(events.is_ok());
        let stored = serde_json::to_string(&events.unwrap_or_default()).unwrap_or_default();
        let loaded: Vec<EntryEvent> = serde_json::from_str(&stored).unwrap_or_default();
        let entry = given(loaded);
        prop_assert_eq!(entry.body(), Some(&body));
    }

    #[test]
    fn a_body_is_made_again_by_its_own_draft(draft in any_draft()) {
        let body = valid(draft);
        prop_assert_eq!(valid(body.to_draft()), body);
    }
}
