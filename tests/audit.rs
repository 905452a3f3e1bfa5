//! Stories of audit.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use domain::identity::account::StaffRole;
use projections::audit::{AuditEvent, Filter, Stream, events, streams_of};
use serde_json::{Value, json};

use super::support::app::{Reply, on_each_engine};
use super::support::engines::Outcome;
use super::support::rebuild::rebuilt_equals_live;
use super::support::staff::staff;

/// The members of one kind of item at `/items`.
fn listed(reply: &Reply, member: &str) -> Vec<Value> {
    let items = reply.at("/items");
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item[member].clone()).collect()
}

fn words(reply: &Reply, member: &str) -> Vec<String> {
    listed(reply, member)
        .iter()
        .map(|value| value.as_str().unwrap_or_default().to_owned())
        .collect()
}

fn members_of(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .map(|map| map.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

#[tokio::test]
async fn who_asks_for_the_trail_up_to_a_position_sees_what_stands_there() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        for _ in 0..20 {
            let body = json!({"content": "a quiet day by the sea"});
            let written = asha.post("/journal", body).await?;
            let position = written.header("soulsense-position");
            let place: i64 = position.parse()?;
            let activity = asha.request("GET", "/users/me/activity");
            let activity = activity.header("soulsense-min-position", &position);
            let activity = activity.send().await?;
            activity.is(StatusCode::OK)?;
            let positions = listed(&activity, "position");
            assert!(
                positions.contains(&json!(place)),
                "position {position} is not there"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn own_activity_shows_what_happened_newest_first() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        app.member("bela").await?;
        app.trail_caught_up().await?;
        let reply = asha.get("/users/me/activity").await?;
        reply.is(StatusCode::OK)?;
        assert_eq!(
            words(&reply, "event_type"),
            ["session_started", "account_registered"]
        );
        assert_eq!(words(&reply, "actor_role"), ["member", "member"]);
        assert_eq!(reply.at("/next"), Value::Null);
        assert_eq!(
            members_of(&reply.at("/items/0")),
            BTreeSet::from([
                "position",
                "recorded_at",
                "event_type",
                "aggregate_type",
                "aggregate_id",
                "actor_role"
            ])
        );
        assert_eq!(reply.header("cache-control"), "no-store");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn own_activity_tells_the_role_of_staff_and_never_who_it_was() -> Outcome {
    on_each_engine(async |app| {
        let asha = staff(app, "asha", StaffRole::Moderator).await?;
        app.trail_caught_up().await?;
        let reply = asha.get("/users/me/activity?type=role_granted").await?;
        reply.is(StatusCode::OK)?;
        assert_eq!(words(&reply, "actor_role"), ["operator"]);
        assert!(!reply.body.to_string().contains("tester"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn own_activity_is_paged_and_filtered() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        app.trail_caught_up().await?;
        let first = asha.get("/users/me/activity?limit=1").await?;
        assert_eq!(words(&first, "event_type"), ["session_started"]);
        let cursor = first.text("/next");
        let path = format!("/users/me/activity?limit=1&cursor={cursor}");
        let second = asha.get(&path).await?;
        assert_eq!(words(&second, "event_type"), ["account_registered"]);
        assert_eq!(second.at("/next"), Value::Null);

        let registered_at = second.text("/items/0/recorded_at");
        let started_at = first.text("/items/0/recorded_at");
        let path = format!("/users/me/activity?from={registered_at}&to={started_at}");
        let between = asha.get(&path).await?;
        assert_eq!(words(&between, "event_type"), ["account_registered"]);
        let since = asha
            .get(&format!("/users/me/activity?from={started_at}"))
            .await?;
        assert_eq!(words(&since, "event_type"), ["session_started"]);
        for nothing in ["from=2999-01-01T00:00:00Z", "to=2000-01-01T00:00:00Z"] {
            let reply = asha.get(&format!("/users/me/activity?{nothing}")).await?;
            assert!(listed(&reply, "position").is_empty(), "{nothing}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_query_out_of_range_is_refused() -> Outcome {
    on_each_engine(async |app| {
        let auditor = staff(app, "auditor", StaffRole::Auditor).await?;
        let before = app.node.log.reader().head().await?;
        for path in [
            "/users/me/activity",
            "/audit/events",
            "/audit/streams/account/x",
        ] {
            for (query, pointer) in [
                ("limit=0", "/limit"),
                ("limit=101", "/limit"),
                ("limit=-1", "/limit"),
                ("limit=many", "/limit"),
                ("cursor=made-up", "/cursor"),
                ("cursor=LTE", "/cursor"),
                ("limit=1&limit=2", "/limit"),
            ] {
                let reply = auditor.get(&format!("{path}?{query}")).await?;
                reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
                assert_eq!(reply.text("/errors/0/pointer"), pointer, "{path}?{query}");
            }
            let reply = auditor.get(&format!("{path}?colour=blue")).await?;
            reply.is_problem(StatusCode::BAD_REQUEST, "request.unknown_field")?;
        }
        for query in ["from=yesterday", "to=2026-13-01T00:00:00Z"] {
            for path in ["/users/me/activity", "/audit/events"] {
                let reply = auditor.get(&format!("{path}?{query}")).await?;
                reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
            }
        }
        for query in ["subject=nobody", "correlation=1", "after=x", "before=1.5"] {
            let reply = auditor.get(&format!("/audit/events?{query}")).await?;
            reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
        }
        let reply = auditor.get("/audit/events?event_type=%00").await?;
        reply.is_problem(StatusCode::BAD_REQUEST, "request.nul_character")?;
        assert_eq!(app.node.log.reader().head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_trail_is_for_auditors_alone() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let admin = staff(app, "keeper", StaffRole::Admin).await?;
        let stream = format!("/audit/streams/account/{}", asha.id);
        for path in ["/audit/events", stream.as_str()] {
            let reply = app.get(path).await?;
            reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")?;
            for somebody in [&asha, &admin] {
                let reply = somebody.get(path).await?;
                reply.is_problem(StatusCode::FORBIDDEN, "auth.role_required")?;
            }
        }
        let reply = app.get("/users/me/activity").await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")
    })
    .await
}

#[tokio::test]
async fn the_trail_holds_every_event_and_answers_every_filter() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let auditor = staff(app, "auditor", StaffRole::Auditor).await?;
        app.trail_caught_up().await?;
        let head = app.node.log.reader().head().await?.position;

        let all = auditor.get("/audit/events?limit=100").await?;
        all.is(StatusCode::OK)?;
        let expected: Vec<Value> = (1..=head).rev().map(Value::from).collect();
        assert_eq!(listed(&all, "position"), expected);
        let newest = all.at("/items/0");
        assert_eq!(newest["event_type"], "role_granted");
        assert_eq!(newest["actor_id"], "cli:tester");
        assert_eq!(
            members_of(&newest),
            BTreeSet::from([
                "position",
                "event_id",
                "recorded_at",
                "aggregate_type",
                "aggregate_id",
                "sequence",
                "event_type",
                "event_version",
                "actor_id",
                "actor_role",
                "subject_id",
                "correlation_id",
                "causation_id"
            ])
        );

        let login = auditor
            .get(&format!(
                "/audit/events?subject={}&event_type=session_started",
                asha.id
            ))
            .await?;
        let session = login.at("/items/0");
        let text = |member: &str| session[member].as_str().unwrap_or_default().to_owned();
        for (query, count) in [
            (format!("subject={}", asha.id), 2),
            (format!("subject={}&aggregate_type=account", asha.id), 1),
            ("event_type=account_registered".to_owned(), 2),
            ("actor=cli:tester".to_owned(), 1),
            (format!("actor={}", text("actor_id")), 2),
            (format!("correlation={}", text("correlation_id")), 1),
            (
                format!(
                    "aggregate_type=session&aggregate_id={}",
                    text("aggregate_id")
                ),
                1,
            ),
            ("aggregate_type=session".to_owned(), 2),
            (format!("after={}", head - 1), 1),
            (format!("before={}", head - 1), (head - 2).min(100)),
            (format!("after={}&before={}", head - 3, head), 2),
            (
                format!(
                    "from={}",
                    newest["recorded_at"].as_str().unwrap_or_default()
                ),
                1,
            ),
            ("subject=00000000-0000-0000-0000-000000000000".to_owned(), 0),
            ("event_type=never_heard".to_owned(), 0),
        ] {
            let reply = auditor
                .get(&format!("/audit/events?limit=100&{query}"))
                .await?;
            reply.is(StatusCode::OK)?;
            let found = i64::try_from(listed(&reply, "position").len())?;
            assert_eq!(found, count, "{query}: {}", reply.body);
        }
        Ok(())
    })
    .await
}

/// An event that fits a filter, found the long way.
fn fits(filter: &Filter, event: &AuditEvent) -> bool {
    let is = |wanted: &Option<String>, given: &str| wanted.as_deref().is_none_or(|is| is == given);
    is(&filter.aggregate_type, &event.aggregate_type)
        && is(&filter.aggregate_id, &event.aggregate_id)
        && is(&filter.event_type, &event.event_type)
        && is(&filter.actor, &event.actor_id)
        && filter.subject.is_none_or(|id| event.subject_id == Some(id))
        && filter
            .correlation
            .is_none_or(|id| event.correlation_id == id)
        && filter.from.is_none_or(|from| event.recorded_at >= from)
        && filter.to.is_none_or(|to| event.recorded_at < to)
        && filter.after.is_none_or(|after| event.position > after)
        && filter.before.is_none_or(|before| event.position < before)
}

#[tokio::test]
async fn any_filters_together_find_what_a_look_at_every_event_finds() -> Outcome {
    on_each_engine(async |app| {
        for name in ["asha", "bela", "chen"] {
            let member = app.member(name).await?;
            member
                .post("/journal", json!({"content": "a quiet day by the sea"}))
                .await?
                .is(StatusCode::CREATED)?;
        }
        staff(app, "auditor", StaffRole::Auditor).await?;
        staff(app, "keeper", StaffRole::Admin).await?;
        app.trail_caught_up().await?;
        let log = app.node.log.reader();
        let head = log.head().await?.position;
        let page = log.page(0, head, 1_000).await?;
        let every: Vec<AuditEvent> = page.into_iter().map(AuditEvent::from).collect();
        let models = app.node.read();
        let mut found_some = 0;
        for (number, event) in every.iter().enumerate() {
            let other = &every[(number * 7 + 3) % every.len()];
            for choice in 0_u32..1 << 10 {
                // each filter alone, and some of all the others
                if choice.count_ones() > 1 && !(choice as usize + number).is_multiple_of(11) {
                    continue;
                }
                let with = |bit: u32| choice >> bit & 1 == 1;
                let filter = Filter {
                    aggregate_type: with(0).then(|| event.aggregate_type.clone()),
                    aggregate_id: with(1).then(|| event.aggregate_id.clone()),
                    event_type: with(2).then(|| event.event_type.clone()),
                    actor: with(3).then(|| event.actor_id.clone()),
                    subject: event.subject_id.filter(|_| with(4)),
                    correlation: with(5).then_some(event.correlation_id),
                    from: with(6).then_some(other.recorded_at.min(event.recorded_at)),
                    to: with(7).then_some(other.recorded_at),
                    after: with(8).then_some(other.position.min(event.position) - 1),
                    before: with(9).then_some(other.position),
                };
                let expected: Vec<&AuditEvent> = every
                    .iter()
                    .rev()
                    .filter(|e| fits(&filter, e))
                    .take(9)
                    .collect();
                let found = events(&models, &log, &filter, 9).await?;
                found_some += usize::from(!found.is_empty());
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
            }
        }
        assert!(found_some > every.len(), "hardly any filter found anything");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn pages_of_the_trail_neither_repeat_nor_miss_while_it_grows() -> Outcome {
    on_each_engine(async |app| {
        let auditor = staff(app, "auditor", StaffRole::Auditor).await?;
        app.trail_caught_up().await?;
        let head = app.node.log.reader().head().await?.position;
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let reply = auditor
                .get(&format!("/audit/events?limit=2{cursor}"))
                .await?;
            reply.is(StatusCode::OK)?;
            seen.extend(listed(&reply, "position"));
            if reply.at("/next").is_null() {
                break;
            }
            cursor = format!("&cursor={}", reply.text("/next"));
            if seen.len() == 2 {
                app.member("late").await?;
            }
        }
        let expected: Vec<Value> = (1..=head).rev().map(Value::from).collect();
        assert_eq!(seen, expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stream_is_shown_with_its_sealed_fields_null_and_named() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let auditor = staff(app, "auditor", StaffRole::Auditor).await?;
        let path = format!("/audit/streams/account/{}", asha.id);
        let reply = auditor.get(&path).await?;
        reply.is(StatusCode::OK)?;
        assert_eq!(reply.at("/items/0/payload/member"), Value::Null);
        assert_eq!(reply.at("/items/0/payload/credentials"), Value::Null);
        let sealed = reply.at("/items/0/sealed");
        let sealed: BTreeSet<&str> = sealed
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        assert_eq!(sealed, BTreeSet::from(["/member", "/credentials"]));
        assert_eq!(reply.at("/items/0/payload/account_id"), asha.id.as_str());
        assert_eq!(reply.at("/items/0/intact"), true);
        assert_eq!(reply.at("/items/0/sequence"), 1);
        for private in ["asha", "example.org", "argon2", "ciphertext"] {
            assert!(!reply.body.to_string().contains(private), "{private}");
        }
        for nowhere in ["account/x", "nothing/x"] {
            let reply = auditor.get(&format!("/audit/streams/{nowhere}")).await?;
            reply.is_problem(StatusCode::NOT_FOUND, "request.not_found")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stream_about_nobody_is_shown_as_it_is_and_in_pages() -> Outcome {
    on_each_engine(async |app| {
        let auditor = staff(app, "auditor", StaffRole::Auditor).await?;
        app.trail_caught_up().await?;
        let banks = auditor
            .get("/audit/events?event_type=bank_published")
            .await?;
        let bank = banks.text("/items/0/aggregate_id");
        assert!(!bank.is_empty(), "no bank is published: {}", banks.body);
        let reply = auditor
            .get(&format!("/audit/streams/question_bank/{bank}"))
            .await?;
        reply.is(StatusCode::OK)?;
        assert_eq!(reply.at("/items/0/sealed"), Value::Array(Vec::new()));
        assert!(reply.body.to_string().contains("self_awareness"));

        let path = format!("/audit/streams/account/{}", auditor.id);
        let first = auditor.get(&format!("{path}?limit=1")).await?;
        assert_eq!(words(&first, "event_type"), ["account_registered"]);
        let cursor = first.text("/next");
        let second = auditor
            .get(&format!("{path}?limit=1&cursor={cursor}"))
            .await?;
        assert_eq!(words(&second, "event_type"), ["role_granted"]);
        assert_eq!(second.at("/next"), Value::Null);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_streams_about_a_subject_are_known() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        app.member("bela").await?;
        app.trail_caught_up().await?;
        let streams = streams_of(&app.node.read(), asha.id.parse()?).await?;
        assert_eq!(
            streams
                .iter()
                .map(|s| s.aggregate_type.as_str())
                .collect::<Vec<_>>(),
            ["account", "session"]
        );
        assert!(streams.contains(&Stream {
            aggregate_type: "account".to_owned(),
            aggregate_id: asha.id.clone(),
        }));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_rebuilt_trail_equals_the_live_one() -> Outcome {
    on_each_engine(async |app| {
        app.member("asha").await?;
        staff(app, "auditor", StaffRole::Auditor).await?;
        rebuilt_equals_live(app).await
    })
    .await
}
