//! Why a question bank says no.

use thiserror::Error;

use crate::rejection::{Kind, Rejection, Violation};

/// Why a question bank says no.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum QuestionBankError {
    /// The bank breaks a rule of its format.
    #[error("the question bank is not valid")]
    Invalid(Vec<Violation>),
    /// Published banks never change: other content needs another version.
    #[error("this version of the question bank is published with other content")]
    AlreadyPublished,
    /// No such bank was published.
    #[error("no such question bank")]
    NotFound,
}

impl Rejection for QuestionBankError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "exams.bank_invalid",
            Self::AlreadyPublished => "exams.bank_already_published",
            Self::NotFound => "exams.bank_not_found",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) => Kind::Invalid,
            Self::AlreadyPublished => Kind::Conflict,
            Self::NotFound => Kind::NotFound,
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Invalid(violations) => violations.clone(),
            Self::AlreadyPublished | Self::NotFound => Vec::new(),
        }
    }
}
