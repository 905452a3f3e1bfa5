//! Generations that follow the log, of which one is slower than the other.

use std::sync::atomic::Ordering;
use std::time::Duration;

use event_log::database::Engine;
use projections::projector::PAGE;

use super::{House, SOON, until};
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
