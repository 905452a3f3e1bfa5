//! The ledger: what members were told, and whether the server still says so.
//!
//! A member lives one life after another: registers, writes entries, sits an exam, each command under a
//! key of its own that is sent again until its outcome is known. So each key has exactly one effect, and
//! the log must hold exactly what stands in the ledger.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::id::AccountId;
use rand::RngExt;
use reqwest::StatusCode;
use serde_json::json;
use soulsense::config::Config;
use tokio::task::JoinSet;

use super::client::{Ask, Caller, Ends, Place, Reply};
use super::support::app::{App, PASSWORD, registration};
use super::support::binary::{Machine, Server};
use super::support::engines::Outcome;
use super::support::rebuild::rebuilt_equals_live;
use super::tell;

/// Entries of a life: one more than earn points.
const ENTRIES: usize = 6;
/// Points that the entries of a life earn.
const POINTS: i64 = 250;
/// Points that an exam earns unless it was rushed or inconsistent.
const EXAM_POINTS: i64 = 100;
/// Questions of an exam.
const QUESTIONS: usize = 12;
/// Longest wait for a life to come to its end.
const PATIENCE: Duration = Duration::from_mins(1);
/// Events read at once.
const PAGE: i64 = 1_000;

type Failed = Box<dyn Error + Send + Sync>;

/// What one life was told.
#[derive(Debug, Default)]
struct Life {
    username: String,
    account: String,
    /// Id, words and position of each entry.
    entries: Vec<(String, String, Option<i64>)>,
    /// Its exam, when it was begun, and its answers.
    exam: Option<String>,
    answers: usize,
    completed: bool,
    /// Whether the exam earned points.
    exam_counts: bool,
    /// Whether it came to its end.
    lived: bool,
}

/// What all lives were told.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Life>>>);

/// Members who keep a ledger until they are told to end.
pub struct Members {
    lives: JoinSet<Result<(), Failed>>,
    over: Arc<AtomicBool>,
    /// What they were told.
    pub ledger: Ledger,
    /// How their requests ended.
    pub ends: Ends,
}

impl Members {
    /// `count` members, wherever the server is.
    pub fn begin(count: usize, place: &Place) -> Result<Self, Box<dyn Error>> {
        let (ledger, ends) = (Ledger::default(), Ends::default());
        let over = Arc::new(AtomicBool::new(false));
        let mut lives = JoinSet::new();
        for member in 0..count {
            let caller = Caller::new(place.clone(), ends.clone())?;
            let (over, ledger) = (Arc::clone(&over), ledger.clone());
            lives.spawn(async move {
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut life = Life {
                        username: format!("member_{member}_{number}"),
                        ..Life::default()
                    };
                    let ended = live(&mut life, caller.clone(), &over).await;
                    ledger.keep(life);
                    ended?;
                }
                Ok(())
            });
        }
        Ok(Self {
            lives,
            over,
            ledger,
            ends,
        })
    }

    /// Waits until another life has come to its end: everything that a member does works.
    pub async fn live_on(&self) -> Outcome {
        let before = self.ledger.lived();
        let lived = async {
            while self.ledger.lived() == before {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let lived = tokio::time::timeout(PATIENCE, lived).await;
        Ok(lived.map_err(|_| "nobody comes to the end of a life")?)
    }

    /// Lets another life come to its end, ends, and compares what members were told with what the server wrote.
    pub async fn judge(
        self,
        what: &str,
        remarks: &str,
        server: Server,
        machine: &Machine,
    ) -> Outcome {
        self.live_on().await?;
        let ends = self.ends.clone();
        let ledger = self.end().await?;
        assert_eq!(server.terminate().await?.code(), Some(0));
        tell(&format!("{what}: {remarks}; {}", ends.judge()?));
        ledger.compare(what, machine.config()?).await
    }

    /// Lets every member know the outcome of what they asked, then ends.
    pub async fn end(mut self) -> Result<Ledger, Box<dyn Error>> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.lives.join_next().await {
            ended?.map_err(|error| error.to_string())?;
        }
        Ok(self.ledger)
    }
}

fn is(reply: &Reply, status: StatusCode) -> Result<(), Failed> {
    if reply.status == status {
        return Ok(());
    }
    Err(format!("not {status}: {reply:?}").into())
}

