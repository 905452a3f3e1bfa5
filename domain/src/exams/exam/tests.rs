//! The rules of an exam, given, when, then.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::DomainEvent;
use proptest::prelude::*;
use proptest::sample::{Index, select as any_of};
use serde_json::json;
use uuid::Uuid;

use super::scoring::{AnsweredItem, answered, flags, score};
use super::selection::{ITEMS_PER_PAIR, PAIR_DISTANCE, select};
use super::*;
use crate::aggregate::{Aggregate, KeyScope};
use crate::claim::{Claim, ClaimChange};
use crate::exams::question_bank::{Bank, Category, Item, SHIPPED, Scale};
use crate::id::{AccountId, ExamId};
use crate::language::{Language, Translated};
use crate::personal::Personal;
use crate::rejection::{Kind, Rejection};
use crate::sentiment::{ANALYSER, SentimentLabel};

type Decision = Result<Vec<ExamEvent>, ExamError>;

const WORDS: &str = "I am wonderfully happy with how calm I stayed.";

fn shipped() -> Bank {
    let Ok(bank) = Bank::parse(SHIPPED[0]) else {
        panic!("the shipped bank is invalid");
    };
    bank
}

fn start_time() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// A time so many seconds after the start.
fn at(seconds: i64) -> DateTime<Utc> {
    start_time() + TimeDelta::seconds(seconds)
}

fn account() -> AccountId {
    AccountId(Uuid::from_u128(7))
}

fn stranger() -> AccountId {
    AccountId(Uuid::from_u128(8))
}

fn exam_id() -> ExamId {
    ExamId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

fn count(count: i64) -> QuestionCount {
    match QuestionCount::try_new(count) {
        Ok(count) => count,
        Err(violation) => panic!("{violation:?}"),
    }
}

fn start() -> Start {
    Start {
        exam_id: exam_id(),
        account_id: account(),
        bank: Arc::new(shipped()),
        question_count: count(5),
        age: Some(30),
        language: Language::En,
        idle_timeout: TimeDelta::minutes(60),
        last_completed_at: None,
        cooldown: TimeDelta::hours(24),
        now: start_time(),
    }
}

fn save(responses: &[(&str, i64)], seconds: i64) -> ExamCommand {
    ExamCommand::SaveResponses {
        account_id: account(),
        responses: responses
            .iter()
            .map(|(id, value)| Response {
                question_id: (*id).to_owned(),
                value: *value,
            })
            .collect(),
        now: at(seconds),
    }
}

fn reflect(text: &str, seconds: i64) -> ExamCommand {
    ExamCommand::WriteReflection {
        account_id: account(),
        reflection: reflection(text),
        now: at(seconds),
    }
}

fn reflection(text: &str) -> Reflection {
    match Reflection::parse(text) {
        Ok(reflection) => reflection,
        Err(violation) => panic!("{violation:?}"),
    }
}

fn complete(seconds: i64) -> ExamCommand {
    ExamCommand::Complete {
        account_id: account(),
        reflection: None,
        now: at(seconds),
    }
}

fn abandon(seconds: i64) -> ExamCommand {
    ExamCommand::Abandon {
        account_id: account(),
        now: at(seconds),
    }
}

fn expire(seconds: i64) -> ExamCommand {
    ExamCommand::Expire { now: at(seconds) }
}

/// Folds what the command decides, as the log does.
fn when(exam: &mut Exam, command: &ExamCommand) -> Decision {
    let events = exam.decide(command)?;
    for event in events.clone() {
        cqrs_es::Aggregate::apply(exam, event);
    }
    Ok(events)
}

fn started() -> Exam {
    let mut exam = Exam::default();
    assert!(when(&mut exam, &ExamCommand::Start(start())).is_ok());
    exam
}

fn attempt(exam: &Exam) -> &Attempt {
    let Some(attempt) = exam.attempt() else {
        panic!("there is no attempt in {:?}", exam.status());
    };
    attempt
}

fn ids(exam: &Exam) -> Vec<String> {
    let items = attempt(exam).items.iter();
    items.map(|item| item.id.clone()).collect()
}

/// Everything answered so that keyed values are `keyed`, the last answer after so many seconds.
fn answered_as(exam: &mut Exam, keyed: u8, seconds: i64) {
    let responses: Vec<(String, i64)> = attempt(exam)
        .items
        .iter()
        .map(|item| {
            let value = if item.reverse_keyed { 6 - keyed } else { keyed };
            (item.id.clone(), i64::from(value))
        })
        .collect();
    let responses: Vec<(&str, i64)> = responses
        .iter()
        .map(|(id, value)| (id.as_str(), *value))
        .collect();
    assert!(when(exam, &save(&responses, seconds)).is_ok());
}

fn completed() -> Exam {
    let mut exam = started();
    answered_as(&mut exam, 4, 60);
    assert!(when(&mut exam, &complete(61)).is_ok());
    exam
}

fn result(exam: &Exam) -> ExamResult {
    let Some(result) = exam.result().and_then(|(result, _)| result.known()) else {
        panic!("there is no result");
    };
    result.clone()
}

fn item(id: &str, category: &str, reverse_keyed: bool, weight: u32) -> AskedItem {
    AskedItem {
        id: id.to_owned(),
        category: category.to_owned(),
        reverse_keyed,
        weight,
        pair: None,
    }
}

fn paired(id: &str, pair: &str, reverse_keyed: bool) -> AskedItem {
    AskedItem {
        pair: Some(pair.to_owned()),
        ..item(id, "a", reverse_keyed, 1)
    }
}

fn answer(value: i64) -> Answer {
    match Answer::try_new(value) {
        Ok(answer) => answer,
        Err(violation) => panic!("{violation:?}"),
    }
}

fn sheet<'a>(items: &'a [AskedItem], values: &[i64]) -> Vec<AnsweredItem<'a>> {
    let answers: Answers = items
        .iter()
        .zip(values)
        .map(|(item, value)| (item.id.clone(), answer(*value)))
        .collect();
    match answered(items, &answers) {
        Ok(sheet) => sheet,
        Err(missing) => panic!("no answer to {missing:?}"),
    }
}

