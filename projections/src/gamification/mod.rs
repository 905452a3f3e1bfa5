//! Read models of gamification: what each account has earned, its streaks, its awards.

mod projection;
pub mod queries;

pub use projection::Progress;

/// The projections that this context's GETs read.
pub const READ: &[&str] = &[projection::NAME];
