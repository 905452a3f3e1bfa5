//! Generations that follow the log, of which one is slower than the other.

use std::sync::atomic::Ordering;
use std::time::Duration;

use event_log::database::Engine;
use projections::projector::PAGE;

use super::{House, SOON, until};
use crate::support::engines::{Outcome, each_engine};

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_generation_holds_up_no_other_and_its_pages_grow() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(0).await?;
        house.tallies.pause.store(1_000, Ordering::Relaxed);
        let progress = node.projector.progress();
        let mut waited = 0;
        for head in 1..=30 {
            house.known(1).await?;
            // SQLite has one writer: there they take turns
            if house.homes.read.engine() == Engine::Postgres {
                assert!(progress.wait(&["audit"], head, SOON).await, "no trail");
                waited += i64::from(!progress.wait(&["tallies"], head, Duration::ZERO).await);
            }
        }
        assert!(house.homes.read.engine() == Engine::Sqlite || waited > 15);
        node.caught_up(30).await?;
        let pages = house.tallies.pages.load(Ordering::Relaxed);
        assert!(pages <= 15, "{pages} pages for 30 events");
        assert_eq!(house.counted(&node.projector).await?, 30);
        assert_eq!(house.trail(&node.projector).await?, 30);
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
        house.tallies.pause.store(1_500, Ordering::Relaxed);
        house.known(1).await?;
        until("the tallies are busy", async || {
            Ok(house.tallies.pages.load(Ordering::Relaxed) == 1)
        })
        .await?;
        house.tallies.pause.store(0, Ordering::Relaxed);
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
