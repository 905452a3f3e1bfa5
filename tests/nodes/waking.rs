//! Nodes call each other when something is committed, sparingly, and without each other they still look.

use std::str::FromStr;
use std::time::Duration;

use event_log::append::{Appender, Bounds};
use event_log::database::Engine;
use event_log::homes::Target;
use event_log::wakeups;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::event_log::queueing::command;
use crate::support::engines::{Installation, Outcome};
use crate::support::story::told;

async fn calling(installation: &Installation, appender: &Appender, stop: &CancellationToken) {
    let (target, appender) = (installation.target().clone(), appender.clone());
    let stop = stop.clone();
    tokio::spawn(async move { wakeups::run(&target, &appender, &stop).await });
    sleep(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_on_one_node_wakes_the_other_and_not_for_ever() -> Outcome {
    told(async || {
        let installation = Installation::on(Engine::Postgres).await?;
        let (one, _task) = Appender::start(installation.target(), Bounds::default()).await?;
        let (other, _task) = Appender::start(installation.target(), Bounds::default()).await?;
        let stop = CancellationToken::new();
        calling(&installation, &one, &stop).await;
        calling(&installation, &other, &stop).await;
        let mut woken = other.committed();
        woken.mark_unchanged();
        one.append(command("t", "{}")).await?;
        timeout(Duration::from_secs(5), woken.changed()).await??;
        // a call is not answered with a call
        sleep(Duration::from_millis(300)).await;
        woken.mark_unchanged();
        let mut first = one.committed();
        first.mark_unchanged();
        sleep(Duration::from_millis(500)).await;
        assert!(
            !woken.has_changed()? && !first.has_changed()?,
            "they call each other for ever"
        );

        // a broken connection is made anew
        let Target::Postgres { url, .. } = installation.target() else {
            return Err("not on Postgres".into());
        };
        let mut connection = PgConnection::connect(url).await?;
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
          WHERE application_name = 'soulsense wake-ups' AND datname = current_database()",
        )
        .fetch_one(&mut connection)
        .await?;
        assert_eq!(ended, 2);
        sleep(Duration::from_secs(1)).await;
        woken.mark_unchanged();
        one.append(command("u", "{}")).await?;
        timeout(Duration::from_secs(5), woken.changed()).await??;
        stop.cancel();
        Ok(())
    })
    .await
}

/// Somebody who hears the calls, under a name.
async fn listening(
    installation: &Installation,
    name: &str,
) -> Result<PgListener, Box<dyn std::error::Error>> {
    let Target::Postgres { url, .. } = installation.target() else {
        return Err("not on Postgres".into());
    };
    let options = PgConnectOptions::from_str(url)?.application_name(name);
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen("soulsense_committed").await?;
    Ok(listener)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_calls_nobody_while_it_is_alone_and_others_within_a_second() -> Outcome {
    told(async || {
        let installation = Installation::on(Engine::Postgres).await?;
        let mut stranger = listening(&installation, "somebody else").await?;
        let (appender, _task) = Appender::start(installation.target(), Bounds::default()).await?;
        let stop = CancellationToken::new();
        calling(&installation, &appender, &stop).await;
        for commit in 0..20 {
            appender
                .append(command(&format!("alone{commit}"), "{}"))
                .await?;
            sleep(Duration::from_millis(20)).await;
        }
        let called = timeout(Duration::from_millis(300), stranger.recv()).await;
        assert!(called.is_err(), "a call to nobody");
        let mut node = listening(&installation, "soulsense wake-ups").await?;
        sleep(Duration::from_secs(1)).await;
        appender.append(command("two", "{}")).await?;
        timeout(Duration::from_secs(5), node.recv()).await??;
        stop.cancel();
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commits_make_few_calls() -> Outcome {
    told(async || {
        let installation = Installation::on(Engine::Postgres).await?;
        let mut listener = listening(&installation, "soulsense wake-ups").await?;
        let (appender, _task) = Appender::start(installation.target(), Bounds::default()).await?;
        let stop = CancellationToken::new();
        calling(&installation, &appender, &stop).await;
        let began = Instant::now();
        let mut commits = 0_u32;
        while began.elapsed() < Duration::from_secs(1) {
            appender
                .append(command(&format!("t{commits}"), "{}"))
                .await?;
            commits += 1;
        }
        let mut calls = 0_u32;
        while let Ok(call) = timeout(Duration::from_millis(300), listener.recv()).await {
            assert_eq!(call?.payload(), "");
            calls += 1;
        }
        let most = u32::try_from(began.elapsed().as_millis() / 10)? + 1;
        assert!(
            (1..=most.min(commits)).contains(&calls),
            "{calls} calls for {commits} commits"
        );
        stop.cancel();
        Ok(())
    })
    .await
}
