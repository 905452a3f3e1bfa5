//! Connections that break between request, commit and reply, and databases that do not answer: nothing is
//! lost, nothing is doubled, and everything recovers by itself.

use std::collections::HashSet;
use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use event_log::append::{
    AppendError, Appender, Bounds, ClaimAction, ClaimEntry, CommandId, Verdict,
};
use event_log::database::{Database, Engine};
use event_log::homes::Target;
use event_log::reader::Reader;
use futures::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

use super::proxy::{Cut, Proxy};
use super::queueing::{blocked, command};
use crate::support::engines::{Installation, Outcome, each_engine};

/// An installation on Postgres, a proxy before it, and an appender that goes through the proxy.
async fn behind_a_proxy(bounds: Bounds) -> Result<(Installation, Proxy, Appender), Box<dyn Error>> {
    let installation = Installation::on(Engine::Postgres).await?;
    let Target::Postgres {
        url,
        max_connections,
        ..
    } = installation.target()
    else {
        return Err("not on Postgres".into());
    };
    let options = PgConnectOptions::from_str(url)?;
    let server = format!("{}:{}", options.get_host(), options.get_port());
    let proxy = Proxy::before(server).await?;
    let target = Target::Postgres {
        url: options
            .host("127.0.0.1")
            .port(proxy.port())
            .to_url_lossy()
            .to_string(),
        direct_url: None,
        max_connections: *max_connections,
    };
    let (appender, _task) = Appender::start(&target, bounds).await?;
    Ok((installation, proxy, appender))
}

async fn stored(installation: &Installation) -> Result<Vec<(i64, Uuid)>, sqlx::Error> {
    let page = Reader::new(installation.homes.log.clone())
        .page(0, i64::MAX, 100_000)
        .await?;
    Ok(page
        .iter()
        .map(|event| (event.position, event.event_id))
        .collect())
}

