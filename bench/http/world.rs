//! Members with a past, as a server of some months has them, and what they ask it for.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use domain::exams::exam::{ExamCommand, QuestionCount, Response, Start};
use domain::exams::question_bank::{Bank, SHIPPED};
use domain::id::{AccountId, EntryId, ExamId, SessionId};
use domain::identity::account::{AccountCommand, EmailAddress, PasswordHash, PersonName, Username};
use domain::identity::session::{Device, RefreshHash, SessionCommand};
use domain::journal::entry::{Draft, EntryBody, EntryCommand};
use domain::language::Language;
use domain::rejection::Violation;
use event_log::Metadata;
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use soulsense::clock::{Clock, Ids};
use soulsense::commands::Request;
use soulsense::config::Config;
use soulsense::node::{Node, Purpose};
use soulsense::tokens::{AccessGrant, RefreshToken};
use zeroize::Zeroizing;

use crate::load::Call;

/// What every member's password is.
const PASSWORD: &str = "correct-horse-7-battery-staple";
/// Entries that a member has written.
const ENTRIES: i64 = 120;
/// Questions of an exam.
const QUESTIONS: i64 = 20;
/// Members who are made at the same time.
const AT_ONCE: usize = 64;

/// Somebody who is signed in and has an exam under way.
pub struct Member {
    username: String,
    token: String,
    exam: ExamId,
    questions: Vec<String>,
}

/// Everybody, and how much there is in the log.
pub struct World {
    pub members: Vec<Member>,
    pub events: i64,
    /// The engine, as it names itself.
    pub engine: String,
}

impl World {
    /// Fills the homes that the configuration names, and waits until policies and projections have followed.
    pub async fn fill(config: Config, members: usize) -> anyhow::Result<Self> {
        let node = Node::open(config, Purpose::Serve, Clock::system(), Ids::system()).await?;
        node.start().await?;
        let hash = node
            .hasher
            .hash(Zeroizing::new(PASSWORD.to_owned()))
            .await?;
        let bank =
            Arc::new(Bank::parse(SHIPPED[0]).map_err(|faults| anyhow::anyhow!("{faults:?}"))?);
        let members = futures::stream::iter(0..members)
            .map(|number| member(&node, number, &hash, &bank))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let events = settled(&node).await?;
        let engine = node.homes.server_version().await?;
        node.stop().await;
        Ok(Self {
            members,
            events,
            engine,
        })
    }

    /// One reading of `path` a member.
    pub fn readings(&self, path: &str) -> Vec<Call> {
        let call = |member: &Member| member.call("GET", path, String::new());
        self.members.iter().map(call).collect()
    }

    /// Every member answers every question of the exam twice, each time differently from before: runs take
    /// turns between two pairs of answers, so that none repeats what the one before it left.
    pub fn answers(&self, run: usize) -> Vec<Call> {
        let pair = if run.is_multiple_of(2) {
            [1, 3]
        } else {
            [2, 4]
        };
        let rounds = pair
            .into_iter()
            .flat_map(|value| (0..20).map(move |question| (value, question)));
        rounds
            .flat_map(|(value, question)| {
                self.members.iter().map(move |member| {
                    let path = format!("/api/v1/exams/{}/responses", member.exam);
                    let body = json!({"question_id": member.questions[question], "value": value});
                    member.call("POST", &path, body.to_string())
                })
            })
            .collect()
    }

    /// One entry a member.
    pub fn entries(&self) -> Vec<Call> {
        let body = json!({
            "title": "A quiet Sunday",
            "content": WORDS,
            "tags": ["walk", "rest"],
            "mood_rating": 8, "energy_level": 7, "stress_level": 2, "sleep_quality": 8,
            "sleep_hours": 7.5, "screen_time_mins": 90,
        })
        .to_string();
        let call = |member: &Member| member.call("POST", "/api/v1/journal", body.clone());
        self.members.iter().map(call).collect()
    }

    /// One login a member.
    pub fn logins(&self) -> Vec<Call> {
        let call = |member: &Member| {
            let body = json!({"identifier": member.username, "password": PASSWORD});
            Call {
                token: String::new(),
                method: "POST",
                path: "/api/v1/auth/login".to_owned(),
                body: body.to_string(),
            }
        };
        self.members.iter().map(call).collect()
    }
}

/// About as much text as a short journal entry.
const WORDS: &str = "Today I listened before I answered, and the talk with my sister went better than I had feared. \
    I noticed how my shoulders sank when she laughed, and I would like to remember that the next time.";

impl Member {
    fn call(&self, method: &'static str, path: &str, body: String) -> Call {
        Call {
            token: self.token.clone(),
            method,
            path: path.to_owned(),
            body,
        }
    }
}

