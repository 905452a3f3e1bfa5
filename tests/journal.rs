//! Stories of journal.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use axum::http::StatusCode;
use chrono::TimeDelta;
use event_log::database::{Database, Engine};
use event_log::fetch_all;
use serde_json::{Value, json};

use super::support::app::{App, Member, PASSWORD, Reply, on_each_engine, on_each_engine_with};
use super::support::engines::Outcome;
use super::support::rebuild::{rebuilt_equals_live, settled};

/// Every field of an entry as API.md has it.
const FIELDS: [&str; 22] = [
    "id",
    "title",
    "content",
    "tags",
    "mood_rating",
    "energy_level",
    "stress_level",
    "sleep_quality",
    "sleep_hours",
    "work_hours",
    "screen_time_mins",
    "stress_triggers",
    "daily_schedule",
    "language",
    "entry_date",
    "sentiment",
    "patterns",
    "word_count",
    "reading_time_mins",
    "created_at",
    "updated_at",
    "support",
];

/// An entry with every field.
fn full() -> Value {
    json!({
        "title": "A quiet Sunday",
        "content": "I slept well and walked by the river. I feel happy and calm.",
        "tags": [" Walk ", "rest", "walk"],
        "mood_rating": 8,
        "energy_level": 7,
        "stress_level": 2,
        "sleep_quality": 9,
        "sleep_hours": 7.5,
        "work_hours": 0,
        "screen_time_mins": 90,
        "stress_triggers": "A letter",
        "daily_schedule": "Breakfast, river, books",
        "language": "en",
        "entry_date": "2024-02-29",
    })
}

