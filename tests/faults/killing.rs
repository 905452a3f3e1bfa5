//! The server is killed, again and again, in the middle of whatever it does.

use std::time::Duration;

use event_log::database::Engine;
use rand::RngExt;
use tokio::sync::watch;

use super::ledger::Members;
use super::support::binary::Machine;
use super::support::engines::Outcome;
use super::{form, tell, together};

/// Members at the same time.
const MEMBERS: usize = 6;

async fn story(engine: Engine) -> Outcome {
    let _together = together().await;
    let machine = Machine::on(engine).await?;
    let machine = machine.setting("SOULSENSE_OPEN_WRITES_PER_MINUTE", "1000000");
    let kills = form().kills;
    let (put, place) = watch::channel(None);
    let members = Members::begin(MEMBERS, &place)?;
    for kill in 0..kills {
        let server = machine.serve().await?;
        put.send_replace(Some(server.address().to_owned()));
        // mostly in the middle of writing; sometimes later, so that leases run out and policies catch up
        let most = if kill % 5 == 4 { 4_000 } else { 700 };
        let millis = rand::rng().random_range(20..most);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        put.send_replace(None);
        server.kill().await?;
        if kill % 50 == 49 {
            tell(&format!("{} kills on {engine:?}", kill + 1));
        }
    }
    let server = machine.serve().await?;
    put.send_replace(Some(server.address().to_owned()));
    members.live_on().await?;
    let ends = members.ends.clone();
    let ledger = members.end().await?;
    server.kill().await?;
    let what = format!("{kills} kills on {engine:?}");
    tell(&format!("{what}: {}", ends.judge()?));
    ledger.compare(&what, machine.config()?).await?;
    machine.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_killed_server_loses_and_doubles_nothing() -> Outcome {
    story(Engine::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_killed_server_loses_and_doubles_nothing() -> Outcome {
    story(Engine::Postgres).await
}
