//! The runner of projections, told on both engines: exactly once, whoever runs and whoever dies.

mod bulk;
mod command_line;
mod following;
mod history;
mod killing;
mod leases;
mod poison;
mod reading;
mod rebuilding;
mod upkeep;
mod versions;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cqrs_es::persist::EventUpcaster;
use domain::Aggregate;
use domain::operations::skips::{SkipReason, Skips, SkipsCommand};
use event_log::append::{AppenderTask, Bounds, Verdict};
use event_log::database::Statement;
use event_log::homes::Homes;
use event_log::keys::{Keys, Secret};
use event_log::log::Decided;
use event_log::{EventLog, Metadata, execute_rows, fetch_one};
use projections::audit::Audit;
use projections::fact::Fact;
use projections::generations::{Generation, State};
use projections::projection::{Projection, ProjectionError, Writer};
use projections::projector::{Parts, Projector};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::engines::{Installation, Outcome, id, now};
use crate::support::raw;
use crate::support::story::within;

/// Longest wait for what should happen at once.
const SOON: Duration = Duration::from_secs(30);

static ADD: Statement = Statement::new(
    "tallies",
    "INSERT INTO {tallies} AS t (stream, events) {rows}
     ON CONFLICT (stream) DO UPDATE SET events = t.events + excluded.events",
);
static SUM: Statement = Statement::new(
    "sum of tallies",
    "SELECT CAST(coalesce(sum(events), 0) AS BIGINT) FROM {tallies}",
);
static ROWS: Statement = Statement::new("rows of audit", "SELECT count(*) FROM {audit_events}");

/// Counts the events of accounts by addition, so that an event folded twice shows.
#[derive(Debug, Default)]
struct Tallies {
    /// Milliseconds that a page takes.
    pause: AtomicU64,
    /// Milliseconds that its transaction stays open after its rows are written.
    lingering: AtomicU64,
    /// Pages begun so far.
    pages: AtomicU64,
    /// As a later program has it.
    newer: bool,
    /// As if no command waited for them.
    gathering: bool,
}

#[async_trait]
impl Projection for Tallies {
    fn name(&self) -> &'static str {
        "tallies"
    }

    fn version(&self) -> i64 {
        if self.newer { 2 } else { 1 }
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE {tallies} (stream TEXT NOT NULL PRIMARY KEY, events BIGINT NOT NULL)"
    }

    fn handles(&self, aggregate_type: &str, _: &str) -> bool {
        aggregate_type == "account"
    }

    fn gathers(&self) -> bool {
        self.gathering
    }

    async fn project(
        &self,
        page: &[&Fact],
        writer: &mut Writer<'_>,
    ) -> Result<(), ProjectionError> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(self.pause.load(Ordering::Relaxed))).await;
        let mut streams: Vec<(&str, i64)> = Vec::new();
        for fact in page {
            let stream = fact.recorded.aggregate_id.as_str();
            match streams.iter_mut().find(|(known, _)| *known == stream) {
                Some((_, events)) => *events += 1,
                None => streams.push((stream, 1)),
            }
        }
        let sql = writer.sql(&ADD);
        let transaction = writer.transaction().await?;
        execute_rows!(in *transaction, &sql, streams, |row, stream| {
            row.push_bind(stream.0);
            row.push_bind(stream.1);
        })?;
        let lingering = self.lingering.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(lingering)).await;
        Ok(())
    }
}

/// The log of an installation, and what is needed to run projections over it.
struct House {
    homes: Homes,
    log: EventLog,
    task: AppenderTask,
    tallies: Arc<Tallies>,
}

impl House {
    async fn on(installation: &Installation) -> Result<Self, Box<dyn Error>> {
        let homes = installation.homes.clone();
        let keys = Arc::new(Keys::new(homes.keys.clone(), &Secret::new([7; 32])));
        let bounds = Bounds::default();
        let (log, task) = EventLog::open(homes.clone(), keys, Vec::new(), bounds, now()).await?;
        Ok(Self {
            homes,
            log,
            task,
            tallies: Arc::default(),
        })
    }

    async fn stop(self) {
        self.log.appender().close();
        self.task.finished().await;
    }

    /// A projector as another node would have it.
    fn projector(&self, homes: &Homes) -> Projector {
        self.projector_with(homes, Vec::new())
    }

    fn projector_with(&self, homes: &Homes, upcasters: Vec<Box<dyn EventUpcaster>>) -> Projector {
        self.projector_of(homes, upcasters, &self.tallies)
    }

    /// As a node of a later program would have it, whose tallies are of another version.
    fn newer_projector(&self, homes: &Homes) -> Projector {
        let newer = Tallies {
            newer: true,
            ..Tallies::default()
        };
        self.projector_of(homes, Vec::new(), &Arc::new(newer))
    }

    fn projector_of(
        &self,
        homes: &Homes,
        upcasters: Vec<Box<dyn EventUpcaster>>,
        tallies: &Arc<Tallies>,
    ) -> Projector {
        let tallies = Arc::clone(tallies) as Arc<dyn Projection>;
        Projector::new(Parts {
            upcasters: Arc::new(upcasters),
            ..self.parts(homes, vec![Arc::new(Audit), tallies])
        })
    }

