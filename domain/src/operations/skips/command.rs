//! What may be asked of the skips of a projection.

use chrono::{DateTime, Utc};

use super::value::SkipReason;

/// What may be asked of the skips of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipsCommand {
    /// Leave one event out for good. The same event again changes nothing.
    Skip {
        /// Name of the projection.
        projection: String,
        /// Where the event stands in the log, from 1.
        position: i64,
        /// Where generations of the projection have stopped: only such an event is skipped.
        stopped_at: Vec<i64>,
        /// Why.
        reason: SkipReason,
        /// When.
        now: DateTime<Utc>,
    },
}
