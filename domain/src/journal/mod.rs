//! A member's diary.

pub mod entry;
