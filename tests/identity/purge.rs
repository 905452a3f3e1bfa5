//! Erasing who left, however often it is interrupted.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use axum::http::StatusCode;
use chrono::TimeDelta;
use domain::id::AccountId;
use domain::identity::account::StaffRole;
use event_log::{Metadata, RecordedEvent, execute};
use serde_json::{Value, json};
use soulsense::purge::{self, LEDGER_FILE, Step};
use uuid::Uuid;

use super::deletion::leave;
use crate::support::app::{App, PASSWORD, on_each_engine};
use crate::support::engines::Outcome;
use crate::support::rebuild::rebuilt_equals_live;
use crate::support::staff::staff;
use crate::support::story::within;

const WORDS: &str = "A quiet evening by the river, and nobody knows of it.";

/// Somebody with a life in every context, who then leaves.
async fn leaver(app: &App, name: &str) -> Result<AccountId, Box<dyn Error>> {
    let member = app.member(name).await?;
    let entry = member.post("/journal", json!({"content": WORDS})).await?;
    entry.is(StatusCode::CREATED)?;
    let exam = member
        .post("/exams/start", json!({"question_count": 5}))
        .await?;
    exam.is(StatusCode::CREATED)?;
    app.login(name, PASSWORD).await?;
    let id: AccountId = member.id.parse()?;
    until("points are earned", async || {
        Ok(kinds(app, id).await?.contains("progress"))
    })
    .await?;
    leave(&member).await?;
    Ok(id)
}

/// Waits for what the purge or a policy should soon have done.
async fn until(
    what: &'static str,
    done: impl AsyncFn() -> Result<bool, Box<dyn Error>>,
) -> Outcome {
    within(Duration::from_secs(10), what, done).await
}

async fn events(app: &App, id: AccountId) -> Result<Vec<RecordedEvent>, Box<dyn Error>> {
    let reader = app.node.log.reader();
    let all = reader.page(0, app.settled_head().await?, 10_000).await?;
    let own = all
        .into_iter()
        .filter(|event| event.subject_id == Some(id.0));
    Ok(own.collect())
}

async fn kinds(app: &App, id: AccountId) -> Result<HashSet<String>, Box<dyn Error>> {
    let own = events(app, id).await?;
    Ok(own.into_iter().map(|event| event.aggregate_type).collect())
}

async fn is_erased(app: &App, id: AccountId) -> Result<bool, Box<dyn Error>> {
    let last = events(app, id).await?.pop();
    Ok(last.is_some_and(|event| event.event_type == "account_erased"))
}

fn tester(app: &App) -> Metadata {
    Metadata::system("job:purge", app.node.ids.next())
}

/// The streams that have no tombstone as their last event.
fn alive(events: &[RecordedEvent]) -> HashSet<(&str, &str)> {
    let mut alive = HashSet::new();
    for event in events {
        let stream = (event.aggregate_type.as_str(), event.aggregate_id.as_str());
        if event.event_type.ends_with("_erased") {
            alive.remove(&stream);
        } else {
            alive.insert(stream);
        }
    }
    alive
}

