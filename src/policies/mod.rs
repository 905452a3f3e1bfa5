//! Policies: "whenever X, then Y". Durable subscribers that turn events into commands.
//!
//! A policy's checkpoint lives in the log's home. A page is read, its commands are dispatched in order
//! per data subject and side by side otherwise, then the checkpoint moves. Every command carries an id
//! made of the policy and the causing event, so a page that is dispatched again after a crash changes
//! nothing twice.

mod progress;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use event_log::command_ids::Remember;
use event_log::subscriptions::Lease;
use event_log::{Metadata, RecordedEvent};
use futures::StreamExt;
use projections::fact::{Fact, read_page};
use tokio_util::sync::CancellationToken;

use crate::commands::Request;
use crate::node::Node;

/// Events of a page.
const PAGE: i64 = 500;
/// Subjects whose commands run at the same time.
const PARALLEL: usize = 32;
/// How often the log is looked at without being woken, and a lease renewed.
const POLL: Duration = Duration::from_millis(500);
/// Shortest time between two looks: nobody waits for a policy's effects, and what came in between is one page.
const BREATH: Duration = Duration::from_millis(50);
/// How often a checkpoint over events that are none of the policy's is saved at most.
const SAVE: Duration = Duration::from_millis(250);
/// Longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Where a new policy begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first event ever.
    Beginning,
    /// With the next event.
    Now,
}

/// "Whenever X, then Y."
#[async_trait]
pub trait Policy: Send + Sync {
    /// Names the policy for ever: it is part of its command ids.
    fn name(&self) -> &'static str;

    /// Where it begins when it is new.
    fn start(&self) -> Start;

    /// True for the events it reacts to.
    fn handles(&self, aggregate_type: &str, event_type: &str) -> bool;

    /// True for those of them whose payload it reads. Of the others it has the clear columns alone: their keys
    /// are not asked for.
    fn reads(&self, aggregate_type: &str, event_type: &str) -> bool;

    /// Dispatches what follows from one event, under the command ids of [`request`].
    async fn react(&self, fact: &Fact, node: &Node) -> anyhow::Result<()>;
}

/// Every policy of the program.
pub fn all() -> Vec<Arc<dyn Policy>> {
    vec![Arc::new(progress::AwardProgress)]
}

/// What comes with a policy's command about the stream `target`: caused by the event, with a permanent id.
pub fn request(policy: &dyn Policy, fact: &Fact, target: &str) -> Request {
    let cause = &fact.recorded;
    Request {
        metadata: Metadata {
            correlation_id: cause.correlation_id,
            causation_id: Some(cause.event_id),
            actor_id: format!("policy:{}", policy.name()),
            actor_role: "system",
        },
        remember: Some(Remember::policy(policy.name(), cause.event_id, target)),
        respond_async: true,
    }
}

/// Runs one policy on whichever node holds its lease.
pub async fn run(policy: Arc<dyn Policy>, node: Arc<Node>, stop: CancellationToken) {
    let name = policy.name();
    let mut committed = node.log.appender().committed();
    let mut pause = POLL;
    let mut course = Course::default();
    while !stop.is_cancelled() {
        committed.mark_unchanged();
        let began = tokio::time::Instant::now();
        let mut ours = false;
        match turn(policy.as_ref(), &node, &mut course, &stop).await {
            Ok(Turn::More) => {
                pause = POLL;
                continue;
            }
            Ok(Turn::Done) => (pause, ours) = (course.pause(), true),
            Ok(Turn::Elsewhere) => {
                course = Course::default();
                pause = POLL;
            }
            Err(error) => {
                course = Course::default();
                tracing::error!(
                    error = format!("{error:#}"),
                    policy = name,
                    "a policy waits after a failure"
                );
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            _ = committed.changed(), if ours => tokio::time::sleep_until(began + BREATH).await,
        }
    }
    if let Err(error) = course.save(policy.as_ref(), &node).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            policy = name,
            "a checkpoint cannot be saved"
        );
    }
    if let Err(error) = node.subscriptions.release(name).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            policy = name,
            "a lease cannot be given up"
        );
    }
}

/// What one look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There may be more to do now.
    More,
    /// Everything is done.
    Done,
    /// Another node runs the policy: only its end is worth looking for.
    Elsewhere,
}

/// How far this node has come with a policy that it runs.
#[derive(Debug, Default)]
struct Course {
    lease: Option<Lease>,
    /// When the lease was taken or renewed.
    renewed: Option<Instant>,
    /// Everything up to here is done; the lease's position is what the row says.
    position: i64,
    saved: Option<Instant>,
}

impl Course {
    fn is_saved(&self) -> bool {
        self.lease
            .is_none_or(|lease| lease.position >= self.position)
    }

    /// Until when nothing need be done unless there is news.
    fn pause(&self) -> Duration {
        if self.is_saved() { POLL } else { SAVE }
    }

