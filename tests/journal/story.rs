//! What becomes of an entry.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{delete, full, patch, path_of, plain, put, without_support, written};
use crate::support::app::{Member, PASSWORD, on_each_engine, on_each_engine_with};
use crate::support::engines::Outcome;

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
        for language in ["en", "es", "hi"] {
            let body = json!({"content": content, "language": language});
            let entry = written(&asha, body).await?;
            if language == "en" {
                assert_eq!(entry.at("/sentiment/label"), "positive");
                let compound = entry.at("/sentiment/compound").as_f64().unwrap_or_default();
                let score = entry.at("/sentiment/score").as_f64().unwrap_or_default();
                assert!(compound > 0.5 && (score - (compound + 1.0) * 50.0).abs() < 0.01);
            } else {
                assert_eq!(entry.at("/sentiment"), Value::Null);
            }
            let read = asha.get(&path_of(&entry)).await?;
            assert_eq!(read.at("/sentiment"), entry.at("/sentiment"));
        }
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
