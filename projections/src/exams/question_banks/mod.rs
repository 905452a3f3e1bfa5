//! The published question banks, without what would tell how they are scored: keying, weights and pairs.

mod projection;
mod queries;

pub use projection::QuestionBanks;
pub use queries::{
    BankSummary, CategorySummary, Question, Wanted, bank, banks, categories, current_bank,
    question, questions, questions_of,
};
