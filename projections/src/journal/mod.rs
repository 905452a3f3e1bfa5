//! Read models of journal.

/// The projections that this context's GETs read.
pub const READ: &[&str] = &[];
