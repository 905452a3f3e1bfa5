//! What is refused, and that nothing of it is stored.

use axum::http::StatusCode;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{delete, full, patch, path_of, put, with, without_support, written};
use crate::support::app::on_each_engine;
use crate::support::engines::Outcome;

/// What is out of range, where and why.
fn out_of_range(tomorrow: &str) -> Vec<(Value, &'static str, &'static str)> {
    let many: Vec<String> = (0..21).map(|tag| tag.to_string()).collect();
    let mut cases = vec![
        (json!({"title": "x".repeat(201)}), "/title", "too_long"),
        (json!({"content": null}), "/content", "required"),
        (json!({"content": "nine char"}), "/content", "too_short"),
        (
            json!({"content": "   nine char   "}),
            "/content",
            "too_short",
        ),
        (
            json!({"content": "ü".repeat(50_001)}),
            "/content",
            "too_long",
        ),
        (json!({"tags": many}), "/tags", "too_many"),
        (json!({"tags": ["ok", "  "]}), "/tags/1", "too_short"),
        (json!({"tags": ["x".repeat(51)]}), "/tags/0", "too_long"),
        (
            json!({"stress_triggers": "x".repeat(501)}),
            "/stress_triggers",
            "too_long",
        ),
        (
            json!({"daily_schedule": "x".repeat(1_001)}),
            "/daily_schedule",
            "too_long",
        ),
        (json!({"language": "de"}), "/language", "unknown_language"),
        (
            json!({"entry_date": tomorrow}),
            "/entry_date",
            "in_the_future",
        ),
        (
            json!({"entry_date": "1899-12-31"}),
            "/entry_date",
            "too_early",
        ),
        (
            json!({"entry_date": "2024-2-9"}),
            "/entry_date",
            "invalid_date",
        ),
        (
            json!({"entry_date": "2023-02-29"}),
            "/entry_date",
            "invalid_date",
        ),
        (json!({"title": 5}), "/title", "wrong_type"),
        (json!({"tags": "walk"}), "/tags", "wrong_type"),
        (json!({"tags": [null]}), "/tags/0", "wrong_type"),
        (
            json!({"sleep_hours": "eight"}),
            "/sleep_hours",
            "wrong_type",
        ),
    ];
    for (name, pointer) in [
        ("mood_rating", "/mood_rating"),
        ("energy_level", "/energy_level"),
        ("stress_level", "/stress_level"),
        ("sleep_quality", "/sleep_quality"),
    ] {
        for wrong in [0, 11, -1] {
            cases.push((json!({name: wrong}), pointer, "out_of_range"));
        }
        cases.push((json!({name: 5.5}), pointer, "wrong_type"));
    }
    for (name, pointer) in [
        ("sleep_hours", "/sleep_hours"),
        ("work_hours", "/work_hours"),
    ] {
        for wrong in [-0.1, 24.1, 1e300] {
            cases.push((json!({name: wrong}), pointer, "out_of_range"));
        }
    }
    for wrong in [-1, 1_441] {
        let field = json!({"screen_time_mins": wrong});
        cases.push((field, "/screen_time_mins", "out_of_range"));
    }
    cases
}

