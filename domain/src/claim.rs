//! Claims: values that at most one stream may hold at a time, judged in the append that needs them.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::id::AccountId;

/// A value within a scope, for instance a username. The log stores an HMAC of the value only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// What kind of value it is, for instance `identity.username`.
    pub scope: &'static str,
    /// The value in its canonical form; may be personal, so it is never printed.
    pub value: String,
}

impl Claim {
    /// A claim on `value` within `scope`.
    pub fn new(scope: &'static str, value: impl Into<String>) -> Self {
        Self {
            scope,
            value: value.into(),
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// What an event does to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimChange {
    /// The stream takes the claim, or keeps it when it holds it already; refused while another holds it.
    Take(Claim),
    /// The stream gives the claim up at once.
    Release(Claim),
    /// The claim stays with the stream until the given time, then it is free.
    ReleaseAt(Claim, DateTime<Utc>),
    /// From here on only events that [`crate::Aggregate::erases`] names are appended for this subject.
    Erase(AccountId),
}
