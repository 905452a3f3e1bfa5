//! The appender: one task per process that turns many callers' commands into few commits.
//!
//! Callers hand in one [`Append`] each and wait for a [`Verdict`]. The task takes whatever has queued up
//! while the last batch was being committed (natural batching, no timer), lets each aggregate, command id
//! and claim be named only once in a batch, and writes the batch in one statement or transaction.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::batches::{Batches, Counters};
use crate::database::{is_storage_full, is_unavailable};
use crate::homes::{HomesError, Target};
use crate::pool::Pool;
use crate::postgres::PostgresWriter;
use crate::reader::RecordedEvent;
use crate::recent::Recent;
use crate::sqlite::SqliteWriter;

/// One event, sealed and serialised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Id of the event.
    pub event_id: Uuid,
    /// Tag in `snake_case`.
    pub event_type: String,
    /// Version of the event's shape.
    pub event_version: String,
    /// JSON text, stored byte by byte.
    pub payload: String,
    /// JSON text, stored byte by byte.
    pub metadata: String,
    /// SHA-256 as [`crate::content_hash`] says.
    pub content_hash: [u8; 32],
}

/// What a command does to a claim; the value is an HMAC already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimEntry {
    /// Scope of the claim.
    pub scope: &'static str,
    /// HMAC of the value, or the subject's id for scope `erased`.
    pub value: Vec<u8>,
    /// What happens to it.
    pub change: ClaimAction,
}

/// What happens to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimAction {
    /// Refused while another stream holds it.
    Take,
    /// Free at once.
    Release,
    /// Free from the given time on.
    ReleaseAt(DateTime<Utc>),
    /// Marks the subject as being erased, for ever.
    Erase,
}

impl ClaimAction {
    /// The number the append function knows it by, and its time.
    pub(crate) fn stored(self) -> (i16, Option<DateTime<Utc>>) {
        match self {
            Self::Take => (0, None),
            Self::Release => (1, None),
            Self::ReleaseAt(until) => (2, Some(until)),
            Self::Erase => (3, None),
        }
    }
}

/// A command to remember with its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandId {
    /// HMAC of scope and key, after what orders it.
    pub key: Vec<u8>,
    /// HMAC of the request.
    pub request: Vec<u8>,
    /// JSON: what is needed to answer again, never a body or a secret.
    pub outcome: String,
    /// When it may be forgotten; policies' never are.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The events of one command for one stream, with all that is judged in the append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Kind of stream.
    pub aggregate_type: &'static str,
    /// Which stream.
    pub aggregate_id: String,
    /// Last sequence the decision was made on, 0 for a new stream.
    pub expected: i64,
    /// At least one event, else the command is refused.
    pub events: Vec<NewEvent>,
    /// Claims taken and released.
    pub claims: Vec<ClaimEntry>,
    /// The command id, where one was given.
    pub command: Option<CommandId>,
    /// See [`crate::Metadata`].
    pub correlation_id: Uuid,
    /// See [`crate::Metadata`].
    pub causation_id: Option<Uuid>,
    /// See [`crate::Metadata`].
    pub actor_id: String,
    /// The data subject of the stream.
    pub subject_id: Option<Uuid>,
    /// True when only erasure events are in it, so that it passes for a subject being erased.
    pub erasing: bool,
}

impl Append {
    fn bytes(&self) -> usize {
        self.events
            .iter()
            .map(|event| event.payload.len() + event.metadata.len() + 256)
            .sum()
    }

    /// The events as they stand in the log, the last of them at a position.
    fn into_recorded(
        self,
        last: i64,
        recorded_at: DateTime<Utc>,
    ) -> impl Iterator<Item = RecordedEvent> {
        let first = last + 1 - i64::try_from(self.events.len()).unwrap_or_default();
        let places = (first..).zip(self.expected + 1..);
        places
            .zip(self.events)
            .map(move |((position, sequence), event)| RecordedEvent {
                aggregate_type: self.aggregate_type.to_owned(),
                aggregate_id: self.aggregate_id.clone(),
                sequence,
                event_type: event.event_type,
                event_version: event.event_version,
                payload: event.payload,
                metadata: event.metadata,
                position,
                event_id: event.event_id,
                recorded_at,
                correlation_id: self.correlation_id,
                causation_id: self.causation_id,
                actor_id: self.actor_id.clone(),
                subject_id: self.subject_id,
                content_hash: event.content_hash.to_vec(),
            })
    }

