//! What may be asked of a question bank.

use chrono::{DateTime, Utc};

use super::value::Bank;

/// What may be asked of a question bank. Its stream is [`Bank::stream_id`].
#[derive(Debug, Clone, PartialEq)]
pub enum QuestionBankCommand {
    /// Make the bank available. The same bank again changes nothing.
    Publish {
        /// The bank in full.
        bank: Box<Bank>,
        /// When.
        now: DateTime<Utc>,
    },
    /// Start no further exams from this bank. Exams under way are finished with it.
    Retire {
        /// When.
        now: DateTime<Utc>,
    },
}
