//! Every event ever written must decode for ever.
//!
//! `events/<aggregate_type>/<event_type>.v<version>.json` is a payload as it is stored, opened: personal
//! values stand as `{"$personal": …}`. `<event_type>.v<version>.<case>.json` is one more shape of the same
//! version: a value left out, another word of a closed list, how it was before a field was added. A file
//! here may be in somebody's log: it is never edited and never removed.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use cqrs_es::DomainEvent;
use cqrs_es::persist::SerializedEvent;
use domain::exams::exam::{Exam, ExamEvent};
use domain::exams::question_bank::{QuestionBank, QuestionBankEvent};
use domain::gamification::progress::{Progress, ProgressEvent};
use domain::identity::account::{Account, AccountEvent};
use domain::identity::session::{Session, SessionEvent};
use domain::journal::entry::{Entry, EntryEvent};
use domain::operations::skips::{Skips, SkipsEvent};
use domain::personal::{ERASED, KNOWN};
use domain::{Aggregate, KeyScope, upcasters};
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn Error>>;

/// Names that only personal values bear, in whichever event they stand.
const PERSONAL: &[&str] = &[
    // account
    "username",
    "email",
    "first_name",
    "last_name",
    "name",
    "birth_year",
    "age",
    "gender",
    "password_hash",
    "password",
    "secret",
    "recovery_codes",
    "recovery_code",
    "reason",
    // session
    "label",
    "ip",
    "user_agent",
    "secret_hash",
    // exam
    "answers",
    "reflection",
    "overall",
    "percentage",
    "score",
    "band",
    "flags",
    "sentiment",
    "analyser",
    // entry
    "title",
    "content",
    "tags",
    "mood_rating",
    "energy_level",
    "stress_level",
    "sleep_quality",
    "sleep_hours",
    "work_hours",
    "screen_time_mins",
    "stress_triggers",
    "daily_schedule",
    "entry_date",
    "word_count",
    "reading_time_mins",
    "sentiment_analyser",
    "patterns",
];

/// Where such a name says nothing about anybody: (aggregate type, event type, name).
const NOBODYS: &[(&str, &str, &str)] = &[
    // the questionnaire's own texts
    ("question_bank", "bank_published", "title"),
    ("question_bank", "bank_published", "name"),
    // words of a closed list
    ("session", "session_revoked", "reason"),
    ("progress", "xp_awarded", "reason"),
    // an operator's words about the program
    ("skips", "event_skipped", "reason"),
];

/// An aggregate's event types, and how its events are read.
struct Kind {
    aggregate_type: &'static str,
    key_scope: KeyScope,
    types: &'static [(&'static str, u16)],
    read: fn(&Shape) -> Result<Read, Box<dyn Error>>,
    fold: fn(&[&Shape]) -> Outcome,
}

/// A stored payload.
#[derive(Clone)]
struct Shape {
    path: String,
    aggregate_type: String,
    event_type: String,
    version: u16,
    case: Option<String>,
    payload: Value,
}

/// What a payload reads as, and how that is written today.
struct Read {
    event_type: String,
    version: String,
    payload: Value,
}

impl Kind {
    fn of<A: Aggregate>(types: &'static [(&'static str, u16)]) -> Self {
        Self {
            aggregate_type: A::TYPE,
            key_scope: A::KEY_SCOPE,
            types,
            read: read::<A>,
            fold: fold::<A>,
        }
    }

    fn all() -> Vec<Self> {
        vec![
            Self::of::<Account>(AccountEvent::TYPES),
            Self::of::<Session>(SessionEvent::TYPES),
            Self::of::<QuestionBank>(QuestionBankEvent::TYPES),
            Self::of::<Exam>(ExamEvent::TYPES),
            Self::of::<Entry>(EntryEvent::TYPES),
            Self::of::<Progress>(ProgressEvent::TYPES),
            Self::of::<Skips>(SkipsEvent::TYPES),
        ]
    }

    /// Today's version of an event type.
    fn version(&self, event_type: &str) -> Option<u16> {
        let (_, version) = self.types.iter().find(|(name, _)| *name == event_type)?;
        Some(*version)
    }

    fn is_of_today(&self, shape: &Shape) -> bool {
        self.version(&shape.event_type) == Some(shape.version)
    }

    /// This aggregate's shapes, in the order of its event types: the opening event comes first.
    fn shapes(&self) -> Result<Vec<Shape>, Box<dyn Error>> {
        let place = |shape: &Shape| {
            self.types
                .iter()
                .position(|(name, _)| *name == shape.event_type)
        };
        let mut shapes: Vec<Shape> = all_shapes()?
            .into_iter()
            .filter(|shape| shape.aggregate_type == self.aggregate_type)
            .collect();
        shapes.sort_by_key(|shape| (place(shape), shape.version, shape.case.clone()));
        Ok(shapes)
    }
}

