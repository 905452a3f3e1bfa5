//! Days in a row.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::value::StreakKind;

/// No more freezes than this are held at once.
pub const MAX_FREEZES: u8 = 2;

const DAYS_PER_FREEZE: u32 = 14;

/// A streak as it stood after its last counted day. How it stands today says [`Streak::as_of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Streak {
    /// Days of activity in the present run; days a freeze covered are not counted.
    pub current: u32,
    /// Days of the longest run there was.
    pub longest: u32,
    /// Freezes held, 0 to [`MAX_FREEZES`].
    pub freezes: u8,
    /// The last day with activity, on the member's calendar; `None` before the first.
    pub last_day: Option<NaiveDate>,
}

/// A streak as it stands on a given day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreakToday {
    /// Days of the run that still goes on, 0 when it is over.
    pub current: u32,
    /// Days of the longest run there was.
    pub longest: u32,
    /// Freezes left after those that missed days have used up.
    pub freezes: u8,
    /// The day itself has counted already.
    pub active_today: bool,
}

impl Streak {
    /// How the streak stands on `day`: the run goes on while every missed day before `day` is covered by
    /// a freeze; `day` itself is not missed yet.
    #[must_use]
    pub fn as_of(&self, day: NaiveDate) -> StreakToday {
        let missed = self.last_day.map_or(0, |last| (day - last).num_days() - 1);
        let left = i64::from(self.freezes) - missed.max(0);
        StreakToday {
            current: if left >= 0 { self.current } else { 0 },
            longest: self.longest,
            freezes: u8::try_from(left).unwrap_or(0),
            active_today: self.last_day.is_some_and(|last| day <= last),
        }
    }

    /// The streak after activity on `day`; `None` when that day changes nothing.
    #[must_use]
    pub fn extended(&self, day: NaiveDate) -> Option<Self> {
        let before = self.as_of(day);
        if before.active_today {
            return None;
        }
        let current = before.current.saturating_add(1);
        let earned = u8::from(current.is_multiple_of(DAYS_PER_FREEZE));
        Some(Self {
            current,
            longest: self.longest.max(current),
            freezes: (before.freezes + earned).min(MAX_FREEZES),
            last_day: Some(day),
        })
    }
}

/// The three streaks of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Streaks {
    /// Days with an entry.
    pub journal: Streak,
    /// Days with an exam.
    pub exam: Streak,
    /// Days with either.
    pub any: Streak,
}

impl Streaks {
    /// The streak of that kind.
    #[must_use]
    pub const fn get(&self, kind: StreakKind) -> &Streak {
        match kind {
            StreakKind::Journal => &self.journal,
            StreakKind::Exam => &self.exam,
            StreakKind::Any => &self.any,
        }
    }

    pub(super) const fn get_mut(&mut self, kind: StreakKind) -> &mut Streak {
        match kind {
            StreakKind::Journal => &mut self.journal,
            StreakKind::Exam => &mut self.exam,
            StreakKind::Any => &mut self.any,
        }
    }
}
