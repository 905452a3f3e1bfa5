//! Read models of journal: a member's entries as they stand.

mod projection;
pub mod queries;
mod shown;

pub use projection::Entries;

/// The projections that this context's GETs read.
pub const READ: &[&str] = &[projection::NAME];
