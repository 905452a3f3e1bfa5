//! The `entry` aggregate: one page of a member's diary, from writing to erasure.
//!
//! An entry is written once and revised as often as the member likes; every revision stays readable in
//! the stream. Deleted, it can be restored for 30 days. Erased, its key is gone and nothing but ids and
//! times remain. What another member owns, or what is not there, is not found, without a difference.

mod aggregate;
mod command;
mod derived;
mod error;
mod event;
mod value;

#[cfg(test)]
mod tests;

pub use aggregate::{Entry, Page, RESTORABLE_FOR, Status};
pub use command::{Change, EntryCommand};
pub use derived::{Derived, WORDS_A_MINUTE, word_count};
pub use error::EntryError;
pub use event::EntryEvent;
pub use value::{Draft, EntryBody, Hours, Patch};
