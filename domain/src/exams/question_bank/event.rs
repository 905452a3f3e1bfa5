//! What happened to a question bank.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::value::Bank;
use crate::event_types;

/// What happened to a question bank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum QuestionBankEvent {
    /// The bank became available.
    BankPublished {
        /// The bank in full; its texts are nobody's personal data.
        bank: Box<Bank>,
        /// When.
        published_at: DateTime<Utc>,
    },
    /// No further exams start from the bank.
    BankRetired {
        /// When.
        retired_at: DateTime<Utc>,
    },
}

event_types!(QuestionBankEvent {
    BankPublished: "bank_published" 1,
    BankRetired: "bank_retired" 1,
});
