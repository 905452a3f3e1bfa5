//! Read models of audit: everyone's events, what stands in the clear beside their payloads.

mod projection;
mod queries;

pub use projection::{AUDIT, Audit};
pub use queries::{AuditEvent, Filter, Stream, events, position_of, streams_of};

/// The projections that this context's GETs read.
pub const READ: &[&str] = &[AUDIT];