async fn live(life: &mut Life, mut caller: Caller, over: &AtomicBool) -> Result<(), Failed> {
    let name = life.username.clone();
    let reply = caller
        .ask(&Ask::post("/auth/register", registration(&name)))
        .await?;
    // taken by this very request, whose answer was lost
    if reply.status != StatusCode::CONFLICT {
        is(&reply, StatusCode::CREATED)?;
    }
    let body = json!({"identifier": name, "password": PASSWORD});
    let reply = caller.ask(&Ask::post("/auth/login", body)).await?;
    is(&reply, StatusCode::OK)?;
    caller.token = reply.body["access_token"].as_str().map(str::to_owned);
    let account = reply.body["account"]["id"].as_str();
    account.unwrap_or_default().clone_into(&mut life.account);
    for number in 0..ENTRIES {
        if over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let content = format!("Entry number {number} of {name}, on a long evening.");
        let ask = Ask::post("/journal", json!({"content": content}))
            .key(&format!("{name}-entry-{number}"))
            .respond_async(rand::rng().random_bool(0.7));
        let reply = caller.ask(&ask).await?;
        is(&reply, StatusCode::CREATED)?;
        let id = reply.body["id"].as_str().unwrap_or_default().to_owned();
        life.entries.push((id, content, reply.position));
    }
    sit_an_exam(life, &mut caller, over).await?;
    life.lived = life.completed;
    Ok(())
}

async fn sit_an_exam(
    life: &mut Life,
    caller: &mut Caller,
    over: &AtomicBool,
) -> Result<(), Failed> {
    let name = &life.username;
    let start = Ask::post("/exams/start", json!({"question_count": QUESTIONS}));
    let reply = caller.ask(&start.key(&format!("{name}-exam"))).await?;
    is(&reply, StatusCode::CREATED)?;
    let id = reply.body["id"].as_str().unwrap_or_default().to_owned();
    let questions = reply.body["questions"].as_array().cloned();
    life.exam = Some(id.clone());
    for (number, question) in questions.unwrap_or_default().iter().enumerate() {
        if over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let body = json!({"question_id": question["id"], "value": 1 + number % 5});
        let ask = Ask::post(&format!("/exams/{id}/responses"), body)
            .key(&format!("{name}-answer-{number}"))
            .respond_async(true);
        is(&caller.ask(&ask).await?, StatusCode::OK)?;
        life.answers += 1;
    }
    let path = format!("/exams/{id}/complete");
    let complete = Ask::post(&path, json!({})).key(&format!("{name}-complete"));
    let reply = caller.ask(&complete).await?;
    is(&reply, StatusCode::OK)?;
    let flags = reply.body["flags"].as_object().ok_or("no flags")?;
    life.exam_counts = flags.values().all(|flag| flag == false);
    life.completed = true;
    Ok(())
}

/// What was found in the log.
#[derive(Debug, Default)]
struct Found {
    events: i64,
    gaps: usize,
    changed: usize,
    /// Position and stream of each event of a type.
    by_type: HashMap<String, Vec<(i64, String)>>,
}

impl Found {
    fn of(&self, event_type: &str) -> &[(i64, String)] {
        self.by_type.get(event_type).map_or(&[], Vec::as_slice)
    }
}

impl Ledger {
    fn keep(&self, life: Life) {
        let mut lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lives.push(life);
    }

    fn lived(&self) -> usize {
        let lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lives.iter().filter(|life| life.lived).count()
    }

    /// Somebody else has an account.
    pub fn somebody(&self) {
        self.also("somebody".to_owned(), Vec::new());
    }

    /// What somebody else was told: an account, and entries as id, words and position.
    pub fn also(&self, account: String, entries: Vec<(String, String, Option<i64>)>) {
        self.keep(Life {
            account,
            entries,
            ..Life::default()
        });
    }

    /// Compares the ledger with the log, with the points, with what members read, and all read models with
    /// a fresh build of them. No server may run on the data.
    pub async fn compare(&self, what: &str, config: Config) -> Outcome {
        let app = App::over(config).await?;
        let compared = self.compared(what, &app).await;
        app.close().await;
        compared
    }