/// The full entry with some fields changed.
fn with(changes: &Value) -> Value {
    let mut body = full();
    for (name, value) in changes.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

/// An entry that says no more than it must.
fn plain(content: &str) -> Value {
    json!({ "content": content })
}

fn without_support(written: &Reply) -> Value {
    let mut entry = written.body.clone();
    if let Some(members) = entry.as_object_mut() {
        members.remove("support");
    }
    entry
}

async fn head(app: &App) -> Result<i64, sqlx::Error> {
    // what members did before may still be earning them something
    let _ = settled(app).await;
    Ok(app.node.log.reader().head().await?.position)
}

async fn written(member: &Member<'_>, body: Value) -> Result<Reply, Box<dyn Error>> {
    let reply = member.post("/journal", body).await?;
    reply.is(StatusCode::CREATED)?;
    Ok(reply)
}

fn path_of(entry: &Reply) -> String {
    format!("/journal/{}", entry.text("/id"))
}

async fn put(
    member: &Member<'_>,
    path: &str,
    etag: &str,
    body: Value,
) -> Result<Reply, Box<dyn Error>> {
    let call = member.request("PUT", path).header("if-match", etag);
    call.json(body).send().await
}

async fn patch(
    member: &Member<'_>,
    path: &str,
    etag: &str,
    body: Value,
) -> Result<Reply, Box<dyn Error>> {
    let call = member.request("PATCH", path).header("if-match", etag);
    call.bytes("application/merge-patch+json", body.to_string().as_bytes())
        .send()
        .await
}

async fn delete(member: &Member<'_>, path: &str) -> Result<Reply, Box<dyn Error>> {
    member.request("DELETE", path).send().await
}

#[tokio::test]
async fn an_entry_is_written_read_changed_deleted_and_restored() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;

        let first = written(&asha, full()).await?;
        let path = path_of(&first);
        assert_eq!(first.header("location"), format!("/api/v1{path}"));
        assert_eq!(first.header("etag"), "\"1\"");
        assert_ne!(first.header("soulsense-position"), "");
        let fields: BTreeSet<&str> = first
            .body
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(fields, BTreeSet::from(FIELDS));
        assert_eq!(first.at("/tags"), json!(["walk", "rest"]));
        assert_eq!(first.at("/support"), Value::Null);
        assert_eq!(first.at("/sentiment/label"), "positive");
        assert_eq!(first.at("/word_count"), 13);
        assert_eq!(first.at("/created_at"), first.at("/updated_at"));

        let read = asha.get(&path).await?;
        read.is(StatusCode::OK)?;
        assert_eq!(read.body, without_support(&first));
        assert_eq!(read.header("etag"), "\"1\"");
        assert_eq!(read.header("cache-control"), "no-store");

        app.later(TimeDelta::minutes(1));
        let body = json!({"content": "On second thought it rained and I was sad."});
        let second = put(&asha, &path, "\"1\"", body).await?;
        second.is(StatusCode::OK)?;
        assert_eq!(second.header("etag"), "\"2\"");
        assert_eq!(second.at("/title"), Value::Null);
        assert_eq!(second.at("/tags"), json!([]));
        assert_eq!(second.at("/sentiment/label"), "negative");
        assert_eq!(second.at("/created_at"), first.at("/created_at"));
        assert_ne!(second.at("/updated_at"), first.at("/updated_at"));
        assert_eq!(asha.get(&path).await?.body, without_support(&second));

        let unchanged = put(&asha, &path, "\"2\"", without_support(&second)).await?;
        unchanged.is(StatusCode::OK)?;
        assert_eq!(unchanged.header("etag"), "\"2\"");
        assert_eq!(unchanged.header("soulsense-position"), "");

        let versions = asha.get(&format!("{path}/revisions")).await?;
        versions.is(StatusCode::OK)?;
        assert_eq!(versions.at("/items/0/revision"), 2);
        assert_eq!(versions.at("/items/1/revision"), 1);
        assert_eq!(versions.at("/items/1/content"), first.at("/content"));
        assert_eq!(versions.at("/items/1/updated_at"), first.at("/updated_at"));
        assert_eq!(versions.at("/next"), Value::Null);

        let gone = delete(&asha, &path).await?;
        gone.is(StatusCode::NO_CONTENT)?;
        assert_ne!(gone.header("soulsense-position"), "");
        let again = delete(&asha, &path).await?;
        again.is(StatusCode::NO_CONTENT)?;
        assert_eq!(again.header("soulsense-position"), "");
        for unseen in [path.clone(), format!("{path}/revisions")] {
            let reply = asha.get(&unseen).await?;
            reply.is_problem(StatusCode::NOT_FOUND, "journal.not_found")?;
        }
        assert_eq!(asha.get("/journal").await?.at("/items"), json!([]));
        let late = put(&asha, &path, "\"2\"", full()).await?;
        late.is_problem(StatusCode::NOT_FOUND, "journal.not_found")?;

        let back = asha.post(&format!("{path}/restore"), json!({})).await?;
        back.is(StatusCode::OK)?;
        assert_eq!(back.header("etag"), "\"2\"");
        assert_eq!(asha.get(&path).await?.body, without_support(&second));
        assert_eq!(
            asha.get("/journal").await?.at("/items/0/id"),
            first.at("/id")
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deleted_entry_can_be_restored_for_thirty_days() -> Outcome {
    on_each_engine(async |app| {
        let entry = written(&app.member("asha").await?, full()).await?;
        let path = path_of(&entry);
        delete(&app.login("asha", PASSWORD).await?, &path)
            .await?
            .is(StatusCode::NO_CONTENT)?;
        app.later(TimeDelta::days(30));
        let asha = app.login("asha", PASSWORD).await?;
        let late = asha.post(&format!("{path}/restore"), json!({})).await?;
        late.is_problem(StatusCode::NOT_FOUND, "journal.not_found")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_minimal_entry_takes_its_defaults() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let entry = written(&asha, plain("0123456789")).await?;
        let today = app.clock.now().date_naive().to_string();
        assert_eq!(entry.at("/entry_date"), today.as_str());
        assert_eq!(entry.at("/language"), "en");
        for absent in ["/title", "/mood_rating", "/sleep_hours", "/daily_schedule"] {
            assert_eq!(entry.at(absent), Value::Null, "{absent}");
        }
        assert_eq!(entry.at("/tags"), json!([]));
        assert_eq!(entry.at("/patterns"), json!([]));
        assert_eq!(
            asha.get(&path_of(&entry)).await?.body,
            without_support(&entry)
        );
        Ok(())
    })
    .await
}

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
        let before = head(app).await?;
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
        assert_eq!(head(app).await?, before);
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
        let before = head(app).await?;
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
        assert_eq!(head(app).await?, before);
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
        let before = head(app).await?;
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
        assert_eq!(head(app).await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_change_says_what_it_has_read() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let path = path_of(&written(&asha, full()).await?);
        let before = head(app).await?;
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
        assert_eq!(head(app).await?, before);

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

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_null_clears() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let first = written(&asha, full()).await?;
        let path = path_of(&first);
        let change = json!({
            "title": null, "tags": null, "mood_rating": 3, "sleep_hours": null, "language": "es",
        });
        let changed = patch(&asha, &path, "\"1\"", change).await?;
        changed.is(StatusCode::OK)?;
        let mut expected = without_support(&first);
        expected["title"] = Value::Null;
        expected["tags"] = json!([]);
        expected["mood_rating"] = 3.into();
        expected["sleep_hours"] = Value::Null;
        expected["language"] = "es".into();
        expected["sentiment"] = Value::Null;
        expected["patterns"] = changed.at("/patterns");
        assert_eq!(without_support(&changed), expected);
        assert_eq!(asha.get(&path).await?.body, expected);

        let empty = patch(&asha, &path, "\"2\"", json!({})).await?;
        empty.is(StatusCode::OK)?;
        assert_eq!(empty.header("etag"), "\"2\"");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_replacement_may_carry_what_was_read() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let first = written(&asha, full()).await?;
        let mut body = first.body.clone();
        body["content"] = "Something else altogether happened.".into();
        body["word_count"] = 99_999.into();
        body["id"] = "whatever".into();
        let changed = put(&asha, &path_of(&first), "\"1\"", body).await?;
        changed.is(StatusCode::OK)?;
        assert_eq!(changed.at("/word_count"), 4);
        assert_eq!(changed.at("/id"), first.at("/id"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn sentiment_is_read_from_english_alone() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let content = "I love this wonderful, happy day!";
        for (language, expected) in [
            (
                "en",
                json!({"compound": 0.9313, "score": 96.57, "label": "positive"}),
            ),
            ("es", Value::Null),
            ("hi", Value::Null),
        ] {
            let body = json!({"content": content, "language": language});
            let entry = written(&asha, body).await?;
            if language == "en" {
                assert_eq!(entry.at("/sentiment/label"), expected["label"]);
                let compound = entry.at("/sentiment/compound").as_f64().unwrap_or_default();
                let score = entry.at("/sentiment/score").as_f64().unwrap_or_default();
                assert!(compound > 0.5 && (score - (compound + 1.0) * 50.0).abs() < 0.01);
            } else {
                assert_eq!(entry.at("/sentiment"), expected);
            }
            let read = asha.get(&path_of(&entry)).await?;
            assert_eq!(read.at("/sentiment"), entry.at("/sentiment"));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn support_stands_in_the_reply_to_a_write_and_nowhere_else() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let entry = written(&asha, plain("Some days I want to die.")).await?;
        assert_ne!(entry.text("/support/message"), "");
        assert_ne!(entry.text("/support/resources/0/url"), "");
        let path = path_of(&entry);
        let read = asha.get(&path).await?;
        assert!(read.body.get("support").is_none());
        let spanish = json!({"language": "es"});
        let changed = patch(&asha, &path, "\"1\"", spanish).await?;
        assert_ne!(
            changed.text("/support/message"),
            entry.text("/support/message")
        );
        assert_ne!(changed.text("/support/message"), "");
        let words = entry.text("/support/message");
        assert!(!leaks(app, &[&words]).await?, "support is stored");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_repeated_idempotency_key_counts_once() -> Outcome {
    on_each_engine(async |app| {
        let (asha, bela) = (app.member("asha").await?, app.member("bela").await?);
        let send = async |member: &Member<'_>, body: Value| {
            let call = member.request("POST", "/journal");
            call.header("idempotency-key", "monday-1")
                .json(body)
                .send()
                .await
        };
        let first = send(&asha, full()).await?;
        first.is(StatusCode::CREATED)?;
        let again = send(&asha, full()).await?;
        again.is(StatusCode::CREATED)?;
        for header in ["location", "etag", "soulsense-position"] {
            assert_eq!(first.header(header), again.header(header), "{header}");
        }
        assert_eq!(first.body, again.body);
        let other = send(&asha, plain("Something else.")).await?;
        other.is_problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "request.idempotency_key_reused",
        )?;
        send(&bela, plain("Something else."))
            .await?
            .is(StatusCode::CREATED)?;

        let path = path_of(&first);
        let change = patch(&asha, &path, "\"1\"", json!({"mood_rating": 1})).await?;
        change.is(StatusCode::OK)?;
        let now = send(&asha, full()).await?;
        now.is(StatusCode::CREATED)?;
        assert_eq!(now.header("etag"), "\"2\"");
        assert_eq!(now.at("/mood_rating"), 1);
        delete(&asha, &path).await?.is(StatusCode::NO_CONTENT)?;
        let gone = send(&asha, full()).await?;
        gone.is_problem(StatusCode::NOT_FOUND, "journal.not_found")?;
        assert_eq!(asha.get("/journal").await?.at("/items"), json!([]));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_walk_through_the_list_meets_every_entry_once_while_new_ones_are_written() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let mut expected = Vec::new();
        for number in 0..9 {
            // three at the same moment, so that ids decide
            if number % 3 == 0 {
                app.later(TimeDelta::microseconds(1));
            }
            expected.push(
                written(&asha, plain(&format!("Entry number {number}")))
                    .await?
                    .text("/id"),
            );
        }
        expected.reverse();
        let mut met = Vec::new();
        let mut path = "/journal?limit=2".to_owned();
        loop {
            let page = asha.get(&path).await?;
            page.is(StatusCode::OK)?;
            let items = page.at("/items");
            let ids = items.as_array().into_iter().flatten();
            met.extend(ids.filter_map(|item| item["id"].as_str().map(str::to_owned)));
            written(&asha, plain("Written while the list is read")).await?;
            match page.at("/next") {
                Value::String(next) => path = format!("/journal?limit=2&cursor={next}"),
                _ => break,
            }
        }
        assert_eq!(met, expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_list_is_filtered_by_day_and_mood() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        for (day, mood) in [
            ("2024-01-01", json!(2)),
            ("2024-01-02", json!(5)),
            ("2024-01-03", json!(9)),
            ("2024-01-04", Value::Null),
        ] {
            let body = json!({"content": "0123456789", "entry_date": day, "mood_rating": mood});
            written(&asha, body).await?;
        }
        for (query, days) in [
            ("", "04 03 02 01"),
            ("?from=2024-01-02", "04 03 02"),
            ("?to=2024-01-02", "02 01"),
            ("?from=2024-01-02&to=2024-01-03", "03 02"),
            ("?from=2024-02-01", ""),
            ("?mood_min=5", "03 02"),
            ("?mood_max=5", "02 01"),
            ("?mood_min=3&mood_max=8&to=2024-01-02", "02"),
        ] {
            let page = asha.get(&format!("/journal{query}")).await?;
            page.is(StatusCode::OK)?;
            let items = page.at("/items");
            let found: Vec<&str> = items
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|item| item["entry_date"].as_str()?.get(8..))
                .collect();
            assert_eq!(found.join(" "), days, "{query}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_query_out_of_range_is_refused_where_it_stands() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let path = path_of(&written(&asha, full()).await?);
        for (query, pointer, code) in [
            ("limit=0", "/limit", "out_of_range"),
            ("limit=101", "/limit", "out_of_range"),
            ("limit=ten", "/limit", "wrong_type"),
            ("limit=1&limit=2", "/limit", "repeated"),
            ("cursor=AAAA", "/cursor", "unknown_cursor"),
            ("from=2024-1-1", "/from", "invalid_date"),
            ("to=yesterday", "/to", "invalid_date"),
            ("mood_min=0", "/mood_min", "out_of_range"),
            ("mood_max=11", "/mood_max", "out_of_range"),
        ] {
            let reply = asha.get(&format!("/journal?{query}")).await?;
            reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
            let said = json!([reply.at("/errors/0/pointer"), reply.at("/errors/0/code")]);
            assert_eq!(said, json!([pointer, code]), "{query}");
        }
        for query in [
            "/journal?colour=red",
            &format!("{path}/revisions?mood_min=1"),
        ] {
            let reply = asha.get(query).await?;
            reply.is_problem(StatusCode::BAD_REQUEST, "request.unknown_field")?;
        }
        let reply = asha.get(&format!("{path}/revisions?limit=101")).await?;
        reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn revisions_are_paged_the_newest_first() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let path = path_of(&written(&asha, full()).await?);
        for mood in 1..=4 {
            patch(&asha, &path, "*", json!({"mood_rating": mood}))
                .await?
                .is(StatusCode::OK)?;
        }
        let mut met = Vec::new();
        let mut next = format!("{path}/revisions?limit=2");
        loop {
            let page = asha.get(&next).await?;
            let items = page.at("/items");
            for item in items.as_array().into_iter().flatten() {
                met.push((item["revision"].as_u64(), item["mood_rating"].as_u64()));
            }
            match page.at("/next") {
                Value::String(cursor) => {
                    next = format!("{path}/revisions?limit=2&cursor={cursor}");
                }
                _ => break,
            }
        }
        let expected = [(5, 4), (4, 3), (3, 2), (2, 1), (1, 8)];
        assert_eq!(
            met,
            expected.map(|(revision, mood)| (Some(revision), Some(mood)))
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_word_of_an_entry_is_stored_in_the_clear() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let body = json!({
            "title": "Zwiebelfisch title", "content": "Zwiebelfisch content of an entry",
            "tags": ["zwiebelfisch tag"], "stress_triggers": "Zwiebelfisch triggers",
            "daily_schedule": "Zwiebelfisch schedule",
        });
        let entry = written(&asha, body).await?;
        let path = path_of(&entry);
        let change = json!({"content": "Zwiebelfisch content once again"});
        patch(&asha, &path, "*", change).await?.is(StatusCode::OK)?;
        settled(app).await?;
        assert!(!leaks(app, &["Zwiebelfisch", "zwiebelfisch"]).await?);
        // the search itself finds what is there: ids and times are clear
        let database = app.node.homes.read.engine();
        let clear = match database {
            Engine::Sqlite => "CREATE TABLE entries_g1",
            Engine::Postgres => "entry_written",
        };
        assert!(leaks(app, &[clear]).await?);
        Ok(())
    })
    .await
}

/// True when one of the words stands in a file of the data directory or in a row of Postgres.
async fn leaks(app: &App, words: &[&str]) -> Result<bool, Box<dyn Error>> {
    if words
        .iter()
        .any(|word| in_files(app.directory(), word).unwrap_or(true))
    {
        return Ok(true);
    }
    let Database::Postgres(_) = &app.node.homes.log else {
        return Ok(false);
    };
    let tables: Vec<(String,)> = fetch_all!(
        app.node.homes.log,
        (String,),
        "SELECT CAST(schemaname || '.' || tablename AS TEXT) FROM pg_tables
          WHERE schemaname IN ('log', 'state', 'keys', 'read')"
    )?;
    assert!(tables.len() > 8);
    for (table,) in tables {
        let sql = format!("SELECT CAST(row AS TEXT) FROM {table} row");
        let rows: Vec<(String,)> = fetch_all!(app.node.homes.log, (String,), &sql)?;
        let found = rows.iter().any(|(row,)| {
            words
                .iter()
                .any(|word| row.contains(word) || row.contains(&hex(word)))
        });
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn hex(word: &str) -> String {
    word.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::disallowed_methods, reason = "no runtime is held up by it")]
fn in_files(folder: &Path, word: &str) -> std::io::Result<bool> {
    for file in folder.read_dir()? {
        let path = file?.path();
        let found = if path.is_dir() {
            in_files(&path, word)?
        } else {
            let bytes = std::fs::read(&path)?;
            bytes
                .windows(word.len())
                .any(|part| part == word.as_bytes())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test]
async fn rebuilt_entries_equal_the_live_ones() -> Outcome {
    on_each_engine(async |app| {
        let (asha, bela) = (app.member("asha").await?, app.member("bela").await?);
        for member in [&asha, &bela] {
            let revised = path_of(&written(member, full()).await?);
            patch(member, &revised, "*", json!({"title": "Another"}))
                .await?
                .is(StatusCode::OK)?;
            let deleted = path_of(&written(member, plain("To be deleted")).await?);
            delete(member, &deleted).await?.is(StatusCode::NO_CONTENT)?;
            let restored = path_of(&written(member, plain("To be restored")).await?);
            delete(member, &restored)
                .await?
                .is(StatusCode::NO_CONTENT)?;
            member
                .post(&format!("{restored}/restore"), json!({}))
                .await?
                .is(StatusCode::OK)?;
        }
        let before = [
            asha.get("/journal").await?.body,
            bela.get("/journal").await?.body,
        ];
        rebuilt_equals_live(app).await?;
        let after = [
            asha.get("/journal").await?.body,
            bela.get("/journal").await?.body,
        ];
        assert_eq!(before, after);
        assert_eq!(after[0]["items"].as_array().map(Vec::len), Some(2));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn entries_survive_a_restart() -> Outcome {
    on_each_engine_with(
        |_| {},
        async |app| {
            let entry = written(&app.member("asha").await?, full()).await?;
            app.restart().await?;
            let asha = app.login("asha", PASSWORD).await?;
            let read = asha.get(&path_of(&entry)).await?;
            assert_eq!(read.body, without_support(&entry));
            Ok(())
        },
    )
    .await
}