#[tokio::test]
async fn a_reply_that_is_lost_after_the_commit_neither_loses_nor_doubles() -> Outcome {
    for cuts in [
        vec![Cut::BeforeTheReply],
        vec![Cut::BeforeTheRequest],
        vec![
            Cut::BeforeTheReply,
            Cut::BeforeTheReply,
            Cut::BeforeTheRequest,
        ],
        vec![Cut::BeforeTheRequest, Cut::BeforeTheReply],
    ] {
        let (installation, proxy, appender) = behind_a_proxy(Bounds::default()).await?;
        appender.append(command("warm", "{}")).await?;
        for round in 0..3 {
            proxy.cut(cuts.iter().copied());
            let appends: Vec<_> = (0..20)
                .map(|number| command(&format!("t-cut-{round}-{number}"), "{}"))
                .collect();
            let ids: Vec<Uuid> = appends.iter().map(|one| one.events[0].event_id).collect();
            let verdicts =
                join_all(appends.into_iter().map(|append| appender.append(append))).await;
            assert_eq!(proxy.planned(), 0, "the connection was cut");
            let stored = stored(&installation).await?;
            let expected = 1 + 20 * (round + 1);
            assert_eq!(
                stored.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
                (1..=expected).collect::<Vec<_>>()
            );
            for (verdict, id) in verdicts.into_iter().zip(ids) {
                let Verdict::Appended {
                    position,
                    sequence: 1,
                } = verdict?
                else {
                    panic!("all are new streams")
                };
                assert!(
                    stored.contains(&(position, id)),
                    "the place is the event's own"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_resubmitted_command_is_recognised_though_the_stream_has_moved_on() -> Outcome {
    let bounds = Bounds {
        patience: Duration::from_millis(1500),
        ..Bounds::default()
    };
    let (installation, proxy, appender) = behind_a_proxy(bounds).await?;
    let (direct, _task) = Appender::start(installation.target(), Bounds::default()).await?;
    appender.append(command("warm", "{}")).await?;
    proxy.cut([Cut::Silence]);
    let first = command("t-cut", "{}");
    let unknown = appender.append(first.clone()).await;
    assert!(matches!(unknown, Err(AppendError::Unknown)), "{unknown:?}");
    let mut second = command("t-cut", "{}");
    second.expected = 1;
    let moved = direct.append(second).await?;
    assert_eq!(
        moved,
        Verdict::Appended {
            position: 3,
            sequence: 2
        }
    );
    // the same bytes again: its own event stands at expected + 1
    let again = direct.append(first).await?;
    assert_eq!(
        again,
        Verdict::Appended {
            position: 2,
            sequence: 1
        }
    );
    let other = direct.append(command("t-cut", "{}")).await?;
    assert_eq!(other, Verdict::Conflict);
    Ok(())
}

#[tokio::test]
async fn the_same_bytes_again_are_the_same_events() -> Outcome {
    each_engine(async |installation| {
        let (appender, _task) = Appender::start(installation.target(), Bounds::default()).await?;
        let mut first = command("t", "{}");
        first.events.extend(command("t", "{}").events);
        first.claims = vec![ClaimEntry {
            scope: "toy.name",
            value: vec![1],
            change: ClaimAction::Take,
        }];
        first.command = Some(CommandId {
            key: vec![2],
            request: vec![3],
            outcome: "{}".to_owned(),
            expires_at: None,
        });
        let expected = Verdict::Appended {
            position: 2,
            sequence: 2,
        };
        assert_eq!(appender.append(first.clone()).await?, expected);
        assert_eq!(appender.append(first.clone()).await?, expected);
        let mut next = command("t", "{}");
        next.expected = 2;
        appender.append(next).await?;
        assert_eq!(appender.append(first).await?, expected);
        assert_eq!(stored(installation).await?.len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_that_are_terminated_again_and_again_neither_lose_nor_double() -> Outcome {
    let installation = Installation::on(Engine::Postgres).await?;
    let Target::Postgres { url, .. } = installation.target() else {
        return Err("not on Postgres".into());
    };
    let (appender, _task) = Appender::start(installation.target(), Bounds::default()).await?;
    let terminator = tokio::spawn({
        let mut connection = PgConnection::connect(url).await?;
        async move {
            let mut killed = 0_i64;
            for _ in 0..25 {
                tokio::time::sleep(Duration::from_millis(40)).await;
                killed += sqlx::query_scalar::<_, i64>(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                      WHERE application_name = 'soulsense appender' AND datname = current_database()",
                )
                .fetch_one(&mut connection)
                .await?;
            }
            Ok::<_, sqlx::Error>(killed)
        }
    });
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let (appender, over) = (appender.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let append = command(&format!("t{writer}-{}", acknowledged.len()), "{}");
                    let id = append.events[0].event_id;
                    match appender.append(append).await? {
                        Verdict::Appended { position, .. } => acknowledged.push((position, id)),
                        verdict => assert_eq!(verdict, Verdict::Conflict),
                    }
                }
                Ok::<_, AppendError>(acknowledged)
            })
        })
        .collect();
    let killed = terminator.await??;
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for done in join_all(writers).await {
        acknowledged.extend(done??);
    }
    assert!(killed >= 5, "only {killed} backends were terminated");
    let stored = stored(&installation).await?;
    assert_eq!(
        stored.iter().copied().collect::<HashSet<_>>(),
        acknowledged.iter().copied().collect::<HashSet<_>>()
    );
    assert_eq!(stored.len(), acknowledged.len());
    Ok(())
}

#[tokio::test]
async fn past_the_deadline_the_outcome_is_unknown_and_later_commands_pass() -> Outcome {
    each_engine(async |installation| {
        let bounds = Bounds {
            patience: Duration::from_millis(300),
            ..Bounds::default()
        };
        let (appender, _task) = Appender::start(installation.target(), bounds).await?;
        appender.append(command("before", "{}")).await?;
        let block = blocked(installation).await?;
        let began = std::time::Instant::now();
        let unknown = appender.append(command("during", "{}")).await;
        assert!(matches!(unknown, Err(AppendError::Unknown)), "{unknown:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
        drop(block);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let after = appender.append(command("after", "{}")).await?;
        let Verdict::Appended { position, .. } = after else {
            panic!("{after:?}")
        };
        // written or not, it is there at most once and leaves no gap
        let positions: Vec<i64> = stored(installation)
            .await?
            .iter()
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(positions, (1..=position).collect::<Vec<_>>());
        assert!((2..=3).contains(&position));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_that_was_away_is_used_again_without_a_restart() -> Outcome {
    let bounds = Bounds {
        patience: Duration::from_millis(400),
        ..Bounds::default()
    };
    let (installation, proxy, appender) = behind_a_proxy(bounds).await?;
    appender.append(command("warm", "{}")).await?;
    proxy.cut([Cut::BeforeTheRequest; 200]);
    let away = appender.append(command("t-cut-away", "{}")).await;
    assert!(matches!(away, Err(AppendError::Unknown)), "{away:?}");
    let back = appender.append(command("back", "{}")).await?;
    assert_eq!(
        back,
        Verdict::Appended {
            position: 2,
            sequence: 1
        }
    );
    assert_eq!(stored(&installation).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn reads_recover_after_their_connections_were_terminated() -> Outcome {
    let installation = Installation::on(Engine::Postgres).await?;
    let (appender, _task) = Appender::start(installation.target(), Bounds::default()).await?;
    appender.append(command("t", "{}")).await?;
    let Database::Postgres(pool) = &installation.homes.log else {
        return Err("not on Postgres".into());
    };
    let reader = Reader::new(installation.homes.log.clone());
    let mut own = pool.hold().await?;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&mut *own)
    .await?;
    drop(own);
    let mut failures = 0;
    while reader.head().await.is_err() {
        failures += 1;
        assert!(failures <= 8, "a pool of dead connections");
    }
    let verdict = appender.append(command("u", "{}")).await?;
    assert_eq!(
        verdict,
        Verdict::Appended {
            position: 2,
            sequence: 1
        }
    );
    Ok(())
}
