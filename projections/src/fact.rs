//! A recorded event, opened, upcast and typed: what projections and policies are given.

use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use domain::exams::exam::{Exam, ExamEvent};
use domain::exams::question_bank::{QuestionBank, QuestionBankEvent};
use domain::gamification::progress::{Progress, ProgressEvent};
use domain::identity::account::{Account, AccountEvent};
use domain::identity::session::{Session, SessionEvent};
use domain::journal::entry::{Entry, EntryEvent};
use event_log::RecordedEvent;
use event_log::keys::{DataKey, Keys};
use event_log::reader::{OpenedEvent, ReadError, open_page};
use serde_json::Value;

/// An event of any context.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Of an account.
    Account(AccountEvent),
    /// Of a session.
    Session(SessionEvent),
    /// Of a question bank.
    QuestionBank(QuestionBankEvent),
    /// Of an attempt at an exam.
    Exam(ExamEvent),
    /// Of a journal entry.
    Entry(EntryEvent),
    /// Of a member's progress.
    Progress(ProgressEvent),
}

/// An event as recorded and as it reads today.
#[derive(Debug, Clone)]
pub struct Fact {
    /// As stored.
    pub recorded: RecordedEvent,
    /// What it says, or why it cannot be read.
    pub event: Result<Event, Arc<ReadError>>,
    /// The key it is sealed with; `None` for an event without personal values.
    pub key: Option<DataKey>,
}

/// Opens, upcasts and types the `wanted` events of a page, fetching the keys together; the others stay
/// [`ReadError::Unopened`].
pub async fn read_page(
    keys: &Keys,
    upcasters: &[Box<dyn EventUpcaster>],
    page: Vec<RecordedEvent>,
    wanted: impl Fn(&RecordedEvent) -> bool,
) -> Result<Vec<Fact>, ReadError> {
    let opened = open_page(keys, page, wanted).await?;
    Ok(opened
        .into_iter()
        .map(|event| read(upcasters, event))
        .collect())
}

fn read(upcasters: &[Box<dyn EventUpcaster>], opened: OpenedEvent) -> Fact {
    let OpenedEvent {
        recorded,
        payload,
        key,
    } = opened;
    let event = payload.and_then(|payload| {
        let payload = upcast(upcasters, &recorded, payload);
        typed(&recorded.aggregate_type, payload).map_err(|error| Arc::new(error.into()))
    });
    Fact {
        recorded,
        event,
        key,
    }
}

fn upcast(upcasters: &[Box<dyn EventUpcaster>], recorded: &RecordedEvent, payload: Value) -> Value {
    let wanted = upcasters
        .iter()
        .any(|upcaster| upcaster.can_upcast(&recorded.event_type, &recorded.event_version));
    if !wanted {
        return payload;
    }
    let event = SerializedEvent::new(
        recorded.aggregate_id.clone(),
        usize::try_from(recorded.sequence).unwrap_or_default(),
        recorded.aggregate_type.clone(),
        recorded.event_type.clone(),
        recorded.event_version.clone(),
        payload,
        Value::Null,
    );
    event_log::log::upcast(upcasters, event).payload
}

fn typed(aggregate_type: &str, payload: Value) -> Result<Event, serde_json::Error> {
    use serde_json::from_value;
    match aggregate_type {
        Account::TYPE => from_value(payload).map(Event::Account),
        Session::TYPE => from_value(payload).map(Event::Session),
        QuestionBank::TYPE => from_value(payload).map(Event::QuestionBank),
        Exam::TYPE => from_value(payload).map(Event::Exam),
        Entry::TYPE => from_value(payload).map(Event::Entry),
        Progress::TYPE => from_value(payload).map(Event::Progress),
        _ => Err(serde::de::Error::custom(
            "no context knows this kind of stream",
        )),
    }
}
