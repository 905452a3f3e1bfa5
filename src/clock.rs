//! The only place where the time is read and ids are made: everything else is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

/// Says what time it is, in whole microseconds: what both databases store, so that a time compares equal
/// after a round trip.
#[derive(Debug, Clone, Default)]
pub struct Clock(Time);

#[derive(Debug, Clone, Default)]
enum Time {
    #[default]
    System,
    /// Microseconds since 1970.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Time::System)
    }

    /// A clock for tests that stands at `at` until it is moved by [`Clock::advance`]. Clones move together.
    #[must_use]
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self(Time::Fixed(Arc::new(AtomicI64::new(at.timestamp_micros()))))
    }

    /// The present moment, truncated to microseconds.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Time::System => Utc::now().trunc_subsecs(6),
            Time::Fixed(micros) => {
                DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst)).unwrap_or_default()
            }
        }
    }

    /// Moves a fixed clock; the system's cannot be moved.
    pub fn advance(&self, by: TimeDelta) {
        if let Time::Fixed(micros) = &self.0 {
            micros.fetch_add(by.num_microseconds().unwrap_or_default(), Ordering::SeqCst);
        }
    }
}

/// Makes ids.
#[derive(Debug, Clone, Default)]
pub struct Ids(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    System,
    Numbered(Arc<AtomicU64>),
}

impl Ids {
    /// UUIDv7 from the machine's clock and randomness.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// For tests: 1, 2, 3, … in the shape of UUIDv7. Clones count together.
    #[must_use]
    pub fn numbered() -> Self {
        Self(Source::Numbered(Arc::default()))
    }

    /// A fresh id.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that makes them")]
    pub fn next(&self) -> Uuid {
        match &self.0 {
            Source::System => Uuid::now_v7(),
            Source::Numbered(count) => {
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let mut bytes = [0; 10];
                bytes[2..].copy_from_slice(&number.to_be_bytes());
                uuid::Builder::from_unix_timestamp_millis(0, &bytes).into_uuid()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_has_no_nanoseconds() {
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1_000, 0);
    }

    #[test]
    fn a_fixed_clock_stands_until_it_is_moved() {
        let clock = Clock::fixed(DateTime::UNIX_EPOCH);
        let before = clock.now();
        clock.clone().advance(TimeDelta::minutes(15));
        assert_eq!(clock.now() - before, TimeDelta::minutes(15));
    }

    #[test]
    fn ids_are_version_seven_and_differ() {
        for ids in [Ids::system(), Ids::numbered()] {
            let (first, second) = (ids.next(), ids.clone().next());
            assert!(first < second);
            assert_eq!(first.get_version_num(), 7);
            assert_eq!(second.get_version_num(), 7);
        }
    }
}
