//! Connection poolers: what works behind them, and what is refused rather than left to fail under load.

use std::collections::BTreeMap;

use event_log::pooling::{Sessions, sessions};
use futures::future::try_join_all;
use reqwest::StatusCode;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use super::cluster::{Cluster, MASTER_KEY, Person, is};
use crate::support::engines::Outcome;
use crate::support::pgbouncer::PgBouncer;
use crate::support::postgres::fresh_database;
use crate::support::story::told;

/// A story over two nodes behind a pooler.
async fn works(cluster: &Cluster, bouncer: &PgBouncer) -> Outcome {
    let direct = cluster.url()?.to_owned();
    let addresses = [
        ("DATABASE_URL", bouncer.url()),
        ("SOULSENSE_DATABASE_DIRECT_URL", direct.as_str()),
    ];
    let one = cluster.serve_with(&addresses).await?;
    let other = cluster.serve_with(&addresses).await?;
    let asha = Person::register(&one, "asha").await?;
    for (writes, reads) in [(&one, &other), (&other, &one)] {
        for _ in 0..2 {
            let entry = asha.write(writes).await?;
            is(asha.read(reads, &entry).await?, StatusCode::OK).await?;
        }
    }
    asha.earns(&other, 200).await?;
    one.kill().await?;
    let entry = asha.write(&other).await?;
    asha.sees(&other, &entry).await?;
    assert!(other.terminate().await?.success());
    cluster.is_sound().await
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_in_session_mode_everything_works() -> Outcome {
    Cluster::tell(async |cluster| {
        let bouncer = PgBouncer::before(cluster.url()?, "session").await?;
        works(cluster, &bouncer).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_mode_works_or_is_refused_in_one_line() -> Outcome {
    Cluster::tell(async |cluster| {
        let bouncer = PgBouncer::before(cluster.url()?, "transaction").await?;
        let options: PgConnectOptions = bouncer.url().parse()?;
        let without_direct = [
            ("DATABASE_URL", bouncer.url()),
            ("SOULSENSE_MASTER_KEY", MASTER_KEY),
        ];
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        let refused = cluster.machine.run_with(&serve, &without_direct).await?;
        match sessions(&options.extra_float_digits(None)).await? {
            Sessions::Kept => return Err("transaction mode was not noticed".into()),
            // 1.21 or later, with max_prepared_statements
            Sessions::Shared => {
                refused.failed("set SOULSENSE_DATABASE_DIRECT_URL")?;
                works(cluster, &bouncer).await?;
            }
            Sessions::Unprepared => {
                refused.failed("use session mode, or PgBouncer 1.21 or later")?;
                let with_direct = [
                    without_direct[0],
                    ("SOULSENSE_DATABASE_DIRECT_URL", cluster.url()?),
                ];
                let doctor = cluster.machine.run_with(&["doctor"], &with_direct).await?;
                assert!(!doctor.status.success());
                assert!(doctor.results.contains("failed  connections"), "{doctor:?}");
                assert!(doctor.results.contains("use session mode"), "{doctor:?}");
            }
        }
        // the other way round: the address that must be direct is not
        let swapped = [
            ("DATABASE_URL", cluster.url()?),
            ("SOULSENSE_DATABASE_DIRECT_URL", bouncer.url()),
        ];
        let refused = cluster.machine.run_with(&serve, &swapped).await?;
        refused.failed("SOULSENSE_DATABASE_DIRECT_URL leads through a pooler")?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_url_of_another_database_is_refused() -> Outcome {
    Cluster::tell(async |cluster| {
        let elsewhere = fresh_database().await?;
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        let addresses = [("SOULSENSE_DATABASE_DIRECT_URL", elsewhere.url())];
        let refused = cluster.machine.run_with(&serve, &addresses).await?;
        refused.failed("leads to another database")?;
        elsewhere.close().await?;
        Ok(())
    })
    .await
}

/// Why the refusal: it is not only errors that a pooler without prepared statements gives.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_mixes_sessions_up_is_told_from_one_that_keeps_them() -> Outcome {
    told(async || {
        let database = fresh_database().await?;
        for mode in ["session", "transaction"] {
            let bouncer = PgBouncer::before(database.url(), mode).await?;
            let options: PgConnectOptions = bouncer.url().parse()?;
            let options = options.extra_float_digits(None);
            let found = sessions(&options).await?;
            let pool = PgPoolOptions::new()
                .max_connections(8)
                .connect_with(options)
                .await?;
            let answers = asked(&pool).await?;
            let wrong = answers.keys().any(|answer| answer != "right");
            assert_eq!(wrong, found == Sessions::Unprepared, "{mode}: {answers:?}");
        }
        database.close().await?;
        Ok(())
    })
    .await
}

/// What becomes of statements whose answers are known, asked side by side.
async fn asked(pool: &PgPool) -> Result<BTreeMap<String, u32>, Box<dyn std::error::Error>> {
    let askers = (0..8_usize).map(|asker| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut answers = BTreeMap::<String, u32>::new();
            for round in 0..50 {
                let number = (asker + round) % 3;
                let text = ["SELECT $1 + 0", "SELECT $1 + 1", "SELECT $1 + 2"][number];
                let asked = sqlx::query_scalar::<_, i32>(text).bind(10_i32);
                let answer = match asked.fetch_one(&pool).await {
                    Ok(sum) if usize::try_from(sum).is_ok_and(|sum| sum == 10 + number) => "right",
                    Ok(_) => "another statement's answer",
                    Err(_) => "an error",
                };
                *answers.entry(answer.to_owned()).or_default() += 1;
            }
            answers
        })
    });
    let mut all = BTreeMap::<String, u32>::new();
    for answers in try_join_all(askers).await? {
        for (answer, count) in answers {
            *all.entry(answer).or_default() += count;
        }
    }
    Ok(all)
}
