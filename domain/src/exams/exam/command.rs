//! What may be asked of an exam.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::value::{QuestionCount, Reflection};
use crate::exams::question_bank::Bank;
use crate::id::{AccountId, ExamId};
use crate::language::Language;

/// What may be asked of an exam. Its stream is the [`ExamId`].
#[derive(Debug, Clone, PartialEq)]
pub enum ExamCommand {
    /// Pick items of a bank and ask them.
    Start(Start),
    /// Answer items, all or none of them. Answers may change until completion.
    SaveResponses {
        /// Who asks.
        account_id: AccountId,
        /// The answers, one or many.
        responses: Vec<Response>,
        /// When.
        now: DateTime<Utc>,
    },
    /// Say something about it in one's own words, in place of what was said before.
    WriteReflection {
        /// Who asks.
        account_id: AccountId,
        /// The words.
        reflection: Reflection,
        /// When.
        now: DateTime<Utc>,
    },
    /// Have it scored. Once it is, asking again changes nothing.
    Complete {
        /// Who asks.
        account_id: AccountId,
        /// Words in place of what was said before.
        reflection: Option<Reflection>,
        /// When.
        now: DateTime<Utc>,
    },
    /// Give it up.
    Abandon {
        /// Who asks.
        account_id: AccountId,
        /// When.
        now: DateTime<Utc>,
    },
    /// Close it because it was left alone for its idle timeout. Nothing to do when it is closed already.
    Expire {
        /// When.
        now: DateTime<Utc>,
    },
    /// Take it away with its data subject.
    Erase {
        /// When.
        now: DateTime<Utc>,
    },
}

/// An answer as it arrives; the exam judges item and value together, so that one reply names all that is
/// wrong.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The item's slug.
    pub question_id: String,
    /// The answer, to be 1 to 5.
    pub value: i64,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("question_id", &self.question_id)
            .finish_non_exhaustive()
    }
}

/// All that the start of an exam rests on.
#[derive(Clone, PartialEq)]
pub struct Start {
    /// The new exam's id, which also decides the items.
    pub exam_id: ExamId,
    /// Who sits it.
    pub account_id: AccountId,
    /// The published bank of the instrument.
    pub bank: Arc<Bank>,
    /// How many items are wished for.
    pub question_count: QuestionCount,
    /// The member's age in years, when it is known. Personal.
    pub age: Option<u8>,
    /// The language it is asked and reflected on in.
    pub language: Language,
    /// How long it may be left alone, in whole seconds.
    pub idle_timeout: TimeDelta,
    /// When the member last completed one of the same instrument.
    pub last_completed_at: Option<DateTime<Utc>>,
    /// How long after completion the next may start.
    pub cooldown: TimeDelta,
    /// When.
    pub now: DateTime<Utc>,
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("exam_id", &self.exam_id)
            .field("account_id", &self.account_id)
            .field("bank", &self.bank.stream_id())
            .finish_non_exhaustive()
    }
}
