//! How fast each projection catches up with a long log, on both engines, one projection at a time.
//!
//! `cargo bench --bench catch_up [EVENTS]`. Postgres is measured where `TEST_POSTGRES_URL` names a server.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::print_stderr, reason = "and says what it left out")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::TimeDelta;
use domain::exams::exam::{ExamCommand, QuestionCount, Response, Start};
use domain::exams::question_bank::{Bank, SHIPPED};
use domain::id::{AccountId, EntryId, ExamId};
use domain::journal::entry::{Draft, EntryBody, EntryCommand};
use domain::language::Language;
use event_log::Metadata;
use futures::StreamExt;
use projections::generations::State;
use soulsense::clock::{Clock, Ids};
use soulsense::commands::Request;
use soulsense::config::Config;
use soulsense::node::{Node, Purpose};
use sqlx::{Connection, PgConnection};

/// Events in the log when nobody says how many.
const EVENTS: i64 = 200_000;
/// Commands under way at the same time while the log is filled.
const CALLERS: usize = 256;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let events = std::env::args()
        .skip(1)
        .find_map(|text| text.parse().ok())
        .unwrap_or(EVENTS);
    println!("| engine | projection | events | seconds | events/s |");
    println!("|---|---|---:|---:|---:|");
    let directory = tempfile::tempdir()?;
    let mut config = Config::defaults()?;
    config.data_dir = directory.path().join("data");
    measure("SQLite", config.clone(), events).await?;
    let Ok(server) = std::env::var("TEST_POSTGRES_URL") else {
        eprintln!("TEST_POSTGRES_URL is not set: Postgres is left out");
        return Ok(());
    };
    let mut connection = PgConnection::connect(&server).await?;
    sqlx::query("DROP DATABASE IF EXISTS soulsense_bench")
        .execute(&mut connection)
        .await?;
    sqlx::query("CREATE DATABASE soulsense_bench")
        .execute(&mut connection)
        .await?;
    let (front, _) = server
        .rsplit_once('/')
        .context("the URL names no database")?;
    config.database_url = Some(format!("{front}/soulsense_bench").into());
    config.data_dir = directory.path().join("postgres");
    measure("Postgres", config, events).await?;
    sqlx::query("DROP DATABASE soulsense_bench WITH (FORCE)")
        .execute(&mut connection)
        .await?;
    Ok(())
}

async fn measure(engine: &str, config: Config, events: i64) -> anyhow::Result<()> {
    let node = Node::open(config, Purpose::Serve, Clock::system(), Ids::system()).await?;
    fill(&node, events).await?;
    node.start().await?;
    settled(&node).await?;
    let head = node.log.reader().head().await?;
    for projection in node.projector.projections() {
        let began = Instant::now();
        node.projector.rebuild(projection.as_ref(), head).await?;
        built(&node).await?;
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "| {engine} | {} | {} | {seconds:.2} | {:.0} |",
            projection.name(),
            head.position,
            f64::from(u32::try_from(head.position)?) / seconds
        );
    }
    node.stop().await;
    Ok(())
}

/// Members who each write entries and sit one exam, until the log holds enough.
async fn fill(node: &Arc<Node>, events: i64) -> anyhow::Result<()> {
    let bank = Arc::new(Bank::parse(SHIPPED[0]).map_err(|faults| anyhow::anyhow!("{faults:?}"))?);
    let members = events / 40;
    let mut filling = futures::stream::iter(0..members)
        .map(|_| member(node, Arc::clone(&bank)))
        .buffer_unordered(CALLERS);
    while let Some(done) = filling.next().await {
        done?;
    }
    Ok(())
}

async fn member(node: &Arc<Node>, bank: Arc<Bank>) -> anyhow::Result<()> {
    let (now, account) = (node.clock.now(), AccountId(node.ids.next()));
    node.log
        .keys()
        .create_subject(account.0, node.ids.next(), now)
        .await?;
    let request = Request::system(Metadata::system(account.to_string(), node.ids.next()));
    for number in 0..17 {
        let draft = Draft {
            content: Some(format!("Entry {number}: a walk by the river made me calm.")),
            mood_rating: Some(1 + number % 10),
            ..Draft::default()
        };
        let body = EntryBody::try_new(draft, now.date_naive())
            .map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
        let entry_id = EntryId(node.ids.next());
        let command = EntryCommand::Write {
            entry_id,
            account_id: account,
            body: Box::new(body),
            now,
        };
        node.entries
            .execute(&entry_id.to_string(), &command, &request)
            .await?;
    }
    let exam_id = ExamId(node.ids.next());
    let id = exam_id.to_string();
    let start = ExamCommand::Start(Start {
        exam_id,
        account_id: account,
        bank,
        question_count: QuestionCount::try_new(20).map_err(|fault| anyhow::anyhow!("{fault:?}"))?,
        age: None,
        language: Language::En,
        idle_timeout: TimeDelta::hours(1),
        last_completed_at: None,
        cooldown: TimeDelta::zero(),
        now,
    });
    let started = node.exams.execute(&id, &start, &request).await?;
    let attempt = started.state.attempt_of(account)?;
    let asked: Vec<String> = attempt
        .questions()
        .map(|(item, _)| item.id.clone())
        .collect();
    for (number, question_id) in (0..).zip(asked) {
        let responses = vec![Response {
            question_id,
            value: 1 + number % 5,
        }];
        let now = now + TimeDelta::seconds(5 * (number + 1));
        let save = ExamCommand::SaveResponses {
            account_id: account,
            responses,
            now,
        };
        node.exams.execute(&id, &save, &request).await?;
    }
    let now = now + TimeDelta::minutes(5);
    let complete = ExamCommand::Complete {
        account_id: account,
        reflection: None,
        now,
    };
    node.exams.execute(&id, &complete, &request).await?;
    Ok(())
}

/// Waits until the policies have come to the end of the log, so that it stands still.
async fn settled(node: &Arc<Node>) -> anyhow::Result<()> {
    loop {
        built(node).await?;
        let head = node.log.reader().head().await?.position;
        let subscriptions = node.subscriptions.list().await?;
        if !subscriptions.is_empty() && subscriptions.iter().all(|one| one.position >= head) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until nothing is being built.
async fn built(node: &Arc<Node>) -> anyhow::Result<()> {
    loop {
        let rows = node.projector.generations().list().await?;
        if node.projector.is_live() && rows.iter().all(|row| row.state != State::Building) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
