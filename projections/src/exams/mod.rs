//! Read models of exams.

/// The projections that this context's GETs read.
pub const READ: &[&str] = &[];
