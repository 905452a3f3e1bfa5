//! Other logs, going back, dropping, and how far behind.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use event_log::database::Statement;
use event_log::execute;
use projections::generations::State;
use projections::projector::{Parts, Projector};
use projections::upkeep::{Dropped, RollbackError};

use super::{House, until};
use crate::support::engines::{Outcome, each_engine, id, now};

static OTHER_LOG: Statement = Statement::new("other log", "UPDATE {log.head} SET log_id = $1");
static OTHER_EVENT: Statement =
    Statement::new("other event", "UPDATE {read.generations} SET event_id = $1");
static AHEAD: Statement = Statement::new(
    "ahead",
    "UPDATE {read.generations} SET position = position + $1",
);

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_of_another_log_is_dropped_and_built_anew() -> Outcome {
    for (what, statement) in [
        ("log", &OTHER_LOG),
        ("event", &OTHER_EVENT),
        ("ahead", &AHEAD),
    ] {
        each_engine(async |installation| {
            let house = House::on(installation).await?;
            let node = house.run(&house.homes).await?;
            house.known(10).await?;
            node.caught_up(10).await?;
            node.end().await?;
            let engine = house.homes.log.engine();
            let changed = match what {
                "log" => execute!(house.homes.log, statement.on(engine), id())?,
                "event" => execute!(house.homes.read, statement.on(engine), id())?,
                _ => execute!(house.homes.read, statement.on(engine), 1_000_i64)?,
            };
            assert!(changed > 0);

            let projector = house.projector(&house.homes);
            projector.prepare().await?;
            assert!(!projector.is_live(), "{what}: still read");
            let rows = projector.generations().list().await?;
            assert!(
                rows.iter()
                    .all(|row| row.state == State::Building && row.generation == 2),
                "{what}: {rows:?}"
            );
            let node = house.run_projector(projector).await?;
            node.caught_up(10).await?;
            assert_eq!(house.counted(&node.projector).await?, 10);
            assert_eq!(house.trail(&node.projector).await?, 10);
            node.end().await?;
            house.stop().await;
            Ok(())
        })
        .await
        .map_err(|error| format!("{what}: {error}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_of_this_log_is_kept() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        house.known(10).await?;
        node.caught_up(10).await?;
        node.end().await?;
        house.known(10).await?;
        let node = house.run(&house.homes).await?;
        assert!(node.projector.is_live());
        node.caught_up(20).await?;
        let rows = node.projector.generations().list().await?;
        assert!(rows.iter().all(|row| row.generation == 1), "{rows:?}");
        assert_eq!(house.counted(&node.projector).await?, 20);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_generation_follows_and_takes_over_again_at_once() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        house.known(10).await?;
        node.caught_up(10).await?;
        let projector = &node.projector;
        let tallies = projector.named("tallies").ok_or("no tallies")?;
        let nothing = projector.roll_back(tallies).await;
        assert!(matches!(nothing, Err(RollbackError::Nothing("tallies"))));
        let head = house.log.reader().head().await?;
        projector.rebuild(tallies, head).await?;
        until("generation 2 is live", async || {
            Ok(projector.progress().now()["tallies"].generation == 2)
        })
        .await?;
        house.known(10).await?;
        until("the old one follows", async || {
            let row = node.row("tallies", State::Old).await?;
            Ok(row.is_some_and(|row| row.generation == 1 && row.position == 20))
        })
        .await?;
        assert_eq!(projector.roll_back(tallies).await?, 1);
        assert_eq!(projector.progress().now()["tallies"].generation, 1);
        assert_eq!(house.counted(projector).await?, 20);

        let at_once = Duration::ZERO;
        let dropped = projector.drop_old(tallies, at_once).await?;
        assert_eq!((dropped.gone, dropped.wait), (vec![2], None));
        let dropped = projector.drop_old(tallies, at_once).await?;
        assert_eq!(dropped, Dropped::default());
        house.known(1).await?;
        node.caught_up(21).await?;
        assert_eq!(house.counted(projector).await?, 21);
        let table = Statement::new("dropped", "SELECT 1 FROM {read.tallies_g2}");
        let gone = execute!(house.homes.read, table.on(house.homes.read.engine()));
        assert!(gone.is_err(), "the table is still there");
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_is_told_in_events_and_in_seconds() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        house.known(4).await?;
        node.caught_up(4).await?;
        node.end().await?;
        house.known(3).await?;
        let later = Projector::new(Parts {
            read: house.homes.read.clone(),
            reader: house.log.reader(),
            keys: Arc::clone(house.log.keys()),
            upcasters: Arc::default(),
            projections: vec![Arc::new(projections::audit::Audit)],
            node: id(),
            now: Arc::new(|| now() + TimeDelta::seconds(90)),
        });
        for status in later.status().await? {
            assert_eq!(status.lag, 3);
            assert!((85..=95).contains(&status.lag_seconds), "{status:?}");
            assert_eq!(status.current, status.generation.projection == "audit");
        }
        let node = house.run(&house.homes).await?;
        node.caught_up(7).await?;
        until("no lag is left", async || {
            let statuses = node.projector.status().await?;
            let near =
                |status: &projections::upkeep::Status| status.lag == 0 && status.lag_seconds == 0;
            Ok(statuses.iter().all(near))
        })
        .await?;
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_under_way_tells_its_rate_and_the_time_left_and_one_at_the_head_stands_still()
-> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        house.known(20_000).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(20_000).await?;
        let status_of = async |state: State| {
            let statuses = node.projector.status().await?;
            let found = statuses.into_iter().find(|status| {
                status.generation.projection == "tallies" && status.generation.state == state
            });
            Ok::<_, Box<dyn std::error::Error>>(found)
        };
        house.tallies.pause.store(300, Ordering::Relaxed);
        let tallies = node.projector.named("tallies").ok_or("no tallies")?;
        let head = house.log.reader().head().await?;
        node.projector.rebuild(tallies, head).await?;
        let mut told = None;
        until("a rate is told", async || {
            let status = status_of(State::Building).await?;
            Ok(status.is_none_or(|status| status.generation.rate > 0))
        })
        .await?;
        if let Some(status) = status_of(State::Building).await? {
            let row = &status.generation;
            // ten pages of 2,000 events, each held up for 300 ms: not faster than 6,667 events a second
            assert!((1..=6_667).contains(&row.rate), "{status:?}");
            assert_eq!(status.percent, row.position / 200, "{status:?}");
            let left = status.seconds_left.ok_or("no time left")?;
            assert_eq!(left, (status.lag + row.rate - 1) / row.rate, "{status:?}");
            assert!(row.lease_left_ms > 0, "{status:?}");
            told = Some(left);
        }
        assert!(told.is_some(), "it was live before a second was over");
        house.tallies.pause.store(0, Ordering::Relaxed);
        until("nothing moves", async || {
            let live = status_of(State::Live).await?.ok_or("no live tallies")?;
            let still = live.generation.generation == 2 && live.generation.rate == 0;
            assert!(live.lag > 0 || live.seconds_left == Some(0), "{live:?}");
            assert!(live.lag > 0 || live.percent == 100, "{live:?}");
            Ok(still)
        })
        .await?;
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn to_begin_what_is_being_built_already_names_it() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let projector = house.projector(&house.homes);
        projector.prepare().await?;
        let tallies = projector.named("tallies").ok_or("no tallies")?;
        let head = house.log.reader().head().await?;
        for _ in 0..2 {
            let begun = projector.begin(tallies, head).await?;
            assert_eq!((begun.generation, begun.already), (1, true));
        }
        let node = house.run_projector(projector).await?;
        node.caught_up(0).await?;
        let begun = node.projector.begin(tallies_of(&node)?, head).await?;
        assert_eq!((begun.generation, begun.already), (2, false));
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

fn tallies_of(
    node: &super::Node,
) -> Result<&dyn projections::projection::Projection, Box<dyn std::error::Error>> {
    Ok(node.projector.named("tallies").ok_or("no tallies")?)
}
