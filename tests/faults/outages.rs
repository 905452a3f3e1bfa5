//! The database ends and begins again, or falls silent for a while.

use std::error::Error;
use std::time::{Duration, Instant};

use event_log::database::Engine;
use rand::RngExt;
use tokio::sync::watch;

use super::client::{Ask, Caller, Ends};
use super::cluster::Cluster;
use super::health::Asking;
use super::ledger::Members;
use super::support::app::registration;
use super::support::binary::{Machine, Server};
use super::support::black_hole::BlackHole;
use super::support::engines::{Outcome, id};
use super::{alone, form, tell};

/// Members at the same time: more than there are connections.
const MEMBERS: usize = 14;
/// Until when the server must serve again.
const BACK: Duration = Duration::from_secs(3);

/// A machine whose database is at a URL.
pub async fn machine(url: String) -> Result<Machine, Box<dyn Error>> {
    let machine = Machine::on(Engine::Sqlite).await?;
    Ok(machine
        .setting("DATABASE_URL", url)
        .setting("SOULSENSE_OPEN_WRITES_PER_MINUTE", "1000000"))
}

/// How long it takes from now until the server is ready and has written an account; fails when it takes too
/// long.
pub async fn back(server: &Server) -> Result<Duration, Box<dyn Error>> {
    let began = Instant::now();
    let (_, place) = watch::channel(None);
    let caller = Caller::new(place, Ends::default())?;
    let ready = format!("http://{}/readyz", server.address());
    let name = format!("back_{}", id().simple().to_string().split_off(20));
    let ask = Ask::post("/auth/register", registration(&name));
    let mut seen = Vec::new();
    loop {
        let is_ready = reqwest::get(&ready).await?.status().is_success();
        let written = caller.once(server.address(), &ask).await?.status;
        seen.push((began.elapsed(), is_ready, written.as_u16()));
        // or it was written although that was not known
        if is_ready && (written == 201 || written == 409) {
            let took = began.elapsed();
            if took > BACK {
                return Err(format!("the server was back after {took:?} only: {seen:.1?}").into());
            }
            return Ok(took);
        }
        if began.elapsed() > BACK * 5 {
            return Err(format!("the server does not come back: {seen:.1?}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_ends_and_begins_again_loses_and_doubles_nothing() -> Outcome {
    let _alone = alone().await;
    let cluster = Cluster::begin().await?;
    let machine = machine(cluster.url()).await?;
    let server = machine.serve().await?;
    let (_put, place) = watch::channel(Some(server.address().to_owned()));
    let members = Members::begin(MEMBERS, &place)?;
    let mut backs = Vec::new();
    for _ in 0..form().ends {
        let millis = rand::rng().random_range(500..2_000);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        cluster.stop().await?;
        let millis = rand::rng().random_range(0..2_000);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        cluster.start().await?;
        backs.push(back(&server).await?);
        members.ledger.somebody();
    }
    let what = format!("{} ends of the database", form().ends);
    let longest = backs.iter().max().copied().unwrap_or_default();
    let remarks = format!("back within {longest:.1?}");
    members.judge(&what, &remarks, server, &machine).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_holds_nobody_up_for_long() -> Outcome {
    let _alone = alone().await;
    let cluster = Cluster::begin().await?;
    let hole = BlackHole::before(cluster.server()).await?;
    let machine = machine(Cluster::url_by(hole.port())).await?;
    let server = machine.serve().await?;
    let (_put, place) = watch::channel(Some(server.address().to_owned()));
    let members = Members::begin(MEMBERS, &place)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asking = Asking::begin(server.address());
    hole.swallow();
    tokio::time::sleep(form().silence).await;
    members.ends.somebody_is_refused().await?;
    let unready = reqwest::get(format!("http://{}/readyz", server.address())).await?;
    assert_eq!(unready.status(), 503);
    // whoever was in it is never heard again
    hole.abandon();
    hole.heal();
    let back = back(&server).await?;
    members.ledger.somebody();
    let health = asking.judge().await?;
    let what = format!("{:?} of silence", form().silence);
    let remarks = format!("back after {back:.1?}; {health}");
    members.judge(&what, &remarks, server, &machine).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_die_while_nobody_asks_are_not_used_again() -> Outcome {
    let _alone = alone().await;
    let cluster = Cluster::begin().await?;
    let hole = BlackHole::before(cluster.server()).await?;
    let machine = machine(Cluster::url_by(hole.port())).await?;
    let server = machine.serve().await?;
    // shorter and longer than it takes to notice
    for silence in [1, 4] {
        back(&server).await?;
        hole.swallow();
        tokio::time::sleep(Duration::from_secs(silence)).await;
        // whoever was in it is never heard again
        hole.abandon();
        hole.heal();
        let back = back(&server).await?;
        tell(&format!(
            "{silence} s of silence that nobody noticed: back after {back:.1?}"
        ));
    }
    assert_eq!(server.terminate().await?.code(), Some(0));
    Ok(())
}