fn inconsistent(items: &[AskedItem], values: &[i64]) -> Option<bool> {
    flags(&sheet(items, values), TimeDelta::hours(1)).inconsistent
}

mod starting {
    use super::*;

    #[test]
    fn an_exam_starts_with_the_items_its_id_picks() {
        let exam = started();
        let attempt = attempt(&exam);
        assert_eq!(exam.status(), Some(Status::InProgress));
        assert_eq!(
            attempt.items,
            select(&shipped(), count(5), Some(30), exam_id())
        );
        assert_eq!((attempt.answered(), attempt.total()), (0, 5));
        assert_eq!(attempt.expires_at(), at(3_600));
        assert_eq!(attempt.scoring_version, scoring::SCORING_VERSION);
        assert_eq!(exam.subject(), Some(account()));
        assert_eq!(Exam::KEY_SCOPE, KeyScope::Subject);
    }

    #[test]
    fn an_exam_that_starts_claims_its_instrument_for_the_member() -> Result<(), ExamError> {
        let events = Exam::default().decide(&ExamCommand::Start(start()))?;
        let claim = Claim::new("exams.in_progress", format!("{}/eq", account()));
        assert_eq!(
            Exam::default().claims(&events[0]),
            vec![ClaimChange::Take(claim)]
        );
        Ok(())
    }

    #[test]
    fn a_taken_claim_names_the_exam_under_way() {
        let rejection = Exam::claim_taken(IN_PROGRESS, &exam_id().to_string());
        let expected = ExamError::AlreadyInProgress { exam_id: exam_id() };
        assert_eq!(
            expected.extensions().get("exam_id"),
            Some(&json!(exam_id().to_string()))
        );
        assert_eq!(rejection, Some(expected));
        assert_eq!(Exam::claim_taken("identity.username", "x"), None);
    }

    #[test]
    fn an_exam_started_already_is_pointed_to() {
        assert_eq!(
            started().decide(&ExamCommand::Start(start())),
            Err(ExamError::AlreadyInProgress { exam_id: exam_id() })
        );
    }

    #[test]
    fn the_next_exam_waits_for_the_cooldown() {
        let too_soon = Start {
            last_completed_at: Some(at(1) - TimeDelta::hours(24)),
            ..start()
        };
        let Err(error) = Exam::default().decide(&ExamCommand::Start(too_soon)) else {
            panic!("it started");
        };
        assert_eq!(error.code(), "exams.cooldown");
        assert_eq!(error.kind(), Kind::Conflict);
        assert_eq!(
            error.extensions().get("available_at"),
            Some(&json!("2024-10-04T00:00:01Z"))
        );
    }

    #[test]
    fn the_next_exam_starts_when_the_cooldown_is_over() {
        let in_time = Start {
            last_completed_at: Some(at(0) - TimeDelta::hours(24)),
            ..start()
        };
        assert!(Exam::default().decide(&ExamCommand::Start(in_time)).is_ok());
    }

    #[test]
    fn nobody_is_asked_what_is_not_meant_for_their_age() {
        let young = Start {
            age: Some(12),
            ..start()
        };
        assert_eq!(
            Exam::default().decide(&ExamCommand::Start(young)),
            Err(ExamError::NothingToAsk)
        );
    }

    #[test]
    fn a_count_outside_five_to_fifty_is_refused() {
        for number in [i64::MIN, -1, 0, 4, 51, 261, i64::MAX] {
            assert!(QuestionCount::try_new(number).is_err(), "{number}");
        }
        assert_eq!((count(5).get(), count(50).get()), (5, 50));
        assert_eq!(QuestionCount::default().get(), 20);
    }
}

mod answering {
    use super::*;

    #[test]
    fn answers_are_saved_many_at_once() -> Result<(), ExamError> {
        let mut exam = started();
        let ids = ids(&exam);
        let events = when(&mut exam, &save(&[(&ids[0], 1), (&ids[3], 5)], 10))?;
        assert_eq!(events.len(), 1);
        assert_eq!(attempt(&exam).answered(), 2);
        let values: Vec<_> = attempt(&exam)
            .questions()
            .map(|(_, answer)| answer.map(Answer::get))
            .collect();
        assert_eq!(values, [Some(1), None, None, Some(5), None]);
        assert_eq!(attempt(&exam).expires_at(), at(3_610));
        Ok(())
    }

    #[test]
    fn an_answer_changes_until_completion() -> Result<(), ExamError> {
        let mut exam = started();
        let ids = ids(&exam);
        when(&mut exam, &save(&[(&ids[0], 1)], 10))?;
        when(&mut exam, &save(&[(&ids[0], 2)], 20))?;
        assert_eq!(attempt(&exam).answers.get(&ids[0]), Some(&answer(2)));
        Ok(())
    }

