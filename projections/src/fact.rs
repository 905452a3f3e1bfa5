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
use domain::operations::skips::{Skips, SkipsEvent};
use event_log::RecordedEvent;
use event_log::keys::{DataKey, Keys};
use event_log::reader::{OpenedEvent, ReadError, open_page};
use event_log::sealing::SEALED;
use serde::{Deserialize, Deserializer};
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
    /// Of what a projection leaves out.
    Skips(SkipsEvent),
}

/// An event as recorded and as it reads today.
#[derive(Debug, Clone)]
pub struct Fact {
    /// As stored.
    pub recorded: Arc<RecordedEvent>,
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
    page: impl IntoIterator<Item = impl Into<Arc<RecordedEvent>>>,
    wanted: impl Fn(&RecordedEvent) -> bool,
) -> Result<Vec<Fact>, ReadError> {
    let opened = open_page(keys, page, |event| {
        wanted(event) && !is_of_today(upcasters, event)
    })
    .await?;
    Ok(opened
        .into_iter()
        .map(|event| {
            // what is wanted and was left unopened is of today
            let direct = event.is_unopened() && wanted(&event.recorded);
            read(upcasters, event, direct)
        })
        .collect())
}

/// True for an event that is typed as it is stored: nothing in it is sealed, and it has today's shape.
fn is_of_today(upcasters: &[Box<dyn EventUpcaster>], event: &RecordedEvent) -> bool {
    !event.payload.contains(SEALED) && !is_upcast(upcasters, event)
}

fn read(upcasters: &[Box<dyn EventUpcaster>], opened: OpenedEvent, direct: bool) -> Fact {
    let OpenedEvent {
        recorded,
        payload,
        key,
    } = opened;
    let kind = recorded.aggregate_type.as_str();
    let event = if direct {
        typed(
            kind,
            &mut serde_json::Deserializer::from_str(&recorded.payload),
        )
        .map_err(|error| Arc::new(error.into()))
    } else {
        payload.and_then(|payload| {
            let payload = upcast(upcasters, &recorded, payload);
            typed(kind, payload).map_err(|error| Arc::new(error.into()))
        })
    };
    Fact {
        recorded,
        event,
        key,
    }
}

fn upcast(upcasters: &[Box<dyn EventUpcaster>], recorded: &RecordedEvent, payload: Value) -> Value {
    if !is_upcast(upcasters, recorded) {
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

fn is_upcast(upcasters: &[Box<dyn EventUpcaster>], recorded: &RecordedEvent) -> bool {
    upcasters
        .iter()
        .any(|upcaster| upcaster.can_upcast(&recorded.event_type, &recorded.event_version))
}

fn typed<'p, P>(aggregate_type: &str, payload: P) -> Result<Event, serde_json::Error>
where
    P: Deserializer<'p, Error = serde_json::Error>,
{
    match aggregate_type {
        Account::TYPE => AccountEvent::deserialize(payload).map(Event::Account),
        Session::TYPE => SessionEvent::deserialize(payload).map(Event::Session),
        QuestionBank::TYPE => QuestionBankEvent::deserialize(payload).map(Event::QuestionBank),
        Exam::TYPE => ExamEvent::deserialize(payload).map(Event::Exam),
        Entry::TYPE => EntryEvent::deserialize(payload).map(Event::Entry),
        Progress::TYPE => ProgressEvent::deserialize(payload).map(Event::Progress),
        Skips::TYPE => SkipsEvent::deserialize(payload).map(Event::Skips),
        _ => Err(serde::de::Error::custom(
            "no context knows this kind of stream",
        )),
    }
}