fn right<T>(value: Result<T, Violation>) -> anyhow::Result<T> {
    value.map_err(|violation| anyhow::anyhow!("{violation:?}"))
}

async fn member(
    node: &Arc<Node>,
    number: usize,
    hash: &str,
    bank: &Arc<Bank>,
) -> anyhow::Result<Member> {
    let (now, id) = (node.clock.now(), AccountId(node.ids.next()));
    let keys = node.log.keys();
    keys.create_subject(id.0, node.ids.next(), now).await?;
    let request = Request::system(Metadata::system(id.to_string(), node.ids.next()));
    let username = format!("member_{number}");
    let register = AccountCommand::Register {
        account_id: id,
        username: right(Username::parse(&username))?,
        email: right(EmailAddress::parse(&format!(
            "{username}@people.example.org"
        )))?,
        password_hash: PasswordHash::new(hash),
        first_name: right(PersonName::parse("Asha"))?,
        last_name: None,
        age: None,
        gender: None,
        now,
    };
    let account = node
        .accounts
        .execute(&id.to_string(), &register, &request)
        .await?;
    let session = SessionId(node.ids.next());
    let start = SessionCommand::Start {
        session_id: session,
        account_id: id,
        account_sequence: account.state.sequence(),
        secret_hash: RefreshHash::new(RefreshToken::new(session, [7; 32]).hash()),
        device: Device::default(),
        now,
    };
    node.sessions
        .execute(&session.to_string(), &start, &request)
        .await?;
    let grant = AccessGrant {
        account: id,
        session,
        token_id: node.ids.next(),
        epoch: account.state.epoch(),
        roles: account.state.effective_roles(),
    };
    let token = node.tokens.issue(grant, now)?;
    for number in 0..ENTRIES {
        write(node, id, number, &request).await?;
    }
    let (exam, questions) = begin(node, id, bank, &request).await?;
    for (number, question) in (0..).zip(&questions) {
        let responses = vec![Response {
            question_id: question.clone(),
            value: 1 + number % 5,
        }];
        let now = now + TimeDelta::seconds(5 * (number + 1));
        let save = ExamCommand::SaveResponses {
            account_id: id,
            responses,
            now,
        };
        node.exams
            .execute(&exam.to_string(), &save, &request)
            .await?;
    }
    let complete = ExamCommand::Complete {
        account_id: id,
        reflection: None,
        now: now + TimeDelta::minutes(5),
    };
    node.exams
        .execute(&exam.to_string(), &complete, &request)
        .await?;
    let (exam, questions) = begin(node, id, bank, &request).await?;
    Ok(Member {
        username,
        token,
        exam,
        questions,
    })
}

async fn write(
    node: &Node,
    account_id: AccountId,
    number: i64,
    request: &Request,
) -> anyhow::Result<()> {
    let now = node.clock.now();
    let draft = Draft {
        title: Some(format!("Day {number}")),
        content: Some(WORDS.to_owned()),
        mood_rating: Some(1 + number % 10),
        ..Draft::default()
    };
    let body = EntryBody::try_new(draft, now.date_naive())
        .map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let entry_id = EntryId(node.ids.next());
    let command = EntryCommand::Write {
        entry_id,
        account_id,
        body: Box::new(body),
        now,
    };
    node.entries
        .execute(&entry_id.to_string(), &command, request)
        .await?;
    Ok(())
}

/// Starts an exam; its questions.
async fn begin(
    node: &Node,
    account_id: AccountId,
    bank: &Arc<Bank>,
    request: &Request,
) -> anyhow::Result<(ExamId, Vec<String>)> {
    let exam_id = ExamId(node.ids.next());
    let start = ExamCommand::Start(Start {
        exam_id,
        account_id,
        bank: Arc::clone(bank),
        question_count: right(QuestionCount::try_new(QUESTIONS))?,
        age: None,
        language: Language::En,
        idle_timeout: TimeDelta::hours(12),
        last_completed_at: None,
        cooldown: TimeDelta::zero(),
        now: node.clock.now(),
    });
    let started = node
        .exams
        .execute(&exam_id.to_string(), &start, request)
        .await?;
    let attempt = started.state.attempt_of(account_id)?;
    let questions = attempt
        .questions()
        .map(|(item, _)| item.id.clone())
        .collect();
    Ok((exam_id, questions))
}

/// Waits until policies and projections have come to the end of the log; its length.
async fn settled(node: &Node) -> anyhow::Result<i64> {
    loop {
        let head = node.log.reader().head().await?.position;
        let policies = node.subscriptions.list().await?;
        let live = node.projector.progress().now();
        let followed = !policies.is_empty() && policies.iter().all(|one| one.position >= head);
        if followed && live.values().all(|at| at.position >= head) {
            return Ok(head);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
