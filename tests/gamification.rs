//! Stories of gamification: what is earned, and that it is earned once whatever fails.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use chrono::{NaiveDate, TimeDelta};
use domain::gamification::progress::{Activity, ProgressCommand};
use domain::id::AccountId;
use event_log::database::Engine;
use event_log::{Metadata, execute};
use rand::RngExt;
use serde_json::{Value, json};
use soulsense::clock::Ids;
use soulsense::commands::Request;
use soulsense::node::{Node, Purpose};
use soulsense::policies;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::support::app::{App, Member, PASSWORD, Reply, on_each_engine};
use super::support::engines::{Outcome, id};
use super::support::rebuild::rebuilt_equals_live;

async fn write(member: &Member<'_>, entries: usize) -> Outcome {
    for number in 0..entries {
        let body = json!({"content": format!("Entry number {number} of the day")});
        let reply = member.post("/journal", body).await?;
        reply.is(StatusCode::CREATED)?;
    }
    Ok(())
}

/// Sits an exam of five questions, taking `per_item` for each.
async fn sit(member: &Member<'_>, per_item: TimeDelta) -> Outcome {
    let started = member
        .post("/exams/start", json!({"question_count": 5}))
        .await?;
    started.is(StatusCode::CREATED)?;
    let exam = format!("/exams/{}", started.text("/id"));
    for question in 0..5 {
        member.app.later(per_item);
        let id = started.text(&format!("/questions/{question}/id"));
        let body = json!({"question_id": id, "value": 2 + question % 2});
        let saved = member.post(&format!("{exam}/responses"), body).await?;
        saved.is(StatusCode::OK)?;
    }
    let done = member.post(&format!("{exam}/complete"), json!({})).await?;
    done.is(StatusCode::OK)
}

const UNHURRIED: TimeDelta = TimeDelta::seconds(5);

async fn total(member: &Member<'_>) -> Result<Value, Box<dyn Error>> {
    let reply = member.get("/gamification/xp").await?;
    reply.is(StatusCode::OK)?;
    Ok(reply.at("/total"))
}

/// `activity current longest active_today` of each streak.
fn streaks(summary: &Reply) -> Vec<String> {
    let streaks = summary.at("/streaks");
    streaks
        .as_array()
        .into_iter()
        .flatten()
        .map(|streak| {
            let part = |name: &str| streak[name].to_string().replace('"', "");
            ["activity", "current", "longest", "active_today"]
                .map(part)
                .join(" ")
        })
        .collect()
}

/// What the log itself says an account has earned.
async fn earned(node: &Node, account: &str) -> Result<u64, Box<dyn Error>> {
    Ok(node.progress.load(account).await?.state.total_xp())
}

