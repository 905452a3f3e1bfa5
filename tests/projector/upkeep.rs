//! Other logs, going back, dropping, and how far behind.

use std::sync::Arc;

use chrono::TimeDelta;
use event_log::database::Statement;
use event_log::execute;
use projections::generations::State;
use projections::projector::{Parts, Projector};
use projections::upkeep::RollbackError;

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

        assert_eq!(projector.drop_old(tallies).await?, [2]);
        assert_eq!(projector.drop_old(tallies).await?, [] as [i64; 0]);
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
            let none =
                |status: &projections::upkeep::Status| status.lag == 0 && status.lag_seconds == 0;
            Ok(statuses.iter().all(none))
        })
        .await?;
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}