    #[test]
    fn the_same_answer_again_changes_nothing() -> Result<(), ExamError> {
        let mut exam = started();
        let ids = ids(&exam);
        when(&mut exam, &save(&[(&ids[0], 1)], 10))?;
        assert_eq!(when(&mut exam, &save(&[(&ids[0], 1)], 20)), Ok(vec![]));
        let events = when(&mut exam, &save(&[(&ids[0], 1), (&ids[1], 2)], 30))?;
        assert_eq!(
            events,
            [ExamEvent::ResponseSaved {
                answers: Answers::from([(ids[1].clone(), answer(2))]).into(),
                saved_at: at(30),
            }]
        );
        Ok(())
    }

    #[test]
    fn one_bad_response_refuses_all_and_all_bad_ones_are_named() {
        let mut exam = started();
        let ids = ids(&exam);
        let before = exam.clone();
        let decision = when(
            &mut exam,
            &save(
                &[(&ids[0], 3), ("nothing", 0), (&ids[1], 6), (&ids[0], 4)],
                10,
            ),
        );
        let Err(error) = decision else {
            panic!("it was saved");
        };
        let violations = error.violations();
        let named: Vec<_> = violations
            .iter()
            .map(|violation| (violation.pointer.as_ref(), violation.code))
            .collect();
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(
            named,
            [
                ("/responses/1/question_id", "unknown_item"),
                ("/responses/1/value", "out_of_range"),
                ("/responses/2/value", "out_of_range"),
                ("/responses/3/question_id", "duplicate"),
            ]
        );
        assert_eq!(exam, before);
    }

    #[test]
    fn an_item_of_the_bank_that_is_not_asked_is_unknown() {
        let exam = started();
        let ids = ids(&exam);
        let bank = shipped();
        let Some(other) = bank.items.iter().find(|item| !ids.contains(&item.id)) else {
            panic!("everything is asked");
        };
        assert!(matches!(
            exam.decide(&save(&[(&other.id, 3)], 10)),
            Err(ExamError::Invalid(_))
        ));
    }

    #[test]
    fn no_responses_at_all_are_refused() {
        let Err(error) = started().decide(&save(&[], 10)) else {
            panic!("it was saved");
        };
        assert_eq!(error.violations()[0].pointer, "/responses");
    }

    #[test]
    fn an_answer_is_one_to_five() {
        for value in [i64::MIN, -1, 0, 6, 257, i64::MAX] {
            assert!(Answer::try_new(value).is_err(), "{value}");
        }
        assert_eq!(answer(1).get(), 1);
        assert_eq!(answer(5).get(), 5);
    }

    #[test]
    fn a_member_finds_nothing_of_anothers_exam() {
        let commands = [
            ExamCommand::Start(Start {
                account_id: stranger(),
                ..start()
            }),
            ExamCommand::SaveResponses {
                account_id: stranger(),
                responses: vec![],
                now: at(1),
            },
            ExamCommand::WriteReflection {
                account_id: stranger(),
                reflection: reflection(WORDS),
                now: at(1),
            },
            ExamCommand::Complete {
                account_id: stranger(),
                reflection: None,
                now: at(1),
            },
            ExamCommand::Abandon {
                account_id: stranger(),
                now: at(1),
            },
        ];
        let mut abandoned = started();
        let mut expired = started();
        assert!(when(&mut abandoned, &abandon(5)).is_ok());
        assert!(when(&mut expired, &expire(3_600)).is_ok());
        for exam in [started(), completed(), abandoned, expired] {
            for command in &commands {
                assert_eq!(
                    exam.decide(command),
                    Err(ExamError::NotFound),
                    "{command:?}"
                );
            }
            assert_eq!(exam.attempt_of(stranger()), Err(ExamError::NotFound));
            assert!(exam.attempt_of(account()).is_ok());
        }
    }

    #[test]
    fn an_exam_that_was_never_started_is_not_found() {
        let unstarted = Exam::default();
        for command in [
            save(&[("sa_01", 1)], 1),
            reflect(WORDS, 1),
            complete(1),
            abandon(1),
            expire(1),
        ] {
            assert_eq!(unstarted.decide(&command), Err(ExamError::NotFound));
        }
        assert_eq!(unstarted.subject(), None);
    }

    #[test]
    fn debug_shows_no_answer_and_no_words() -> Result<(), ExamError> {
        let mut exam = started();
        let ids = ids(&exam);
        let command = save(&[(&ids[0], 4)], 1);
        let event = when(&mut exam, &command)?;
        when(&mut exam, &reflect(WORDS, 2))?;
        for shown in [
            format!("{:?}", attempt(&exam).answers),
            format!("{command:?}"),
            format!("{event:?}"),
        ] {
            assert!(!shown.contains("Answer(4)") && !shown.contains("value: 4"));
        }
        assert!(!format!("{exam:?}").contains("wonderfully"));
        assert!(!format!("{:?}", reflect(WORDS, 2)).contains("wonderfully"));
        Ok(())
    }
}

mod reflecting {
    use super::*;

    #[test]
    fn a_reflection_is_written_and_replaced() -> Result<(), ExamError> {
        let mut exam = started();
        assert_eq!(when(&mut exam, &reflect("first", 1))?.len(), 1);
        assert_eq!(when(&mut exam, &reflect("second", 2))?.len(), 1);
        assert_eq!(attempt(&exam).reflection, Some(reflection("second")));
        assert_eq!(attempt(&exam).expires_at(), at(3_602));
        Ok(())
    }

