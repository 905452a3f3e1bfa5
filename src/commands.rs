//! Executing a command: stripe lock, command id, load, decide, append, retry, wait for read models.

mod memory;
mod to_its_end;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cqrs_es::DomainEvent;
use domain::{Aggregate, Rejection};
use event_log::append::{AppendError, Verdict};
use event_log::command_ids::{Outcome, Remember};
use event_log::log::{Decided, Known, Loaded, LogError};
use event_log::{EventLog, Metadata};
use projections::projection::Projection;
use projections::projector::Projector;
use rand::RngExt;
use uuid::Uuid;

use crate::clock::{Clock, Ids};
use memory::Memory;
use to_its_end::to_its_end;

/// Locks that keep a process's own commands for one aggregate from conflicting with each other.
const STRIPES: usize = 1_024;
/// Longest wait for a stripe: what is ahead of it is many commands for the same aggregate.
const STRIPE_WAIT: Duration = Duration::from_secs(5);
/// Tries against other processes before giving up.
const TRIES: u32 = 12;
/// Longest wait for read models after a command.
const READ_MODELS_WAIT: Duration = Duration::from_secs(1);

/// What comes with a command.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who and why.
    pub metadata: Metadata,
    /// The command id, where one was given.
    pub remember: Option<Remember>,
    /// Do not wait for read models.
    pub respond_async: bool,
}

impl Request {
    /// A command of the installation itself: nobody waits for its read models.
    pub fn system(metadata: Metadata) -> Self {
        Self {
            metadata,
            remember: None,
            respond_async: true,
        }
    }
}

/// A state that memory keeps as well: it is shared, not copied.
#[derive(Debug, Clone)]
pub struct State<A>(Arc<Loaded<A>>);

impl<A> std::ops::Deref for State<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.0.state
    }
}

/// A command that was carried out, now or before.
#[derive(Debug, Clone)]
pub struct Done<A> {
    /// The state afterwards.
    pub state: State<A>,
    /// Sequence of the stream afterwards.
    pub sequence: i64,
    /// Position of its last event; `None` when nothing changed.
    pub position: Option<i64>,
    /// Set when the same command id was carried out before: the first outcome.
    pub repeated: Option<Outcome>,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError<E: Rejection> {
    /// The domain says no.
    #[error(transparent)]
    Rejected(E),
    /// The command id was used for another request.
    #[error("this command id was used for another request")]
    OtherRequest,
    /// The same command id is being carried out right now.
    #[error("a command of this id is being carried out")]
    InFlight,
    /// The data subject is being or has been erased.
    #[error("the subject of this stream is being erased")]
    SubjectErased,
    /// Too much is waiting; nothing was written.
    #[error("too many commands are waiting")]
    Busy,
    /// Whether the command was written is unknown; it is safe to repeat it with its command id.
    #[error("whether the command was written is unknown")]
    Unknown,
    /// Something inside failed.
    #[error("the command failed")]
    Internal(#[source] LogError),
}

impl<E: Rejection> From<LogError> for CommandError<E> {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Append(AppendError::QueueFull | AppendError::Closed) => Self::Busy,
            LogError::Append(AppendError::Unknown) => Self::Unknown,
            error => Self::Internal(error),
        }
    }
}

/// What every kind of aggregate shares.
#[derive(Debug)]
pub struct Bus {
    /// The log.
    pub log: Arc<EventLog>,
    /// The time.
    pub clock: Clock,
    /// Fresh ids.
    pub ids: Ids,
    /// For waiting for read models.
    pub projector: Projector,
    in_flight: Mutex<HashSet<String>>,
}

impl Bus {
    /// The parts together.
    pub fn new(log: Arc<EventLog>, clock: Clock, ids: Ids, projector: Projector) -> Self {
        Self {
            log,
            clock,
            ids,
            projector,
            in_flight: Mutex::default(),
        }
    }
}

/// Holds a command id for the time it is being carried out in this process.
struct InFlight<'a> {
    bus: &'a Bus,
    key: String,
}

