//! How far the live generations have come, as one node knows it: for waiting for one's own writes, for
//! readiness and for lag.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::projection::Projection;

/// Progress of the live generations.
#[derive(Debug, Default)]
pub struct Progress {
    known: Mutex<Known>,
    waiting: AtomicUsize,
    asked: Notify,
}

#[derive(Debug, Default)]
struct Known {
    live: HashMap<&'static str, Reached>,
    /// Each is woken once, when all it waits for is there.
    waiters: Vec<Waiter>,
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

impl Known {
    fn has_reached(&self, projections: &[&'static str], position: i64) -> bool {
        projections.iter().all(|name| {
            self.live
                .get(name)
                .is_none_or(|at| at.stopped || at.position >= position)
        })
    }

    /// Wakes whom news of this projection lets go on; forgets who has gone away.
    fn wake(&mut self, projection: &str) {
        let waiters = std::mem::take(&mut self.waiters);
        for waiter in waiters {
            let is_done = waiter.projections.contains(&projection)
                && self.has_reached(&waiter.projections, waiter.position);
            if is_done {
                let _gone = waiter.there.send(());
            } else if !waiter.there.is_closed() {
                self.waiters.push(waiter);
            }
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
        let there = {
            let mut known = self.known();
            if known.has_reached(projections, position) {
                return true;
            }
            let (sender, there) = oneshot::channel();
            known.waiters.push(Waiter {
                projections: projections.to_vec(),
                position,
                there: sender,
            });
            there
        };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        self.asked.notify_one();
        matches!(tokio::time::timeout(most, there).await, Ok(Ok(())))
    }

    /// True while somebody waits, so that remote checkpoints are looked at often.
    pub(crate) fn somebody_waits(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Returns when somebody begins to wait.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }
}

/// Counted as long as it lives, also when the waiting is given up.
struct Waits<'p>(&'p AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
