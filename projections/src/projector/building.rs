//! Generations that are being built: pages in bulk, indexes afterwards, and going live.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use event_log::append::Committed;
use event_log::database::is_unavailable;
use event_log::patience::unhurried;
use event_log::reader::{Head, ReadError};
use futures::StreamExt;
use futures::future::{join_all, ready, try_join_all};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    LONGEST_PAUSE, Owned, PAGE, POLL, POLL_FOR_NOBODY, Projector, Unread, Which, paused,
    waits_for_database,
};
use crate::ahead::{Ahead, end_of_page};
use crate::fact::Fact;
use crate::threads::{joined, on_a_thread};

/// Threads that fold pages. More than write at the same time, so that one folds while others wait for the
/// database; few, since each keeps memory for itself.
const THREADS: usize = 4;

/// What the task looks after.
#[derive(Default)]
struct Task {
    owned: Vec<Owned>,
    looked: Option<Instant>,
    ahead: Ahead,
}

impl Projector {
    /// Builds what is to be built until `stop`; then gives all leases up.
    pub(super) async fn build(
        &self,
        mut committed: watch::Receiver<Committed>,
        stop: &CancellationToken,
    ) {
        let mut task = Task::default();
        let mut pause = POLL;
        while !stop.is_cancelled() {
            committed.mark_unchanged();
            match self.turn(&mut task).await {
                Ok(true) => pause = POLL,
                Ok(false) => {
                    pause = POLL;
                    tokio::select! {
                        _ = paused(POLL, stop) => {}
                        changed = committed.changed() => {
                            if changed.is_err() {
                                paused(POLL, stop).await;
                            }
                        }
                    }
                }
                Err(error) => {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    waits_for_database(&error);
                    paused(pause, stop).await;
                }
            }
        }
        self.give_up(task.owned).await;
    }

    /// Looks at the generations when it is time to, then one round. True when there is more to do now.
    async fn turn(&self, task: &mut Task) -> Result<bool, ReadError> {
        if task.looked.is_none_or(|at| at.elapsed() >= POLL_FOR_NOBODY) {
            self.assign(Which::Building, &mut task.owned, |_| false)
                .await?;
            task.looked = Some(Instant::now());
        }
        self.index(&mut task.owned).await;
        self.round(task).await
    }

