//! How many commands shared a commit: counters of the appender, for metrics and benchmarks.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts batches by their size, as they are written.
#[derive(Debug)]
pub(crate) struct Counters(Box<[AtomicU64]>);

impl Counters {
    /// For batches of at most `largest` commands.
    pub(crate) fn new(largest: usize) -> Self {
        Self((0..=largest).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn add(&self, commands: usize) {
        if let Some(counter) = self.0.get(commands) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> Batches {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Batches(counts.collect())
    }
}

/// How many batches of each size were taken from the queue, since the process began or between two readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batches(Vec<u64>);

impl Batches {
    /// Each size that can occur, in commands, with the number of batches that had it.
    pub fn sizes(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().copied().enumerate().skip(1)
    }

    /// Number of batches.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.sizes().map(|(_, batches)| batches).sum()
    }

    /// Number of commands in them.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.sizes()
            .map(|(commands, batches)| batches * commands as u64)
            .sum()
    }

    /// Commands in a batch on average; 0 without batches.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean of more than 2^53 commands may be off by a hair"
    )]
    pub fn mean(&self) -> f64 {
        self.commands() as f64 / self.count().max(1) as f64
    }

    /// What came after an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let earlier = earlier.0.iter().chain(std::iter::repeat(&0));
        let counts = self.0.iter().zip(earlier);
        Self(
            counts
                .map(|(now, then)| now.saturating_sub(*then))
                .collect(),
        )
    }

    /// The size, in commands, that this share of the batches (0 to 1) did not exceed; 0 without batches.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of more than 2^53 batches may be off by one"
    )]
    pub fn quantile(&self, share: f64) -> usize {
        let wanted = self.count() as f64 * share;
        let mut seen = 0;
        let mut last = 0;
        for (commands, batches) in self.sizes().filter(|(_, batches)| *batches > 0) {
            seen += batches;
            last = commands;
            if seen as f64 >= wanted {
                break;
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_and_told_apart_from_earlier_ones() {
        let counters = Counters::new(4);
        counters.add(4);
        let earlier = counters.read();
        for size in [1, 1, 3, 3, 3] {
            counters.add(size);
        }
        let later = counters.read().since(&earlier);
        assert_eq!((later.count(), later.commands()), (5, 11));
        assert!((later.mean() - 2.2).abs() < 1e-9);
        assert_eq!((later.quantile(0.4), later.quantile(0.5)), (1, 3));
        assert_eq!((counters.read().quantile(1.0), later.quantile(1.0)), (4, 3));
    }

    #[test]
    fn without_batches_nothing_is_counted() {
        let none = Counters::new(4).read();
        assert_eq!(
            (none.count(), none.commands(), none.quantile(0.5)),
            (0, 0, 0)
        );
    }
}