#[tokio::test]
async fn a_new_member_has_earned_nothing() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let none = |activity: &str| {
            json!({"activity": activity, "current": 0, "longest": 0, "active_today": false, "freezes": 0})
        };
        let xp = json!({"total": 0, "level": 1, "next_level_at": 500, "level_progress": 0.0});
        let streaks = json!([none("journal"), none("exam"), none("any")]);
        let summary = asha.get("/gamification/summary").await?;
        summary.is(StatusCode::OK)?;
        let expected = json!({
            "xp": xp, "streaks": streaks, "recent_achievements": [], "active_challenges": [],
        });
        assert_eq!(summary.body, expected);
        assert_eq!(asha.get("/gamification/xp").await?.body, xp);
        let days = asha.get("/gamification/streaks").await?;
        assert_eq!(days.body, json!({"items": streaks, "next": null}));
        let history = asha.get("/gamification/xp/history").await?;
        assert_eq!(history.body, json!({"items": [], "next": null}));
        for path in ["summary", "xp", "xp/history", "streaks"] {
            let reply = app.get(&format!("/gamification/{path}")).await?;
            reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn entries_and_exams_earn_xp_and_streaks() -> Outcome {
    on_each_engine(async |app| {
        let (asha, bela) = (app.member("asha").await?, app.member("bela").await?);
        write(&asha, 2).await?;
        sit(&asha, UNHURRIED).await?;
        app.settled().await?;
        let summary = asha.get("/gamification/summary").await?;
        let xp = json!({"total": 200, "level": 1, "next_level_at": 500, "level_progress": 0.4});
        assert_eq!(summary.at("/xp"), xp);
        assert_eq!(
            streaks(&summary),
            ["journal 1 1 true", "exam 1 1 true", "any 1 1 true"]
        );

        let first = asha.get("/gamification/xp/history?limit=2").await?;
        assert_eq!(first.at("/items/0/reason"), "exam_completed");
        assert_eq!(first.at("/items/0/amount"), 100);
        assert_eq!(first.at("/items/1/reason"), "journal_entry");
        let next = first.text("/next");
        let second = asha
            .get(&format!("/gamification/xp/history?cursor={next}"))
            .await?;
        assert_eq!(second.at("/items/0/amount"), 50);
        assert_ne!(second.at("/items/0/cause"), first.at("/items/1/cause"));
        assert_eq!(second.at("/items/1"), Value::Null);
        assert_eq!(second.at("/next"), Value::Null);

        assert_eq!(total(&bela).await?, 0);
        let theirs = bela
            .get(&format!("/gamification/xp/history?cursor={next}"))
            .await?;
        assert_eq!(theirs.at("/items"), json!([]));
        for (query, status) in [
            ("limit=0", StatusCode::UNPROCESSABLE_ENTITY),
            ("limit=101", StatusCode::UNPROCESSABLE_ENTITY),
            ("cursor=!", StatusCode::UNPROCESSABLE_ENTITY),
            ("reason=exam", StatusCode::BAD_REQUEST),
        ] {
            let reply = asha
                .get(&format!("/gamification/xp/history?{query}"))
                .await?;
            reply.is(status)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_award_names_its_cause() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        write(&asha, 1).await?;
        app.settled().await?;
        let reader = app.node.log.reader();
        let events = reader.page(0, i64::MAX, 1_000).await?;
        let entry = events
            .iter()
            .find(|event| event.event_type == "entry_written");
        let award = events.iter().find(|event| event.event_type == "xp_awarded");
        let (Some(entry), Some(award)) = (entry, award) else {
            return Err("no award".into());
        };
        assert_eq!(award.causation_id, Some(entry.event_id));
        assert_eq!(award.correlation_id, entry.correlation_id);
        assert_eq!(award.actor_id, "policy:progress");
        assert_eq!(award.subject_id, entry.subject_id);
        let history = asha.get("/gamification/xp/history").await?;
        assert_eq!(history.text("/items/0/cause"), entry.event_id.to_string());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_sixth_entry_of_a_day_earns_nothing_and_deleting_gives_no_way_around() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        write(&asha, 5).await?;
        let list = asha.get("/journal").await?;
        let path = format!("/journal/{}", list.text("/items/0/id"));
        let gone = asha.request("DELETE", &path).send().await?;
        gone.is(StatusCode::NO_CONTENT)?;
        app.settled().await?;
        assert_eq!(total(&asha).await?, 250);
        write(&asha, 2).await?;
        app.settled().await?;
        assert_eq!(total(&asha).await?, 250);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_rushed_exam_earns_nothing() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        sit(&asha, TimeDelta::milliseconds(300)).await?;
        app.settled().await?;
        let summary = asha.get("/gamification/summary").await?;
        assert_eq!(summary.at("/xp/total"), 0);
        assert_eq!(
            streaks(&summary),
            ["journal 0 0 false", "exam 0 0 false", "any 0 0 false"]
        );
        Ok(())
    })
    .await
}

/// Records a day of journal activity as the policy would, on a day of our choice.
async fn active_on(app: &App, account: &str, day: NaiveDate) -> Outcome {
    let command = ProgressCommand::RecordActivity {
        account_id: AccountId(Uuid::parse_str(account)?),
        activity: Activity::Journal,
        cause: id(),
        at: day.and_hms_opt(12, 0, 0).unwrap_or_default().and_utc(),
        local_day: day,
    };
    let request = Request::system(Metadata::system("policy:progress", id()));
    app.node
        .progress
        .execute(account, &command, &request)
        .await?;
    Ok(())
}

#[tokio::test]
async fn seven_days_in_a_row_earn_a_bonus_and_a_missed_day_ends_the_run() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let today = app.clock.now().date_naive();
        for back in (0..7).rev() {
            active_on(app, &asha.id, today - TimeDelta::days(back)).await?;
        }
        app.settled().await?;
        let summary = asha.get("/gamification/summary").await?;
        let xp = json!({"total": 550, "level": 2, "next_level_at": 600, "level_progress": 0.5});
        assert_eq!(summary.at("/xp"), xp);
        assert_eq!(
            streaks(&summary),
            ["journal 7 7 true", "exam 0 0 false", "any 7 7 true"]
        );

        for (days, journal) in [(1, "journal 7 7 false"), (1, "journal 0 7 false")] {
            app.later(TimeDelta::days(days));
            let asha = app.login("asha", PASSWORD).await?;
            let summary = asha.get("/gamification/summary").await?;
            assert_eq!(streaks(&summary)[0], journal);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn rebuilt_progress_equals_the_live_one() -> Outcome {
    on_each_engine(async |app| {
        let (asha, bela) = (app.member("asha").await?, app.member("bela").await?);
        write(&asha, 6).await?;
        write(&bela, 1).await?;
        sit(&bela, UNHURRIED).await?;
        rebuilt_equals_live(app).await?;
        assert_eq!(total(&asha).await?, 250);
        assert_eq!(total(&bela).await?, 150);
        let summary = bela.get("/gamification/summary").await?;
        assert_eq!(
            streaks(&summary),
            ["journal 1 1 true", "exam 1 1 true", "any 1 1 true"]
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn erased_progress_leaves_no_row() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        write(&asha, 2).await?;
        app.settled().await?;
        let erase = ProgressCommand::Erase {
            now: app.clock.now(),
        };
        let request = Request::system(Metadata::system("job:test", id()));
        app.node
            .progress
            .execute(&asha.id, &erase, &request)
            .await?;
        rebuilt_equals_live(app).await?;
        assert_eq!(total(&asha).await?, 0);
        let history = asha.get("/gamification/xp/history").await?;
        assert_eq!(history.at("/items"), json!([]));
        let summary = asha.get("/gamification/summary").await?;
        assert_eq!(streaks(&summary)[2], "any 0 0 false");
        Ok(())
    })
    .await
}

/// Sets a policy's checkpoint back and leaves it to whoever comes first.
async fn set_back(node: &Node, position: i64) -> Result<u64, sqlx::Error> {
    let sql = match node.homes.log.engine() {
        Engine::Postgres => "UPDATE log.policy_checkpoints SET position = $1, lease_until = 0",
        Engine::Sqlite => "UPDATE policy_checkpoints SET position = $1, lease_until = 0",
    };
    execute!(node.homes.log, sql, position)
}

/// Leaves the policies to a node of our choice, whoever runs them now.
async fn hand_over(node: &Node, to: Uuid) -> Result<u64, sqlx::Error> {
    let sql = match node.homes.log.engine() {
        Engine::Postgres => {
            "UPDATE log.policy_checkpoints SET owner = $1, epoch = epoch + 1, lease_until = $2"
        }
        Engine::Sqlite => {
            "UPDATE policy_checkpoints SET owner = $1, epoch = epoch + 1, lease_until = $2"
        }
    };
    execute!(node.homes.log, sql, to, i64::MAX)
}

#[tokio::test]
async fn events_met_again_after_restarts_earn_nothing_again() -> Outcome {
    on_each_engine(async |app| {
        {
            let asha = app.member("asha").await?;
            write(&asha, 6).await?;
            sit(&asha, UNHURRIED).await?;
        }
        // the first restart comes while the policy is at work
        for _ in 0..3 {
            app.restart().await?;
            app.settled().await?;
            set_back(&app.node, 0).await?;
        }
        app.restart().await?;
        app.settled().await?;
        let asha = app.login("asha", PASSWORD).await?;
        assert_eq!(total(&asha).await?, 350);
        assert_eq!(earned(&app.node, &asha.id).await?, 350);
        let summary = asha.get("/gamification/summary").await?;
        assert_eq!(
            streaks(&summary),
            ["journal 1 1 true", "exam 1 1 true", "any 1 1 true"]
        );
        Ok(())
    })
    .await
}

/// A node beside the application's that does nothing by itself.
async fn beside(app: &App, purpose: Purpose) -> Result<Arc<Node>, Box<dyn Error>> {
    let config = app.node.config.clone();
    Ok(Node::open(config, purpose, app.clock.clone(), Ids::system()).await?)
}

#[tokio::test]
async fn a_policy_killed_between_any_two_steps_loses_and_doubles_nothing() -> Outcome {
    on_each_engine(async |app| {
        let members = [
            app.member("asha").await?,
            app.member("bela").await?,
            app.member("chandra").await?,
        ];
        let other = beside(app, Purpose::Tool).await?;
        app.settled().await?;
        hand_over(&other, other.id).await?;
        for (entries, member) in (4..).zip(&members) {
            write(member, entries).await?;
            sit(member, UNHURRIED).await?;
        }
        let head = app.node.log.reader().head().await?.position;
        for round in 0..60 {
            if round % 5 == 0 {
                let back = rand::rng().random_range(0..=head);
                set_back(&other, back).await?;
                hand_over(&other, other.id).await?;
            }
            for policy in policies::all() {
                let (node, stop) = (Arc::clone(&other), CancellationToken::new());
                let running = tokio::spawn(policies::run(policy, node, stop));
                let micros = rand::rng().random_range(0..15_000);
                tokio::time::sleep(Duration::from_micros(micros)).await;
                running.abort();
                let _aborted = running.await;
            }
        }
        set_back(&other, 0).await?;
        app.settled().await?;
        other.stop().await;
        for (member, xp) in members.iter().zip([300, 350, 350]) {
            assert_eq!(total(member).await?, xp, "{}", member.username);
            assert_eq!(earned(&app.node, &member.id).await?, xp);
            let summary = member.get("/gamification/summary").await?;
            assert_eq!(
                streaks(&summary),
                ["journal 1 1 true", "exam 1 1 true", "any 1 1 true"]
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_policy_on_two_nodes_at_once_doubles_nothing() -> Outcome {
    let app = App::with(Engine::Postgres, |_| {}).await?;
    let other = beside(&app, Purpose::Serve).await?;
    other.start().await?;
    let members = [
        app.member("asha").await?,
        app.member("bela").await?,
        app.member("chandra").await?,
    ];
    let done = CancellationToken::new();
    let stealing = async {
        while !done.is_cancelled() {
            let head = app.node.log.reader().head().await?.position;
            let back = rand::rng().random_range(0..=head);
            set_back(&app.node, back).await?;
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
        Ok::<_, sqlx::Error>(())
    };
    let telling = async {
        for member in &members {
            write(member, 4).await?;
            sit(member, UNHURRIED).await?;
            write(member, 2).await?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        done.cancel();
        Ok::<_, Box<dyn Error>>(())
    };
    let (stolen, told) = tokio::join!(stealing, telling);
    stolen?;
    told?;
    set_back(&app.node, 0).await?;
    app.settled().await?;
    for member in &members {
        assert_eq!(
            earned(&app.node, &member.id).await?,
            350,
            "{}",
            member.username
        );
        assert_eq!(total(member).await?, 350, "{}", member.username);
    }
    other.stop().await;
    app.close().await;
    Ok(())
}