    /// The subject whose erasure this command starts.
    fn erases(&self) -> Option<Uuid> {
        self.claims
            .iter()
            .find(|claim| claim.change == ClaimAction::Erase)
            .and_then(|claim| Uuid::from_slice(&claim.value).ok())
    }
}

/// What the log says to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Committed.
    Appended {
        /// Position of the last event.
        position: i64,
        /// Sequence of the last event.
        sequence: i64,
    },
    /// The stream has moved on since it was read.
    Conflict,
    /// The same command was committed before; this was its outcome.
    Repeated {
        /// Position of the first outcome's last event.
        position: i64,
        /// Its sequence.
        sequence: i64,
        /// What was remembered.
        outcome: String,
    },
    /// The command id was used for another request.
    OtherRequest,
    /// The subject is being or has been erased.
    SubjectErased,
    /// Another stream holds the claim.
    ClaimTaken {
        /// Scope of the claim.
        scope: String,
        /// The stream that holds it.
        holder: String,
    },
}

impl Verdict {
    /// Where the command's last event stands, if it was appended.
    fn appended_at(&self) -> Option<i64> {
        match self {
            Self::Appended { position, .. } => Some(*position),
            _ => None,
        }
    }
}

/// Why a command got no verdict.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The queue is full; nothing was written.
    #[error("the append queue is full")]
    QueueFull,
    /// The server is stopping; nothing was written.
    #[error("the event log is closed")]
    Closed,
    /// The database does not answer; whether the command was written is unknown.
    #[error("the event log does not answer; whether the command was written is unknown")]
    Unknown,
    /// The database refuses this command's data; nothing of it was written.
    #[error("the event log refuses the data")]
    Refused(#[source] Arc<sqlx::Error>),
    /// The disk is full; nothing was written.
    #[error("the event log has no room left")]
    Full(#[source] Arc<sqlx::Error>),
}

/// Bounds of the appender.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most commands waiting.
    pub commands: usize,
    /// Most bytes waiting.
    pub bytes: usize,
    /// Most commands in one batch.
    pub batch: usize,
    /// How long a batch is tried while the database is away, before the answer is
    /// [`AppendError::Unknown`].
    pub patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            commands: 4096,
            bytes: 64 << 20,
            batch: 256,
            patience: Duration::from_secs(8),
        }
    }
}

/// Most bytes in one batch, unless a single command is larger.
const BATCH_BYTES: usize = 4 << 20;
/// One permit of the byte budget.
const PERMIT_BYTES: usize = 1024;

/// How often the appender lets others run while its queue grows.
const MOST_YIELDS: usize = 16;

struct Job {
    append: Append,
    reply: oneshot::Sender<Result<Verdict, AppendError>>,
    _budget: OwnedSemaphorePermit,
}

/// What a process knows to be committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// The newest position that it has committed itself.
    pub position: i64,
    /// How often other nodes have said that they have committed something.
    pub calls: u64,
}

/// A handle to the appender task; clones share the task.
#[derive(Debug, Clone)]
pub struct Appender {
    queue: mpsc::Sender<Job>,
    budget: Arc<Semaphore>,
    permits: usize,
    committed: watch::Sender<Committed>,
    batches: Arc<Counters>,
    closing: CancellationToken,
}

/// Waits for the appender to drain its queue and end.
#[derive(Debug)]
pub struct AppenderTask(JoinHandle<()>);

impl AppenderTask {
    /// Returns when every queued command has its verdict, after [`Appender::close`] or when all handles
    /// are gone.
    pub async fn finished(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the appender task ended badly");
        }
    }
}

impl Appender {
    /// Opens the writer's own connection and starts the task.
    pub async fn start(
        target: &Target,
        bounds: Bounds,
    ) -> Result<(Self, AppenderTask), HomesError> {
        Self::start_beside(target, None, Arc::default(), bounds).await
    }

    /// The same beside a pool: when it is given up, a statement under way is tried again on a new
    /// connection. What is committed is handed to `recent`.
    pub(crate) async fn start_beside(
        target: &Target,
        pool: Option<Pool>,
        recent: Arc<Recent>,
        bounds: Bounds,
    ) -> Result<(Self, AppenderTask), HomesError> {
        let writer = match target {
            Target::Postgres { .. } => Writer::Postgres(Box::new(
                PostgresWriter::open(target.direct_options()?, pool).await?,
            )),
            Target::Sqlite { .. } => Writer::Sqlite(Box::new(SqliteWriter::open(target).await?)),
        };
        let (queue, jobs) = mpsc::channel(bounds.commands);
        let permits = bounds
            .bytes
            .div_ceil(PERMIT_BYTES)
            .clamp(1, Semaphore::MAX_PERMITS);
        let budget = Arc::new(Semaphore::new(permits));
        let (committed, _) = watch::channel(Committed::default());
        let batches = Arc::new(Counters::new(bounds.batch));
        let closing = CancellationToken::new();
        let task = Task {
            jobs,
            writer,
            bounds,
            recent,
            committed: committed.clone(),
            batches: Arc::clone(&batches),
            closing: closing.clone(),
        };
        let task = tokio::spawn(task.run());
        Ok((
            Self {
                queue,
                budget,
                permits,
                committed,
                batches,
                closing,
            },
            AppenderTask(task),
        ))
    }

