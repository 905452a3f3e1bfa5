//! Readers on every node, whatever is done to the generations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_log::fetch_one;
use projections::generations::State;
use projections::projector::Projector;

use super::{House, SUM, until};
use crate::support::engines::{Outcome, each_engine};

/// Longer than a reader here holds on to what it has pinned, and than a node needs to notice a change.
const GRACE: Duration = Duration::from_secs(2);

/// Reads the tallies over and over, each time a while after pinning them, until told to stop. Gives the
/// number of reads; fails at the first that is not whole.
async fn hammer(
    projector: &Projector,
    events: i64,
    reading: &AtomicBool,
) -> Result<u32, Box<dyn std::error::Error>> {
    let mut reads = 0;
    while reading.load(Ordering::Relaxed) {
        let models = projector.models().pin();
        // a request may do something else between its beginning and its query
        tokio::time::sleep(Duration::from_millis(u64::from(reads % 7) * 40)).await;
        let (sum,): (i64,) = fetch_one!(models.database, (i64,), &models.sql(&SUM))?;
        if sum != events {
            return Err(format!("{sum} of {events} events after {reads} reads").into());
        }
        reads += 1;
    }
    Ok(reads)
}

/// Waits until nothing is kept that was replaced.
async fn dropped(projector: &Projector) -> Outcome {
    let tallies = projector.named("tallies").ok_or("no tallies")?;
    until("what was replaced is dropped", async || {
        Ok(projector.drop_old(tallies, GRACE).await?.wait.is_none())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_on_every_node_see_whole_tables_through_rebuild_rollback_and_drop() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let homes = installation.reopened().await?;
        house.known(3_000).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(3_000).await?;
        let other = house.run(&homes).await?;
        other.caught_up(3_000).await?;
        let reading = AtomicBool::new(true);
        let upkeep = async {
            let tallies = node.projector.named("tallies").ok_or("no tallies")?;
            let head = house.log.reader().head().await?;
            for round in 1..=2_i64 {
                let begun = node.projector.begin(tallies, head).await?;
                until("the new generation is live", async || {
                    let row = node.row("tallies", State::Live).await?;
                    Ok(row.is_some_and(|row| row.generation == begun.generation))
                })
                .await?;
                if round == 2 {
                    node.projector.roll_back(tallies).await?;
                }
                dropped(&node.projector).await?;
            }
            Ok::<(), Box<dyn std::error::Error>>(())
        };
        let (here, there, done) = tokio::join!(
            hammer(&node.projector, 3_000, &reading),
            hammer(&other.projector, 3_000, &reading),
            async {
                let done = upkeep.await;
                reading.store(false, Ordering::Relaxed);
                done
            }
        );
        done?;
        assert!(here? > 20);
        assert!(there? > 20);
        let rows = node.projector.generations().list().await?;
        let kept: Vec<i64> = rows
            .iter()
            .filter(|row| row.projection == "tallies")
            .map(|row| row.generation)
            .collect();
        assert_eq!(kept, [2]);
        other.end().await?;
        node.end().await?;
        homes.close().await;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_may_be_reading_is_not_dropped() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        house.known(10).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(10).await?;
        let tallies = node.projector.named("tallies").ok_or("no tallies")?;
        let pinned = node.projector.models().pin();
        let read = async || -> Result<(i64,), sqlx::Error> {
            fetch_one!(pinned.database, (i64,), &pinned.sql(&SUM))
        };
        let head = house.log.reader().head().await?;
        node.projector.begin(tallies, head).await?;
        until("generation 2 is live", async || {
            Ok(node.projector.progress().now()["tallies"].generation == 2)
        })
        .await?;
        let dropped = node.projector.drop_old(tallies, GRACE).await?;
        assert_eq!(dropped.gone, [] as [i64; 0]);
        assert!(dropped.wait.is_some_and(|wait| wait <= GRACE));
        assert_eq!(read().await?, (10,));
        until("it is dropped", async || {
            let dropped = node.projector.drop_old(tallies, GRACE).await?;
            Ok(dropped.gone == [1])
        })
        .await?;
        assert!(read().await.is_err(), "the table is still there");
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_is_built_beside_the_older_one_which_its_nodes_go_on_reading() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let homes = installation.reopened().await?;
        house.known(3_000).await?;
        let old = house.run(&house.homes).await?;
        old.caught_up(3_000).await?;
        let reading = AtomicBool::new(true);
        let upgrade = async {
            let projector = house.newer_projector(&homes);
            projector.prepare().await?;
            assert!(!projector.is_live(), "it reads what is not of its version");
            let tallies = projector.named("tallies").ok_or("no tallies")?;
            let dropped = projector.drop_old(tallies, Duration::ZERO).await?;
            assert_eq!(dropped.gone, [] as [i64; 0], "while nothing else is live");
            let new = house.run_projector(projector.clone()).await?;
            new.caught_up(3_000).await?;
            assert_eq!(house.counted(&new.projector).await?, 3_000);
            assert_eq!(new.projector.progress().now()["tallies"].generation, 2);
            let dropped = projector.drop_old(tallies, Duration::ZERO).await?;
            assert_eq!(dropped.gone, [] as [i64; 0], "while a node of it runs");
            Ok::<_, Box<dyn std::error::Error>>(new)
        };
        let (reads, new) = tokio::join!(hammer(&old.projector, 3_000, &reading), async {
            let new = upgrade.await;
            reading.store(false, Ordering::Relaxed);
            new
        });
        let new = new?;
        assert!(reads? > 0);
        assert_eq!(old.projector.progress().now()["tallies"].generation, 1);
        old.end().await?;
        let tallies = new.projector.named("tallies").ok_or("no tallies")?;
        let dropped = new.projector.drop_old(tallies, GRACE).await?;
        assert!(dropped.wait.is_some(), "another node may take it up again");
        dropped_of(&new.projector, 1).await?;
        assert_eq!(house.counted(&new.projector).await?, 3_000);
        new.end().await?;
        homes.close().await;
        house.stop().await;
        Ok(())
    })
    .await
}

/// Waits until a generation of the tallies is gone.
async fn dropped_of(projector: &Projector, generation: i64) -> Outcome {
    dropped(projector).await?;
    let rows = projector.generations().list().await?;
    let gone = !rows
        .iter()
        .any(|row| row.projection == "tallies" && row.generation == generation);
    assert!(gone, "generation {generation} is kept: {rows:?}");
    Ok(())
}
