//! How far the live generations have come, as one node knows it: for waiting for one's own writes, for
//! readiness and for lag.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::projection::Projection;

/// Progress of the live generations.
#[derive(Debug, Default)]
pub struct Progress {
    known: Mutex<Known>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct Known {
    live: HashMap<&'static str, Reached>,
    /// Each is woken once, when all it waits for is there, and is forgotten when it has gone away.
    waiters: HashMap<u64, Waiter>,
    /// Name of the next waiter.
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    projections: Vec<&'static str>,
    position: i64,
    there: oneshot::Sender<()>,
}

/// How far one live generation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Which generation.
    pub generation: i64,
    /// Its checkpoint.
    pub position: i64,
    /// It has stopped and is not waited for.
    pub stopped: bool,
}

fn has_reached(
    live: &HashMap<&'static str, Reached>,
    projections: &[&'static str],
    position: i64,
) -> bool {
    projections.iter().all(|name| {
        live.get(name)
            .is_none_or(|at| at.stopped || at.position >= position)
    })
}

impl Known {
    /// Wakes whom news of this projection lets go on.
    fn wake(&mut self, projection: &str) {
        let (live, waiters) = (&self.live, &mut self.waiters);
        let done = waiters.extract_if(|_, waiter| {
            waiter.projections.contains(&projection)
                && has_reached(live, &waiter.projections, waiter.position)
        });
        for (_, waiter) in done {
            let _gone = waiter.there.send(());
        }
    }
}

impl Progress {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is known of a live generation; a position never goes back within a generation.
    pub(crate) fn reached(&self, projection: &'static str, new: Reached) {
        let mut known = self.known();
        let before = known.live.get(projection).copied();
        let next = match before {
            Some(before) if before.generation == new.generation => Reached {
                position: before.position.max(new.position),
                ..new
            },
            _ => new,
        };
        if before != Some(next) {
            known.live.insert(projection, next);
            known.wake(projection);
        }
    }

    /// Notes progress made by this node itself.
    pub(crate) fn moved(&self, projection: &'static str, generation: i64, position: i64) {
        let mut known = self.known();
        if let Some(at) = known.live.get_mut(projection)
            && at.generation == generation
            && at.position < position
        {
            at.position = position;
            known.wake(projection);
        }
    }

    /// True when each of these has a live generation.
    pub(crate) fn knows(&self, projections: &[Arc<dyn Projection>]) -> bool {
        let known = self.known();
        projections
            .iter()
            .all(|projection| known.live.contains_key(projection.name()))
    }

    /// What is live now.
    pub fn now(&self) -> HashMap<&'static str, Reached> {
        self.known().live.clone()
    }

    /// Waits until the given projections have reached a position; false when `most` has passed first.
    /// A stopped or absent projection is not waited for.
    pub async fn wait(&self, projections: &[&'static str], position: i64, most: Duration) -> bool {
        let (there, _waits) = {
            let mut known = self.known();
            if has_reached(&known.live, projections, position) {
                return true;
            }
            let (sender, there) = oneshot::channel();
            let name = known.next;
            known.next += 1;
            known.waiters.insert(
                name,
                Waiter {
                    projections: projections.to_vec(),
                    position,
                    there: sender,
                },
            );
            (there, Waits(self, name))
        };
        self.asked.notify_one();
        matches!(tokio::time::timeout(most, there).await, Ok(Ok(())))
    }

    /// True while somebody waits, so that remote checkpoints are looked at often.
    pub(crate) fn somebody_waits(&self) -> bool {
        !self.known().waiters.is_empty()
    }

    /// Returns when somebody begins to wait.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }
}

/// A waiter that is forgotten when it gives up.
struct Waits<'p>(&'p Progress, u64);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.known().waiters.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn at(position: i64) -> Reached {
        Reached {
            generation: 1,
            position,
            stopped: false,
        }
    }

    fn known(names: &[&'static str]) -> Arc<Progress> {
        let progress = Progress::default();
        for name in names {
            progress.reached(name, at(0));
        }
        Arc::new(progress)
    }

    /// A task that waits already when this returns.
    async fn waiting(
        progress: &Arc<Progress>,
        names: &'static [&'static str],
        position: i64,
    ) -> tokio::task::JoinHandle<bool> {
        let before = progress.known().waiters.len();
        let waits = Arc::clone(progress);
        let task = tokio::spawn(async move { waits.wait(names, position, LONG).await });
        while progress.known().waiters.len() == before {
            tokio::task::yield_now().await;
        }
        task
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_the_last_of_theirs_has_come_far_enough() {
        let progress = known(&["a", "b", "c"]);
        let task = waiting(&progress, &["a", "b"], 5).await;
        progress.moved("a", 1, 5);
        progress.moved("c", 1, 9);
        progress.moved("b", 1, 4);
        progress.moved("b", 2, 9);
        assert!(progress.somebody_waits());
        progress.moved("b", 1, 7);
        assert!(!progress.somebody_waits());
        assert!(matches!(task.await, Ok(true)));
    }

    #[tokio::test]
    async fn a_projection_that_stops_is_waited_for_no_longer() {
        let progress = known(&["a"]);
        let task = waiting(&progress, &["a"], 5).await;
        let stopped = true;
        progress.reached("a", Reached { stopped, ..at(0) });
        assert!(matches!(task.await, Ok(true)));
    }

    #[tokio::test]
    async fn a_new_generation_may_be_the_one_that_was_waited_for() {
        let progress = known(&["a"]);
        let task = waiting(&progress, &["a"], 5).await;
        let generation = 2;
        progress.reached(
            "a",
            Reached {
                generation,
                ..at(5)
            },
        );
        assert!(matches!(task.await, Ok(true)));
    }

    #[tokio::test]
    async fn who_gives_up_or_goes_away_is_forgotten() {
        let progress = known(&["a"]);
        assert!(!progress.wait(&["a"], 5, Duration::from_millis(5)).await);
        let task = waiting(&progress, &["a"], 5).await;
        task.abort();
        let _aborted = task.await;
        assert!(!progress.somebody_waits());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_news_is_missed_by_who_begins_to_wait_meanwhile() {
        let progress = known(&["a", "b"]);
        let waiters: Vec<_> = (1..=4_000)
            .map(|position| {
                let progress = Arc::clone(&progress);
                tokio::spawn(async move { progress.wait(&["a", "b"], position, LONG).await })
            })
            .collect();
        for name in ["a", "b"] {
            let progress = Arc::clone(&progress);
            tokio::spawn(async move {
                for position in 1..=4_000 {
                    progress.moved(name, 1, position);
                    if position % 8 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        for waiter in waiters {
            assert!(matches!(waiter.await, Ok(true)));
        }
        assert!(!progress.somebody_waits());
    }
}
