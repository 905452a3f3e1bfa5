//! The entry's no.

use thiserror::Error;

use crate::rejection::{Kind, Rejection, Violation};

/// Why an entry refuses a command.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum EntryError {
    /// There is no such entry, it is another member's, or it is deleted or erased.
    #[error("there is no such entry")]
    NotFound,
    /// The id belongs to an entry that is written already.
    #[error("this entry is written already")]
    AlreadyWritten,
    /// The entry was revised after the client read it.
    #[error("the entry was revised after it was read")]
    Stale,
    /// Something in the body is out of range.
    #[error("the entry has {} invalid field(s)", .0.len())]
    Invalid(Vec<Violation>),
}

impl From<Vec<Violation>> for EntryError {
    fn from(violations: Vec<Violation>) -> Self {
        Self::Invalid(violations)
    }
}

impl Rejection for EntryError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "journal.not_found",
            Self::AlreadyWritten => "journal.already_written",
            Self::Stale => "journal.stale",
            Self::Invalid(_) => "journal.invalid",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::AlreadyWritten => Kind::Conflict,
            Self::Stale => Kind::Stale,
            Self::Invalid(_) => Kind::Invalid,
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Invalid(violations) => violations.clone(),
            Self::NotFound | Self::AlreadyWritten | Self::Stale => Vec::new(),
        }
    }
}
