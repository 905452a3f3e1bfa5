//! Connections to Postgres on loan: what one leaves behind on them the next does not meet.

use std::error::Error;
use std::time::{Duration, Instant};

use event_log::database::{Database, Engine};
use event_log::homes::{Homes, Target};
use event_log::{execute, fetch_all, fetch_one};
use futures::future::{join_all, try_join_all};

use super::Process;
use crate::support::engines::{Installation, Outcome};

/// The installation's homes over so many connections.
async fn over(installation: &Installation, connections: u32) -> Result<Homes, Box<dyn Error>> {
    let Target::Postgres { url, .. } = installation.target() else {
        return Err("not on Postgres".into());
    };
    let target = Target::Postgres {
        url: url.clone(),
        direct_url: None,
        max_connections: connections,
    };
    Ok(Homes::open(&target).await?)
}

async fn number(database: &Database, text: &str) -> Result<i64, sqlx::Error> {
    let (number,): (i64,) = fetch_one!(database, (i64,), text)?;
    Ok(number)
}

#[tokio::test]
async fn one_connection_serves_one_after_the_other_and_many_at_once() -> Outcome {
    let installation = Installation::on(Engine::Postgres).await?;
    let homes = over(&installation, 1).await?;
    let process = "SELECT pg_backend_pid()::bigint";
    let first = number(&homes.log, process).await?;
    for _ in 0..10 {
        assert_eq!(number(&homes.log, process).await?, first);
    }
    let everybody = (0..200).map(|_| number(&homes.log, process));
    let answers = try_join_all(everybody).await?;
    assert!(answers.iter().all(|answer| *answer == first));
    Ok(())
}

#[tokio::test]
async fn everybody_is_served_over_few_connections_and_no_more_are_opened() -> Outcome {
    let installation = Installation::on(Engine::Postgres).await?;
    let homes = over(&installation, 3).await?;
    let before = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
    let others = number(&homes.log, before).await? - 1;
    let process = Process::with(homes.clone(), event_log::append::Bounds::default()).await?;
    let asking = (0..300).map(async |asked: u32| {
        match asked % 3 {
            0 => {
                let rows: Vec<(i64,)> = fetch_all!(
                    homes.log,
                    (i64,),
                    "SELECT generate_series(1, 50)::bigint FROM pg_sleep(0.001)"
                )?;
                assert_eq!(rows.len(), 50);
            }
            1 => {
                // through the library's own repository, which asks sqlx's pool
                let loaded = process.log.load::<super::toy::Diary>("nobody").await?;
                assert_eq!(loaded.sequence, 0);
            }
            _ => {
                let mut transaction = homes.log.begin().await?;
                execute!(in transaction, "SELECT pg_sleep(0.001)")?;
                if asked.is_multiple_of(2) {
                    transaction.commit().await?;
                }
            }
        }
        Ok::<_, Box<dyn Error>>(())
    });
    for outcome in join_all(asking).await {
        outcome?;
    }
    // the appender has one of its own
    assert!(number(&homes.log, before).await? - others <= 3 + 1);
    Ok(())
}

#[tokio::test]
async fn what_was_not_committed_is_gone_before_the_next_statement() -> Outcome {
    let installation = Installation::on(Engine::Postgres).await?;
    let homes = over(&installation, 1).await?;
    execute!(homes.log, "CREATE TABLE public.notes (note BIGINT)")?;
    for kept in [false, true, false] {
        let mut transaction = homes.log.begin().await?;
        execute!(in transaction, "SET LOCAL work_mem = '1MB'")?;
        execute!(in transaction, "INSERT INTO public.notes VALUES (1)")?;
        if kept {
            transaction.commit().await?;
        } else {
            drop(transaction);
        }
    }
    let text = "SELECT count(*) FROM public.notes";
    assert_eq!(number(&homes.log, text).await?, 1);
    let (memory,): (String,) = fetch_one!(homes.log, (String,), "SHOW work_mem")?;
    assert_ne!(memory, "1MB");
    Ok(())
}

#[tokio::test]
async fn who_fails_or_goes_away_leaves_the_next_no_answers() -> Outcome {
    let installation = Installation::on(Engine::Postgres).await?;
    let homes = over(&installation, 1).await?;
    for round in 0..5 {
        let impatient = number(&homes.log, "SELECT 1::bigint FROM pg_sleep(0.2)");
        let left = tokio::time::timeout(Duration::from_millis(20), impatient).await;
        assert!(left.is_err());
        assert_eq!(number(&homes.log, "SELECT 2::bigint").await?, 2);
        let failed = number(&homes.log, "SELECT 1 / 0::bigint").await;
        assert!(matches!(failed, Err(sqlx::Error::Database(_))), "{round}");
        assert_eq!(number(&homes.log, "SELECT 3::bigint").await?, 3);
    }
    Ok(())
}

#[tokio::test]
async fn a_pool_that_is_closed_keeps_no_connection_back() -> Outcome {
    let installation = Installation::on(Engine::Postgres).await?;
    let homes = over(&installation, 4).await?;
    try_join_all((0..4).map(|_| number(&homes.log, "SELECT 1::bigint FROM pg_sleep(0.05)")))
        .await?;
    let began = Instant::now();
    homes.close().await;
    // one that stayed away would be waited for in vain
    assert!(began.elapsed() < Duration::from_secs(4));
    let refused = number(&homes.log, "SELECT 1::bigint").await;
    assert!(matches!(refused, Err(sqlx::Error::PoolClosed)));
    Ok(())
}
