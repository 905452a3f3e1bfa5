//! The purge: what becomes of accounts whose grace is over.
//!
//! An erasure goes through [`Step`]s in one order, each of which may be done again: a purge that was
//! interrupted anywhere is taken up by the next one. From the first step on nothing but erasure is
//! appended for the subject; the key goes only after everything that names the subject's streams is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use cqrs_es::Aggregate;
use domain::exams::exam::{Exam, ExamCommand};
use domain::gamification::progress::{Progress, ProgressCommand};
use domain::id::AccountId;
use domain::identity::account::{Account, AccountCommand, AccountError};
use domain::identity::session::{Session, SessionCommand};
use domain::journal::entry::{Entry, EntryCommand};
use event_log::Metadata;
use projections::audit::{self, Stream};
use projections::identity::{self, Due};

use crate::admins;
use crate::commands::{CommandError, Request};
use crate::jobs::Job;
use crate::node::Node;
use crate::state::ladder::Climber;

/// The shred ledger in the data directory: a line for every subject whose key was destroyed.
pub const LEDGER_FILE: &str = "shred.ledger";
/// Longest wait for read models that are being built for the first time.
const BUILDING_WAIT: Duration = Duration::from_mins(10);
/// Longest wait for read models to reach an event.
const WAIT: Duration = Duration::from_secs(30);
/// How often read models are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// The steps of an erasure, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// `ErasureStarted` is in the log; nobody can come back.
    Started,
    /// Each context's streams of the subject have their tombstones.
    StreamsErased,
    /// The shred ledger names the subject.
    LedgerWritten,
    /// Only the key's tombstone is left.
    KeyDestroyed,
    /// `AccountErased` is in the log, and every read model has deleted its rows.
    Finished,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Started,
        Self::StreamsErased,
        Self::LedgerWritten,
        Self::KeyDestroyed,
        Self::Finished,
    ];
}

/// What a purge came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Purged {
    /// Accounts that are erased.
    pub erased: Vec<AccountId>,
    /// Accounts that are not, and why; the next purge tries again.
    pub failed: Vec<(AccountId, String)>,
}

/// The job that purges.
pub struct Purge;

#[async_trait]
impl Job for Purge {
    fn name(&self) -> &'static str {
        "purge"
    }

    fn every(&self) -> Duration {
        Duration::from_hours(24)
    }

    async fn run(&self, node: &Arc<Node>) -> anyhow::Result<()> {
        let purged = all(node, "job:purge", "system").await?;
        if purged.failed.is_empty() {
            return Ok(());
        }
        bail!(
            "{} accounts could not be erased, {} were",
            purged.failed.len(),
            purged.erased.len()
        )
    }
}

/// Erases every account whose grace is over, one by one. One that fails does not hold up the others.
pub async fn all(node: &Node, actor_id: &str, actor_role: &'static str) -> anyhow::Result<Purged> {
    let mut purged = Purged::default();
    for Due { id, .. } in due(node).await? {
        let account = AccountId(id);
        let actor = Metadata {
            correlation_id: node.ids.next(),
            causation_id: None,
            actor_id: actor_id.to_owned(),
            actor_role,
        };
        match erase(node, account, actor, Step::Finished).await {
            Ok(true) => {
                tracing::info!(%account, "an account is erased");
                purged.erased.push(account);
            }
            Ok(false) => tracing::info!(%account, "an account came back before it was erased"),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(%account, error, "an account cannot be erased");
                purged.failed.push((account, error));
            }
        }
    }
    Ok(purged)
}

/// The accounts whose grace is over and whose erasure is not finished.
pub async fn due(node: &Node) -> anyhow::Result<Vec<Due>> {
    let began = Instant::now();
    while !node.projector.is_live() {
        if began.elapsed() > BUILDING_WAIT {
            bail!("the read models are still being built");
        }
        tokio::time::sleep(LOOK).await;
    }
    let head = node.log.reader().head().await?.position;
    reached(node, identity::READ, head).await?;
    Ok(identity::due(&node.read(), node.clock.now()).await?)
}

/// The streams that are about a subject.
pub async fn subject_streams(node: &Node, account: AccountId) -> anyhow::Result<Vec<Stream>> {
    let head = node.log.reader().head().await?.position;
    reached(node, audit::READ, head).await?;
    Ok(audit::streams_of(&node.read(), account.0).await?)
}

/// How many streams of each kind there are.
pub fn count_by_kind(streams: &[Stream]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for stream in streams {
        *counts.entry(stream.aggregate_type.as_str()).or_default() += 1;
    }
    counts
}

/// Carries an erasure up to and including the step `last`, whatever was done before. False when the
/// member came back in time, so that there is nothing to erase.
pub async fn erase(
    node: &Node,
    account: AccountId,
    actor: Metadata,
    last: Step,
) -> anyhow::Result<bool> {
    let request = Request::system(actor);
    if !start(node, account, &request).await? {
        return Ok(false);
    }
    if last < Step::StreamsErased {
        return Ok(true);
    }
    let streams = subject_streams(node, account).await?;
    for stream in &streams {
        erase_stream(node, stream, &request)
            .await
            .with_context(|| format!("a stream of kind {}", stream.aggregate_type))?;
    }
    if last < Step::LedgerWritten {
        return Ok(true);
    }
    note_in_ledger(&node.config.data_dir, account, node.clock.now())
        .await
        .context("the shred ledger cannot be written")?;
    if last < Step::KeyDestroyed {
        return Ok(true);
    }
    let now = node.clock.now();
    node.log.keys().destroy_subject(account.0, now).await?;
    forget(node, account, &streams).await?;
    if last < Step::Finished {
        return Ok(true);
    }
    finish(node, account, &request).await?;
    Ok(true)
}

