//! The end of the log as this process has committed or read it last: several follow it, and an event is fetched at
//! most once for all, its own events not even that.
//! What is committed never changes, so nothing in here grows stale. It is as sealed as in the log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::reader::RecordedEvent;

/// Most events kept.
const EVENTS: usize = 2_000;
/// Most bytes of their payloads and metadata.
const BYTES: usize = 4 << 20;

/// Events without gaps.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The first of them follows this position.
    after: i64,
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
}

impl Kept {
    fn end(&self) -> i64 {
        self.events.back().map_or(self.after, |last| last.position)
    }
}

fn bytes(event: &RecordedEvent) -> usize {
    event.payload.len() + event.metadata.len()
}

impl Recent {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events after a position up to `to`, at most `limit`; nothing when they are not kept.
    pub(crate) fn after(&self, after: i64, to: i64, limit: i64) -> Vec<Arc<RecordedEvent>> {
        let kept = self.kept();
        if after < kept.after {
            return Vec::new();
        }
        let begin = kept.events.partition_point(|event| event.position <= after);
        let fitting = kept.events.range(begin..);
        fitting
            .take_while(|event| event.position <= to)
            .take(usize::try_from(limit).unwrap_or_default())
            .cloned()
            .collect()
    }

    /// Keeps a page, if it leads on from what is kept or stands beyond it.
    pub(crate) fn keep(&self, page: &[Arc<RecordedEvent>]) {
        let mut kept = self.kept();
        let end = kept.end();
        let (Some(first), Some(last)) = (page.first(), page.last()) else {
            return;
        };
        if last.position <= end {
            return;
        }
        let after = first.position - 1;
        if after > end || kept.events.is_empty() {
            *kept = Kept {
                after,
                ..Kept::default()
            };
        }
        for event in page.iter().filter(|event| event.position > end) {
            kept.bytes += bytes(event);
            kept.events.push_back(Arc::clone(event));
        }
        while kept.events.len() > EVENTS || kept.bytes > BYTES {
            let Some(first) = kept.events.pop_front() else {
                break;
            };
            kept.bytes -= bytes(&first);
            kept.after = first.position;
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn event(position: i64, size: usize) -> Arc<RecordedEvent> {
        Arc::new(RecordedEvent {
            aggregate_type: String::new(),
            aggregate_id: String::new(),
            sequence: 1,
            event_type: String::new(),
            event_version: String::new(),
            payload: "x".repeat(size),
            metadata: String::new(),
            position,
            event_id: Uuid::nil(),
            recorded_at: DateTime::UNIX_EPOCH,
            correlation_id: Uuid::nil(),
            causation_id: None,
            actor_id: String::new(),
            subject_id: None,
            content_hash: Vec::new(),
        })
    }

    fn page(after: i64, to: i64) -> Vec<Arc<RecordedEvent>> {
        (after + 1..=to).map(|at| event(at, 10)).collect()
    }

    fn positions(recent: &Recent, after: i64, to: i64, limit: i64) -> Vec<i64> {
        let found = recent.after(after, to, limit);
        found.iter().map(|event| event.position).collect()
    }

    #[test]
    fn what_was_read_is_there_for_the_next_who_asks() {
        let recent = Recent::default();
        recent.keep(&page(3, 6));
        assert_eq!(positions(&recent, 3, 6, 10), [4, 5, 6]);
        assert_eq!(positions(&recent, 4, 5, 10), [5]);
        assert_eq!(positions(&recent, 3, 9, 2), [4, 5]);
        assert!(positions(&recent, 2, 6, 10).is_empty());
        assert!(positions(&recent, 6, 9, 10).is_empty());
    }

    #[test]
    fn long_words_do_not_take_more_memory_than_there_is_for_them() {
        let recent = Recent::default();
        for at in 0..100 {
            recent.keep(&[event(at + 1, 100_000)]);
        }
        assert!(recent.kept().bytes <= BYTES);
        assert_eq!(positions(&recent, 99, 100, 10), [100]);
    }

    proptest! {
        /// Whatever is read in whatever order: an answer begins where it was asked for and has no gaps.
        #[test]
        fn an_answer_has_no_gaps(
            reads in prop::collection::vec((0_i64..3_000, 0_i64..1_500), 1..40),
            asked in prop::collection::vec((0_i64..3_000, 0_i64..3_000, 1_i64..2_000), 1..20),
        ) {
            let recent = Recent::default();
            for (after, count) in reads {
                recent.keep(&page(after, after + count));
                prop_assert!(recent.kept().events.len() <= EVENTS);
                for (after, to, limit) in &asked {
                    let found = positions(&recent, *after, *to, *limit);
                    let end = after + i64::try_from(found.len()).unwrap_or_default();
                    prop_assert!(end <= *after + limit && (found.is_empty() || end <= *to));
                    prop_assert_eq!(found, (after + 1..=end).collect::<Vec<_>>());
                }
            }
        }
    }
}