    #[test]
    fn the_same_reflection_again_changes_nothing() -> Result<(), ExamError> {
        let mut exam = started();
        assert_eq!(when(&mut exam, &reflect("", 1)), Ok(vec![]));
        when(&mut exam, &reflect("first", 2))?;
        assert_eq!(when(&mut exam, &reflect("first", 3)), Ok(vec![]));
        Ok(())
    }

    #[test]
    fn a_reflection_of_five_thousand_characters_is_the_longest() {
        assert!(Reflection::parse(&"é".repeat(5_000)).is_ok());
        let refused = Reflection::parse(&"é".repeat(5_001));
        assert!(refused.is_err_and(|violation| violation.code == "too_long"));
    }

    #[test]
    fn an_english_reflection_has_a_sentiment() -> Result<(), ExamError> {
        let mut exam = started();
        answered_as(&mut exam, 4, 60);
        when(&mut exam, &reflect(WORDS, 61))?;
        when(&mut exam, &complete(62))?;
        let result = result(&exam);
        assert_eq!(
            result.sentiment.map(|sentiment| sentiment.label),
            Some(SentimentLabel::Positive)
        );
        assert_eq!(result.analyser.as_deref(), Some(ANALYSER));
        Ok(())
    }

    #[test]
    fn a_reflection_in_another_language_has_none() -> Result<(), ExamError> {
        let mut exam = Exam::default();
        let spanish = Start {
            language: Language::Es,
            ..start()
        };
        when(&mut exam, &ExamCommand::Start(spanish))?;
        answered_as(&mut exam, 4, 60);
        when(&mut exam, &reflect(WORDS, 61))?;
        when(&mut exam, &complete(62))?;
        assert_eq!(result(&exam).sentiment, None);
        assert_eq!(result(&exam).analyser, None);
        Ok(())
    }

    #[test]
    fn a_blank_reflection_has_none() -> Result<(), ExamError> {
        let mut exam = started();
        answered_as(&mut exam, 4, 60);
        when(&mut exam, &reflect(" \n", 61))?;
        when(&mut exam, &complete(62))?;
        assert_eq!(result(&exam).sentiment, None);
        Ok(())
    }

    #[test]
    fn a_reflection_that_comes_with_completion_is_written_and_judged() -> Result<(), ExamError> {
        let mut exam = started();
        answered_as(&mut exam, 4, 60);
        when(&mut exam, &reflect("This is terrible and sad.", 61))?;
        let command = ExamCommand::Complete {
            account_id: account(),
            reflection: Some(reflection(WORDS)),
            now: at(62),
        };
        let events = when(&mut exam, &command)?;
        let types: Vec<_> = events.iter().map(DomainEvent::event_type).collect();
        assert_eq!(types, ["reflection_written", "exam_completed"]);
        assert_eq!(attempt(&exam).reflection, Some(reflection(WORDS)));
        assert_eq!(
            result(&exam).sentiment.map(|sentiment| sentiment.label),
            Some(SentimentLabel::Positive)
        );
        Ok(())
    }
}

mod completing {
    use super::*;

    #[test]
    fn an_exam_with_every_item_answered_is_scored() {
        let exam = completed();
        let result = result(&exam);
        assert_eq!(exam.status(), Some(Status::Completed));
        assert_eq!(exam.result().map(|(_, at)| at), Some(at(61)));
        assert_eq!(result.overall.percentage, Percentage::from_tenths(750));
        assert_eq!(result.overall.band, Band::Proficient);
        assert_eq!(result.sentiment, None);
        assert!(!result.flags.any());
    }

    #[test]
    fn completing_releases_the_claim() -> Result<(), ExamError> {
        let mut exam = started();
        answered_as(&mut exam, 4, 60);
        let events = exam.decide(&complete(61))?;
        let claim = Claim::new(IN_PROGRESS, format!("{}/eq", account()));
        assert_eq!(exam.claims(&events[0]), [ClaimChange::Release(claim)]);
        Ok(())
    }

    #[test]
    fn missing_answers_are_listed_and_nothing_is_stored() -> Result<(), ExamError> {
        let mut exam = started();
        let ids = ids(&exam);
        when(&mut exam, &save(&[(&ids[1], 3), (&ids[2], 3)], 10))?;
        let command = ExamCommand::Complete {
            account_id: account(),
            reflection: Some(reflection(WORDS)),
            now: at(20),
        };
        let Err(error) = when(&mut exam, &command) else {
            panic!("it was completed");
        };
        assert_eq!(error.code(), "exams.incomplete");
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(
            error.extensions().get("missing"),
            Some(&json!([ids[0], ids[3], ids[4]]))
        );
        assert_eq!(attempt(&exam).reflection, None);
        Ok(())
    }

    #[test]
    fn completing_again_changes_nothing_however_late() {
        let mut exam = completed();
        let before = exam.clone();
        assert_eq!(when(&mut exam, &complete(1_000_000)), Ok(vec![]));
        assert_eq!(exam, before);
    }

    #[test]
    fn a_completed_exam_takes_nothing_more() {
        let exam = completed();
        let ids = ids(&exam);
        for command in [
            save(&[(&ids[0], 1)], 70),
            reflect(WORDS, 70),
            abandon(70),
            ExamCommand::Start(start()),
        ] {
            assert_eq!(exam.decide(&command), Err(ExamError::AlreadyCompleted));
        }
    }

