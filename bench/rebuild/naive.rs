//! The way most read models are kept: an event is read, folded and committed before the next one is.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use projections::fact::read_page;
use projections::generations::Advance;
use projections::projection::{Projection, Writer};
use projections::tables::Tables;
use soulsense::node::Node;

use crate::number;

/// Events a second over the first `events` of the log, in a generation of its own that is dropped again.
pub async fn rate(
    node: &Arc<Node>,
    projection: &dyn Projection,
    events: i64,
) -> anyhow::Result<f64> {
    let (generations, reader) = (node.projector.generations(), node.log.reader());
    let read = &node.homes.read;
    // as if of an older version, so that nobody else builds it
    let older = Older(projection);
    let head = reader.head().await?;
    let generation = generations
        .add(&older, head, node.clock.now())
        .await?
        .context("a generation is left over")?;
    let owner = node.ids.next();
    let lease = generations
        .take(projection.name(), generation, owner)
        .await?
        .context("somebody else has it")?;
    let tables = Tables::of(read.engine(), [(projection, generation)]);
    for statement in tables.render(projection.indexes()).split_inclusive(';') {
        if statement.contains(';') {
            generations.index(statement).await?;
        }
    }
    let upcasters = domain::upcasters::all();
    let began = Instant::now();
    for position in 0..events {
        let page = reader.page(position, head.position, 1).await?;
        let facts = read_page(node.log.keys(), &upcasters, page, |_| true).await?;
        let fact = facts.first().context("the log has a gap")?;
        let mut writer = Writer::new(read, &tables);
        writer.transaction().await?;
        if projection.handles(&fact.recorded.aggregate_type, &fact.recorded.event_type) {
            projection.project(&[fact], &mut writer).await?;
        }
        let mut writing = writer.into_writing().context("no transaction")?;
        let advance = Advance {
            projection: projection.name(),
            generation,
            epoch: lease.epoch,
            from: position,
            to: position + 1,
            event_id: fact.recorded.event_id,
            now: node.clock.now(),
        };
        let moved = generations
            .advance_in(&mut writing.transaction, advance)
            .await?;
        ensure!(moved, "the lease is lost");
        writing.commit().await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rows = generations.list().await?;
    let row = rows
        .iter()
        .find(|row| row.projection == projection.name() && row.generation == generation)
        .context("the generation is gone")?;
    generations.remove(row).await?;
    Ok(number(events) / seconds)
}

/// A projection under a version that no node runs.
#[derive(Debug)]
struct Older<'p>(&'p dyn Projection);

#[async_trait::async_trait]
impl Projection for Older<'_> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn version(&self) -> i64 {
        0
    }

    fn schema(&self) -> &'static str {
        self.0.schema()
    }

    fn handles(&self, aggregate_type: &str, event_type: &str) -> bool {
        self.0.handles(aggregate_type, event_type)
    }

    async fn project(
        &self,
        page: &[&projections::fact::Fact],
        writer: &mut Writer<'_>,
    ) -> Result<(), projections::projection::ProjectionError> {
        self.0.project(page, writer).await
    }
}
