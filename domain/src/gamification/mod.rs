//! Experience points (XP), levels and streaks.
//!
//! A member's **progress** is one stream for as long as the account lives. Nobody asks for it: a
//! **policy** turns what a member did elsewhere (an entry written, an exam completed) into a command, and
//! the aggregate decides what it earns. Every award has a **cause**, the event behind it, and counts once
//! for it. Nothing in the stream is in the member's words, so nothing in it is sealed.

pub mod level;
pub mod policy;
pub mod progress;