    #[test]
    fn the_last_answer_decides_whether_it_was_rushed() -> Result<(), ExamError> {
        for (seconds, rushed) in [(9, true), (10, false)] {
            let mut exam = started();
            answered_as(&mut exam, 4, seconds);
            when(&mut exam, &complete(600))?;
            assert_eq!(result(&exam).flags.rushed, rushed, "{seconds} s");
        }
        Ok(())
    }
}

mod leaving {
    use super::*;

    #[test]
    fn an_abandoned_exam_is_over_and_releases_its_claim() -> Result<(), ExamError> {
        let mut exam = started();
        let before = exam.clone();
        let events = when(&mut exam, &abandon(10))?;
        assert_eq!(
            events,
            [ExamEvent::ExamAbandoned {
                abandoned_at: at(10)
            }]
        );
        assert!(matches!(
            before.claims(&events[0])[..],
            [ClaimChange::Release(_)]
        ));
        assert_eq!(exam.status(), Some(Status::Abandoned));
        assert_eq!(exam.decide(&abandon(11)), Ok(vec![]));
        assert_eq!(exam.decide(&complete(11)), Err(ExamError::Abandoned));
        assert_eq!(exam.decide(&expire(9_999)), Ok(vec![]));
        Ok(())
    }

    #[test]
    fn an_idle_exam_takes_no_answers_until_it_is_expired() -> Result<(), ExamError> {
        let mut exam = started();
        let ids = ids(&exam);
        when(&mut exam, &save(&[(&ids[0], 1)], 100))?;
        assert!(exam.decide(&save(&[(&ids[0], 2)], 3_699)).is_ok());
        for command in [
            save(&[(&ids[0], 2)], 3_700),
            reflect(WORDS, 3_700),
            complete(3_700),
        ] {
            assert_eq!(exam.decide(&command), Err(ExamError::Expired));
        }
        Ok(())
    }

    #[test]
    fn an_idle_exam_expires_and_releases_its_claim() -> Result<(), ExamError> {
        let mut exam = started();
        assert_eq!(exam.decide(&expire(3_599)), Err(ExamError::StillActive));
        let before = exam.clone();
        let events = when(&mut exam, &expire(3_600))?;
        assert!(matches!(
            before.claims(&events[0])[..],
            [ClaimChange::Release(_)]
        ));
        assert_eq!(exam.status(), Some(Status::Expired));
        assert_eq!(exam.decide(&expire(3_601)), Ok(vec![]));
        assert_eq!(exam.decide(&complete(3_601)), Err(ExamError::Expired));
        assert_eq!(exam.decide(&abandon(3_601)), Err(ExamError::Expired));
        Ok(())
    }

    #[test]
    fn an_idle_exam_may_be_abandoned() {
        assert!(started().decide(&abandon(9_999)).is_ok());
    }

    #[test]
    fn an_erased_exam_is_not_found_but_keeps_its_subject() -> Result<(), ExamError> {
        let erase = ExamCommand::Erase { now: at(100) };
        for mut exam in [started(), completed()] {
            let before = exam.clone();
            let events = when(&mut exam, &erase)?;
            assert!(Exam::erases(&events[0]));
            assert_eq!(
                before.claims(&events[0]).len(),
                usize::from(before.status() == Some(Status::InProgress))
            );
            assert_eq!(exam.subject(), Some(account()));
            assert_eq!(exam.status(), None);
            assert_eq!(exam.decide(&complete(101)), Err(ExamError::NotFound));
            assert_eq!(exam.decide(&erase), Ok(vec![]));
        }
        assert_eq!(Exam::default().decide(&erase), Ok(vec![]));
        Ok(())
    }
}

mod remembering {
    use super::*;

    fn story() -> Result<Vec<ExamEvent>, ExamError> {
        let mut exam = Exam::default();
        let mut events = when(&mut exam, &ExamCommand::Start(start()))?;
        let ids = ids(&exam);
        let responses: Vec<_> = ids.iter().map(|id| (id.as_str(), 3)).collect();
        events.extend(when(&mut exam, &save(&responses, 60))?);
        events.extend(when(&mut exam, &reflect(WORDS, 61))?);
        events.extend(when(&mut exam, &complete(62))?);
        Ok(events)
    }

