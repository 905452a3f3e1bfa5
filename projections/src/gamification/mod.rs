//! Read models of gamification.

/// The projections that this context's GETs read.
pub const READ: &[&str] = &[];