    /// Hands in one command and waits for its verdict. A caller that goes away does not take it back.
    pub async fn append(&self, append: Append) -> Result<Verdict, AppendError> {
        if self.closing.is_cancelled() {
            return Err(AppendError::Closed);
        }
        if append.events.is_empty() {
            let nothing = sqlx::Error::Protocol("a command without events".into());
            return Err(AppendError::Refused(Arc::new(nothing)));
        }
        let wanted = append.bytes().div_ceil(PERMIT_BYTES).clamp(1, self.permits);
        let budget = u32::try_from(wanted)
            .ok()
            .and_then(|wanted| Arc::clone(&self.budget).try_acquire_many_owned(wanted).ok())
            .ok_or(AppendError::QueueFull)?;
        let (reply, verdict) = oneshot::channel();
        self.queue
            .try_send(Job {
                append,
                reply,
                _budget: budget,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => AppendError::QueueFull,
                mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
            })?;
        verdict.await.unwrap_or(Err(AppendError::Unknown))
    }

    /// Takes no more commands: from now on [`AppendError::Closed`]. Those queued still get their verdicts.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// What is known to be committed: wakes readers when this process or another node has committed something.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<Committed> {
        self.committed.subscribe()
    }

    /// Sizes of the batches that this process has written.
    #[must_use]
    pub fn batches(&self) -> Batches {
        self.batches.read()
    }

    /// Wakes readers of this process though it has committed nothing: another node has.
    pub fn wake(&self) {
        self.committed.send_modify(|known| known.calls += 1);
    }

    /// True when one more command would be refused, for whoever has other work to do first.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.capacity() == 0 || self.budget.available_permits() == 0
    }

    /// Commands waiting now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }
}

/// What became of a batch.
pub(crate) struct Written {
    /// One a command, in order.
    pub(crate) verdicts: Vec<Verdict>,
    /// When it was committed, by the database clock. Set where every command was appended just now.
    pub(crate) recorded_at: Option<DateTime<Utc>>,
}

/// Why a batch was not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The connection broke or the database is busy or gone: the batch may or may not be committed.
    Unavailable(sqlx::Error),
    /// The disk is full; nothing is committed.
    Full(sqlx::Error),
    /// The database refuses some of the data; nothing is committed.
    Data(sqlx::Error),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        if is_storage_full(&error) {
            Self::Full(error)
        } else if is_unavailable(&error) {
            Self::Unavailable(error)
        } else {
            Self::Data(error)
        }
    }
}

enum Writer {
    Postgres(Box<PostgresWriter>),
    Sqlite(Box<SqliteWriter>),
}

impl Writer {
    async fn write(&mut self, batch: &[&Append]) -> Result<Written, WriteError> {
        let written = match self {
            Self::Postgres(writer) => writer.write(batch).await,
            Self::Sqlite(writer) => writer.write(batch).await,
        }?;
        if written.verdicts.len() == batch.len() {
            return Ok(written);
        }
        let short = "a batch came back without all its verdicts";
        Err(WriteError::Unavailable(sqlx::Error::Protocol(short.into())))
    }
}

struct Task {
    jobs: mpsc::Receiver<Job>,
    writer: Writer,
    bounds: Bounds,
    recent: Arc<Recent>,
    committed: watch::Sender<Committed>,
    batches: Arc<Counters>,
    closing: CancellationToken,
}