    #[test]
    fn events_and_state_survive_the_round_trip_through_json()
    -> Result<(), Box<dyn std::error::Error>> {
        let mut exam = Exam::default();
        for event in story()? {
            let text = serde_json::to_string(&event)?;
            let back: ExamEvent = serde_json::from_str(&text)?;
            assert_eq!(back, event);
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&text)?["type"],
                event.event_type()
            );
            cqrs_es::Aggregate::apply(&mut exam, back);
        }
        let text = serde_json::to_string(&exam)?;
        assert_eq!(serde_json::from_str::<Exam>(&text)?, exam);
        Ok(())
    }

    #[test]
    fn what_a_member_gave_is_sealed_and_the_rest_is_clear() -> Result<(), Box<dyn std::error::Error>>
    {
        let events = story()?;
        let sealed = |i: usize, field: &str| -> Result<bool, serde_json::Error> {
            let json = serde_json::to_value(&events[i])?;
            Ok(json[field].get(crate::personal::KNOWN).is_some())
        };
        assert!(sealed(1, "answers")?);
        assert!(sealed(2, "reflection")?);
        assert!(sealed(3, "result")?);
        assert!(!sealed(0, "items")?);
        Ok(())
    }

    #[test]
    fn a_result_reads_as_clients_expect() -> Result<(), serde_json::Error> {
        let json = serde_json::to_value(result(&completed()))?;
        assert_eq!(
            json["overall"],
            json!({"percentage": 75.0, "band": "proficient"})
        );
        assert!(json["categories"][0]["category"].is_string());
        assert_eq!(json["flags"]["rushed"], json!(false));
        assert_eq!(json["sentiment"], json!(null));
        Ok(())
    }

    #[test]
    fn events_whose_words_are_erased_still_fold() -> Result<(), ExamError> {
        let mut exam = Exam::default();
        for event in story()? {
            let event = match event {
                ExamEvent::ResponseSaved { saved_at, .. } => ExamEvent::ResponseSaved {
                    answers: Personal::Erased,
                    saved_at,
                },
                ExamEvent::ReflectionWritten { written_at, .. } => ExamEvent::ReflectionWritten {
                    reflection: Personal::Erased,
                    written_at,
                },
                ExamEvent::ExamCompleted {
                    account_id,
                    instrument,
                    bank_version,
                    scoring_version,
                    completed_at,
                    ..
                } => ExamEvent::ExamCompleted {
                    account_id,
                    instrument,
                    bank_version,
                    scoring_version,
                    result: Personal::Erased,
                    completed_at,
                },
                other => other,
            };
            cqrs_es::Aggregate::apply(&mut exam, event);
        }
        assert_eq!(exam.status(), Some(Status::Completed));
        assert_eq!(attempt(&exam).answered(), 0);
        assert!(
            exam.result()
                .is_some_and(|(result, _)| result.known().is_none())
        );
        Ok(())
    }
}

mod scoring_rules {
    use super::*;

    #[test]
    fn a_category_is_the_weighted_sum_of_keyed_values() {
        let items = [
            item("a1", "a", false, 2),
            item("a2", "a", true, 1),
            item("a3", "a", false, 1),
            item("b1", "b", true, 3),
        ];
        let (overall, categories) = score(&sheet(&items, &[5, 4, 3, 1]));
        // a: 2·5 + 1·(6−4) + 1·3 = 15 of 4..20; b: 3·(6−1) = 15 of 3..15
        assert_eq!(
            categories,
            [
                CategoryResult {
                    category: "a".to_owned(),
                    items: 3,
                    score: 15,
                    min: 4,
                    max: 20,
                    percentage: Percentage::from_tenths(688),
                    band: Some(Band::Proficient),
                },
                CategoryResult {
                    category: "b".to_owned(),
                    items: 1,
                    score: 15,
                    min: 3,
                    max: 15,
                    percentage: Percentage::from_tenths(1_000),
                    band: None,
                },
            ]
        );
        // (30 − 7) / (35 − 7) = 82.14 %
        assert_eq!(overall.percentage, Percentage::from_tenths(821));
        assert_eq!(overall.band, Band::Strong);
    }

    #[test]
    fn halves_of_a_tenth_are_rounded_up() {
        assert_eq!(Percentage::of(11, 16), Percentage::from_tenths(688));
        assert_eq!(Percentage::of(1, 16), Percentage::from_tenths(63));
        assert_eq!(Percentage::of(1, 3), Percentage::from_tenths(333));
        assert_eq!(Percentage::of(2, 3), Percentage::from_tenths(667));
        assert_eq!(Percentage::of(0, 0), Percentage::from_tenths(0));
        assert_eq!(Percentage::of(3, 2), Percentage::from_tenths(1_000));
    }

    #[test]
    fn the_band_is_of_the_rounded_percentage() {
        for (tenths, band) in [
            (0, Band::Developing),
            (399, Band::Developing),
            (400, Band::Emerging),
            (599, Band::Emerging),
            (600, Band::Proficient),
            (799, Band::Proficient),
            (800, Band::Strong),
            (1_000, Band::Strong),
        ] {
            assert_eq!(Band::of(Percentage::from_tenths(tenths)), band, "{tenths}");
        }
        // 39.96 % rounds to 40.0 % and is emerging
        assert_eq!(Band::of(Percentage::of(999, 2_500)), Band::Emerging);
    }

    #[test]
    fn the_priority_of_a_category_falls_with_its_percentage() {
        for (tenths, priority) in [
            (599, Priority::High),
            (600, Priority::Medium),
            (849, Priority::Medium),
            (850, Priority::Low),
        ] {
            assert_eq!(Priority::of(Percentage::from_tenths(tenths)), priority);
        }
    }

    #[test]
    fn a_category_of_three_items_has_a_band_and_one_of_two_has_none() {
        let items = ["a1", "a2", "a3", "b1", "b2"].map(|id| item(id, &id[..1], false, 1));
        let (_, categories) = score(&sheet(&items, &[3; 5]));
        assert!(categories[0].band.is_some());
        assert!(categories[1].band.is_none());
    }

    #[test]
    fn less_than_two_seconds_an_item_is_rushed() {
        let items = ["a1", "a2", "a3"].map(|id| item(id, "a", false, 1));
        let sheet = sheet(&items, &[1, 2, 3]);
        assert!(flags(&sheet, TimeDelta::milliseconds(5_999)).rushed);
        assert!(!flags(&sheet, TimeDelta::milliseconds(6_000)).rushed);
    }

