//! Stories of operations.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use domain::identity::account::StaffRole;
use event_log::database::Statement;
use event_log::execute;
use serde_json::{Value, json};

use super::support::app::{Member, on_each_engine};
use super::support::engines::Outcome;
use super::support::raw;
use super::support::staff::staff;

#[tokio::test]
async fn operations_are_for_admins_alone() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let auditor = staff(app, "auditor", StaffRole::Auditor).await?;
        for (method, path) in [
            ("GET", "/projections"),
            ("POST", "/projections/audit/rebuild"),
            ("POST", "/projections/audit/retry"),
            ("GET", "/jobs"),
        ] {
            let reply = app.request(method, path).send().await?;
            reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")?;
            for somebody in [&asha, &auditor] {
                let reply = somebody.request(method, path).send().await?;
                reply.is_problem(StatusCode::FORBIDDEN, "auth.role_required")?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_projection_is_listed_with_its_lag() -> Outcome {
    on_each_engine(async |app| {
        let admin = staff(app, "keeper", StaffRole::Admin).await?;
        let began = Instant::now();
        let reply = loop {
            let reply = admin.get("/projections").await?;
            reply.is(StatusCode::OK)?;
            let items = reply.at("/items");
            let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
            if items.iter().all(|item| item["lag"] == 0) || began.elapsed().as_secs() > 5 {
                break reply;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let head = app.node.log.reader().head().await?.position;
        let items = reply.at("/items");
        let items = items.as_array().ok_or("no list")?;
        assert_eq!(items.len(), app.node.projector.projections().len());
        for item in items {
            assert_eq!(item["state"], "live", "{item}");
            assert_eq!(item["position"], head, "{item}");
            assert_eq!(item["lag_seconds"], 0, "{item}");
            assert_eq!(item["current"], true, "{item}");
            assert_eq!(item["stopped"], false, "{item}");
            assert_eq!(item["error"], Value::Null, "{item}");
            assert_eq!(item["owner"], json!(app.node.id), "{item}");
            assert!(
                item["lease_left_ms"]
                    .as_i64()
                    .is_some_and(|left| (1..=3_000).contains(&left))
            );
            assert_eq!(item["percent"], 100, "{item}");
            assert_eq!(item["seconds_left"], 0, "{item}");
            assert!(item["rate"].is_i64(), "{item}");
            assert_eq!(item["skipped"], json!([]), "{item}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_admin_has_a_read_model_built_anew() -> Outcome {
    on_each_engine(async |app| {
        let admin = staff(app, "keeper", StaffRole::Admin).await?;
        let reply = admin
            .request("POST", "/projections/audit/rebuild")
            .send()
            .await?;
        reply.is(StatusCode::ACCEPTED)?;
        let expected = json!({"name": "audit", "generation": 2, "already": false});
        assert_eq!(reply.body, expected);
        let began = Instant::now();
        loop {
            let reply = admin.get("/projections").await?;
            let items = reply.at("/items");
            let states: Vec<(&Value, &Value)> = items
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default()
                .iter()
                .filter(|item| item["name"] == "audit")
                .map(|item| (&item["generation"], &item["state"]))
                .collect();
            if states == [(&json!(1), &json!("old")), (&json!(2), &json!("live"))] {
                return Ok(());
            }
            assert!(began.elapsed().as_secs() < 10, "never live: {items}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_projection_that_is_not_there_cannot_be_rebuilt() -> Outcome {
    on_each_engine(async |app| {
        let admin = staff(app, "keeper", StaffRole::Admin).await?;
        let reply = admin
            .request("POST", "/projections/nothing/rebuild")
            .send()
            .await?;
        reply.is_problem(StatusCode::NOT_FOUND, "request.not_found")
    })
    .await
}

#[tokio::test]
async fn the_jobs_are_listed() -> Outcome {
    on_each_engine(async |app| {
        let admin = staff(app, "keeper", StaffRole::Admin).await?;
        let began = Instant::now();
        loop {
            let reply = admin.get("/jobs").await?;
            reply.is(StatusCode::OK)?;
            let items = reply.at("/items");
            let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
            let done = |item: &&Value| item["name"] == "forget" && item["finished_at"].is_string();
            if let Some(job) = items.iter().find(done) {
                assert_eq!(job["running"], false);
                assert_eq!(job["error"], Value::Null);
                return Ok(());
            }
            assert!(began.elapsed().as_secs() < 10, "never done: {items:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// What is told of a generation of a projection.
async fn told(
    admin: &Member<'_>,
    name: &str,
    state: &str,
) -> Result<Option<Value>, Box<dyn std::error::Error>> {
    let reply = admin.get("/projections").await?;
    reply.is(StatusCode::OK)?;
    let items = reply.at("/items");
    let items = items.as_array().ok_or("no list")?;
    let found = items
        .iter()
        .find(|item| item["name"] == name && item["state"] == state);
    Ok(found.cloned())
}

/// Waits until something can be said of a generation.
async fn eventually(
    admin: &Member<'_>,
    (name, state): (&str, &str),
    holds: impl Fn(&Value) -> bool,
) -> Result<Value, Box<dyn std::error::Error>> {
    let began = Instant::now();
    loop {
        let item = told(admin, name, state).await?;
        if let Some(item) = item.as_ref().filter(|item| holds(item)) {
            return Ok(item.clone());
        }
        if began.elapsed().as_secs() > 30 {
            return Err(format!("never: {item:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_rebuild_under_way_is_seen_with_its_progress_and_not_begun_twice() -> Outcome {
    on_each_engine(async |app| {
        let admin = staff(app, "keeper", StaffRole::Admin).await?;
        raw::padding(&app.node.log, 30_000).await?;
        eventually(&admin, ("audit", "live"), |item| item["lag"] == 0).await?;
        let rebuild = async || {
            admin
                .request("POST", "/projections/audit/rebuild")
                .send()
                .await
        };
        rebuild().await?.is(StatusCode::ACCEPTED)?;
        let again = rebuild().await?;
        again.is(StatusCode::ACCEPTED)?;
        let expected = json!({"name": "audit", "generation": 2, "already": true});
        assert_eq!(again.body, expected);
        let item = eventually(&admin, ("audit", "building"), |item| {
            item["percent"]
                .as_i64()
                .is_some_and(|percent| (1..100).contains(&percent))
        })
        .await?;
        let head = item["position"].as_i64().zip(item["lag"].as_i64());
        let (position, lag) = head.ok_or("no figures")?;
        assert_eq!(item["percent"], position * 100 / (position + lag), "{item}");
        assert_eq!(item["generation"], 2, "{item}");
        assert_eq!(item["target"], position + lag, "{item}");
        eventually(&admin, ("audit", "live"), |item| item["generation"] == 2).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_admin_has_an_event_skipped_for_a_reason_that_stands_in_the_trail() -> Outcome {
    on_each_engine(async |app| {
        let admin = staff(app, "keeper", StaffRole::Admin).await?;
        let auditor = staff(app, "auditor", StaffRole::Auditor).await?;
        raw::unknown_entry(&app.node.log).await?;
        let name = "entries";
        let item = eventually(&admin, (name, "live"), |item| item["stopped"] == true).await?;
        let position = item["error_position"].as_i64().ok_or("no position")?;
        assert_eq!(item["attempts"], 5, "{item}");
        assert!(item["error_at"].is_string(), "{item}");
        let began = Instant::now();
        let check = loop {
            let ready = app.get("/readyz?verbose").await?;
            ready.is(StatusCode::OK)?;
            let check = ready.at("/checks/projections");
            if check["status"] == "impaired" {
                break check;
            }
            assert!(began.elapsed().as_secs() < 30, "{check}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(check["detail"][name]["error_position"], position, "{check}");

        let reply = admin
            .request("POST", "/projections/entries/retry")
            .send()
            .await?;
        reply.is(StatusCode::OK)?;
        assert_eq!(reply.body, json!({"name": name, "generations": 1}));
        eventually(&admin, (name, "live"), |item| {
            item["stopped"] == true && item["attempts"] == 5
        })
        .await?;

        let reason = "Written by a build that never left the laboratory.";
        let body = json!({"position": position, "reason": reason});
        let path = "/projections/entries/skips";
        let reply = app.post(path, body.clone()).await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")?;
        let reply = auditor.post(path, body.clone()).await?;
        reply.is_problem(StatusCode::FORBIDDEN, "auth.role_required")?;
        let reply = admin
            .post("/projections/nothing/skips", body.clone())
            .await?;
        reply.is_problem(StatusCode::NOT_FOUND, "request.not_found")?;
        let reply = admin.post("/projections/nothing/retry", json!({})).await?;
        reply.is_problem(StatusCode::NOT_FOUND, "request.not_found")?;
        let other = json!({"position": 1, "reason": reason});
        let reply = admin.post(path, other).await?;
        reply.is_problem(StatusCode::CONFLICT, "operations.not_stopped_there")?;
        let short = json!({"position": position, "reason": "no"});
        let reply = admin.post(path, short).await?;
        reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
        assert_eq!(reply.text("/errors/0/pointer"), "/reason");

        let reply = admin.post(path, body.clone()).await?;
        reply.is(StatusCode::CREATED)?;
        assert_eq!(reply.body, json!({"name": name, "skipped": [position]}));
        let at: i64 = reply.header("soulsense-position").parse()?;
        let item = eventually(&admin, (name, "live"), |item| item["lag"] == 0).await?;
        assert_eq!(item["stopped"], false, "{item}");
        assert_eq!(item["skipped"], json!([position]), "{item}");
        let reply = admin.post(path, body).await?;
        reply.is(StatusCode::OK)?;

        let trail = auditor
            .get("/audit/events?event_type=event_skipped")
            .await?;
        trail.is(StatusCode::OK)?;
        assert_eq!(trail.at("/items").as_array().map(Vec::len), Some(1));
        assert_eq!(trail.at("/items/0/position"), at);
        assert_eq!(trail.at("/items/0/actor_id"), admin.id);
        assert_eq!(trail.at("/items/0/actor_role"), "admin");
        Ok(())
    })
    .await
}

static NOTHING_BUILT: Statement = Statement::new(
    "nothing built",
    "DELETE FROM {read.generations} WHERE projection = $1",
);

#[tokio::test]
async fn a_first_build_that_stops_says_why_the_node_is_not_ready_and_a_skip_makes_it_so() -> Outcome
{
    on_each_engine(async |app| {
        let admin = staff(app, "keeper", StaffRole::Admin).await?;
        let token = admin.token.clone();
        raw::unknown_entry(&app.node.log).await?;
        let position = app.node.log.reader().head().await?.position;
        app.node.stop().await;
        let homes = event_log::homes::Homes::open(app.node.homes.target()).await?;
        let name = "entries";
        execute!(homes.read, NOTHING_BUILT.on(homes.read.engine()), name)?;
        homes.close().await;
        app.restart().await?;
        let reason = async || {
            let reply = app.get("/readyz?verbose").await?;
            let said = reply.text("/checks/projections/reason");
            Ok::<_, Box<dyn std::error::Error>>((reply.status, said))
        };
        let stopped = format!(
            "built for the first time: {name} has stopped at position {position}: the event at position {position} cannot be read"
        );
        let began = Instant::now();
        while reason().await? != (StatusCode::SERVICE_UNAVAILABLE, stopped.clone()) {
            assert!(began.elapsed().as_secs() < 30, "{:?}", reason().await?);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let body = json!({"position": position, "reason": "Nobody knows what it was meant to be."});
        let reply = app
            .request("POST", "/projections/entries/skips")
            .header("authorization", &format!("Bearer {token}"))
            .json(body)
            .send()
            .await?;
        reply.is(StatusCode::CREATED)?;
        while reason().await?.0 != StatusCode::OK {
            assert!(began.elapsed().as_secs() < 60, "{:?}", reason().await?);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
    .await
}
