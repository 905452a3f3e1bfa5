//! Read models of exams: the published question banks, and every member's attempts with their results.

pub mod attempts;
pub mod question_banks;
mod stored;

/// The projections that this context's GETs read.
pub const READ: &[&str] = &["question_banks", "exams"];
