//! The event log's conformance suite: every story is told on both engines and must end the same.

mod appending;
mod breaking;
mod homes;
mod immutability;
mod judging;
mod lending;
mod making_keys;
mod proxy;
pub mod queueing;
mod racing;
mod rows;
mod sealing;
mod subscribing;
mod toy;
mod verdicts;

use std::error::Error;
use std::sync::Arc;

use domain::Aggregate;
use domain::id::AccountId;
use event_log::append::{AppenderTask, Bounds, Verdict};
use event_log::command_ids::Remember;
use event_log::homes::Homes;
use event_log::keys::{Keys, Secret};
use event_log::log::{Decided, Loaded, LogError};
use event_log::{EventLog, Metadata};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::support::engines::{Installation, id, now};

/// The master key of all the suite's installations.
fn master() -> Secret {
    Secret::new([7; 32])
}

/// A log as one process has it.
struct Process {
    log: EventLog,
    task: Mutex<Option<AppenderTask>>,
}

impl Process {
    async fn of(installation: &Installation) -> Result<Self, Box<dyn Error>> {
        Self::with(installation.homes.clone(), Bounds::default()).await
    }

    /// A second process on the same installation: its own pools, its own appender, its own key cache.
    async fn beside(installation: &Installation) -> Result<Self, Box<dyn Error>> {
        Self::with(installation.reopened().await?, Bounds::default()).await
    }

    async fn with(homes: Homes, bounds: Bounds) -> Result<Self, Box<dyn Error>> {
        let keys = Arc::new(Keys::new(homes.keys.clone(), &master()));
        let (log, task) = EventLog::open(homes, keys, Vec::new(), bounds, now()).await?;
        let task = Mutex::new(Some(task));
        Ok(Self { log, task })
    }

    /// Closes the appender and waits until it has written what was queued.
    async fn stop(&self) {
        self.log.appender().close();
        if let Some(task) = self.task.lock().await.take() {
            task.finished().await;
        }
    }

    /// A data subject with a key.
    async fn member(&self) -> Result<AccountId, Box<dyn Error>> {
        let subject = id();
        self.log.keys().create_subject(subject, id(), now()).await?;
        Ok(AccountId(subject))
    }

    /// Loads a stream and appends to it, whatever the verdict.
    async fn say<A: Aggregate>(
        &self,
        stream: &str,
        events: impl IntoIterator<Item = A::Event>,
    ) -> Result<Verdict, LogError> {
        self.say_once::<A>(stream, events, None).await
    }

    /// The same under a command id.
    async fn say_once<A: Aggregate>(
        &self,
        stream: &str,
        events: impl IntoIterator<Item = A::Event>,
        remember: Option<&Remember>,
    ) -> Result<Verdict, LogError> {
        let before = self.log.load::<A>(stream).await?;
        self.say_after(&before, stream, events, remember).await
    }

    /// Appends what was decided on a state that may have grown old.
    async fn say_after<A: Aggregate>(
        &self,
        before: &Loaded<A>,
        stream: &str,
        events: impl IntoIterator<Item = A::Event>,
        remember: Option<&Remember>,
    ) -> Result<Verdict, LogError> {
        let events: Vec<(Uuid, A::Event)> = events.into_iter().map(|event| (id(), event)).collect();
        let metadata = Metadata::system("test", id());
        let decided = Decided {
            id: stream,
            before: before.clone(),
            events: &events,
            metadata: &metadata,
            remember,
            key_id: id(),
            now: now(),
        };
        Ok(self.log.append(decided).await?.0)
    }
}

/// True for [`Verdict::Appended`].
fn appended(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Appended { .. })
}
