//! A new generation beside the live one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use domain::identity::account::StaffRole;
use projections::generations::State;
use projections::upkeep::RollbackError;
use serde_json::Value;

use super::{House, until};
use crate::support::app::on_each_engine;
use crate::support::engines::{Outcome, each_engine, now};
use crate::support::staff::staff;

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_no_error_and_no_gap_while_read_models_are_built_anew() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        app.trail_caught_up().await?;
        let reading = AtomicBool::new(true);
        let read = async {
            let (mut requests, mut newest) = (0, 0);
            while reading.load(Ordering::Relaxed) {
                let reply = asha.get("/users/me/activity?limit=100").await?;
                reply.is(StatusCode::OK)?;
                let items = reply.at("/items");
                let positions: Vec<i64> = items
                    .as_array()
                    .map(Vec::as_slice)
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|item| item["position"].as_i64())
                    .collect();
                let first = positions.first().copied().ok_or("an empty read model")?;
                assert!(
                    first >= newest,
                    "readers went back from {newest} to {first}"
                );
                newest = first;
                requests += 1;
                tokio::task::yield_now().await;
            }
            Ok::<i32, Box<dyn std::error::Error>>(requests)
        };
        let replacing = async {
            let projector = &app.node.projector;
            let admin = &staff(app, "keeper", StaffRole::Admin).await?;
            for round in 0..3 {
                let mut wanted = Vec::new();
                let head = app.node.log.reader().head().await?;
                for projection in projector.projections() {
                    let name = projection.name();
                    // what the command line does, and what the route does
                    let generation = if round % 2 == 0 {
                        projector.begin(projection.as_ref(), head).await?.generation
                    } else {
                        let path = format!("/projections/{name}/rebuild");
                        let reply = admin.request("POST", &path).send().await?;
                        reply.is(StatusCode::ACCEPTED)?;
                        reply.at("/generation").as_i64().ok_or("no generation")?
                    };
                    wanted.push((name, generation));
                }
                app.login("asha", crate::support::app::PASSWORD).await?;
                until("all are live", async || {
                    let live = projector.progress().now();
                    Ok(wanted
                        .iter()
                        .all(|(name, generation)| live[name].generation == *generation))
                })
                .await
                .map_err(|error| format!("round {round}: {error}"))?;
                for projection in projector.projections() {
                    until("it is rolled back", async || {
                        match projector.roll_back(projection.as_ref()).await {
                            Ok(_) => Ok(true),
                            Err(RollbackError::Behind { .. }) => Ok(false),
                            Err(error) => Err(error.into()),
                        }
                    })
                    .await?;
                }
                for projection in projector.projections() {
                    until("what was replaced is dropped", async || {
                        let grace = Duration::from_secs(2);
                        let dropped = projector.drop_old(projection.as_ref(), grace).await?;
                        Ok(dropped.wait.is_none())
                    })
                    .await?;
                }
            }
            Ok::<(), Box<dyn std::error::Error>>(())
        };
        let (requests, done) = tokio::join!(read, async {
            let done = replacing.await;
            reading.store(false, Ordering::Relaxed);
            done
        });
        done?;
        assert!(requests? > 20);
        app.trail_caught_up().await?;
        let reply = asha.get("/users/me/activity?type=session_started").await?;
        assert_eq!(reply.at("/items").as_array().map(Vec::len), Some(4));
        assert_eq!(reply.at("/next"), Value::Null);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_generation_goes_live_while_the_log_never_stands_still() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        house.known(1_500).await?;
        node.caught_up(1_500).await?;
        let writing = AtomicBool::new(true);
        let write = async {
            while writing.load(Ordering::Relaxed) {
                house.known(2).await?;
            }
            Ok::<(), Box<dyn std::error::Error>>(())
        };
        let replacing = async {
            let tallies = node.projector.named("tallies").ok_or("no tallies")?;
            let head = house.log.reader().head().await?;
            node.projector.rebuild(tallies, head).await?;
            let live = until("generation 2 is live", async || {
                let row = node.row("tallies", State::Live).await?;
                Ok(row.is_some_and(|row| row.generation == 2))
            })
            .await;
            writing.store(false, Ordering::Relaxed);
            live
        };
        let (written, done) = tokio::join!(write, replacing);
        written?;
        done?;
        let head = house.head().await?;
        node.caught_up(head).await?;
        assert_eq!(house.counted(&node.projector).await?, head);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_goes_on_where_a_killed_node_left_it() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        house.known(6_000).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(6_000).await?;
        house.tallies.pause.store(300, Ordering::Relaxed);
        let tallies = node.projector.named("tallies").ok_or("no tallies")?;
        let head = house.log.reader().head().await?;
        node.projector.rebuild(tallies, head).await?;
        until("it has begun", async || {
            let row = node.row("tallies", State::Building).await?;
            Ok(row.is_some_and(|row| row.position >= 1_000))
        })
        .await?;
        node.kill().await;
        let projector = house.projector(&house.homes);
        let left = super::row(&projector, "tallies", State::Building)
            .await?
            .ok_or("no row")?;
        assert!((1_000..6_000).contains(&left.position), "{}", left.position);
        house.tallies.pause.store(0, Ordering::Relaxed);
        let node = house.run(&house.homes).await?;
        node.live("tallies", 2).await?;
        assert_eq!(house.counted(&node.projector).await?, 6_000);
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_is_behind_the_live_one_does_not_take_over() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        let node = house.run(&house.homes).await?;
        house.known(5).await?;
        node.caught_up(5).await?;
        let projector = node.projector.clone();
        node.end().await?;
        let tallies = projector.named("tallies").ok_or("no tallies")?;
        let head = house.log.reader().head().await?;
        projector.rebuild(tallies, head).await?;
        let generations = projector.generations();
        assert!(!generations.cut_over("tallies", 1, 2, now()).await?);
        assert!(!generations.cut_over("tallies", 1, 9, now()).await?);
        let rows = generations.list().await?;
        let states: Vec<(i64, State)> = rows
            .iter()
            .filter(|row| row.projection == "tallies")
            .map(|row| (row.generation, row.state))
            .collect();
        assert_eq!(states, [(1, State::Live), (2, State::Building)]);
        house.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_live_goes_on_at_once_while_another_is_being_built() -> Outcome {
    each_engine(async |installation| {
        let house = House::on(installation).await?;
        house.known(6_000).await?;
        let node = house.run(&house.homes).await?;
        node.caught_up(6_000).await?;
        let tallies = node.projector.named("tallies").ok_or("no tallies")?;
        let audit = node.projector.named("audit").ok_or("no audit")?;
        let head = house.log.reader().head().await?;
        node.projector.rebuild(tallies, head).await?;
        node.projector.rebuild(audit, head).await?;
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            house.known(1).await?;
            let position = house.head().await?;
            let began = Instant::now();
            let names = ["audit", "tallies"];
            let progress = node.projector.progress();
            assert!(
                progress
                    .wait(&names, position, Duration::from_secs(1))
                    .await
            );
            slowest = slowest.max(began.elapsed());
        }
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        node.end().await?;
        house.stop().await;
        Ok(())
    })
    .await
}