impl Shape {
    fn parse(aggregate_type: &str, file: &str, text: &str) -> Result<Self, Box<dyn Error>> {
        let path = format!("{aggregate_type}/{file}");
        let misnamed = || format!("{path}: not <event_type>.v<version>[.<case>].json");
        let mut parts = file
            .strip_suffix(".json")
            .ok_or_else(misnamed)?
            .splitn(3, '.');
        let event_type = parts.next().ok_or_else(misnamed)?;
        let version = parts
            .next()
            .and_then(|part| part.strip_prefix('v'))
            .and_then(|number| number.parse().ok())
            .ok_or_else(misnamed)?;
        Ok(Self {
            aggregate_type: aggregate_type.to_owned(),
            event_type: event_type.to_owned(),
            version,
            case: parts.next().map(str::to_owned),
            payload: serde_json::from_str(text).map_err(|error| format!("{path}: {error}"))?,
            path,
        })
    }

    /// The same event after its keys were destroyed.
    fn erased(&self) -> Self {
        Self {
            payload: erased(&self.payload),
            ..self.clone()
        }
    }

    /// As every reader of the log upcasts it.
    fn upcast(&self) -> SerializedEvent {
        let stored = SerializedEvent::new(
            "stream".to_owned(),
            1,
            self.aggregate_type.clone(),
            self.event_type.clone(),
            self.version.to_string(),
            self.payload.clone(),
            json!({}),
        );
        upcasters::all().iter().fold(stored, |event, upcaster| {
            if upcaster.can_upcast(&event.event_type, &event.event_version) {
                upcaster.upcast(event)
            } else {
                event
            }
        })
    }
}

fn decode<A: Aggregate>(shape: &Shape) -> Result<A::Event, Box<dyn Error>> {
    serde_json::from_value(shape.upcast().payload)
        .map_err(|error| format!("{}: {error}", shape.path).into())
}

fn read<A: Aggregate>(shape: &Shape) -> Result<Read, Box<dyn Error>> {
    let event = decode::<A>(shape)?;
    Ok(Read {
        event_type: event.event_type(),
        version: event.event_version(),
        payload: serde_json::to_value(&event)?,
    })
}

/// Folds a stream whose first event opens it.
fn fold<A: Aggregate>(stream: &[&Shape]) -> Outcome {
    let mut state = A::default();
    let unopened = serde_json::to_value(&state)?;
    for shape in stream {
        state.apply(decode::<A>(shape)?);
        assert_ne!(
            serde_json::to_value(&state)?,
            unopened,
            "after {}",
            shape.path
        );
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "no runtime runs here")]
fn all_shapes() -> Result<Vec<Shape>, Box<dyn Error>> {
    let mut shapes = Vec::new();
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/events");
    for folder in events.read_dir()? {
        let folder = folder?;
        let aggregate_type = folder.file_name().to_string_lossy().into_owned();
        for file in folder.path().read_dir()? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(file.path())?;
            shapes.push(Shape::parse(&aggregate_type, &name, &text)?);
        }
    }
    Ok(shapes)
}

/// `value` with every personal value erased.
fn erased(value: &Value) -> Value {
    match value {
        Value::Object(members) if members.contains_key(KNOWN) => json!({ ERASED: true }),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), erased(value)))
            .collect(),
        Value::Array(items) => items.iter().map(erased).collect(),
        plain => plain.clone(),
    }
}

