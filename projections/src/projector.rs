//! The runner: one reader a node feeds every projection that the node owns, exactly once.
//!
//! A node owns a generation through a lease in its row. Events are read and decoded once for all that stand at
//! the same place; rows and checkpoint are one transaction, and the checkpoint moves by compare-and-set on
//! position and epoch, so a node that lost its lease writes nothing. Live generations and those being built run
//! in two tasks, so that a rebuild never holds up what is live.

mod building;
mod folding;
mod following;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use cqrs_es::persist::EventUpcaster;
use event_log::RecordedEvent;
use event_log::append::Committed;
use event_log::database::Database;
use event_log::keys::Keys;
use event_log::reader::{ReadError, Reader};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fact::{Fact, read_page};
use crate::gate::Gate;
use crate::generations::{Advance, Generation, Generations, State};
use crate::progress::{Progress, Reached};
use crate::projection::Projection;
use crate::skips::{self, Skipped};
use crate::tables::{ReadModels, Tables};

/// Most events of a page.
pub const PAGE: i64 = 1_000;
/// How often the log and the generations are looked at without being woken.
const POLL: Duration = Duration::from_millis(100);
/// How often leases are renewed.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often a checkpoint over events without rows is saved at most.
const SAVE: Duration = Duration::from_millis(250);
/// How often remote checkpoints are looked at while somebody waits for one.
const POLL_FOR_WAITERS: Duration = Duration::from_millis(5);
/// How often they are looked at otherwise.
const POLL_FOR_NOBODY: Duration = Duration::from_millis(250);
/// Longest pause after the database was away.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Tells the time.
pub type Now = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What the projector works with.
#[derive(Clone)]
pub struct Parts {
    /// The read home.
    pub read: Database,
    /// Reads the log.
    pub reader: Reader,
    /// Opens events.
    pub keys: Arc<Keys>,
    /// Old event shapes to new.
    pub upcasters: Arc<Vec<Box<dyn EventUpcaster>>>,
    /// What to run.
    pub projections: Vec<Arc<dyn Projection>>,
    /// This node.
    pub node: Uuid,
    /// The time.
    pub now: Now,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Parts {
    /// Opens what one of these reads, and decodes it.
    pub(crate) async fn open(
        &self,
        page: impl IntoIterator<Item = impl Into<Arc<RecordedEvent>>>,
        given: &[Given],
    ) -> Result<Vec<Fact>, ReadError> {
        let wanted = |event: &RecordedEvent| given.iter().any(|one| one.reads(event));
        read_page(&self.keys, &self.upcasters, page, wanted).await
    }
}

/// Runs the projections of one node.
#[derive(Debug, Clone)]
pub struct Projector {
    parts: Parts,
    generations: Generations,
    progress: Arc<Progress>,
    models: Arc<ReadModels>,
    seen: Arc<RwLock<Vec<Generation>>>,
    gate: Gate,
}

/// Which generations a task looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Live ones, and old ones that follow for a rollback.
    Following,
    /// Those being built.
    Building,
}

impl Which {
    fn takes(self, generation: &Generation) -> bool {
        (generation.state == State::Building) == (self == Self::Building)
    }
}

/// What a generation is given of the log.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) projection: Arc<dyn Projection>,
    /// Where the events stand that it leaves out.
    skipped: Arc<BTreeSet<i64>>,
}

impl Given {
    /// True for an event that it is given.
    fn handles(&self, event: &RecordedEvent) -> bool {
        !self.skipped.contains(&event.position)
            && self
                .projection
                .handles(&event.aggregate_type, &event.event_type)
    }

    /// True for an event whose payload it needs.
    fn reads(&self, event: &RecordedEvent) -> bool {
        self.projection.reads_payloads() && self.handles(event)
    }
}

