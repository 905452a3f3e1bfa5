//! The rules of a question bank, given, when, then.

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::test::TestFramework;
use serde_json::{Value, json};

use super::*;
use crate::rejection::{Rejection, Violation};

type Outcome = Result<(), Vec<Violation>>;

fn shipped() -> Result<Bank, Vec<Violation>> {
    Bank::parse(SHIPPED[0])
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn publish(bank: Bank) -> QuestionBankCommand {
    QuestionBankCommand::Publish {
        bank: Box::new(bank),
        now: now(),
    }
}

fn published(bank: Bank) -> QuestionBankEvent {
    QuestionBankEvent::BankPublished {
        bank: Box::new(bank),
        published_at: now(),
    }
}

fn retired() -> QuestionBankEvent {
    QuestionBankEvent::BankRetired { retired_at: now() }
}

fn given(events: Vec<QuestionBankEvent>) -> cqrs_es::test::AggregateTestExecutor<QuestionBank> {
    TestFramework::with(()).given(events)
}

/// The shipped file with `change` made to it, and what is wrong with it then.
fn codes(change: impl FnOnce(&mut Value)) -> Vec<(String, &'static str)> {
    let mut file: Value = serde_json::from_str(SHIPPED[0]).unwrap_or_default();
    change(&mut file);
    Bank::parse(&file.to_string())
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|violation| (violation.pointer.into_owned(), violation.code))
        .collect()
}

fn is_refused(pointer: &str, code: &'static str, change: impl FnOnce(&mut Value)) {
    let codes = codes(change);
    assert!(
        codes.contains(&(pointer.to_owned(), code)),
        "{pointer} {code} is not among {codes:?}"
    );
}

#[test]
fn every_shipped_bank_is_valid_and_large_enough() -> Outcome {
    for file in SHIPPED {
        let bank = Bank::parse(file)?;
        let pairs = bank.items.iter().filter(|item| item.pair.is_some()).count() / 2;
        let reversed = bank.items.iter().filter(|item| item.reverse_keyed).count();
        if bank.instrument == "eq" {
            assert!(bank.items.len() >= 60);
            assert!(pairs >= 8);
        }
        assert!(reversed * 4 >= bank.items.len() && reversed * 5 <= bank.items.len() * 2);
    }
    Ok(())
}

#[test]
fn a_bank_survives_the_round_trip_through_json() -> Result<(), Box<dyn std::error::Error>> {
    let Ok(bank) = shipped() else {
        panic!("the shipped bank is invalid");
    };
    let event = published(bank);
    let text = serde_json::to_string(&event)?;
    assert_eq!(serde_json::from_str::<QuestionBankEvent>(&text)?, event);
    Ok(())
}

#[test]
fn a_new_bank_is_published() -> Outcome {
    given(vec![])
        .when(publish(shipped()?))
        .then_expect_events(vec![published(shipped()?)]);
    Ok(())
}

#[test]
fn its_stream_is_called_by_instrument_and_version() -> Outcome {
    assert_eq!(shipped()?.stream_id(), "eq-1");
    Ok(())
}

#[test]
fn the_same_bank_again_changes_nothing() -> Outcome {
    given(vec![published(shipped()?)])
        .when(publish(shipped()?))
        .then_expect_events(vec![]);
    Ok(())
}

#[test]
fn the_same_bank_again_does_not_undo_its_retirement() -> Outcome {
    given(vec![published(shipped()?), retired()])
        .when(publish(shipped()?))
        .then_expect_events(vec![]);
    Ok(())
}

#[test]
fn other_content_under_a_published_version_is_a_conflict() -> Outcome {
    let mut other = shipped()?;
    other.items[0].weight += 1;
    given(vec![published(shipped()?)])
        .when(publish(other))
        .then_expect_error(QuestionBankError::AlreadyPublished);
    Ok(())
}

#[test]
fn an_invalid_bank_is_not_published() -> Outcome {
    let mut bank = shipped()?;
    bank.items[0].weight = 0;
    let result = given(vec![]).when(publish(bank)).inspect_result();
    let Err(error) = result else {
        panic!("it was published");
    };
    assert_eq!(error.code(), "exams.bank_invalid");
    assert_eq!(error.violations()[0].pointer, "/items/0/weight");
    Ok(())
}

