//! What happened in an exam.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::scoring::ExamResult;
use super::value::{Answers, AskedItem, Reflection};
use crate::event_types;
use crate::id::{AccountId, ExamId};
use crate::language::Language;
use crate::personal::Personal;

/// What happened in an exam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExamEvent {
    /// A member began.
    ExamStarted {
        /// The exam.
        exam_id: ExamId,
        /// Who sits it.
        account_id: AccountId,
        /// The instrument's slug.
        instrument: String,
        /// The version of its bank.
        bank_version: u32,
        /// The formulas it will be scored by.
        scoring_version: u16,
        /// The language it is asked and reflected on in.
        language: Language,
        /// What is asked, in order.
        items: Vec<AskedItem>,
        /// How long it may be left alone, in seconds.
        idle_timeout_seconds: i64,
        /// When.
        started_at: DateTime<Utc>,
    },
    /// One or many answers were given or changed.
    ResponseSaved {
        /// The new or changed answers only.
        answers: Personal<Answers>,
        /// When.
        saved_at: DateTime<Utc>,
    },
    /// The member said something about it, in place of what was said before.
    ReflectionWritten {
        /// The words.
        reflection: Personal<Reflection>,
        /// When.
        written_at: DateTime<Utc>,
    },
    /// Everything was answered, and scored.
    ExamCompleted {
        /// Who sat it.
        account_id: AccountId,
        /// The instrument's slug.
        instrument: String,
        /// The version of its bank.
        bank_version: u32,
        /// The formulas it was scored by.
        scoring_version: u16,
        /// The result.
        result: Personal<ExamResult>,
        /// When.
        completed_at: DateTime<Utc>,
    },
    /// The member gave it up.
    ExamAbandoned {
        /// When.
        abandoned_at: DateTime<Utc>,
    },
    /// It was left alone for too long.
    ExamExpired {
        /// When this was found; the time ran out earlier.
        expired_at: DateTime<Utc>,
    },
    /// It went with its data subject.
    ExamErased {
        /// Whose it was.
        account_id: AccountId,
        /// When.
        erased_at: DateTime<Utc>,
    },
}

event_types!(ExamEvent {
    ExamStarted: "exam_started" 1,
    ResponseSaved: "response_saved" 1,
    ReflectionWritten: "reflection_written" 1,
    ExamCompleted: "exam_completed" 1,
    ExamAbandoned: "exam_abandoned" 1,
    ExamExpired: "exam_expired" 1,
    ExamErased: "exam_erased" 1,
});