/// A generation this node owns.
struct Owned {
    given: Given,
    generation: i64,
    epoch: i64,
    tables: Tables,
    /// Everything up to here is folded.
    position: i64,
    /// What the row says.
    saved: i64,
    saved_at: Instant,
    /// Failures of the page at `position`.
    attempts: i64,
    /// After a failure pages are shorter up to here, to find the culprit.
    careful_until: i64,
    /// How short.
    careful_page: i64,
    not_before: Instant,
    /// Head of the log when building began: from here on it has the indexes that queries need.
    target: i64,
    indexed: bool,
}

/// Generations whose next page cannot be read, and why.
type Unread = (Vec<Owned>, ReadError);

impl Owned {
    fn limit(&self) -> i64 {
        if self.position < self.careful_until {
            self.careful_page
        } else {
            PAGE
        }
    }
}

impl Projector {
    /// A projector that does nothing yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            generations: Generations::new(parts.read.clone()),
            gate: Gate::new(parts.read.engine()),
            progress: Arc::default(),
            seen: Arc::default(),
            models: Arc::new(ReadModels::new(parts.read.clone(), Arc::clone(&parts.keys))),
            parts,
        }
    }

    /// How far the live generations are.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// What queries read.
    pub fn models(&self) -> &Arc<ReadModels> {
        &self.models
    }

    /// The generations that it runs as it saw them last: asks no database, and may be some time old when the
    /// database is away.
    pub fn seen(&self) -> Vec<Generation> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// The generations' rows.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.parts.reader
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.parts.now)()
    }

    /// The projections it runs.
    pub fn projections(&self) -> &[Arc<dyn Projection>] {
        &self.parts.projections
    }

    /// True when every projection has a live generation of its version.
    pub fn is_live(&self) -> bool {
        self.progress.knows(&self.parts.projections)
    }

    /// Runs until `stop`, woken by `committed`; then gives all leases up.
    pub async fn run(&self, committed: watch::Receiver<Committed>, stop: CancellationToken) {
        tokio::join!(
            Box::pin(self.follow(committed.clone(), &stop)),
            Box::pin(self.build(committed, &stop)),
            self.watch(&stop),
            self.beat(&stop),
        );
    }

    async fn beat(&self, stop: &CancellationToken) {
        while !paused(HEARTBEAT, stop).await {
            let _turn = self.gate.enter(false).await;
            if let Err(error) = self.generations.renew(self.parts.node).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "leases cannot be renewed"
                );
            }
        }
    }

    /// Keeps an eye on what other nodes and the operator do to the generations.
    async fn watch(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let mut ours = false;
            if let Ok(rows) = self.generations.list().await {
                self.look(&rows);
                ours = self.owns_all_live(&rows);
            }
            if ours {
                // what this node folds itself it notes as it goes: no waiter depends on a look
                paused(POLL_FOR_NOBODY, stop).await;
            } else if self.progress.somebody_waits() {
                paused(POLL_FOR_WAITERS, stop).await;
            } else {
                tokio::select! {
                    _ = paused(POLL_FOR_NOBODY, stop) => {}
                    () = self.progress.asked() => {}
                }
            }
        }
    }

    fn owns_all_live(&self, rows: &[Generation]) -> bool {
        self.parts.projections.iter().all(|projection| {
            rows.iter().any(|row| {
                row.projection == projection.name()
                    && row.version == projection.version()
                    && row.state == State::Live
                    && row.owner == Some(self.parts.node)
            })
        })
    }

    pub(crate) fn look(&self, rows: &[Generation]) {
        let mut live = Vec::new();
        for projection in &self.parts.projections {
            let row = rows.iter().find(|row| {
                row.projection == projection.name()
                    && row.version == projection.version()
                    && row.state == State::Live
            });
            if let Some(row) = row {
                live.push((Arc::clone(projection), row.generation));
                self.progress.reached(
                    projection.name(),
                    Reached {
                        generation: row.generation,
                        position: row.position,
                        stopped: row.stopped,
                    },
                );
            }
        }
        self.models.set_live(&live);
        let running = rows.iter().filter(|row| self.runs(row)).cloned().collect();
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = running;
    }

    /// Takes what is free and not `busy`, drops what is gone.
    async fn assign(
        &self,
        which: Which,
        owned: &mut Vec<Owned>,
        busy: impl Fn(&Generation) -> bool,
    ) -> Result<(), ReadError> {
        let rows = self.generations.list().await?;
        owned.retain(|mine| {
            rows.iter().any(|row| {
                row.projection == mine.given.projection.name()
                    && row.generation == mine.generation
                    && row.owner == Some(self.parts.node)
                    && row.epoch == mine.epoch
                    && which.takes(row)
            })
        });
        let mut taken = Vec::new();
        let free = |row: &&Generation| which.takes(row) && !row.stopped && !busy(row);
        for row in rows.iter().filter(free) {
            let Some(projection) = self.parts.projections.iter().find(|projection| {
                projection.name() == row.projection && projection.version() == row.version
            }) else {
                continue;
            };
            let mine = |owned: &Owned| {
                owned.generation == row.generation
                    && owned.given.projection.name() == row.projection
            };
            if owned.iter().any(mine) {
                continue;
            }
            let lease = self
                .generations
                .take(&row.projection, row.generation, self.parts.node)
                .await?;
            if let Some(lease) = lease {
                taken.push(Owned {
                    given: Given {
                        projection: Arc::clone(projection),
                        skipped: Arc::default(),
                    },
                    generation: row.generation,
                    epoch: lease.epoch,
                    tables: Tables::of(
                        self.parts.read.engine(),
                        [(projection.as_ref(), row.generation)],
                    ),
                    position: lease.position,
                    saved: lease.position,
                    saved_at: Instant::now(),
                    attempts: 0,
                    careful_until: 0,
                    careful_page: 1,
                    not_before: Instant::now(),
                    target: row.target,
                    indexed: which == Which::Following,
                });
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        // read once the leases are held: whoever skips an event takes them away again afterwards
        let skipped = self.skipped().await?;
        for mut mine in taken {
            let left_out = skipped.get(mine.given.projection.name());
            mine.given.skipped = left_out.cloned().unwrap_or_default().into();
            owned.push(mine);
        }
        Ok(())
    }

    /// What every projection leaves out.
    pub(crate) async fn skipped(&self) -> Result<Skipped, ReadError> {
        skips::read(&self.parts.reader, &self.parts.keys, &self.parts.upcasters).await
    }

    /// Saves a checkpoint that ran ahead of its row over events without rows. True when the row says so.
    async fn save(&self, mine: &Owned, at_once: bool) -> Result<bool, sqlx::Error> {
        if mine.saved >= mine.position || (!at_once && mine.saved_at.elapsed() < SAVE) {
            return Ok(false);
        }
        let Some(event_id) = self.parts.reader.event_at(mine.position).await? else {
            return Ok(false);
        };
        self.generations
            .advance(Advance {
                projection: mine.given.projection.name(),
                generation: mine.generation,
                epoch: mine.epoch,
                from: mine.saved,
                to: mine.position,
                event_id,
                now: self.now(),
            })
            .await
    }

    /// Saves the checkpoints of what this node owned, and gives the leases up for others to take.
    async fn give_up(&self, owned: impl IntoIterator<Item = Owned>) {
        for owned in owned {
            let (name, generation) = (owned.given.projection.name(), owned.generation);
            let saved = self.save(&owned, true).await;
            let released = self
                .generations
                .release(name, generation, self.parts.node)
                .await;
            if let Err(error) = saved.and(released) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    projection = name,
                    "a lease cannot be given up and will run out"
                );
                break;
            }
        }
    }
}

/// Says once a pause that the database is away.
fn waits_for_database(error: &ReadError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the projections wait for the database"
    );
}

/// Sleeps; true when stopped meanwhile.
async fn paused(time: Duration, stop: &CancellationToken) -> bool {
    tokio::time::timeout(time, stop.cancelled()).await.is_ok()
}
