//! An event that a projection cannot fold.

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use event_log::database::Statement;
use event_log::execute;
use projections::generations::State;
use serde_json::json;

use super::{House, until};
use crate::support::engines::{Outcome, each_engine, id, now};

/// What a later version of the program would know of it.
struct Known;

impl EventUpcaster for Known {
    fn can_upcast(&self, event_type: &str, _: &str) -> bool {
        event_type == "never_heard"
    }

    fn upcast(&self, mut event: SerializedEvent) -> SerializedEvent {
        event.payload =
            json!({"type": "logged_out_everywhere", "logged_out_at": "2026-01-01T00:00:00Z"});
        event
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_unknown_shape_stops_the_projection_that_reads_it_and_no_other() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(0).await?;
        house.known(10).await?;
        house.unknown().await?;
        house.known(10).await?;
        until("the tallies stop", async || {
            let row = node.row("tallies", State::Live).await?;
            Ok(row.is_some_and(|row| row.stopped))
        })
        .await?;
        let row = node.row("tallies", State::Live).await?.ok_or("no row")?;
        assert_eq!(row.position, 10);
        assert_eq!(row.error_position, Some(11));
        assert_eq!(row.attempts, 5);
        assert_eq!(
            row.error.as_deref(),
            Some("the event at position 11 cannot be read")
        );
        assert_eq!(house.counted(&node.projector).await?, 10);
        until("the trail goes on", async || {
            Ok(house.trail(&node.projector).await? == 21)
        })
        .await?;
        let waited = node.projector.progress();
        let soon = std::time::Duration::from_secs(1);
        until("nobody waits for what has stopped", async || {
            Ok(waited.wait(&["audit", "tallies"], 21, soon).await)
        })
        .await?;
        let status = node.projector.status().await?;
        let tallies = status
            .iter()
            .find(|status| status.generation.projection == "tallies")
            .ok_or("no status")?;
        assert_eq!(tallies.lag, 11);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_projection_tries_again_when_told_to_and_goes_on_once_it_can() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(0).await?;
        house.known(3).await?;
        house.unknown().await?;
        house.known(3).await?;
        let stopped = async |node: &super::Node| {
            until("the tallies stop", async || {
                let row = node.row("tallies", State::Live).await?;
                Ok(row.is_some_and(|row| row.stopped && row.attempts == 5))
            })
            .await
        };
        stopped(&node).await?;
        let generations = node.projector.generations();
        assert_eq!(generations.retry("tallies", now()).await?, 1);
        assert_eq!(generations.retry("audit", now()).await?, 0);
        stopped(&node).await?;
        node.end().await?;

        let wiser = house.projector_with(&house.homes, vec![Box::new(Known)]);
        let node = house.run_projector(wiser).await?;
        assert!(
            node.row("tallies", State::Live)
                .await?
                .is_some_and(|row| row.stopped)
        );
        node.projector.generations().retry("tallies", now()).await?;
        node.caught_up(7).await?;
        let row = node.row("tallies", State::Live).await?.ok_or("no row")?;
        assert_eq!((row.error, row.error_position), (None, None));
        assert!(!row.stopped);
        assert_eq!(house.counted(&node.projector).await?, 7);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_was_given_up_leaves_the_live_one_and_can_be_begun_anew() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let wiser = house.projector_with(&house.homes, vec![Box::new(Known)]);
        let node = house.run_projector(wiser).await?;
        house.known(3).await?;
        house.unknown().await?;
        node.caught_up(4).await?;
        node.end().await?;

        let node = house.run(&house.homes).await?;
        let projector = &node.projector;
        let tallies = projector.named("tallies").ok_or("no tallies")?;
        let head = house.log.reader().head().await?;
        assert_eq!(projector.rebuild(tallies, head).await?, Some(2));
        assert_eq!(projector.rebuild(tallies, head).await?, None);
        until("the rebuild is given up", async || {
            let row = node.row("tallies", State::Building).await?;
            Ok(row.is_some_and(|row| row.stopped))
        })
        .await?;
        assert_eq!(house.counted(projector).await?, 4);
        assert!(projector.is_live());
        projector
            .rebuild(tallies, head)
            .await?
            .ok_or("not begun anew")?;
        let row = node
            .row("tallies", State::Building)
            .await?
            .ok_or("no row")?;
        assert!(!row.stopped);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

/// Waits until the live tallies have stopped.
async fn stopped(node: &super::Node) -> Outcome {
    until("the tallies stop", async || {
        let row = node.row("tallies", State::Live).await?;
        Ok(row.is_some_and(|row| row.stopped))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_event_is_left_out_by_the_live_generation_and_by_every_rebuild() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(0).await?;
        house.known(3).await?;
        house.unknown().await?;
        house.known(3).await?;
        house.unknown().await?;
        house.known(3).await?;
        for (position, counted) in [(4, 6), (8, 9)] {
            stopped(&node).await?;
            let row = node.row("tallies", State::Live).await?.ok_or("no row")?;
            assert_eq!(row.error_position, Some(position));
            assert!(row.error_at.is_some());
            house.skip(&node.projector, position).await?;
            until("the tallies go on", async || {
                Ok(house.counted(&node.projector).await? == counted)
            })
            .await?;
        }
        // 11 events and the two skips
        node.caught_up(13).await?;
        let row = node.row("tallies", State::Live).await?.ok_or("no row")?;
        assert!(!row.stopped);
        assert_eq!((row.error, row.error_at, row.attempts), (None, None, 0));
        for status in node.projector.status().await? {
            let skipped: Vec<i64> = status.skipped.into_iter().collect();
            let left_out = status.generation.projection == "tallies";
            assert_eq!(skipped, if left_out { vec![4, 8] } else { vec![] });
        }
        node.end().await?;

        // also by a program that knew what to make of it, so that a rebuild changes nothing
        let wiser = house.projector_with(&house.homes, vec![Box::new(Known)]);
        let node = house.run_projector(wiser).await?;
        let tallies = node.projector.named("tallies").ok_or("no tallies")?;
        let head = house.log.reader().head().await?;
        node.projector.rebuild(tallies, head).await?;
        node.live("tallies", 2).await?;
        assert_eq!(house.counted(&node.projector).await?, 9);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_stops_a_first_build_is_skipped_and_the_node_becomes_ready() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        house.known(3).await?;
        house.unknown().await?;
        house.known(3).await?;
        let node = house.run(&house.homes).await?;
        until("the first build stops", async || {
            let row = node.row("tallies", State::Building).await?;
            Ok(row.is_some_and(|row| row.stopped && row.error_position == Some(4)))
        })
        .await?;
        assert!(!node.projector.is_live());
        house.skip(&node.projector, 4).await?;
        node.caught_up(8).await?;
        assert!(node.projector.is_live());
        assert_eq!(house.counted(&node.projector).await?, 6);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

static FOLDED: Statement = Statement::new(
    "folded",
    "UPDATE {read.generations} SET position = $1 WHERE projection = 'tallies' AND state = 'building'",
);

#[tokio::test(flavor = "multi_thread")]
async fn a_skip_takes_the_leases_and_begins_anew_what_has_folded_the_event_already() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(0).await?;
        house.known(3).await?;
        house.unknown().await?;
        stopped(&node).await?;
        let projector = node.projector.clone();
        node.end().await?;
        let tallies = projector.named("tallies").ok_or("no tallies")?;
        let head = house.log.reader().head().await?;
        for (position, generation) in [(3_i64, 2), (4, 3)] {
            projector.rebuild(tallies, head).await?;
            let engine = house.homes.read.engine();
            execute!(house.homes.read, FOLDED.on(engine), position)?;
            let lease = projector.generations().take("tallies", 2, id()).await?;
            let lease = lease.ok_or("no lease")?;
            if position == 3 {
                house.skip(&projector, 4).await?;
            } else {
                projector.skip(tallies, 4).await?;
            }
            let row = super::row(&projector, "tallies", State::Building)
                .await?
                .ok_or("no row")?;
            assert_eq!(row.generation, generation);
            assert!(!row.leased && row.owner.is_none(), "{row:?}");
            assert!(generation == 3 || row.epoch > lease.epoch, "{row:?}");
        }
        let live = super::row(&projector, "tallies", State::Live)
            .await?
            .ok_or("no row")?;
        assert!(!live.stopped);
        house.stop().await;
        Ok(())
    })
    .await
}