    /// The lease, renewed where it is time to. A checkpoint that somebody else has set counts.
    async fn hold(
        &mut self,
        policy: &dyn Policy,
        node: &Node,
        head: i64,
    ) -> anyhow::Result<Option<Lease>> {
        if self.renewed.is_none_or(|at| at.elapsed() >= POLL) {
            let renewed = Instant::now();
            let taken = lease(policy, node, head).await?;
            if self.lease != taken {
                self.position = taken.map_or(0, |lease| lease.position);
            }
            (self.lease, self.renewed) = (taken, Some(renewed));
        }
        Ok(self.lease)
    }

    /// Moves the row's checkpoint; false when the lease was lost meanwhile.
    async fn save(&mut self, policy: &dyn Policy, node: &Node) -> Result<bool, sqlx::Error> {
        let Some(mut lease) = self.lease.filter(|_| !self.is_saved()) else {
            return Ok(true);
        };
        let subscriptions = &node.subscriptions;
        if !subscriptions
            .advance(policy.name(), lease, self.position)
            .await?
        {
            return Ok(false);
        }
        lease.position = self.position;
        (self.lease, self.saved) = (Some(lease), Some(Instant::now()));
        Ok(true)
    }
}

/// One page.
async fn turn(
    policy: &dyn Policy,
    node: &Node,
    course: &mut Course,
    stop: &CancellationToken,
) -> anyhow::Result<Turn> {
    let name = policy.name();
    let reader = node.log.reader();
    let head = reader.head().await?.position;
    let Some(lease) = course.hold(policy, node, head).await? else {
        return Ok(Turn::Elsewhere);
    };
    let page = if course.position < head {
        reader.recent_page(course.position, head, PAGE).await?
    } else {
        Vec::new()
    };
    let last = page.last().map_or(course.position, |event| event.position);
    let done = if last < head && !page.is_empty() {
        Turn::More
    } else {
        Turn::Done
    };
    let handled: Vec<Arc<RecordedEvent>> = page
        .into_iter()
        .filter(|event| policy.handles(&event.aggregate_type, &event.event_type))
        .collect();
    if handled.is_empty() {
        course.position = last;
        let is_due = course.saved.is_none_or(|at| at.elapsed() >= SAVE);
        let kept = !is_due || course.save(policy, node).await?;
        return Ok(if kept { done } else { Turn::Elsewhere });
    }
    let upcasters = domain::upcasters::all();
    let facts = read_page(node.log.keys(), &upcasters, handled, |event| {
        policy.reads(&event.aggregate_type, &event.event_type)
    })
    .await?;
    match dispatch(policy, node, lease, facts, stop).await {
        Ok(true) => {}
        Ok(false) => return Ok(Turn::Elsewhere),
        Err(error) => {
            node.subscriptions
                .fail(name, lease, "a command failed; see the server's log")
                .await?;
            return Err(error);
        }
    }
    course.position = last;
    Ok(if course.save(policy, node).await? {
        done
    } else {
        Turn::Elsewhere
    })
}

async fn lease(policy: &dyn Policy, node: &Node, head: i64) -> anyhow::Result<Option<Lease>> {
    if let Some(lease) = node.subscriptions.take(policy.name()).await? {
        return Ok(Some(lease));
    }
    let start = match policy.start() {
        Start::Beginning => 0,
        Start::Now => head,
    };
    node.subscriptions.add(policy.name(), start).await?;
    Ok(node.subscriptions.take(policy.name()).await?)
}

/// Reacts to a page, in order per subject, renewing the lease meanwhile. False when the page is not done:
/// the lease is lost, or the node stops.
async fn dispatch(
    policy: &dyn Policy,
    node: &Node,
    lease: Lease,
    facts: Vec<Fact>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let mut subjects: BTreeMap<_, Vec<Fact>> = BTreeMap::new();
    for fact in facts {
        subjects
            .entry(fact.recorded.subject_id)
            .or_default()
            .push(fact);
    }
    let reactions = futures::stream::iter(subjects.into_values())
        .map(|facts| async move {
            for fact in &facts {
                if stop.is_cancelled() {
                    break;
                }
                policy.react(fact, node).await?;
            }
            anyhow::Ok(())
        })
        .buffer_unordered(PARALLEL)
        .collect::<Vec<_>>();
    let mut reactions = std::pin::pin!(reactions);
    let outcomes = loop {
        tokio::select! {
            outcomes = &mut reactions => break outcomes,
            () = tokio::time::sleep(POLL * 2) => {
                // another node goes on from the checkpoint; what is under way here changes nothing twice
                let renewed = node.subscriptions.take(policy.name()).await?;
                if renewed.is_none_or(|renewed| renewed.epoch != lease.epoch) {
                    return Ok(false);
                }
            }
        }
    };
    outcomes.into_iter().collect::<anyhow::Result<()>>()?;
    Ok(!stop.is_cancelled())
}
