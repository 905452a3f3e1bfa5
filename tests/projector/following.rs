//! Generations that follow the log, of which one is slower than the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use event_log::database::Engine;
use projections::fact::Fact;
use projections::projection::{Projection, ProjectionError, Writer};
use projections::projector::{PAGE, Parts, Projector};

use super::{House, SOON, Tallies, until};
use crate::support::engines::{Outcome, each_engine};

/// Has the tallies begin a page that takes so many milliseconds; the pages after it take none.
async fn busy(house: &House, pause: u64) -> Outcome {
    house.tallies.pause.store(pause, Ordering::Relaxed);
    house.known(1).await?;
    until("the tallies are busy", async || Ok(pages(house) == 1)).await?;
    house.tallies.pause.store(0, Ordering::Relaxed);
    Ok(())
}

fn pages(house: &House) -> u64 {
    house.tallies.pages.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_generation_holds_up_no_other_and_its_next_page_is_all_it_missed() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(0).await?;
        // SQLite has one writer: there they take turns
        let at_once = house.homes.read.engine() == Engine::Postgres;
        busy(&house, if at_once { 6_000 } else { 1_000 }).await?;
        let progress = node.projector.progress();
        for head in 2..=20 {
            house.known(1).await?;
            if at_once {
                assert!(progress.wait(&["audit"], head, SOON).await, "no trail");
                // longer than it takes until the leases are looked at
                tokio::time::sleep(Duration::from_millis(40)).await;
                assert_eq!(pages(&house), 1, "the trail waited");
            }
        }
        node.caught_up(20).await?;
        let pages = pages(&house);
        assert!((2..=4).contains(&pages), "{pages} pages");
        assert_eq!(house.counted(&node.projector).await?, 20);
        assert_eq!(house.trail(&node.projector).await?, 20);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fell_far_behind_misses_nothing_and_folds_nothing_twice() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(0).await?;
        busy(&house, 1_500).await?;
        let far = 1 + 5 * PAGE;
        house.known(usize::try_from(far - 1)?).await?;
        node.caught_up(far).await?;
        house.known(3).await?;
        node.caught_up(far + 3).await?;
        assert_eq!(house.counted(&node.projector).await?, far + 3);
        assert_eq!(house.trail(&node.projector).await?, far + 3);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_command_waits_for_is_folded_in_long_pages_while_there_is_much_to_fold() -> Outcome
{
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let gathering = true;
        let tallies = Arc::new(Tallies {
            gathering,
            ..Tallies::default()
        });
        let projector = house.projector_of(&house.homes, Vec::new(), &tallies);
        let node = house.run_projector(projector).await?;
        node.caught_up(0).await?;
        let began = Instant::now();
        for head in 1..=200 {
            house.known(1).await?;
            if head == 100 {
                node.caught_up(head).await?;
            }
        }
        node.caught_up(200).await?;
        let moments = u64::try_from(began.elapsed().as_millis())? / 50;
        let pages = tallies.pages.load(Ordering::Relaxed);
        assert!((2..=moments + 1).contains(&pages), "{pages} pages");
        assert_eq!(house.counted(&node.projector).await?, 200);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

/// Wants nothing, so that its checkpoint is saved when leases are looked at.
#[derive(Debug)]
struct Idle;

#[async_trait]
impl Projection for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn version(&self) -> i64 {
        1
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE {idle} (id BIGINT NOT NULL PRIMARY KEY)"
    }

    fn handles(&self, _: &str, _: &str) -> bool {
        false
    }

    async fn project(&self, _: &[&Fact], _: &mut Writer<'_>) -> Result<(), ProjectionError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_the_leases_and_a_page_that_is_written_do_not_wait_for_each_other() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        house.tallies.lingering.store(150, Ordering::Relaxed);
        let tallies = Arc::clone(&house.tallies);
        let projector = Projector::new(Parts {
            reader: house.log.reader(),
            ..house.parts(&house.homes, vec![tallies, Arc::new(Idle)])
        });
        let node = house.run_projector(projector).await?;
        for _ in 0..30 {
            house.known(1).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // a write that waits for another one in vain gives up after 5 s
        let soon = Duration::from_secs(3);
        let progress = node.projector.progress();
        assert!(
            progress.wait(&["tallies"], 30, soon).await,
            "it stands still"
        );
        assert_eq!(house.counted(&node.projector).await?, 30);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}
