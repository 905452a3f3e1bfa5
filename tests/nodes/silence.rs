//! Connections that fall silent and are never heard of again do not keep a caller, nor a place in the pool.

use std::error::Error;
use std::time::{Duration, Instant};

use event_log::database::{Database, Engine, is_unavailable};
use event_log::homes::{Homes, Target};
use event_log::patience::STATEMENT;
use event_log::reader::Reader;
use event_log::{execute, fetch_one};
use futures::future::join_all;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::support::black_hole::BlackHole;
use crate::support::engines::{Installation, Outcome};
use crate::support::story::told;

const CONNECTIONS: u32 = 3;

/// An installation, and its homes through a network that can fail.
async fn through_a_hole() -> Result<(Installation, BlackHole, Homes), Box<dyn Error>> {
    let installation = Installation::on(Engine::Postgres).await?;
    let Target::Postgres { url, .. } = installation.target() else {
        return Err("not on Postgres".into());
    };
    let options: PgConnectOptions = url.parse()?;
    let server = format!("{}:{}", options.get_host(), options.get_port());
    let hole = BlackHole::before(server).await?;
    let options = options.host("127.0.0.1").port(hole.port());
    let homes = Homes::open(&Target::Postgres {
        url: options.to_url_lossy().to_string(),
        direct_url: None,
        max_connections: CONNECTIONS,
    })
    .await?;
    Ok((installation, hole, homes))
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_on_silent_connections_end_and_the_pool_is_whole_again() -> Outcome {
    told(async || {
        let (installation, hole, homes) = through_a_hole().await?;
        let reader = Reader::new(homes.log.clone());
        let heads = || join_all((0..CONNECTIONS * 2).map(|_| reader.head()));
        for head in heads().await {
            head?;
        }
        let mut transaction = homes.log.begin().await?;
        hole.abandon();
        let began = Instant::now();
        let (in_transaction, others) = tokio::join!(
            async { fetch_one!(in transaction, (i32,), "SELECT 1") },
            heads()
        );
        assert!(in_transaction.is_err_and(|error| is_unavailable(&error)));
        assert!(began.elapsed() < STATEMENT + Duration::from_secs(2));
        // the first fail with the connections they were given; who waited for one may get a new one
        let failed: Vec<_> = others.into_iter().filter_map(Result::err).collect();
        assert!(
            !failed.is_empty() && failed.iter().all(is_unavailable),
            "{failed:?}"
        );
        drop(transaction);
        // places are tested, closed and given to new connections
        tokio::time::sleep(Duration::from_secs(2)).await;
        let began = Instant::now();
        for head in heads().await {
            head?;
        }
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
        homes.close().await;
        drop(installation);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_what_is_slow_or_blocked_or_left_open() -> Outcome {
    told(async || {
        let installation = Installation::on(Engine::Postgres).await?;
        let homes = &installation.homes;
        let slow = async {
            let began = Instant::now();
            let slow = execute!(homes.log, "SELECT pg_sleep(60)");
            (slow, began.elapsed())
        };
        let left = async {
            let mut left = homes.log.begin().await?;
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok::<_, sqlx::Error>(fetch_one!(in left, (i32,), "SELECT 1"))
        };
        let needs_its_time = event_log::patience::unhurried(async {
            let mut long = homes.log.begin().await?;
            execute!(in long, "SELECT pg_sleep(6)")?;
            long.commit().await
        });
        let ((slow, took), left, needs_its_time) = tokio::join!(slow, left, needs_its_time);
        let Err(sqlx::Error::Database(slow)) = slow else {
            return Err(format!("not ended by the server: {slow:?}").into());
        };
        assert_eq!(slow.code().as_deref(), Some("57014"));
        assert!(took < STATEMENT + Duration::from_secs(1), "{took:?}");
        assert!(left?.is_err_and(|error| is_unavailable(&error)));
        needs_its_time?;
        let Database::Postgres(pool) = &homes.log else {
            return Err("not on Postgres".into());
        };
        let keepalive: String = sqlx::query_scalar("SHOW tcp_keepalives_idle")
            .fetch_one(pool)
            .await?;
        assert_eq!(keepalive, "5");
        Ok(())
    })
    .await
}
