//! All connections are held by statements that wait for somebody else's lock.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::health::Asking;
use super::ledger::Members;
use super::outages::{back, machine};
use super::support::engines::Outcome;
use super::{alone, form};

/// Whatever a request reads or writes.
const LOCK: &str = "LOCK TABLE log.events, log.command_ids, log.claims, keys.data_keys, state.login_ladder \
     IN ACCESS EXCLUSIVE MODE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_starved_pool_holds_nobody_up_for_long() -> Outcome {
    let _alone = alone().await;
    let cluster = Cluster::begin().await?;
    let machine = machine(cluster.url())
        .await?
        .setting("SOULSENSE_DATABASE_CONNECTIONS", "2");
    let server = machine.serve().await?;
    let (_put, place) = watch::channel(Some(server.address().to_owned()));
    let members = Members::begin(8, &place)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asking = Asking::begin(server.address());
    let mut foreign = PgConnection::connect(&cluster.url()).await?;
    let mut locking = foreign.begin().await?;
    locking.execute(LOCK).await?;
    tokio::time::sleep(form().starving).await;
    members.ends.somebody_is_refused().await?;
    locking.rollback().await?;
    let back = back(&server).await?;
    members.ledger.somebody();
    let health = asking.judge().await?;
    let what = format!("{:?} of a starved pool", form().starving);
    let remarks = format!("back after {back:.1?}; {health}");
    members.judge(&what, &remarks, server, &machine).await
}
