//! Levels: how far XP carries.

/// Where a total of XP stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// From 1.
    pub level: u32,
    /// The total at which this level began.
    pub current_threshold: u64,
    /// The total at which the next level begins.
    pub next_level_at: u64,
    /// The part of this level that is done, 0 to 1, rounded down to the thousandth: never quite 1.
    pub progress: f64,
}

const FIRST_THRESHOLD: u128 = 500;

/// The level of `total_xp`: from 1 with a threshold of 500; while the total is at least the threshold,
/// one level more and threshold = ⌊threshold · 1.2⌋, in whole numbers.
#[must_use]
pub fn level(total_xp: u64) -> Level {
    let total = u128::from(total_xp);
    let mut level = 1;
    let mut current = 0;
    let mut next = FIRST_THRESHOLD;
    while total >= next {
        level += 1;
        current = next;
        next += next / 5;
    }
    let thousandths = (total - current) * 1_000 / (next - current);
    Level {
        level,
        current_threshold: u64::try_from(current).unwrap_or(u64::MAX),
        next_level_at: u64::try_from(next).unwrap_or(u64::MAX),
        progress: u16::try_from(thousandths).map_or(1.0, f64::from) / 1_000.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_levels_begin_at_500_600_720_and_864() {
        for (total, expected, next) in [
            (0, 1, 500),
            (499, 1, 500),
            (500, 2, 600),
            (599, 2, 600),
            (600, 3, 720),
            (720, 4, 864),
            (864, 5, 1_036),
            (1_036, 6, 1_243),
        ] {
            let Level {
                level,
                next_level_at,
                ..
            } = level(total);
            assert_eq!((level, next_level_at), (expected, next), "{total}");
        }
    }

    #[test]
    fn progress_is_the_part_of_the_level_that_is_done() {
        for (total, progress) in [(0, 0.0), (250, 0.5), (499, 0.998), (500, 0.0), (550, 0.5)] {
            assert!((level(total).progress - progress).abs() < 1e-9, "{total}");
        }
    }

    #[test]
    fn the_largest_total_has_a_level() {
        let Level {
            level,
            current_threshold,
            next_level_at,
            progress,
        } = level(u64::MAX);
        assert!(level > 200);
        assert!(current_threshold <= next_level_at);
        assert!((0.0..1.0).contains(&progress));
    }

    proptest! {
        #[test]
        fn more_xp_is_never_a_lower_level(one in any::<u64>(), other in any::<u64>()) {
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(level(less).level <= level(more).level);
        }

        #[test]
        fn a_total_lies_within_its_level(total in 0..u64::MAX / 2) {
            let found = level(total);
            prop_assert!(found.current_threshold <= total && total < found.next_level_at);
            prop_assert!((0.0..1.0).contains(&found.progress));
        }
    }
}
