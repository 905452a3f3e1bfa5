//! One page into one generation: folded, written with its checkpoint, and tried again where that fails.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::database::{Engine, is_unavailable};
use futures::StreamExt;

use super::{Given, Owned, Projector, SAVE, Unread};
use crate::fact::Fact;
use crate::generations::Advance;
use crate::projection::{ProjectionError, Writer};

/// How much shorter pages are after a failure, time and again, until the culprit stands alone.
const CAREFUL: usize = 10;
/// Transactions of one page that run at the same time on Postgres.
const PARALLEL: usize = 4;

/// Tries of one event before its projection stops.
const ATTEMPTS: i64 = 5;
/// What became of one page in one generation.
enum Outcome {
    Done,
    /// The lease is lost or the database is away: take it anew and read the checkpoint.
    Lost,
    Failed(ProjectionError),
}

impl Projector {
    /// The next page, after the first position up to the second, of generations that stand at the first.
    pub(super) async fn fold_alone(
        &self,
        cluster: Vec<Owned>,
        (after, to): (i64, i64),
        limit: i64,
    ) -> Result<Vec<Owned>, Unread> {
        let given: Vec<Given> = cluster.iter().map(|mine| mine.given.clone()).collect();
        let page = async {
            let page = self.parts.reader.page(after, to, limit).await?;
            self.parts.open(page, &given).await
        };
        let page = match page.await {
            Ok(page) => page,
            Err(error) => return Err((cluster, error)),
        };
        Ok(futures::stream::iter(cluster)
            .map(|mine| self.settle(mine, &page, false))
            .buffer_unordered(self.parallel())
            .filter_map(futures::future::ready)
            .collect()
            .await)
    }

    /// Transactions that run at the same time.
    pub(super) fn parallel(&self) -> usize {
        match self.parts.read.engine() {
            Engine::Postgres => PARALLEL,
            Engine::Sqlite => 1,
        }
    }

    /// Folds a page into one generation; `None` when the generation is not this node's any more.
    pub(super) async fn settle<F: Borrow<Fact>>(
        &self,
        mut mine: Owned,
        page: &[F],
        rebuild: bool,
    ) -> Option<Owned> {
        let name = mine.given.projection.name();
        match self.fold(&mut mine, page, rebuild).await {
            Outcome::Done => {
                mine.attempts = 0;
                self.progress.moved(name, mine.generation, mine.position);
                Some(mine)
            }
            Outcome::Lost => None,
            Outcome::Failed(error) => self.failed(mine, page, &error).await,
        }
    }

    async fn fold<F: Borrow<Fact>>(&self, mine: &mut Owned, page: &[F], rebuild: bool) -> Outcome {
        let Some(last) = page.last().map(Borrow::borrow) else {
            return Outcome::Done;
        };
        let handled: Vec<&Fact> = page
            .iter()
            .map(Borrow::borrow)
            .filter(|fact: &&Fact| mine.given.handles(&fact.recorded))
            .collect();
        let unreadable = handled.iter().find_map(|fact| match &fact.event {
            Ok(_) => None,
            Err(_) if !mine.given.projection.reads_payloads() => None,
            Err(source) => Some(ProjectionError::Unreadable {
                position: fact.recorded.position,
                source: Arc::clone(source),
            }),
        });
        if let Some(error) = unreadable {
            return Outcome::Failed(error);
        }
        let mut writer = Writer::new(&self.parts.read, &mine.tables).behind(&self.gate, rebuild);
        if !handled.is_empty()
            && let Err(error) = mine.given.projection.project(&handled, &mut writer).await
        {
            return match error {
                ProjectionError::Database(cause) if is_unavailable(&cause) => Outcome::Lost,
                error => Outcome::Failed(error),
            };
        }
        let to = last.recorded.position;
        let advance = Advance {
            projection: mine.given.projection.name(),
            generation: mine.generation,
            epoch: mine.epoch,
            from: mine.saved,
            to,
            event_id: last.recorded.event_id,
            now: self.now(),
        };
        let moved = match writer.into_writing() {
            Some(mut writing) => {
                let moved = self
                    .generations
                    .advance_in(&mut writing.transaction, advance);
                match moved.await {
                    Ok(true) => writing.commit().await.map(|()| true),
                    other => other,
                }
            }
            None if mine.saved_at.elapsed() < SAVE => {
                mine.position = to;
                return Outcome::Done;
            }
            None => self.generations.advance(advance).await,
        };
        match moved {
            Ok(true) => {
                mine.position = to;
                mine.saved = to;
                mine.saved_at = Instant::now();
                Outcome::Done
            }
            Ok(false) => Outcome::Lost,
            Err(error) if is_unavailable(&error) => Outcome::Lost,
            Err(error) => Outcome::Failed(error.into()),
        }
    }

    /// Backs off, looks for the culprit event by event, and stops after too many tries of it.
    pub(super) async fn failed<F: Borrow<Fact>>(
        &self,
        mut mine: Owned,
        page: &[F],
        error: &ProjectionError,
    ) -> Option<Owned> {
        let (name, generation) = (mine.given.projection.name(), mine.generation);
        let culprit = match error {
            ProjectionError::Unreadable { position, .. } => Some(*position),
            _ if page.len() == 1 => page.first().map(|fact| fact.borrow().recorded.position),
            _ => None,
        };
        mine.attempts += 1;
        let stopped = mine.attempts >= ATTEMPTS && page.len() <= 1;
        if page.len() > 1 {
            mine.careful_until = page
                .last()
                .map_or(0, |fact| fact.borrow().recorded.position);
            mine.careful_page = i64::try_from(page.len() / CAREFUL).unwrap_or(1).max(1);
            mine.attempts = 0;
        }
        let noted = self
            .generations
            .fail(
                name,
                generation,
                mine.epoch,
                mine.attempts,
                &error.to_string(),
                culprit,
                stopped,
                self.now(),
            )
            .await;
        // another node has it, or it was dropped with its tables: then the failure is nobody's
        if !matches!(noted, Ok(true)) {
            return None;
        }
        tracing::error!(
            error = error as &dyn std::error::Error,
            projection = name,
            generation,
            position = culprit.unwrap_or(mine.position + 1),
            attempts = mine.attempts,
            stopped,
            "a page cannot be projected"
        );
        if stopped {
            return None;
        }
        let wait = u64::try_from(mine.attempts)
            .unwrap_or_default()
            .saturating_mul(100);
        mine.not_before = Instant::now() + Duration::from_millis(wait);
        Some(mine)
    }
}