#[tokio::test]
async fn every_field_out_of_range_is_refused_where_it_stands_and_nothing_is_stored() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let kept = written(&asha, full()).await?;
        let path = path_of(&kept);
        let before = app.settled_head().await?;
        let tomorrow = (app.clock.now() + TimeDelta::days(1)).date_naive();
        for (change, pointer, code) in out_of_range(&tomorrow.to_string()) {
            let body = with(&change);
            let patched = patch(&asha, &path, "\"1\"", change).await?;
            let replies = [
                asha.post("/journal", body.clone()).await?,
                put(&asha, &path, "\"1\"", body).await?,
                patched,
            ];
            for reply in replies {
                reply.is(StatusCode::UNPROCESSABLE_ENTITY)?;
                let said = json!([reply.at("/errors/0/pointer"), reply.at("/errors/0/code")]);
                assert_eq!(said, json!([pointer, code]), "{}", reply.body);
                assert_eq!(reply.at("/errors/1"), Value::Null);
            }
        }
        assert_eq!(app.settled_head().await?, before);
        assert_eq!(asha.get(&path).await?.body, without_support(&kept));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_ends_of_every_range_are_accepted() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let tags: Vec<String> = (10..30)
            .map(|tag| format!("{tag}{}", "x".repeat(48)))
            .collect();
        let most = json!({
            "title": "ü".repeat(200), "content": "x".repeat(50_000), "tags": tags,
            "mood_rating": 10, "energy_level": 10, "stress_level": 10, "sleep_quality": 10,
            "sleep_hours": 24, "work_hours": 24.0, "screen_time_mins": 1440,
            "stress_triggers": "x".repeat(500), "daily_schedule": "x".repeat(1_000),
            "language": "hi", "entry_date": app.clock.now().date_naive().to_string(),
        });
        let least = json!({
            "content": "0123456789", "mood_rating": 1, "energy_level": 1, "stress_level": 1,
            "sleep_quality": 1, "sleep_hours": 0, "work_hours": 0.0, "screen_time_mins": 0,
            "language": "es", "entry_date": "1900-01-01",
        });
        for body in [most, least] {
            let entry = written(&asha, body).await?;
            let read = asha.get(&path_of(&entry)).await?;
            assert_eq!(read.body, without_support(&entry));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn several_wrong_fields_are_named_together() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let body = json!({"content": "short", "mood_rating": 11, "language": "xx"});
        let reply = asha.post("/journal", body).await?;
        reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "journal.invalid")?;
        for (at, pointer) in ["/content", "/mood_rating", "/language"].iter().enumerate() {
            assert_eq!(reply.at(&format!("/errors/{at}/pointer")), *pointer);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_malformed_request_is_refused_and_nothing_is_stored() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let path = path_of(&written(&asha, full()).await?);
        let before = app.settled_head().await?;
        let huge = format!(r#"{{"content": "{}"}}"#, "x".repeat(1 << 20));
        let cases: [(&str, &str, StatusCode, &str, &str); 7] = [
            (
                "application/json",
                r#"{"content": "0123456"#,
                StatusCode::BAD_REQUEST,
                "request.malformed_json",
                "",
            ),
            (
                "application/json",
                &huge,
                StatusCode::PAYLOAD_TOO_LARGE,
                "request.too_large",
                "",
            ),
            (
                "text/plain",
                r#"{"content": "0123456789"}"#,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request.unsupported_media_type",
                "",
            ),
            (
                "application/json",
                r#"{"content": "0123456789", "colour": "red"}"#,
                StatusCode::BAD_REQUEST,
                "request.unknown_field",
                "/colour",
            ),
            (
                "application/json",
                r#"{"content": "0123456789\u0000"}"#,
                StatusCode::BAD_REQUEST,
                "request.nul_character",
                "/content",
            ),
            (
                "application/json",
                r#"{"content": "0123456789", "tags": ["a", "b\u0000"]}"#,
                StatusCode::BAD_REQUEST,
                "request.nul_character",
                "/tags/1",
            ),
            (
                "application/json",
                "",
                StatusCode::BAD_REQUEST,
                "request.malformed_json",
                "",
            ),
        ];
        for (kind, body, status, code, pointer) in cases {
            for (method, path) in [("POST", "/journal"), ("PUT", &path), ("PATCH", &path)] {
                let call = asha.request(method, path).header("if-match", "\"1\"");
                let reply = call.bytes(kind, body.as_bytes()).send().await?;
                reply
                    .is_problem(status, code)
                    .map_err(|error| format!("{method}: {error}"))?;
                assert_eq!(reply.text("/errors/0/pointer"), pointer, "{method} {code}");
            }
        }
        let own_id = asha.post("/journal", with(&json!({"id": "x"}))).await?;
        own_id.is_problem(StatusCode::BAD_REQUEST, "request.unknown_field")?;
        assert_eq!(own_id.text("/errors/0/pointer"), "/id");
        let computed = patch(&asha, &path, "\"1\"", json!({"word_count": 3})).await?;
        computed.is_problem(StatusCode::BAD_REQUEST, "request.unknown_field")?;
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_members_entry_is_not_found_and_a_strangers_request_is_unauthenticated() -> Outcome
{
    on_each_engine(async |app| {
        let (asha, bela) = (app.member("asha").await?, app.member("bela").await?);
        let path = path_of(&written(&asha, full()).await?);
        let deleted = path_of(&written(&asha, full()).await?);
        delete(&asha, &deleted).await?.is(StatusCode::NO_CONTENT)?;
        let before = app.settled_head().await?;
        let nothing = "/journal/0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27";
        for path in [path.as_str(), deleted.as_str(), nothing, "/journal/no-id"] {
            let code = if path == "/journal/no-id" {
                "request.not_found"
            } else {
                "journal.not_found"
            };
            let (revisions, restore) = (format!("{path}/revisions"), format!("{path}/restore"));
            for (method, path) in [
                ("GET", path),
                ("PUT", path),
                ("PATCH", path),
                ("DELETE", path),
                ("GET", &revisions),
                ("POST", &restore),
            ] {
                for etag in ["\"1\"", "\"9\"", "*"] {
                    let call = bela.request(method, path).header("if-match", etag);
                    let reply = call.json(full()).send().await?;
                    reply
                        .is_problem(StatusCode::NOT_FOUND, code)
                        .map_err(|error| format!("{method} {path}: {error}"))?;
                }
                let unmatched = bela.request(method, path).json(full()).send().await?;
                unmatched.is_problem(StatusCode::NOT_FOUND, code)?;
                let call = app.request(method, path).header("if-match", "\"1\"");
                let reply = call.json(full()).send().await?;
                reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")?;
            }
        }
        for method in ["GET", "POST"] {
            let reply = app.request(method, "/journal").json(full()).send().await?;
            reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")?;
        }
        assert_eq!(bela.get("/journal").await?.at("/items"), json!([]));
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_change_says_what_it_has_read() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let path = path_of(&written(&asha, full()).await?);
        let before = app.settled_head().await?;
        for method in ["PUT", "PATCH"] {
            let unsaid = asha.request(method, &path).json(full()).send().await?;
            unsaid.is_problem(
                StatusCode::PRECONDITION_REQUIRED,
                "request.if_match_required",
            )?;
            for other in ["\"2\"", "W/\"1\"", "\"x\""] {
                let call = asha.request(method, &path).header("if-match", other);
                let reply = call.json(full()).send().await?;
                reply.is_problem(StatusCode::PRECONDITION_FAILED, "request.if_match_failed")?;
            }
            let call = asha.request(method, &path).header("if-match", "1");
            let reply = call.json(full()).send().await?;
            reply.is_problem(StatusCode::BAD_REQUEST, "request.invalid_header")?;
        }
        let call = asha.request("DELETE", &path).header("if-match", "\"2\"");
        let reply = call.send().await?;
        reply.is_problem(StatusCode::PRECONDITION_FAILED, "request.if_match_failed")?;
        assert_eq!(app.settled_head().await?, before);

        let one = patch(&asha, &path, "\"7\", \"1\"", json!({"mood_rating": 1})).await?;
        assert_eq!(one.header("etag"), "\"2\"");
        let any = patch(&asha, &path, "*", json!({"mood_rating": 2})).await?;
        assert_eq!(any.header("etag"), "\"3\"");
        let (left, right) = tokio::join!(
            patch(&asha, &path, "\"3\"", json!({"mood_rating": 4})),
            patch(&asha, &path, "\"3\"", json!({"mood_rating": 5})),
        );
        let mut statuses = [left?.status, right?.status];
        statuses.sort();
        assert_eq!(statuses, [StatusCode::OK, StatusCode::PRECONDITION_FAILED]);
        let call = asha.request("DELETE", &path).header("if-match", "\"4\"");
        call.send().await?.is(StatusCode::NO_CONTENT)?;
        Ok(())
    })
    .await
}
