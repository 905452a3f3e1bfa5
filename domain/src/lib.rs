//! The rules of `SoulSense`, and nothing else.
//!
//! No database, no clock, no randomness, no I/O: time, ids, hashes and looked-up facts arrive inside
//! commands. Every context is a folder with one folder per aggregate; an aggregate is a pure synchronous
//! [`Aggregate::decide`] over a state that is folded from events.

pub mod aggregate;
pub mod claim;
pub mod exams;
pub mod gamification;
pub mod id;
pub mod identity;
pub mod journal;
pub mod language;
pub mod operations;
pub mod personal;
pub mod rejection;
pub mod sentiment;
pub mod upcasters;

pub use aggregate::{Aggregate, KeyScope};
pub use claim::{Claim, ClaimChange};
pub use language::{Language, Translated};
pub use personal::Personal;
pub use rejection::{Kind, Rejection, Violation};
