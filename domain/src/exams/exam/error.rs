//! Why an exam says no.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::id::ExamId;
use crate::rejection::{Kind, Rejection, Violation};

/// Why an exam says no.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ExamError {
    /// There is no such exam, or it is another member's, or it is erased.
    #[error("no such exam")]
    NotFound,
    /// One of the same instrument is under way; whoever starts is given that one.
    #[error("an exam of this instrument is in progress")]
    AlreadyInProgress {
        /// The one under way.
        exam_id: ExamId,
    },
    /// The last one of the same instrument was completed too recently.
    #[error("the next exam of this instrument can start later")]
    Cooldown {
        /// When the next may start.
        available_at: DateTime<Utc>,
    },
    /// No item of the bank is meant for the member's age.
    #[error("this instrument has no questions for the member's age")]
    NothingToAsk,
    /// Answers that cannot be: an unknown item, or a value off the scale.
    #[error("some responses are not valid")]
    Invalid(Vec<Violation>),
    /// Items that have no answer yet.
    #[error("some questions are not answered yet")]
    Incomplete {
        /// Their ids, in the order they are asked.
        missing: Vec<String>,
    },
    /// A completed exam stays as it is.
    #[error("the exam is completed")]
    AlreadyCompleted,
    /// There is no result before completion.
    #[error("the exam is not completed")]
    NotCompleted,
    /// The member has given it up.
    #[error("the exam was abandoned")]
    Abandoned,
    /// It was left alone for too long.
    #[error("the exam has expired")]
    Expired,
    /// It cannot expire, for it was not left alone for long enough.
    #[error("the exam is still active")]
    StillActive,
}

impl Rejection for ExamError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "exams.not_found",
            Self::AlreadyInProgress { .. } => "exams.already_in_progress",
            Self::Cooldown { .. } => "exams.cooldown",
            Self::NothingToAsk => "exams.nothing_to_ask",
            Self::Invalid(_) => "exams.invalid_responses",
            Self::Incomplete { .. } => "exams.incomplete",
            Self::AlreadyCompleted => "exams.already_completed",
            Self::NotCompleted => "exams.not_completed",
            Self::Abandoned => "exams.abandoned",
            Self::Expired => "exams.expired",
            Self::StillActive => "exams.still_active",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Invalid(_) | Self::Incomplete { .. } => Kind::Invalid,
            Self::AlreadyInProgress { .. }
            | Self::Cooldown { .. }
            | Self::NothingToAsk
            | Self::AlreadyCompleted
            | Self::NotCompleted
            | Self::Abandoned
            | Self::Expired
            | Self::StillActive => Kind::Conflict,
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Invalid(violations) => violations.clone(),
            _ => Vec::new(),
        }
    }

    fn extensions(&self) -> Map<String, Value> {
        let (name, value) = match self {
            Self::AlreadyInProgress { exam_id } => ("exam_id", Value::from(exam_id.to_string())),
            Self::Cooldown { available_at } => (
                "available_at",
                Value::from(available_at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            ),
            Self::Incomplete { missing } => ("missing", Value::from(missing.clone())),
            _ => return Map::new(),
        };
        Map::from_iter([(name.to_owned(), value)])
    }
}
