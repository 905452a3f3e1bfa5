//! Events as no command would decide them, straight into the log.

use event_log::EventLog;
use event_log::append::{Append, NewEvent, Verdict};
use event_log::content_hash::Content;

use super::engines::{Outcome, id};

/// Appends `count` events with one payload to a new stream.
pub async fn append(
    log: &EventLog,
    aggregate_type: &'static str,
    event_type: &str,
    payload: &str,
    count: usize,
) -> Outcome {
    let (stream, correlation_id) = (id().to_string(), id());
    let metadata = r#"{"actor_role":"system"}"#;
    let event = |sequence: i64| {
        let event_id = id();
        let content_hash = Content {
            aggregate_type,
            aggregate_id: &stream,
            sequence,
            event_type,
            event_version: "1",
            payload,
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
            payload: payload.to_owned(),
            metadata: metadata.to_owned(),
            content_hash,
        }
    };
    let append = Append {
        aggregate_type,
        aggregate_id: stream.clone(),
        expected: 0,
        events: (1..).take(count).map(event).collect(),
        claims: Vec::new(),
        command: None,
        correlation_id,
        causation_id: None,
        actor_id: "test".to_owned(),
        subject_id: None,
        erasing: false,
    };
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
