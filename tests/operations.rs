//! Stories of operations.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use domain::identity::account::StaffRole;
use serde_json::{Value, json};

use super::support::app::on_each_engine;
use super::support::engines::Outcome;
use super::support::staff::staff;

#[tokio::test]
async fn operations_are_for_admins_alone() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let auditor = staff(app, "auditor", StaffRole::Auditor).await?;
        for (method, path) in [
            ("GET", "/projections"),
            ("POST", "/projections/audit/rebuild"),
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
        assert_eq!(reply.body, json!({"name": "audit", "generation": 2}));
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