/// Every member name in `value`.
fn names(value: &Value) -> BTreeSet<&str> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| names(value).into_iter().chain([name.as_str()]))
            .collect(),
        Value::Array(items) => items.iter().flat_map(names).collect(),
        _ => BTreeSet::new(),
    }
}

/// The names in `payload` that only personal values bear and that stand in the clear.
fn exposed<'a>(aggregate_type: &str, event_type: &str, payload: &'a Value) -> Vec<&'a str> {
    let inside = |value: &'a Value| exposed(aggregate_type, event_type, value);
    let is_exposed = |name: &str| {
        PERSONAL.contains(&name) && !NOBODYS.contains(&(aggregate_type, event_type, name))
    };
    match payload {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| value.get(KNOWN).is_none())
            .flat_map(|(name, value)| {
                let own = is_exposed(name).then_some(name.as_str());
                own.into_iter().chain(inside(value))
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(inside).collect(),
        _ => Vec::new(),
    }
}

/// Whether all that `part` says is said by `whole` as well, which may have further members.
fn says(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(name, value)| {
            whole
                .get(name)
                .is_some_and(|counterpart| says(counterpart, value))
        }),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(w, p)| says(w, p))
        }
        _ => whole == part,
    }
}

#[test]
fn every_aggregate_with_events_is_looked_at() -> Outcome {
    let mut with_events = BTreeSet::new();
    let domain = Path::new(env!("CARGO_MANIFEST_DIR")).join("domain/src");
    for context in domain.read_dir()? {
        let context = context?.path();
        if !context.is_dir() {
            continue;
        }
        for aggregate in context.read_dir()? {
            let aggregate = aggregate?;
            if aggregate.path().join("event.rs").is_file() {
                with_events.insert(aggregate.file_name().to_string_lossy().into_owned());
            }
        }
    }
    let looked_at: BTreeSet<String> = Kind::all()
        .iter()
        .map(|kind| kind.aggregate_type.to_owned())
        .collect();
    assert_eq!(looked_at, with_events);
    Ok(())
}

