//! What progress is made of.

use serde::{Deserialize, Serialize};

use crate::rejection::Violation;

/// Something a member did that may earn XP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Wrote an entry.
    Journal,
    /// Completed an exam.
    Exam {
        /// Its instrument is a deep dive.
        deep_dive: bool,
        /// Its result is rushed or inconsistent.
        flagged: bool,
    },
}

/// Which days a streak counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreakKind {
    /// Days with an entry.
    Journal,
    /// Days with an exam.
    Exam,
    /// Days with either.
    Any,
}

impl StreakKind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Journal, Self::Exam, Self::Any];

    /// The name in events and over HTTP.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Exam => "exam",
            Self::Any => "any",
        }
    }
}

/// What XP were awarded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// An entry.
    JournalEntry,
    /// An exam.
    ExamCompleted,
    /// A deep dive.
    DeepDiveCompleted,
    /// Seven more days of a journal streak.
    JournalStreak,
    /// Seven more days of an exam streak.
    ExamStreak,
    /// A member of the staff gave them.
    AdminAward,
}

impl Reason {
    /// The name in events and over HTTP.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::JournalEntry => "journal_entry",
            Self::ExamCompleted => "exam_completed",
            Self::DeepDiveCompleted => "deep_dive_completed",
            Self::JournalStreak => "journal_streak",
            Self::ExamStreak => "exam_streak",
            Self::AdminAward => "admin_award",
        }
    }
}

/// XP that staff may give at once: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(u32);

impl Amount {
    const MAX: i64 = 10_000;

    /// An amount in range.
    pub fn try_new(amount: i64) -> Result<Self, Violation> {
        u32::try_from(amount)
            .ok()
            .filter(|_| (1..=Self::MAX).contains(&amount))
            .map(Self)
            .ok_or_else(|| {
                Violation::new("out_of_range", "The number is out of range.")
                    .with("min", 1)
                    .with("max", Self::MAX)
            })
    }

    /// As XP.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}