    async fn compared(&self, what: &str, app: &App) -> Outcome {
        app.settled().await?;
        let found = found(app).await?;
        let lives = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let told = || lives.iter().flat_map(|life| &life.entries);
        let (lost, doubled) = entries(told().map(|(id, ..)| id.as_str()), &found);
        let streams: HashMap<i64, &str> = (found.by_type.values().flatten())
            .map(|(position, stream)| (*position, stream.as_str()))
            .collect();
        let misplaced = told().filter(|(id, _, position)| {
            position.is_none_or(|position| streams.get(&position) != Some(&id.as_str()))
        });
        let misplaced = misplaced.count();
        let mut wrong: Vec<String> = Vec::new();
        for (event_type, expected) in [
            (
                "account_registered",
                lives.iter().filter(|life| !life.account.is_empty()).count(),
            ),
            (
                "exam_started",
                lives.iter().filter(|life| life.exam.is_some()).count(),
            ),
            (
                "exam_completed",
                lives.iter().filter(|life| life.completed).count(),
            ),
            (
                "response_saved",
                lives.iter().map(|life| life.answers).sum(),
            ),
        ] {
            let events = found.of(event_type).len();
            if events != expected {
                wrong.push(format!("{events} {event_type} instead of {expected}"));
            }
        }
        for life in lives.iter().filter(|life| life.lived) {
            wrong.extend(read_back(life, app).await?);
        }
        tell(&format!(
            "{what}: {} commands acknowledged in {} lives, {} events, {lost} lost, {doubled} doubled, \
             {misplaced} misplaced, {} gaps, {} changed, {} otherwise wrong",
            lives.iter().map(Life::acknowledged).sum::<usize>(),
            lives.len(),
            found.events,
            found.gaps,
            found.changed,
            wrong.len(),
        ));
        if lost + doubled + misplaced + found.gaps + found.changed > 0 || !wrong.is_empty() {
            return Err(
                format!("{what}: the log is not what members were told: {wrong:#?}").into(),
            );
        }
        if !lives.iter().any(|life| life.lived) {
            return Err(format!("{what}: nobody came to the end of a life").into());
        }
        rebuilt_equals_live(app).await
    }
}

impl Life {
    fn acknowledged(&self) -> usize {
        let began = usize::from(!self.account.is_empty()) + usize::from(self.exam.is_some());
        began + self.entries.len() + self.answers + usize::from(self.completed)
    }
}

/// Entries that the log lacks, and entries it has that nobody was told of or that stand there twice.
fn entries<'a>(told: impl Iterator<Item = &'a str>, found: &Found) -> (usize, usize) {
    let told: HashSet<&str> = told.collect();
    let written = found.of("entry_written");
    let there: HashSet<&str> = written.iter().map(|(_, id)| id.as_str()).collect();
    let lost = told.difference(&there).count();
    (lost, written.len() - told.intersection(&there).count())
}

async fn found(app: &App) -> Result<Found, Box<dyn Error>> {
    let reader = app.node.log.reader();
    let head = reader.head().await?.position;
    let mut found = Found::default();
    let mut sequences: HashMap<(String, String), i64> = HashMap::new();
    loop {
        let page = reader.page(found.events, head, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for event in page {
            let stream = (event.aggregate_type.clone(), event.aggregate_id.clone());
            let sequence = sequences.entry(stream).or_default();
            *sequence += 1;
            if event.position != found.events + 1 || event.sequence != *sequence {
                found.gaps += 1;
            }
            if !event.is_intact() {
                found.changed += 1;
            }
            found.events = event.position;
            let of_type = found.by_type.entry(event.event_type).or_default();
            of_type.push((event.position, event.aggregate_id));
        }
    }
    if found.events != head {
        found.gaps += 1;
    }
    Ok(found)
}

/// What a member reads who has come to the end of a life: their words, and the points of their deeds.
async fn read_back(life: &Life, app: &App) -> Result<Vec<String>, Box<dyn Error>> {
    let mut wrong = Vec::new();
    let account: AccountId = life.account.parse()?;
    let member = app.login(&life.username, PASSWORD).await?;
    assert_eq!(member.id, account.to_string());
    let summary = member.get("/gamification/summary").await?;
    let earned = POINTS + if life.exam_counts { EXAM_POINTS } else { 0 };
    if summary.at("/xp/total") != earned {
        wrong.push(format!("{} has {}", life.username, summary.body));
    }
    let list = member.get("/journal?limit=100").await?;
    let read: HashSet<String> = list.body["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["id"].as_str().map(str::to_owned))
        .collect();
    let told: HashSet<String> = life.entries.iter().map(|(id, ..)| id.clone()).collect();
    if read != told {
        wrong.push(format!("{} reads {read:?}", life.username));
    }
    for (id, content, _) in life.entries.iter().take(1) {
        let entry = member.get(&format!("/journal/{id}")).await?;
        if entry.body["content"] != content.as_str() {
            wrong.push(format!("{} reads other words", life.username));
        }
    }
    Ok(wrong)
}
