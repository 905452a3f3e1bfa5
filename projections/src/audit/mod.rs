//! Read models of audit.

/// The projections that this context's GETs read.
pub const READ: &[&str] = &[];
