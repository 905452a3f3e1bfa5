//! Progress's no.

use thiserror::Error;

use crate::rejection::{Kind, Rejection};

/// Why an account's progress refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProgressError {
    /// The stream is another account's, or the account is erased.
    #[error("there is no such progress")]
    NotFound,
    /// Nobody awards themselves.
    #[error("nobody may award XP to themselves")]
    OwnAward,
}

impl Rejection for ProgressError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "gamification.not_found",
            Self::OwnAward => "gamification.own_award",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::OwnAward => Kind::Forbidden,
        }
    }
}
