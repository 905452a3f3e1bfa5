//! Why an event is not skipped.

use thiserror::Error;

use crate::rejection::{Kind, Rejection};

/// Why an event is not skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SkipsError {
    /// The projection folds this event, or has not come to it yet.
    #[error("the projection has not stopped at this position")]
    NotStoppedThere,
}

impl Rejection for SkipsError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotStoppedThere => "operations.not_stopped_there",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotStoppedThere => Kind::Conflict,
        }
    }
}
