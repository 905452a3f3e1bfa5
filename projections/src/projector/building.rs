//! What only a generation that is being built needs: pages in bulk, and its indexes afterwards.

use std::sync::Arc;
use std::time::Instant;

use event_log::database::is_unavailable;
use event_log::patience::unhurried;
use event_log::reader::Head;
use futures::StreamExt;
use futures::future::{join_all, ready, try_join_all};

use super::{Owned, Projector, Unread};
use crate::ahead::Ahead;
use crate::threads::{joined, on_a_thread};

/// Threads that fold pages. More than write at the same time, so that one folds while others wait for the
/// database; few, since each keeps memory for itself.
const THREADS: usize = 4;

impl Projector {
    /// The next page of generations that are built side by side: it was read ahead, and each projection folds
    /// it on a thread of its own, so that a rebuild holds up neither the requests nor the other cores.
    pub(super) async fn build(
        &self,
        cluster: Vec<Owned>,
        ahead: &mut Ahead,
        range: (i64, i64),
        head: Head,
    ) -> Result<Vec<Owned>, Unread> {
        let projections: Vec<_> = cluster
            .iter()
            .map(|mine| Arc::clone(&mine.projection))
            .collect();
        let page = ahead
            .page(&self.parts, &projections, range, head.position)
            .await;
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
    pub(super) async fn index(&self, owned: &mut Vec<Owned>) {
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
                Err(error) => owned.extend(self.failed(mine, &[], &error.into()).await),
            }
        }
    }

    async fn make_indexes(&self, mine: &Owned) -> Result<(), sqlx::Error> {
        let script = mine.tables.render(mine.projection.indexes());
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
