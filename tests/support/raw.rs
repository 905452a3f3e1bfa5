//! Events as no command would decide them, straight into the log.

use event_log::EventLog;
use event_log::append::{Append, NewEvent, Verdict};
use event_log::content_hash::Content;

use super::engines::{Outcome, id};

/// What a command would hand to the appender for events of these payloads, after the sequence `expected`.
pub fn decided(
    aggregate_type: &'static str,
    stream: &str,
    expected: i64,
    event_type: &str,
    payloads: impl IntoIterator<Item = String>,
) -> Append {
    let (correlation_id, metadata) = (id(), r#"{"actor_role":"system"}"#);
    let event = |(sequence, payload): (i64, String)| {
        let event_id = id();
        let content_hash = Content {
            aggregate_type,
            aggregate_id: stream,
            sequence,
            event_type,
            event_version: "1",
            payload: &payload,
            metadata,
            event_id,
            correlation_id,
            causation_id: None,
            actor_id: "test",
            subject_id: None,
        }
        .hash();
        NewEvent {
            event_id,
            event_type: event_type.to_owned(),
            event_version: "1".to_owned(),
            payload,
            metadata: metadata.to_owned(),
            content_hash,
        }
    };
    Append {
        aggregate_type,
        aggregate_id: stream.to_owned(),
        expected,
        events: (expected + 1..).zip(payloads).map(event).collect(),
        claims: Vec::new(),
        command: None,
        correlation_id,
        causation_id: None,
        actor_id: "test".to_owned(),
        subject_id: None,
        erasing: false,
    }
}

/// Appends `count` events with one payload to a new stream.
pub async fn append(
    log: &EventLog,
    aggregate_type: &'static str,
    event_type: &str,
    payload: &str,
    count: usize,
) -> Outcome {
    let payloads = std::iter::repeat_n(payload.to_owned(), count);
    let append = decided(aggregate_type, &id().to_string(), 0, event_type, payloads);
    let verdict = log.appender().append(append).await?;
    assert!(matches!(verdict, Verdict::Appended { .. }), "{verdict:?}");
    Ok(())
}

/// Appends one event of a journal entry that no program knows.
pub async fn unknown_entry(log: &EventLog) -> Outcome {
    append(log, "entry", "never_heard", r#"{"type":"never_heard"}"#, 1).await
}

/// Appends events that only the audit trail has a use for.
pub async fn padding(log: &EventLog, count: usize) -> Outcome {
    let mut left = count;
    while left > 0 {
        let some = left.min(500);
        append(log, "nothing", "never_heard", "{}", some).await?;
        left -= some;
    }
    Ok(())
}