#[tokio::test]
async fn wherever_a_purge_stops_the_next_one_goes_on() -> Outcome {
    on_each_engine(async |app| {
        let stays = app.member("stays").await?.id;
        let mut leavers = Vec::new();
        for (step, name) in Step::ALL
            .into_iter()
            .zip(["one", "two", "three", "four", "five"])
        {
            leavers.push((leaver(app, name).await?, step, name));
        }
        app.later(TimeDelta::days(30));
        for (id, step, _) in &leavers {
            assert!(purge::erase(&app.node, *id, tester(app), *step).await?);
        }
        app.restart().await?;
        for (id, ..) in &leavers {
            until("an account is erased", async || is_erased(app, *id).await).await?;
        }
        until("nothing is due", async || {
            Ok(purge::due(&app.node).await?.is_empty())
        })
        .await?;

        let ledger = tokio::fs::read_to_string(app.node.config.data_dir.join(LEDGER_FILE)).await?;
        assert_eq!(ledger.lines().count(), leavers.len());
        for (id, _, name) in &leavers {
            let own = events(app, *id).await?;
            assert_eq!(alive(&own), HashSet::new());
            let kinds: HashSet<&str> = own
                .iter()
                .map(|event| event.aggregate_type.as_str())
                .collect();
            assert_eq!(
                kinds,
                ["account", "session", "entry", "exam", "progress"].into()
            );
            let finished = own
                .iter()
                .filter(|event| event.event_type == "account_erased");
            assert_eq!(finished.count(), 1);
            assert!(!app.node.log.keys().subject(id.0).await?.exists());
            assert_eq!(
                ledger
                    .lines()
                    .filter(|line| line.contains(&id.to_string()))
                    .count(),
                1
            );
            let body = json!({"identifier": name, "password": PASSWORD});
            let reply = app.post("/auth/login", body).await?;
            reply.is_problem(StatusCode::UNAUTHORIZED, "identity.credentials_refused")?;
        }
        // loads fold tombstones, rebuilds leave no row behind
        let (id, ..) = leavers[0];
        assert!(
            app.node
                .accounts
                .load(&id.to_string())
                .await?
                .state
                .username()
                .is_none()
        );
        rebuilt_equals_live(app).await?;
        let left = projections::identity::accounts(&app.node.read(), None, 100).await?;
        let left: Vec<String> = left.items.iter().map(|view| view.id.to_string()).collect();
        assert_eq!(left, [stays]);

        let available = async || {
            let reply = app.get("/auth/check-username?username=one").await?;
            Ok::<Value, Box<dyn Error>>(reply.at("/available"))
        };
        assert_eq!(available().await?, false);
        app.later(TimeDelta::days(91));
        assert_eq!(available().await?, true);
        app.login("stays", PASSWORD).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nobody_is_erased_before_the_grace_is_over_or_after_coming_back() -> Outcome {
    on_each_engine(async |app| {
        let id = leaver(app, "asha").await?;
        app.later(TimeDelta::days(30) - TimeDelta::seconds(1));
        assert_eq!(purge::due(&app.node).await?, []);
        assert!(!purge::erase(&app.node, id, tester(app), Step::Finished).await?);
        let body = json!({"identifier": "asha", "password": PASSWORD});
        let token = app.post("/auth/login", body).await?.text("/restore_token");
        app.later(TimeDelta::seconds(1));
        assert_eq!(purge::due(&app.node).await?.len(), 1);
        let restored = app
            .post("/users/me/restore", json!({"restore_token": token}))
            .await?;
        restored.is(StatusCode::OK)?;
        assert_eq!(purge::due(&app.node).await?, []);
        assert!(!purge::erase(&app.node, id, tester(app), Step::Finished).await?);
        assert!(!is_erased(app, id).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn once_erasure_has_started_nobody_comes_back() -> Outcome {
    on_each_engine(async |app| {
        let id = leaver(app, "asha").await?;
        app.later(TimeDelta::days(30));
        let body = json!({"identifier": "asha", "password": PASSWORD});
        let token = app
            .post("/auth/login", body.clone())
            .await?
            .text("/restore_token");
        assert!(purge::erase(&app.node, id, tester(app), Step::Started).await?);
        let reply = app
            .post("/users/me/restore", json!({"restore_token": token}))
            .await?;
        reply.is_problem(StatusCode::CONFLICT, "identity.erasure_started")?;
        let reply = app.post("/auth/login", body).await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "identity.credentials_refused")
    })
    .await
}

#[tokio::test]
async fn one_account_that_cannot_be_erased_does_not_hold_up_the_others() -> Outcome {
    on_each_engine(async |app| {
        let broken = leaver(app, "broken").await?;
        let whole = leaver(app, "whole").await?;
        // a key that is missing is an error, never an erasure
        let sql = event_log::database::render(
            "DELETE FROM {keys.data_keys} WHERE subject_id = $1",
            app.node.homes.keys.engine(),
            |_| None,
        );
        execute!(app.node.homes.keys, &sql, broken.0)?;
        app.later(TimeDelta::days(30));
        app.restart().await?;
        until("an account is erased", async || is_erased(app, whole).await).await?;
        let purged = purge::all(&app.node, "job:purge", "system").await?;
        assert_eq!(purged.erased, []);
        assert_eq!(purged.failed.len(), 1);
        assert_eq!(purged.failed[0].0, broken);
        assert!(!is_erased(app, broken).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_purge_has_nothing_of_a_stranger_to_erase() -> Outcome {
    on_each_engine(async |app| {
        let nobody = AccountId(Uuid::max());
        assert!(
            purge::erase(&app.node, nobody, tester(app), Step::Finished)
                .await
                .is_err()
        );
        assert_eq!(
            purge::all(&app.node, "job:purge", "system").await?,
            purge::Purged::default()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_last_admin_stays() -> Outcome {
    on_each_engine(async |app| {
        let first = staff(app, "first", StaffRole::Admin).await?;
        let before = app.settled_head().await?;
        let ask = json!({"password": PASSWORD});
        let reply = first.post("/users/me/deletion", ask.clone()).await?;
        reply.is_problem(StatusCode::CONFLICT, "identity.last_admin")?;
        assert_eq!(app.settled_head().await?, before);
        let second = staff(app, "second", StaffRole::Admin).await?;
        first
            .post("/users/me/deletion", ask.clone())
            .await?
            .is(StatusCode::ACCEPTED)?;
        let reply = second.post("/users/me/deletion", ask).await?;
        reply.is_problem(StatusCode::CONFLICT, "identity.last_admin")
    })
    .await
}