    /// What a node that runs these projections works with.
    fn parts(&self, homes: &Homes, projections: Vec<Arc<dyn Projection>>) -> Parts {
        Parts {
            read: homes.read.clone(),
            reader: event_log::reader::Reader::new(homes.log.clone()),
            keys: Arc::clone(self.log.keys()),
            upcasters: Arc::default(),
            projections,
            node: id(),
            now: Arc::new(now),
        }
    }

    /// Starts a node and waits for nothing.
    async fn run(&self, homes: &Homes) -> Result<Node, Box<dyn Error>> {
        self.run_projector(self.projector(homes)).await
    }

    async fn run_projector(&self, projector: Projector) -> Result<Node, Box<dyn Error>> {
        projector.prepare().await?;
        let stop = CancellationToken::new();
        let committed = self.log.appender().committed();
        let task = tokio::spawn({
            let (projector, stop) = (projector.clone(), stop.clone());
            async move { projector.run(committed, stop).await }
        });
        Ok(Node {
            projector,
            stop,
            task,
        })
    }

    /// Appends `count` events that somebody's account knows.
    async fn known(&self, count: usize) -> Outcome {
        let payload = r#"{"type":"logged_out_everywhere","logged_out_at":"2026-01-01T00:00:00Z"}"#;
        let mut left = count;
        while left > 0 {
            let some = left.min(500);
            self.append("account", "logged_out_everywhere", payload, some)
                .await?;
            left -= some;
        }
        Ok(())
    }

    /// Appends one event of an account that no program knows.
    async fn unknown(&self) -> Outcome {
        self.append("account", "never_heard", r#"{"type":"never_heard"}"#, 1)
            .await
    }

    async fn append(
        &self,
        aggregate_type: &'static str,
        event_type: &str,
        payload: &str,
        count: usize,
    ) -> Outcome {
        raw::append(&self.log, aggregate_type, event_type, payload, count).await
    }

    /// Records that the tallies leave out an event, and lets them go on.
    async fn skip(&self, projector: &Projector, position: i64) -> Outcome {
        let tallies = projector.named("tallies").ok_or("no tallies")?;
        let before = self.log.load::<Skips>("tallies").await?;
        let command = SkipsCommand::Skip {
            projection: "tallies".to_owned(),
            position,
            stopped_at: projector.stopped_at(tallies).await?,
            reason: SkipReason::parse("Nobody ever heard of it.").map_err(|fault| fault.detail)?,
            now: now(),
        };
        let events: Vec<_> = before.state.decide(&command)?;
        let events: Vec<_> = events.into_iter().map(|event| (id(), event)).collect();
        let decided = Decided {
            id: "tallies",
            before,
            events: &events,
            metadata: &Metadata::system("test".to_owned(), id()),
            remember: None,
            key_id: id(),
            now: now(),
        };
        let (verdict, _) = self.log.append(decided).await?;
        assert!(matches!(verdict, Verdict::Appended { .. }), "{verdict:?}");
        Ok(projector.skip(tallies, position).await?)
    }

    async fn head(&self) -> Result<i64, Box<dyn Error>> {
        Ok(self.log.reader().head().await?.position)
    }

    /// Events of accounts that a node's live generation has counted.
    async fn counted(&self, projector: &Projector) -> Result<i64, Box<dyn Error>> {
        let models = projector.models().pin();
        let (sum,): (i64,) = fetch_one!(models.database, (i64,), &models.sql(&SUM))?;
        Ok(sum)
    }

    /// Rows of a node's live trail.
    async fn trail(&self, projector: &Projector) -> Result<i64, Box<dyn Error>> {
        let models = projector.models().pin();
        let (rows,): (i64,) = fetch_one!(models.database, (i64,), &models.sql(&ROWS))?;
        Ok(rows)
    }
}

/// A running node.
struct Node {
    projector: Projector,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Node {
    /// Stops as SIGTERM does.
    async fn end(self) -> Outcome {
        self.stop.cancel();
        Ok(self.task.await?)
    }

    /// Stops as `kill -9` does: no lease is given up.
    async fn kill(self) {
        self.task.abort();
        // cancelled, which is what was wanted
        let _ = self.task.await;
    }

    async fn row(&self, name: &str, state: State) -> Result<Option<Generation>, Box<dyn Error>> {
        row(&self.projector, name, state).await
    }

    /// Waits until the live generation has this number.
    async fn live(&self, name: &str, generation: i64) -> Outcome {
        until("the generation is live", async || {
            let live = self.projector.progress().now();
            Ok(live.get(name).is_some_and(|at| at.generation == generation))
        })
        .await
    }

    /// Waits until both projections have folded the whole log.
    async fn caught_up(&self, head: i64) -> Outcome {
        until("both projections are at the head", async || {
            let live = self.projector.progress().now();
            Ok(live.len() == 2 && live.values().all(|at| at.position >= head))
        })
        .await
    }
}

async fn row(
    projector: &Projector,
    name: &str,
    state: State,
) -> Result<Option<Generation>, Box<dyn Error>> {
    let rows = projector.generations().list().await?;
    Ok(rows
        .into_iter()
        .rfind(|row| row.projection == name && row.state == state))
}

/// Waits for something that should happen soon.
async fn until(
    what: &'static str,
    happened: impl AsyncFn() -> Result<bool, Box<dyn Error>>,
) -> Outcome {
    within(SOON, what, happened).await
}