    /// One page for the hindmost, until it has come to the next: from there on they share their pages. Those
    /// that look for a culprit have theirs besides. True when there is more to do now.
    async fn round(&self, task: &mut Task) -> Result<bool, ReadError> {
        let Task { owned, ahead, .. } = task;
        if owned.is_empty() {
            ahead.clear();
            return Ok(false);
        }
        let head = self.parts.reader.head().await?;
        let now = Instant::now();
        let mut clusters: BTreeMap<(i64, i64), Vec<Owned>> = BTreeMap::new();
        let mut idle = Vec::new();
        for mine in owned.drain(..) {
            if mine.position < head.position && mine.not_before <= now {
                clusters
                    .entry((mine.position, mine.limit()))
                    .or_default()
                    .push(mine);
            } else {
                idle.push(mine);
            }
        }
        let mut busy = false;
        let mut failed = None;
        let mut steady = clusters
            .keys()
            .filter(|(_, limit)| *limit == PAGE)
            .map(|(position, _)| *position);
        let (hindmost, next) = (steady.next(), steady.next());
        drop(steady);
        while let Some(((position, limit), cluster)) = clusters.pop_last() {
            if failed.is_some() {
                owned.extend(cluster);
                continue;
            }
            let bulk = limit == PAGE;
            if bulk && hindmost != Some(position) {
                busy = true;
                owned.extend(cluster);
                continue;
            }
            let folded = if bulk {
                let end = end_of_page(position).min(head.position);
                let to = next.map_or(end, |next| end.min(next));
                self.build_page(cluster, ahead, (position, to), head).await
            } else {
                self.fold_alone(cluster, (position, head.position), limit)
                    .await
            };
            match folded {
                Ok(cluster) => {
                    for mine in cluster {
                        if mine.position < head.position {
                            busy = true;
                            owned.push(mine);
                        } else {
                            idle.push(mine);
                        }
                    }
                }
                Err((cluster, error)) => {
                    owned.extend(cluster);
                    failed = Some(error);
                }
            }
        }
        for mine in idle {
            match self.rest(mine, head).await {
                Ok(mine) => owned.extend(mine),
                // the lease is still this node's: it is taken up again with the next look
                Err(error) => failed = failed.or(Some(error.into())),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(busy),
        }
    }

    /// What is due when there is nothing to fold: saving the checkpoint, and going live at the head.
    /// `None` when the generation is not this task's any more.
    async fn rest(&self, mut mine: Owned, head: Head) -> Result<Option<Owned>, sqlx::Error> {
        let ready = mine.indexed && mine.position >= head.position;
        if self.save(&mine, ready).await? {
            mine.saved = mine.position;
            mine.saved_at = Instant::now();
        }
        if ready && mine.saved == mine.position && self.cut_over(&mine).await? {
            return Ok(None);
        }
        Ok(Some(mine))
    }

    /// Makes a built generation live once it is as far as the one it replaces.
    async fn cut_over(&self, mine: &Owned) -> Result<bool, sqlx::Error> {
        let (name, version) = (
            mine.given.projection.name(),
            mine.given.projection.version(),
        );
        let live = self
            .generations
            .cut_over(name, version, mine.generation, self.now())
            .await?;
        if live {
            tracing::info!(
                projection = name,
                generation = mine.generation,
                position = mine.position,
                "a generation is live"
            );
            self.look(&self.generations.list().await?);
        }
        Ok(live)
    }

    /// The next page of generations that are built side by side: it was read ahead, and each projection folds
    /// it on a thread of its own, so that a rebuild holds up neither the requests nor the other cores.
    async fn build_page(
        &self,
        cluster: Vec<Owned>,
        ahead: &mut Ahead,
        range: (i64, i64),
        head: Head,
    ) -> Result<Vec<Owned>, Unread> {
        let given: Vec<_> = cluster.iter().map(|mine| mine.given.clone()).collect();
        let page = ahead.page(&self.parts, &given, range, head.position).await;
        let page = match page {
            Ok(page) => page,
            Err(error) => return Err((cluster, error)),
        };
        Ok(futures::stream::iter(cluster)
            .map(|mine| {
                let (projector, page) = (self.clone(), Arc::clone(&page));
                joined(on_a_thread(async move || {
                    Box::pin(unhurried(projector.settle(mine, &page, true))).await
                }))
            })
            .buffer_unordered(THREADS)
            .filter_map(|folded| ready(folded.flatten()))
            .collect()
            .await)
    }

    /// Gives those that have come to where building began what queries search by.
    async fn index(&self, owned: &mut Vec<Owned>) {
        let now = Instant::now();
        let (due, rest): (Vec<_>, Vec<_>) = owned.drain(..).partition(|mine| {
            !mine.indexed && mine.position >= mine.target && mine.not_before <= now
        });
        *owned = rest;
        let made = join_all(due.iter().map(|mine| self.make_indexes(mine))).await;
        for (mut mine, made) in due.into_iter().zip(made) {
            match made {
                Ok(()) => {
                    mine.indexed = true;
                    owned.push(mine);
                }
                // it is not held on to, and taken anew
                Err(error) if is_unavailable(&error) => {}
                Err(error) => owned.extend(self.failed::<Fact>(mine, &[], &error.into()).await),
            }
        }
    }

    async fn make_indexes(&self, mine: &Owned) -> Result<(), sqlx::Error> {
        let script = mine.tables.render(mine.given.projection.indexes());
        let each = script
            .split_inclusive(';')
            .filter(|text| text.contains(';'))
            .map(async |statement| {
                let _turn = self.gate.enter(true).await;
                self.generations.index(statement).await
            });
        try_join_all(each).await.map(|_| ())
    }
}
