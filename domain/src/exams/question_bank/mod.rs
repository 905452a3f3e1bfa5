//! One published version of a questionnaire: immutable from then on, so that a result can always be
//! explained by what was asked.

mod aggregate;
mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;
mod value;

pub use aggregate::QuestionBank;
pub use command::QuestionBankCommand;
pub use error::QuestionBankError;
pub use event::QuestionBankEvent;
pub use value::{Bank, Category, Item, Scale};

/// The banks that come with the program, as data files; [`Bank::parse`] reads one.
pub const SHIPPED: &[&str] = &[include_str!("../../../data/banks/eq.json")];
