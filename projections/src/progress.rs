//! How far the live generations have come, as one node knows it: for waiting for one's own writes, for
//! readiness and for lag.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::projection::Projection;

/// Progress of the live generations.
#[derive(Debug)]
pub struct Progress {
    live: watch::Sender<HashMap<&'static str, Reached>>,
    waiting: AtomicUsize,
    asked: Notify,
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

impl Default for Progress {
    fn default() -> Self {
        Self {
            live: watch::channel(HashMap::new()).0,
            waiting: AtomicUsize::new(0),
            asked: Notify::new(),
        }
    }
}

impl Progress {
    /// Notes what is known of a live generation; a position never goes back within a generation.
    pub(crate) fn reached(&self, projection: &'static str, new: Reached) {
        self.live.send_if_modified(|live| {
            let known = live.get(projection).copied();
            let next = match known {
                Some(known) if known.generation == new.generation => Reached {
                    position: known.position.max(new.position),
                    ..new
                },
                _ => new,
            };
            live.insert(projection, next);
            known != Some(next)
        });
    }

    /// Notes progress made by this node itself.
    pub(crate) fn moved(&self, projection: &'static str, generation: i64, position: i64) {
        self.live
            .send_if_modified(|live| match live.get_mut(projection) {
                Some(known) if known.generation == generation && known.position < position => {
                    known.position = position;
                    true
                }
                _ => false,
            });
    }

    /// True when each of these has a live generation.
    pub(crate) fn knows(&self, projections: &[Arc<dyn Projection>]) -> bool {
        let live = self.live.borrow();
        projections
            .iter()
            .all(|projection| live.contains_key(projection.name()))
    }

    /// What is live now.
    pub fn now(&self) -> HashMap<&'static str, Reached> {
        self.live.borrow().clone()
    }

    /// Waits until the given projections have reached a position; false when `most` has passed first.
    /// A stopped or absent projection is not waited for.
    pub async fn wait(&self, projections: &[&str], position: i64, most: Duration) -> bool {
        let mut live = self.live.subscribe();
        let deadline = Instant::now() + most;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.asked.notify_one();
        let reached = timeout_at(
            deadline,
            live.wait_for(|live| {
                projections.iter().all(|name| {
                    live.get(name)
                        .is_none_or(|at| at.stopped || at.position >= position)
                })
            }),
        )
        .await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        matches!(reached, Ok(Ok(_)))
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