#[test]
fn every_version_of_every_event_type_has_its_file() -> Outcome {
    let kept: BTreeSet<String> = all_shapes()?.into_iter().map(|shape| shape.path).collect();
    let mut missing = Vec::new();
    for kind in Kind::all() {
        for (event_type, today) in kind.types {
            missing.extend(
                (1..=*today)
                    .map(|version| format!("{}/{event_type}.v{version}.json", kind.aggregate_type))
                    .filter(|path| !kept.contains(path)),
            );
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    Ok(())
}

#[test]
fn every_file_is_of_an_event_type_that_is_known_at_that_version() -> Outcome {
    let kinds = Kind::all();
    let strays: Vec<String> = all_shapes()?
        .into_iter()
        .filter(|shape| {
            let today = kinds
                .iter()
                .find(|kind| kind.aggregate_type == shape.aggregate_type)
                .and_then(|kind| kind.version(&shape.event_type));
            !today.is_some_and(|today| (1..=today).contains(&shape.version))
        })
        .map(|shape| shape.path)
        .collect();
    assert_eq!(strays, Vec::<String>::new());
    Ok(())
}

#[test]
fn every_stored_event_is_read_as_its_type_at_the_version_of_today() -> Outcome {
    for kind in Kind::all() {
        for shape in kind.shapes()? {
            let upcast = shape.upcast();
            let read = (kind.read)(&shape)?;
            assert_eq!(read.event_type, upcast.event_type, "{}", shape.path);
            let today = kind
                .version(&read.event_type)
                .map(|today| today.to_string());
            assert_eq!(Some(read.version), today, "{}", shape.path);
            assert_eq!(shape.payload["type"], shape.event_type, "{}", shape.path);
        }
    }
    Ok(())
}

#[test]
fn a_stored_event_written_again_has_lost_nothing() -> Outcome {
    for kind in Kind::all() {
        for shape in kind.shapes()? {
            let written = (kind.read)(&shape)?.payload;
            // through an upcaster fields may be renamed on purpose
            let stored = shape.upcast().payload;
            assert!(
                says(&written, &stored),
                "{} is written as {written:#}",
                shape.path
            );
        }
    }
    Ok(())
}

/// Who adds an optional field adds a file that has it; the older file goes on being read.
#[test]
fn every_event_type_has_a_file_that_is_just_what_is_written_today() -> Outcome {
    let mut outdated = Vec::new();
    for kind in Kind::all() {
        let shapes = kind.shapes()?;
        for (event_type, _) in kind.types {
            let mut is_kept = false;
            for shape in &shapes {
                if shape.event_type == *event_type && kind.is_of_today(shape) {
                    is_kept |= (kind.read)(shape)?.payload == shape.payload;
                }
            }
            if !is_kept {
                outdated.push(format!("{}/{event_type}", kind.aggregate_type));
            }
        }
    }
    assert_eq!(outdated, Vec::<String>::new());
    Ok(())
}

#[test]
fn every_stored_event_is_read_without_its_personal_values() -> Outcome {
    for kind in Kind::all() {
        for shape in kind.shapes()? {
            let shape = shape.erased();
            let written = (kind.read)(&shape)?.payload;
            let stored = shape.upcast().payload;
            assert!(
                says(&written, &stored),
                "{} is written as {written:#}",
                shape.path
            );
            assert!(!names(&written).contains(KNOWN), "{}", shape.path);
        }
    }
    Ok(())
}

#[test]
fn every_stored_event_folds_without_its_personal_values() -> Outcome {
    for kind in Kind::all() {
        let shapes = kind.shapes()?;
        let without: Vec<Shape> = shapes.iter().map(Shape::erased).collect();
        let (Some(opening), Some(opening_without)) = (shapes.first(), without.first()) else {
            return Err(format!("{} has no shapes", kind.aggregate_type).into());
        };
        for shape in &without {
            (kind.fold)(&[opening, shape])?;
            (kind.fold)(&[opening_without, shape])?;
        }
    }
    Ok(())
}

#[test]
fn a_stream_of_all_stored_events_folds_with_and_without_its_personal_values() -> Outcome {
    for kind in Kind::all() {
        let shapes = kind.shapes()?;
        let without: Vec<Shape> = shapes.iter().map(Shape::erased).collect();
        (kind.fold)(&shapes.iter().collect::<Vec<_>>())?;
        (kind.fold)(&without.iter().collect::<Vec<_>>())?;
    }
    Ok(())
}

#[test]
fn nothing_personal_stands_in_the_clear() -> Outcome {
    for shape in all_shapes()? {
        let found = exposed(&shape.aggregate_type, &shape.event_type, &shape.payload);
        assert_eq!(found, Vec::<&str>::new(), "{}", shape.path);
    }
    Ok(())
}

#[test]
fn events_that_no_key_seals_hold_nothing_personal() -> Outcome {
    for kind in Kind::all() {
        for shape in kind.shapes()? {
            let is_sealed = names(&shape.payload).contains(KNOWN);
            assert!(
                kind.key_scope != KeyScope::Clear || !is_sealed,
                "{}",
                shape.path
            );
        }
    }
    Ok(())
}

#[test]
fn a_personal_name_is_found_in_the_clear_and_only_there() {
    let payload = json!({
        "member": { "$personal": { "email": "a@mail.example" } },
        "answers": { "$personal": { "sa_01": 4 } },
        "devices": [{ "ip": "203.0.113.24" }],
        "reason": "spam",
    });
    assert_eq!(
        exposed("account", "account_suspended", &payload),
        ["ip", "reason"]
    );
    assert_eq!(exposed("session", "session_revoked", &payload), ["ip"]);
}

#[test]
fn a_lost_renamed_or_changed_member_is_noticed_and_a_further_one_is_not() {
    let stored = json!({ "a": [{ "b": 1 }], "c": null });
    assert!(says(
        &json!({ "a": [{ "b": 1, "d": 2 }], "c": null }),
        &stored
    ));
    assert!(!says(&json!({ "a": [{ "b": 1 }] }), &stored));
    assert!(!says(&json!({ "a": [{ "d": 1 }], "c": null }), &stored));
    assert!(!says(&json!({ "a": [{ "b": 2 }], "c": null }), &stored));
    assert!(!says(&json!({ "a": [], "c": null }), &stored));
}