impl Task {
    async fn run(mut self) {
        let mut waiting: VecDeque<Job> = VecDeque::new();
        let mut arrived = Vec::with_capacity(self.bounds.batch);
        loop {
            gather(&self.jobs).await;
            if waiting.is_empty() {
                let received = tokio::select! {
                    received = self.jobs.recv_many(&mut arrived, self.bounds.batch) => received,
                    () = self.closing.cancelled(), if !self.jobs.is_closed() => {
                        self.jobs.close();
                        continue;
                    }
                };
                if received == 0 {
                    return;
                }
            } else {
                while arrived.len() + waiting.len() < self.bounds.batch {
                    let Ok(job) = self.jobs.try_recv() else { break };
                    arrived.push(job);
                }
            }
            waiting.extend(arrived.drain(..));
            let batch = take_batch(&mut waiting, self.bounds.batch);
            self.batches.add(batch.len());
            self.write_batch(batch).await;
        }
    }

    async fn write_batch(&mut self, batch: Vec<Job>) {
        let deadline = Instant::now() + self.bounds.patience;
        let mut parts = VecDeque::from([batch]);
        while let Some(mut part) = parts.pop_front() {
            match write_until(&mut self.writer, &part, deadline).await {
                Ok(written) => self.settle(part, written),
                Err(WriteError::Unavailable(error)) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        commands = part.len(),
                        "the event log does not answer"
                    );
                    for job in part {
                        let _gone = job.reply.send(Err(AppendError::Unknown));
                    }
                }
                Err(WriteError::Full(error)) => {
                    let error = Arc::new(error);
                    for job in part {
                        let _gone = job.reply.send(Err(AppendError::Full(Arc::clone(&error))));
                    }
                }
                Err(WriteError::Data(error)) if part.len() == 1 => {
                    tracing::error!(error = %data_error(&error), "the event log refuses a command's data");
                    let error = Arc::new(error);
                    for job in part {
                        let _gone = job
                            .reply
                            .send(Err(AppendError::Refused(Arc::clone(&error))));
                    }
                }
                Err(WriteError::Data(_)) => {
                    let second = part.split_off(part.len() / 2);
                    parts.push_front(second);
                    parts.push_front(part);
                }
            }
        }
    }

    /// Hands on what is committed, wakes who reads it, and gives everybody their verdict.
    fn settle(&self, part: Vec<Job>, written: Written) {
        let verdicts = written.verdicts;
        let newest = verdicts.iter().filter_map(Verdict::appended_at).max();
        let (appends, replies): (Vec<_>, Vec<_>) =
            part.into_iter().map(|job| (job.append, job.reply)).unzip();
        if let Some(at) = written.recorded_at {
            let appended = appends.into_iter().zip(&verdicts);
            let events = appended.filter_map(|(append, verdict)| {
                let last = verdict.appended_at()?;
                Some(append.into_recorded(last, at))
            });
            let page: Vec<_> = events.flatten().map(Arc::new).collect();
            self.recent.keep(&page);
        }
        if let Some(newest) = newest {
            self.committed.send_if_modified(|known| {
                let moved = known.position < newest;
                known.position = newest.max(known.position);
                moved
            });
        }
        for (reply, verdict) in replies.into_iter().zip(verdicts) {
            let _gone = reply.send(Ok(verdict));
        }
    }
}

/// Lets callers that have just had their verdicts hand in what they want next, so that they share a commit
/// instead of leaving the first of them to one of its own. No timer: it ends when nobody comes.
async fn gather(jobs: &mpsc::Receiver<Job>) {
    for _ in 0..MOST_YIELDS {
        let queued = jobs.len();
        tokio::task::yield_now().await;
        if jobs.len() == queued {
            return;
        }
    }
}

/// Takes from the front every command whose aggregate, command id and claims nobody before it names;
/// the others keep their order for the next batch.
fn take_batch(waiting: &mut VecDeque<Job>, most: usize) -> Vec<Job> {
    let mut taken: HashSet<(u8, Vec<u8>)> = HashSet::new();
    let mut erased: HashSet<Uuid> = HashSet::new();
    let mut batch = Vec::new();
    let mut later = VecDeque::new();
    let mut bytes = 0;
    for job in waiting.drain(..) {
        let names = names(&job.append);
        let size = job.append.bytes();
        let fits = batch.len() < most && (batch.is_empty() || bytes + size <= BATCH_BYTES);
        // an erasure must be committed before the subject's other commands are judged
        let free = names.iter().all(|name| !taken.contains(name))
            && job
                .append
                .subject_id
                .is_none_or(|subject| !erased.contains(&subject));
        // a later command of the same aggregate must not overtake one that waits
        taken.extend(names);
        erased.extend(job.append.erases());
        if fits && free {
            bytes += size;
            batch.push(job);
        } else {
            later.push_back(job);
        }
    }
    *waiting = later;
    batch
}

