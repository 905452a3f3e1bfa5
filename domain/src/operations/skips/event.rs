//! What happened to the skips of a projection.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::value::SkipReason;
use crate::event_types;

/// What happened to the skips of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SkipsEvent {
    /// An event is left out by every generation of the projection from now on.
    EventSkipped {
        /// Name of the projection.
        projection: String,
        /// Where the event stands in the log.
        position: i64,
        /// Why, in an operator's words: about the program, never about a person.
        reason: SkipReason,
        /// When.
        skipped_at: DateTime<Utc>,
    },
}

event_types!(SkipsEvent {
    EventSkipped: "event_skipped" 1,
});
