//! Read models of identity.

/// The projections that this context's GETs read.
pub const READ: &[&str] = &[];
