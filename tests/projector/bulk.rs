//! The bulk of a rebuild: long pages that are read ahead and shared, and indexes afterwards.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use event_log::database::Engine;
use event_log::fetch_all;
use projections::generations::State;
use projections::projection::Projection;
use projections::tables::Tables;

use super::{House, Node, until};
use crate::support::engines::{Outcome, each_engine};

/// Longer than several pages of a rebuild, and not a multiple of one.
const LONG: usize = 7_300;

/// The indexes of a read model's tables in one generation.
async fn indexes_of(
    house: &House,
    projection: &dyn Projection,
    generation: i64,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let read = &house.homes.read;
    let text = match read.engine() {
        Engine::Postgres => {
            "SELECT CAST(indexname AS TEXT) FROM pg_indexes WHERE schemaname = 'read' AND tablename = $1"
        }
        Engine::Sqlite => "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = $1",
    };
    let tables = Tables::of(read.engine(), [(projection, generation)]);
    let mut found = BTreeSet::new();
    for table in tables.physical() {
        let bare = table.trim_start_matches("read.");
        let names: Vec<(String,)> = fetch_all!(read, (String,), text, bare)?;
        found.extend(names.into_iter().map(|(name,)| name));
    }
    Ok(found)
}

/// The names that a projection gives to what queries search by.
fn wanted(house: &House, projection: &dyn Projection, generation: i64) -> BTreeSet<String> {
    let tables = Tables::of(house.homes.read.engine(), [(projection, generation)]);
    tables
        .render(projection.indexes())
        .split("IF NOT EXISTS ")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next().map(str::to_owned))
        .collect()
}

/// Every event of the long log is folded by both projections.
async fn is_whole(house: &House, node: &Node) -> Outcome {
    let long = i64::try_from(LONG)?;
    assert_eq!(house.counted(&node.projector).await?, long);
    assert_eq!(house.trail(&node.projector).await?, long);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_folded_once_and_indexed_before_it_goes_live() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        house.known(LONG).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(i64::try_from(LONG)?).await?;
        is_whole(&house, &node).await?;
        let audit = node.projector.named("audit").ok_or("no audit")?;
        let (names, there) = (
            wanted(&house, audit, 1),
            indexes_of(&house, audit, 1).await?,
        );
        assert_eq!(names.len(), 5);
        assert!(names.is_subset(&there), "{names:?} but {there:?}");
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_queries_search_by_is_made_after_the_bulk_and_also_by_who_takes_over() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        house.known(LONG).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(i64::try_from(LONG)?).await?;
        // the tallies hold the pages up, so that the audit beside them is caught in the middle
        house.tallies.pause.store(400, Ordering::Relaxed);
        let head = house.log.reader().head().await?;
        for name in ["audit", "tallies"] {
            let projection = node.projector.named(name).ok_or("no such projection")?;
            node.projector.rebuild(projection, head).await?;
        }
        until("the audit has begun", async || {
            let row = node.row("audit", State::Building).await?;
            Ok(row.is_some_and(|row| row.position >= 1_000))
        })
        .await?;
        node.kill().await;
        let projector = house.projector(&house.homes);
        let audit = projector.named("audit").ok_or("no audit")?;
        let names = wanted(&house, audit, 2);
        let there = indexes_of(&house, audit, 2).await?;
        assert!(names.is_disjoint(&there), "too early: {there:?}");
        house.tallies.pause.store(0, Ordering::Relaxed);
        let node = house.run(&house.homes).await?;
        node.live("audit", 2).await?;
        node.live("tallies", 2).await?;
        let there = indexes_of(&house, audit, 2).await?;
        assert!(names.is_subset(&there), "{names:?} but {there:?}");
        is_whole(&house, &node).await?;
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_folded_is_found_in_the_bulk_and_holds_up_no_other() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        house.known(3_100).await?;
        house.unknown().await?;
        house.known(2_000).await?;
        let node = house.run(&house.homes).await?;
        until("the tallies are given up", async || {
            let row = node.row("tallies", State::Building).await?;
            Ok(row.is_some_and(|row| row.stopped))
        })
        .await?;
        let row = node
            .row("tallies", State::Building)
            .await?
            .ok_or("no row")?;
        assert_eq!((row.position, row.error_position), (3_100, Some(3_101)));
        until("the audit is live", async || {
            Ok(node.row("audit", State::Live).await?.is_some())
        })
        .await?;
        assert_eq!(house.trail(&node.projector).await?, 5_101);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilds_that_begin_one_after_the_other_end_together() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        house.known(LONG).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(i64::try_from(LONG)?).await?;
        house.tallies.pause.store(150, Ordering::Relaxed);
        let head = house.log.reader().head().await?;
        let tallies = node.projector.named("tallies").ok_or("no tallies")?;
        node.projector.rebuild(tallies, head).await?;
        until("the tallies have begun", async || {
            let row = node.row("tallies", State::Building).await?;
            Ok(row.is_some_and(|row| row.position > 0))
        })
        .await?;
        let audit = node.projector.named("audit").ok_or("no audit")?;
        node.projector.rebuild(audit, head).await?;
        node.live("audit", 2).await?;
        node.live("tallies", 2).await?;
        is_whole(&house, &node).await?;
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}