    #[test]
    fn more_than_a_third_of_the_pairs_apart_is_inconsistent() {
        let items = [
            paired("a1", "a2", false),
            paired("a2", "a1", true),
            paired("b1", "b2", false),
            paired("b2", "b1", false),
            paired("c1", "c2", false),
            paired("c2", "c1", false),
        ];
        // keyed: a 5 and 1 (apart), b 3 and 3, c 2 and 2
        assert_eq!(inconsistent(&items, &[5, 5, 3, 3, 2, 2]), Some(false));
        // keyed: a 5 and 1, b 1 and 4 (both apart)
        assert_eq!(inconsistent(&items, &[5, 5, 1, 4, 2, 2]), Some(true));
        // keyed: a 4 and 2, b 2 and 4: not far enough apart
        assert_eq!(inconsistent(&items, &[4, 4, 2, 4, 2, 2]), Some(false));
    }

    #[test]
    fn fewer_than_two_pairs_tell_nothing() {
        let one_pair = [
            paired("a1", "a2", false),
            paired("a2", "a1", false),
            item("a3", "a", false, 1),
        ];
        assert_eq!(inconsistent(&one_pair, &[1, 5, 3]), None);
    }

    #[test]
    fn a_partner_that_is_not_asked_makes_no_pair() {
        let items = [
            paired("a1", "x1", false),
            paired("a2", "x2", false),
            paired("a3", "x3", false),
        ];
        assert_eq!(inconsistent(&items, &[1, 5, 3]), None);
    }

    #[test]
    fn the_same_answer_to_everything_is_inconsistent_whatever_is_asked() {
        let items = ["a1", "a2", "a3"].map(|id| item(id, "a", false, 1));
        assert_eq!(inconsistent(&items, &[3, 3, 3]), Some(true));
        assert_eq!(inconsistent(&items[..1], &[3]), None);
    }

    #[test]
    fn a_result_is_flagged_when_rushed_or_inconsistent() {
        for (rushed, inconsistent, flagged) in [
            (false, None, false),
            (false, Some(false), false),
            (true, None, true),
            (false, Some(true), true),
        ] {
            let flags = Flags {
                rushed,
                inconsistent,
            };
            assert_eq!(flags.any(), flagged);
        }
    }

    #[test]
    fn a_percentage_keeps_its_decimal_through_json() -> Result<(), serde_json::Error> {
        for tenths in 0..=1_000 {
            let percentage = Percentage::from_tenths(tenths);
            let text = serde_json::to_string(&percentage)?;
            assert_eq!(text, format!("{}.{}", tenths / 10, tenths % 10));
            assert_eq!(serde_json::from_str::<Percentage>(&text)?, percentage);
        }
        Ok(())
    }
}

fn any_sheet() -> impl Strategy<Value = (Vec<AskedItem>, Vec<i64>)> {
    let asked = (any_of(vec!["a", "b", "c"]), any::<bool>(), 1..=100_u32);
    prop::collection::vec((asked, 1..=5_i64), 1..50).prop_map(|sheet| {
        sheet
            .into_iter()
            .enumerate()
            .map(|(i, ((category, reverse_keyed, weight), value))| {
                let id = format!("i{i}");
                (item(&id, category, reverse_keyed, weight), value)
            })
            .unzip()
    })
}

/// A valid or invalid bank; the selection must cope with both.
fn any_bank() -> impl Strategy<Value = Bank> {
    let single = (0..4_usize, any::<bool>(), any_of(vec![13_u8, 16, 18]));
    let singles = prop::collection::vec(single.clone(), 0..40);
    let pairs = prop::collection::vec((single, any::<bool>()), 0..15);
    (singles, pairs).prop_map(|(singles, pairs)| {
        let new = |id: String, (category, reverse_keyed, min_age), pair| Item {
            id,
            text: Translated::default(),
            category: format!("c{category}"),
            reverse_keyed,
            weight: 1,
            min_age,
            max_age: 120,
            tooltip: None,
            pair,
        };
        let mut items = Vec::new();
        for (i, single) in singles.into_iter().enumerate() {
            items.push(new(format!("s{i}"), single, None));
        }
        for (i, (first, other_keying)) in pairs.into_iter().enumerate() {
            let second = (first.0, other_keying, 13);
            items.push(new(format!("p{i}x"), first, Some(format!("p{i}y"))));
            items.push(new(format!("p{i}y"), second, Some(format!("p{i}x"))));
        }
        Bank {
            instrument: "any".to_owned(),
            version: 1,
            title: Translated::default(),
            description: Translated::default(),
            scale: Scale {
                min: 1,
                max: 5,
                labels: Translated::default(),
            },
            categories: (0..4)
                .map(|i| Category {
                    id: format!("c{i}"),
                    name: Translated::default(),
                })
                .collect(),
            items,
        }
    })
}

fn any_exam_id() -> impl Strategy<Value = ExamId> {
    any::<u128>().prop_map(|id| ExamId(Uuid::from_u128(id)))
}

fn pair_distances(items: &[AskedItem]) -> Vec<usize> {
    items
        .iter()
        .enumerate()
        .filter_map(|(i, item)| {
            let partner = item.pair.as_ref()?;
            let j = items.iter().position(|other| other.id == *partner)?;
            (i < j).then(|| j - i)
        })
        .collect()
}

