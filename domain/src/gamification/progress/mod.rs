//! The `progress` aggregate: what one account has earned.
//!
//! XP: a journal entry 50, at most 5 in any 24 hours (deleting an entry takes nothing back); an exam 100;
//! a deep dive 60 in its place; 200 for each multiple of 7 days a journal or exam streak reaches, once in
//! a run. A flagged exam earns nothing at all: no XP, and no day of a streak, which could be bought with
//! it otherwise.
//!
//! Streaks (journal, exam, any) count days of activity on the member's calendar: the next day is one more;
//! a freeze covers one missed day (one is earned at each multiple of 14 days, at most 2 are held); a gap
//! wider than the freezes uses them up and the next activity starts anew at 1. A day at or before the last
//! counted one changes nothing, so that activity that comes late or a journey west breaks no streak.
//!
//! An award counts once for its cause. The stream remembers the last [`REMEMBERED_CAUSES`] of them; beyond
//! that the command id, which derives from the cause, keeps a repetition out for ever.

mod aggregate;
mod command;
mod error;
mod event;
mod streak;
mod value;

#[cfg(test)]
mod tests;

pub use aggregate::{Ledger, Progress, REMEMBERED_CAUSES};
pub use command::ProgressCommand;
pub use error::ProgressError;
pub use event::ProgressEvent;
pub use streak::{MAX_FREEZES, Streak, StreakToday, Streaks};
pub use value::{Activity, Amount, Reason, StreakKind};