fn names(append: &Append) -> Vec<(u8, Vec<u8>)> {
    let mut stream = append.aggregate_type.as_bytes().to_vec();
    stream.push(0);
    stream.extend_from_slice(append.aggregate_id.as_bytes());
    let mut names = vec![(0, stream)];
    names.extend(
        append
            .command
            .iter()
            .map(|command| (1, command.key.clone())),
    );
    names.extend(append.claims.iter().map(|claim| {
        let mut name = claim.scope.as_bytes().to_vec();
        name.push(0);
        name.extend_from_slice(&claim.value);
        (2, name)
    }));
    names
}

/// A refusal without the refused value, which may be somebody's words.
fn data_error(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(cause) => {
            format!("database error {}", cause.code().unwrap_or_default())
        }
        _ => "not a database error".to_owned(),
    }
}

/// Tries a batch, byte for byte the same, until it has verdicts or the deadline has passed.
async fn write_until(
    writer: &mut Writer,
    part: &[Job],
    deadline: Instant,
) -> Result<Written, WriteError> {
    let appends: Vec<&Append> = part.iter().map(|job| &job.append).collect();
    let mut pause = Duration::from_millis(5);
    let mut told = false;
    loop {
        let tried = tokio::time::timeout_at(deadline, writer.write(&appends))
            .await
            .unwrap_or_else(|_| Err(WriteError::Unavailable(sqlx::Error::PoolTimedOut)));
        match tried {
            Err(WriteError::Unavailable(error)) if Instant::now() + pause < deadline => {
                if !told {
                    told = true;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the event log does not answer; trying again"
                    );
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(500));
            }
            settled => return settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, claim: Option<&str>) -> Job {
        let budget = Arc::new(Semaphore::new(1));
        let Ok(permit) = budget.try_acquire_owned() else {
            unreachable!()
        };
        let (reply, _) = oneshot::channel();
        Job {
            append: Append {
                aggregate_type: "t",
                aggregate_id: id.to_owned(),
                expected: 0,
                events: vec![],
                claims: claim
                    .map(|value| ClaimEntry {
                        scope: "s",
                        value: value.as_bytes().to_vec(),
                        change: ClaimAction::Take,
                    })
                    .into_iter()
                    .collect(),
                command: None,
                correlation_id: Uuid::nil(),
                causation_id: None,
                actor_id: String::new(),
                subject_id: None,
                erasing: false,
            },
            reply,
            _budget: permit,
        }
    }

    fn ids(jobs: &[Job]) -> Vec<&str> {
        jobs.iter()
            .map(|job| job.append.aggregate_id.as_str())
            .collect()
    }

    #[test]
    fn only_the_first_command_of_an_aggregate_is_in_a_batch() {
        let mut waiting = VecDeque::from([job("a", None), job("b", None), job("a", None)]);
        assert_eq!(ids(&take_batch(&mut waiting, 10)), ["a", "b"]);
        assert_eq!(ids(&take_batch(&mut waiting, 10)), ["a"]);
    }

    #[test]
    fn only_the_first_command_that_names_a_claim_is_in_a_batch() {
        let mut waiting =
            VecDeque::from([job("a", Some("x")), job("b", Some("x")), job("c", None)]);
        assert_eq!(ids(&take_batch(&mut waiting, 10)), ["a", "c"]);
        assert_eq!(ids(&take_batch(&mut waiting, 10)), ["b"]);
    }

    #[test]
    fn a_subjects_commands_wait_for_the_erasure_before_them() {
        let subject = Uuid::max();
        let about = |id: &str| {
            let mut job = job(id, None);
            job.append.subject_id = Some(subject);
            job
        };
        let mut erasure = about("b");
        erasure.append.claims.push(ClaimEntry {
            scope: "erased",
            value: subject.as_bytes().to_vec(),
            change: ClaimAction::Erase,
        });
        let mut waiting = VecDeque::from([about("a"), erasure, about("c"), job("d", None)]);
        assert_eq!(ids(&take_batch(&mut waiting, 10)), ["a", "b", "d"]);
        assert_eq!(ids(&take_batch(&mut waiting, 10)), ["c"]);
    }

    #[test]
    fn a_command_does_not_overtake_an_earlier_one_of_its_aggregate() {
        let mut waiting =
            VecDeque::from([job("a", Some("x")), job("b", Some("x")), job("b", None)]);
        assert_eq!(ids(&take_batch(&mut waiting, 10)), ["a"]);
        assert_eq!(ids(&take_batch(&mut waiting, 10)), ["b"]);
        assert_eq!(ids(&take_batch(&mut waiting, 10)), ["b"]);
    }
}