proptest! {
    #[test]
    fn a_score_is_never_outside_0_to_100((items, values) in any_sheet()) {
        let (overall, categories) = score(&sheet(&items, &values));
        prop_assert!(overall.percentage.tenths() <= 1_000);
        for category in categories {
            prop_assert!((category.min..=category.max).contains(&category.score));
            prop_assert!(category.percentage.tenths() <= 1_000);
        }
    }

    #[test]
    fn the_order_of_items_makes_no_difference(
        (items, values) in any_sheet(),
        rotation in any::<Index>(),
    ) {
        let straight = sheet(&items, &values);
        let mut turned = straight.clone();
        turned.rotate_left(rotation.index(straight.len()));
        turned.reverse();
        let time = TimeDelta::seconds(60);
        prop_assert_eq!(score(&straight), score(&turned));
        prop_assert_eq!(flags(&straight, time), flags(&turned, time));
    }

    #[test]
    fn turning_round_keying_and_answer_makes_no_difference(
        (mut items, mut values) in any_sheet(),
        which in any::<Index>(),
    ) {
        let straight = score(&sheet(&items, &values));
        let i = which.index(items.len());
        items[i].reverse_keyed = !items[i].reverse_keyed;
        values[i] = 6 - values[i];
        prop_assert_eq!(straight, score(&sheet(&items, &values)));
    }

    #[test]
    fn a_better_answer_never_lowers_a_score(
        (items, mut values) in any_sheet(),
        which in any::<Index>(),
    ) {
        let before = score(&sheet(&items, &values)).0.percentage;
        let i = which.index(items.len());
        values[i] = if items[i].reverse_keyed { 1 } else { 5 };
        prop_assert!(score(&sheet(&items, &values)).0.percentage >= before);
    }

    #[test]
    fn the_shipped_bank_gives_balanced_exams(
        number in 5..=50_i64,
        age in any_of(vec![None, Some(13), Some(17), Some(40)]),
        id in any_exam_id(),
    ) {
        let bank = shipped();
        let items = select(&bank, count(number), age, id);
        let number = usize::try_from(number)?;
        prop_assert_eq!(items.len(), number);

        let by_category: Vec<usize> = bank
            .categories
            .iter()
            .map(|category| items.iter().filter(|item| item.category == category.id).count())
            .collect();
        let most = by_category.iter().max();
        let fewest = by_category.iter().min();
        prop_assert!(
            most.zip(fewest).is_some_and(|(most, fewest)| most - fewest <= 1),
            "{by_category:?}"
        );

        prop_assert!(pair_distances(&items).len() >= number / ITEMS_PER_PAIR);
        let reversed = items.iter().filter(|item| item.reverse_keyed).count();
        prop_assert!(
            reversed * 4 >= number && reversed * 5 <= number * 2 + 5,
            "{reversed} of {number}"
        );

        let halves = items.iter().filter(|asked| {
            asked.pair.is_none()
                && bank
                    .item(&asked.id)
                    .and_then(|item| bank.item(item.pair.as_ref()?))
                    .is_some_and(|partner| partner.is_fit_for(age.unwrap_or(18)))
        });
        prop_assert_eq!(halves.count(), 0);
    }

    #[test]
    fn any_bank_gives_sound_exams(
        bank in any_bank(),
        number in 5..=50_i64,
        age in any_of(vec![None, Some(13), Some(17)]),
        id in any_exam_id(),
    ) {
        let items = select(&bank, count(number), age, id);
        let years = age.unwrap_or(18);
        let fit = bank.items.iter().filter(|item| item.is_fit_for(years)).count();
        prop_assert_eq!(items.len(), fit.min(usize::try_from(number)?));

        let unique: BTreeSet<_> = items.iter().map(|item| &item.id).collect();
        prop_assert_eq!(unique.len(), items.len());
        for item in &items {
            prop_assert!(bank.item(&item.id).is_some_and(|item| item.is_fit_for(years)));
            if let Some(partner) = &item.pair {
                let partner = items.iter().find(|other| other.id == *partner);
                prop_assert_eq!(partner.and_then(|partner| partner.pair.as_ref()), Some(&item.id));
            }
        }
        if items.len() >= 5 {
            for distance in pair_distances(&items) {
                prop_assert!(distance >= PAIR_DISTANCE);
            }
        }
        prop_assert_eq!(items, select(&bank, count(number), age, id));
    }
}

#[test]
fn different_exams_ask_different_items() {
    let bank = shipped();
    let orders: BTreeSet<Vec<String>> = (0..20)
        .map(|id| {
            select(&bank, count(20), None, ExamId(Uuid::from_u128(id)))
                .into_iter()
                .map(|item| item.id)
                .collect()
        })
        .collect();
    assert_eq!(orders.len(), 20);
}

#[test]
fn a_member_of_unknown_age_is_asked_as_an_adult() {
    let bank = shipped();
    assert_eq!(
        select(&bank, count(50), None, exam_id()),
        select(&bank, count(50), Some(18), exam_id())
    );
}

#[test]
fn a_percentile_counts_those_below_and_half_of_those_beside() {
    use super::scoring::percentile;
    assert_eq!(percentile(10, 0, 20), Some(50));
    assert_eq!(percentile(0, 0, 20), Some(0));
    assert_eq!(percentile(20, 0, 20), Some(100));
    assert_eq!(percentile(0, 20, 20), Some(50));
    assert_eq!(
        percentile(1, 1, 300),
        Some(1),
        "half a percent is rounded up"
    );
}

#[test]
fn among_fewer_than_twenty_others_there_is_no_percentile() {
    assert_eq!(super::scoring::percentile(10, 0, 19), None);
}