impl<'a> InFlight<'a> {
    fn enter(bus: &'a Bus, remember: &Remember) -> Option<Self> {
        let key = format!("{}\u{0}{}", remember.scope, remember.key);
        let mut held = bus.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(key.clone()).then_some(Self { bus, key })
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.bus
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

/// Carries out the commands of one kind of aggregate.
#[derive(Debug)]
pub struct Commands<A: Aggregate> {
    bus: Arc<Bus>,
    stripes: Vec<tokio::sync::Mutex<()>>,
    memory: Arc<Memory<A>>,
    /// The projections that this context's GETs read.
    read_by: Vec<Arc<dyn Projection>>,
}

impl<A: Aggregate + 'static> Commands<A>
where
    A::Command: Sync,
{
    /// For an aggregate whose context reads the named projections.
    pub fn new(bus: &Arc<Bus>, read_by: &[&str]) -> Self {
        let read_by = bus
            .projector
            .projections()
            .iter()
            .filter(|projection| read_by.contains(&projection.name()))
            .cloned()
            .collect();
        Self {
            bus: Arc::clone(bus),
            stripes: (0..STRIPES)
                .map(|_| tokio::sync::Mutex::default())
                .collect(),
            memory: Arc::default(),
            read_by,
        }
    }

    /// Carries out one command on the stream `id`.
    pub async fn execute(
        &self,
        id: &str,
        command: &A::Command,
        request: &Request,
    ) -> Result<Done<A>, CommandError<A::Error>> {
        self.enter(id, command, request, None).await
    }

    /// Carries out the first command on a stream whose id was made just now: that it is empty need not be
    /// read. Should it not be, the append notices.
    pub async fn begin(
        &self,
        id: &str,
        command: &A::Command,
        request: &Request,
    ) -> Result<Done<A>, CommandError<A::Error>> {
        self.enter(id, command, request, Some(Arc::default())).await
    }

    async fn enter(
        &self,
        id: &str,
        command: &A::Command,
        request: &Request,
        known: Option<Arc<Loaded<A>>>,
    ) -> Result<Done<A>, CommandError<A::Error>> {
        // before keys are made and streams are read for what cannot be appended
        if self.bus.log.appender().is_full() {
            return Err(CommandError::Busy);
        }
        let _in_flight = match &request.remember {
            None => None,
            Some(remember) => {
                Some(InFlight::enter(&self.bus, remember).ok_or(CommandError::InFlight)?)
            }
        };
        let (done, types) = {
            let stripe = tokio::time::timeout(STRIPE_WAIT, self.stripe(id).lock());
            let _stripe = stripe.await.map_err(|_| CommandError::Busy)?;
            self.carry_out(id, command, request, known).await?
        };
        if let (Some(position), false) = (done.position, request.respond_async) {
            self.wait(position, &types).await;
        }
        Ok(done)
    }

    /// The state of a stream as the log has it now.
    pub async fn load(&self, id: &str) -> Result<Loaded<A>, CommandError<A::Error>> {
        Ok(self.read(id).await?.as_ref().clone())
    }

    async fn read(&self, id: &str) -> Result<Arc<Loaded<A>>, LogError> {
        let loaded = Arc::new(self.bus.log.load::<A>(id).await?);
        self.memory.keep(id, &loaded);
        Ok(loaded)
    }

    async fn carry_out(
        &self,
        id: &str,
        command: &A::Command,
        request: &Request,
        mut known: Option<Arc<Loaded<A>>>,
    ) -> Result<(Done<A>, Vec<String>), CommandError<A::Error>> {
        if let Some(remember) = &request.remember {
            let now = self.bus.clock.now();
            match self.bus.log.known(remember, now).await? {
                None => {}
                Some(Known::Other) => return Err(CommandError::OtherRequest),
                Some(Known::Same {
                    outcome, position, ..
                }) => {
                    return Ok((self.again(outcome, position).await?, Vec::new()));
                }
            }
        }
        for attempt in 0..TRIES {
            if attempt > 0 {
                let most = 2_u64.pow(attempt.min(6));
                let pause = rand::rng().random_range(0..=most);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            if attempt == 0 {
                known = self.memory.get(id).or(known);
            }
            let (before, events) = self.decide(id, command, known.take()).await?;
            if events.is_empty() {
                return Ok((
                    Done {
                        sequence: before.sequence,
                        state: State(before),
                        position: None,
                        repeated: None,
                    },
                    Vec::new(),
                ));
            }
            let types = events.iter().map(DomainEvent::event_type).collect();
            // folded into in place unless somebody still looks at it, and out of memory until that is appended
            self.forget(id);
            let before = Arc::unwrap_or_clone(before);
            match self.append(id, before, events, request).await? {
                (Verdict::Appended { position, sequence }, after) => {
                    return Ok((
                        Done {
                            state: State(after),
                            sequence,
                            position: Some(position),
                            repeated: None,
                        },
                        types,
                    ));
                }
                (
                    Verdict::Repeated {
                        position, outcome, ..
                    },
                    _,
                ) => {
                    let outcome = serde_json::from_str(&outcome).map_err(LogError::from)?;
                    return Ok((self.again(outcome, position).await?, Vec::new()));
                }
                (Verdict::OtherRequest, _) => return Err(CommandError::OtherRequest),
                (Verdict::SubjectErased, _) => return Err(CommandError::SubjectErased),
                (Verdict::ClaimTaken { scope, holder }, _) => {
                    let rejection = A::claim_taken(&scope, &holder);
                    return Err(rejection.map_or(CommandError::Busy, CommandError::Rejected));
                }
                (Verdict::Conflict, _) => {}
            }
        }
        Err(CommandError::Busy)
    }

    /// Decides from memory where possible. What is refused or empty from memory stands when the log has
    /// nothing newer; otherwise another process has moved the stream on and it is decided again.
    async fn decide(
        &self,
        id: &str,
        command: &A::Command,
        known: Option<Arc<Loaded<A>>>,
    ) -> Result<(Arc<Loaded<A>>, Vec<A::Event>), CommandError<A::Error>> {
        if let Some(known) = known {
            let decided = known.state.decide(command);
            let appends = decided.as_ref().is_ok_and(|events| !events.is_empty());
            if appends || self.bus.log.is_at::<A>(id, known.sequence).await? {
                return Ok((known, decided.map_err(CommandError::Rejected)?));
            }
        }
        let loaded = self.read(id).await?;
        let events = loaded
            .state
            .decide(command)
            .map_err(CommandError::Rejected)?;
        Ok((loaded, events))
    }

    /// Appends, and keeps the state afterwards even if the caller goes away meanwhile: what it handed in is
    /// appended all the same, and the next command would have to read the stream.
    async fn append(
        &self,
        id: &str,
        before: Loaded<A>,
        events: Vec<A::Event>,
        request: &Request,
    ) -> Result<(Verdict, Arc<Loaded<A>>), LogError> {
        let (bus, memory, id) = (
            Arc::clone(&self.bus),
            Arc::clone(&self.memory),
            id.to_owned(),
        );
        let (metadata, remember) = (request.metadata.clone(), request.remember.clone());
        to_its_end(async move {
            let events: Vec<(Uuid, A::Event)> = events
                .into_iter()
                .map(|event| (bus.ids.next(), event))
                .collect();
            let decided = Decided {
                id: &id,
                before,
                events: &events,
                metadata: &metadata,
                remember: remember.as_ref(),
                key_id: bus.ids.next(),
                now: bus.clock.now(),
            };
            let (verdict, state) = bus.log.append(decided).await?;
            let sequence = match verdict {
                Verdict::Appended { sequence, .. } => sequence,
                _ => 0,
            };
            let after = Arc::new(Loaded { state, sequence });
            memory.keep(&id, &after);
            Ok((verdict, after))
        })
        .await
    }

    /// The first outcome again, with the state as it is now.
    async fn again(
        &self,
        outcome: Outcome,
        position: i64,
    ) -> Result<Done<A>, CommandError<A::Error>> {
        let loaded = self.read(&outcome.aggregate_id).await?;
        Ok(Done {
            sequence: loaded.sequence,
            state: State(loaded),
            position: Some(position),
            repeated: Some(outcome),
        })
    }

    async fn wait(&self, position: i64, types: &[String]) {
        let names: Vec<&'static str> = self
            .read_by
            .iter()
            .filter(|projection| {
                types.is_empty() || types.iter().any(|event| projection.handles(A::TYPE, event))
            })
            .map(|projection| projection.name())
            .collect();
        self.bus
            .projector
            .progress()
            .wait(&names, position, READ_MODELS_WAIT)
            .await;
    }

    fn stripe(&self, id: &str) -> &tokio::sync::Mutex<()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or_default();
        &self.stripes[at]
    }

    /// Drops a state from memory, as erasure must.
    pub fn forget(&self, id: &str) {
        self.memory.forget(id);
    }
}