async fn start(node: &Node, account: AccountId, request: &Request) -> anyhow::Result<bool> {
    let id = account.to_string();
    let state = node.accounts.load(&id).await?.state;
    let command = AccountCommand::StartErasure {
        is_last_admin: admins::is_last(node, account, &state).await?,
        now: node.clock.now(),
    };
    match node.accounts.execute(&id, &command, request).await {
        Ok(_) => Ok(true),
        Err(CommandError::Rejected(
            AccountError::DeletionNotRequested | AccountError::GraceNotOver { .. },
        )) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Leaves the tombstone of one stream.
async fn erase_stream(node: &Node, stream: &Stream, request: &Request) -> anyhow::Result<()> {
    let (id, now) = (stream.aggregate_id.as_str(), node.clock.now());
    match stream.aggregate_type.as_str() {
        // its tombstone is the last event of all
        Account::TYPE => {}
        Session::TYPE => {
            let command = SessionCommand::Erase { now };
            node.sessions.execute(id, &command, request).await?;
        }
        Exam::TYPE => {
            let command = ExamCommand::Erase { now };
            node.exams.execute(id, &command, request).await?;
        }
        Entry::TYPE => {
            let command = EntryCommand::Erase { now };
            node.entries.execute(id, &command, request).await?;
        }
        Progress::TYPE => {
            let command = ProgressCommand::Erase { now };
            node.progress.execute(id, &command, request).await?;
        }
        _ => bail!("no context erases it"),
    }
    Ok(())
}

/// Drops what this node remembers of the subject outside the log: states in memory, challenges, used
/// codes, failed attempts.
async fn forget(node: &Node, account: AccountId, streams: &[Stream]) -> anyhow::Result<()> {
    for stream in streams {
        node.forget(&stream.aggregate_type, &stream.aggregate_id);
    }
    node.challenges.erase(account).await?;
    node.totp_steps.erase(account).await?;
    node.ladder.clear(Climber::Account(account)).await?;
    Ok(())
}

async fn finish(node: &Node, account: AccountId, request: &Request) -> anyhow::Result<()> {
    let command = AccountCommand::FinishErasure {
        now: node.clock.now(),
    };
    let done = node
        .accounts
        .execute(&account.to_string(), &command, request)
        .await?;
    let erased = match done.position {
        Some(position) => position,
        None => node.log.reader().head().await?.position,
    };
    deleted_everywhere(node, erased).await
}

/// Waits until every generation of every projection, those being built too, has reached the event.
async fn deleted_everywhere(node: &Node, position: i64) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let rows = node.projector.generations().list().await?;
        let behind = rows.iter().find(|row| {
            let ours = |projection: &Arc<dyn projections::projection::Projection>| {
                projection.name() == row.projection && projection.version() == row.version
            };
            row.position < position && node.projector.projections().iter().any(ours)
        });
        let Some(row) = behind else {
            return Ok(());
        };
        if row.stopped || began.elapsed() > WAIT {
            bail!(
                "generation {} of the read model {} has not deleted its rows yet, and does so as soon as it goes on",
                row.generation,
                row.projection
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until the live generations have reached a position: unlike a request, an erasure cannot do with
/// less.
async fn reached(node: &Node, names: &[&'static str], position: i64) -> anyhow::Result<()> {
    let progress = node.projector.progress();
    progress.wait(names, position, WAIT).await;
    let live = progress.now();
    for name in names {
        match live.get(name) {
            Some(at) if at.position >= position => {}
            Some(at) if at.stopped => bail!("the read model {name} has stopped"),
            _ => bail!("the read model {name} is behind the log"),
        }
    }
    Ok(())
}

/// Adds a line to the shred ledger unless it is there, and sees it onto the disk.
async fn note_in_ledger(
    directory: &Path,
    account: AccountId,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let directory = directory.to_owned();
    let noted = tokio::task::spawn_blocking(move || add_to_ledger(directory, account, now));
    Ok(noted.await??)
}

#[expect(clippy::disallowed_methods, reason = "inside spawn_blocking")]
fn add_to_ledger(
    directory: PathBuf,
    account: AccountId,
    now: DateTime<Utc>,
) -> std::io::Result<()> {
    use std::io::Write;

    let path = directory.join(LEDGER_FILE);
    let subject = account.to_string();
    let known = match std::fs::read_to_string(&path) {
        Ok(text) => text.lines().any(|line| line.contains(&subject)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if known {
        return Ok(());
    }
    let line = serde_json::json!({
        "subject": subject,
        "destroyed_at": now.to_rfc3339_opts(SecondsFormat::Micros, true),
    });
    let mut file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()?;
    // the file's name too
    std::fs::File::open(directory)?.sync_all()
}
