//! Nodes that share a database.

use std::time::{Duration, Instant};

use super::{House, until};
use crate::support::engines::{Outcome, each_engine};

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_fold_every_event_once_while_both_compete_and_one_is_killed() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let homes = installation.reopened().await?;
        let one = house.run(&house.homes).await?;
        let other = house.run(&homes).await?;
        for _ in 0..20 {
            house.known(7).await?;
            house.append("tally", "counted", "{}", 3).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        one.kill().await;
        for _ in 0..20 {
            house.known(7).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let third = house.run(&house.homes).await?;
        house.known(500).await?;
        let head = house.head().await?;
        other.caught_up(head).await?;
        third.caught_up(head).await?;
        for node in [&other, &third] {
            assert_eq!(house.trail(&node.projector).await?, head);
            assert_eq!(house.counted(&node.projector).await?, 40 * 7 + 500);
        }
        other.end().await?;
        third.end().await?;
        homes.close().await;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_vanishes_is_replaced_within_five_seconds() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let homes = installation.reopened().await?;
        let owner = house.run(&house.homes).await?;
        house.known(10).await?;
        owner.caught_up(10).await?;
        let other = house.run(&homes).await?;
        other.caught_up(10).await?;
        until("somebody holds the leases", async || {
            let rows = other.projector.generations().list().await?;
            Ok(rows.iter().all(|row| row.leased))
        })
        .await?;
        owner.kill().await;
        house.known(10).await?;
        let began = Instant::now();
        other.caught_up(20).await?;
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "taken over after {:?}",
            began.elapsed()
        );
        assert_eq!(house.counted(&other.projector).await?, 20);
        other.end().await?;
        homes.close().await;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_gives_its_leases_up_and_saves_its_checkpoints() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        house.known(10).await?;
        // nothing for the tallies: their checkpoint is not saved at once
        house.append("tally", "counted", "{}", 5).await?;
        node.caught_up(15).await?;
        let projector = node.projector.clone();
        node.end().await?;
        for row in projector.generations().list().await? {
            assert_eq!(row.owner, None, "{}", row.projection);
            assert!(!row.leased, "{}", row.projection);
            assert_eq!(row.position, 15, "{}", row.projection);
        }
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_sees_what_another_has_folded() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let homes = installation.reopened().await?;
        let owner = house.run(&house.homes).await?;
        owner.caught_up(0).await?;
        let other = house.run(&homes).await?;
        other.caught_up(0).await?;
        house.known(3).await?;
        let progress = other.projector.progress();
        let began = Instant::now();
        let reached = progress
            .wait(&["audit", "tallies"], 3, Duration::from_secs(1))
            .await;
        assert!(reached, "not within a second");
        assert_eq!(house.counted(&other.projector).await?, 3);
        assert!(began.elapsed() < Duration::from_secs(1));
        until("the lag is told", async || {
            let statuses = other.projector.status().await?;
            Ok(statuses.iter().all(|status| status.lag == 0))
        })
        .await?;
        owner.end().await?;
        other.end().await?;
        homes.close().await;
        house.stop().await;
        Ok(())
    })
    .await
}
