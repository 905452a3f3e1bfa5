//! One attempt at a questionnaire, from the first question to the scored result.
//!
//! Whoever starts while an attempt at the same instrument is under way gets that one: being under way is a
//! claim ([`IN_PROGRESS`]). An attempt that is left alone for its idle timeout takes nothing more; the next
//! start of the same instrument expires it.

mod aggregate;
mod command;
mod error;
mod event;
pub mod scoring;
pub mod selection;
#[cfg(test)]
mod tests;
mod value;

pub use aggregate::{Attempt, Exam, Status};
pub use command::{ExamCommand, Response, Start};
pub use error::ExamError;
pub use event::ExamEvent;
pub use scoring::{Band, CategoryResult, ExamResult, Flags, Overall, Percentage, Priority};
pub use value::{Answer, Answers, AskedItem, QuestionCount, Reflection};

/// The claim scope that holds `{account}/{instrument}` while an exam is under way.
pub const IN_PROGRESS: &str = "exams.in_progress";