#[test]
fn a_published_bank_is_retired_once() -> Outcome {
    let retire = || QuestionBankCommand::Retire { now: now() };
    given(vec![published(shipped()?)])
        .when(retire())
        .then_expect_events(vec![retired()]);
    given(vec![published(shipped()?), retired()])
        .when(retire())
        .then_expect_events(vec![]);
    given(vec![])
        .when(retire())
        .then_expect_error(QuestionBankError::NotFound);
    Ok(())
}

#[test]
fn an_id_that_comes_twice_is_refused() {
    is_refused("/items/1/id", "duplicate", |file| {
        file["items"][1]["id"] = file["items"][0]["id"].clone();
    });
    is_refused("/categories/1/id", "duplicate", |file| {
        file["categories"][1]["id"] = file["categories"][0]["id"].clone();
    });
}

#[test]
fn an_id_that_is_no_slug_is_refused() {
    for id in ["", "Sa_01", "1a", "a-b", "a b", "é", &"a".repeat(41)] {
        is_refused("/items/3/id", "not_a_slug", |file| {
            file["items"][3]["id"] = json!(id);
        });
    }
}

#[test]
fn a_language_that_is_missing_or_empty_is_refused() {
    is_refused("/items/3/text/hi", "missing_translation", |file| {
        file["items"][3]["text"] = json!({"en": "one", "es": "uno"});
    });
    is_refused("/title/es", "missing_translation", |file| {
        file["title"]["es"] = json!("  ");
    });
    is_refused("/scale/labels/en", "missing_label", |file| {
        file["scale"]["labels"]["en"] = json!(["Never", "Always"]);
    });
}

#[test]
fn a_category_without_an_item_of_one_keying_is_refused() {
    let key_all = |reverse_keyed: bool| {
        move |file: &mut Value| {
            for item in file["items"].as_array_mut().into_iter().flatten() {
                item["reverse_keyed"] = json!(reverse_keyed);
            }
        }
    };
    is_refused("/categories/0", "no_reversed_item", key_all(false));
    is_refused("/categories/3", "no_forward_item", key_all(true));
}

#[test]
fn an_unknown_category_is_refused() {
    is_refused("/items/5/category", "unknown_category", |file| {
        file["items"][5]["category"] = json!("charm");
    });
}

#[test]
fn a_weight_or_an_age_out_of_range_is_refused() {
    is_refused("/items/5/weight", "out_of_range", |file| {
        file["items"][5]["weight"] = json!(0);
    });
    is_refused("/items/5/weight", "out_of_range", |file| {
        file["items"][5]["weight"] = json!(101);
    });
    is_refused("/items/5/max_age", "out_of_range", |file| {
        file["items"][5]["max_age"] = json!(12);
    });
    is_refused("", "malformed", |file| {
        file["items"][5]["weight"] = json!(1.5);
    });
}

#[test]
fn a_scale_that_is_not_one_to_five_is_refused() {
    is_refused("/scale", "out_of_range", |file| {
        file["scale"]["max"] = json!(7);
    });
}

#[test]
fn a_pair_that_is_broken_is_refused() {
    is_refused("/items/0/pair", "unknown_item", |file| {
        file["items"][0]["pair"] = json!("nothing");
    });
    is_refused("/items/0/pair", "one_sided_pair", |file| {
        file["items"][0]["pair"] = file["items"][0]["id"].clone();
    });
    is_refused("/items/0/pair", "one_sided_pair", |file| {
        let partner = file["items"][0]["pair"].clone();
        for item in file["items"].as_array_mut().into_iter().flatten() {
            if item["id"] == partner {
                item["pair"] = Value::Null;
            }
        }
    });
    is_refused("/items/0/pair", "split_pair", |file| {
        file["items"][0]["category"] = json!("relationship_management");
    });
}

#[test]
fn a_misspelt_field_is_refused_and_not_lost() {
    is_refused("/items/0/tool_tip", "unknown_field", |file| {
        file["items"][0]["tool_tip"] = json!({});
    });
    is_refused("/title/fr", "unknown_field", |file| {
        file["title"]["fr"] = json!("Titre");
    });
}

#[test]
fn a_bank_of_too_few_items_or_no_category_is_refused() {
    is_refused("/items", "out_of_range", |file| {
        file["items"] = json!([]);
    });
    is_refused("/categories", "out_of_range", |file| {
        file["categories"] = json!([]);
    });
}
