//! Experience points, levels and streaks.

pub mod progress;
