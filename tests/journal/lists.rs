//! Lists of entries and of revisions, and their read model built anew.

use axum::http::StatusCode;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{delete, full, patch, path_of, plain, with, written};
use crate::support::app::on_each_engine;
use crate::support::engines::Outcome;
use crate::support::rebuild::rebuilt_equals_live;

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
async fn a_filter_that_leaves_everything_leaves_the_list_as_it_is() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        for number in 0..7 {
            if number % 2 == 0 {
                app.later(TimeDelta::microseconds(1));
            }
            written(&asha, plain(&format!("Entry number {number}"))).await?;
        }
        let mut cursor = String::new();
        for _ in 0..4 {
            let plain = asha.get(&format!("/journal?limit=2{cursor}")).await?;
            let path = format!("/journal?limit=2{cursor}&from=1900-01-01");
            let filtered = asha.get(&path).await?;
            plain.is(StatusCode::OK)?;
            assert_eq!(plain.body, filtered.body);
            let next = plain.at("/next");
            cursor = format!("&cursor={}", next.as_str().unwrap_or_default());
        }
        assert_eq!(cursor, "&cursor=", "four pages are all");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn entries_are_read_byte_for_byte_as_the_reply_to_their_writing_had_them() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let mut texts = Vec::new();
        let quoted = with(&json!({
            "title": "\"{Quoted}\", with a \\ and a \t \u{1f}",
            "content": "{\"so\": \"it looks like JSON\"}, líneas\nand 🙂",
            "language": "hi",
            "sleep_hours": 7.33,
        }));
        for body in [full(), plain("0123456789"), quoted] {
            app.later(TimeDelta::microseconds(1));
            let reply = written(&asha, body).await?;
            let path = path_of(&reply);
            // nothing that names self-harm is in it
            let text = reply.text.replace(r#","support":null}"#, "}");
            assert_eq!(asha.get(&path).await?.text, text);
            texts.push((path, text));
        }
        app.later(TimeDelta::minutes(1));
        let (path, text) = &mut texts[0];
        let revised = patch(&asha, path, "*", json!({"title": null, "mood_rating": 3})).await?;
        *text = revised.text.replace(r#","support":null}"#, "}");
        texts.reverse();
        let items: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
        let list = asha.get("/journal").await?;
        let expected = format!(r#"{{"items":[{}],"next":null}}"#, items.join(","));
        assert_eq!(list.text, expected);
        let page = asha.get("/journal?limit=2").await?;
        let next = page
            .text
            .strip_prefix(&format!(r#"{{"items":[{},{}],"next":"#, items[0], items[1]));
        let next = next.and_then(|next| next.strip_suffix('}'));
        assert_eq!(next, Some(page.at("/next").to_string().as_str()));
        let none = asha.get("/journal?mood_min=10").await?;
        assert_eq!(none.text, r#"{"items":[],"next":null}"#);
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
