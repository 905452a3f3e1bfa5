//! The event log put together: load a stream, append what was decided, read by position.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use cqrs_es::persist::{
    EventUpcaster, PersistedEventRepository, PersistenceError, SerializedEvent,
};
use domain::{Aggregate, ClaimChange, KeyScope};
use sqlx::FromRow;
use uuid::Uuid;

use crate::append::{
    Append, AppendError, Appender, AppenderTask, Bounds, ClaimAction, ClaimEntry, NewEvent, Verdict,
};
use crate::command_ids::{Outcome, Remember};
use crate::content_hash::Content;
use crate::database::{Database, Statement};
use crate::homes::{Homes, HomesError};
use crate::keys::{DataKey, KeyError, Keys, Secret};
use crate::lookups::{Remembered, Sequences};
use crate::metadata::Metadata;
use crate::patience::unhurried;
use crate::reader::Reader;
use crate::repository::SealedRepository;
use crate::sealing::{self, Place, SealingError};
use crate::together::{Together, unshared};
use crate::{execute, fetch_all, fetch_optional, statement};

static KNOWN_COMMAND: Statement = statement!("../sql/known_command.sql");
static FORGET_COMMANDS: Statement = statement!("../sql/forget_commands.sql");
static CLAIM_HOLDER: Statement = statement!("../sql/claim_holder.sql");
static HOLDERS_STREAM: Statement = statement!("../sql/holders_stream.sql");

/// A stream folded into its aggregate.
#[derive(Debug, Clone, Default)]
pub struct Loaded<A> {
    /// The state.
    pub state: A,
    /// Sequence of the last event, 0 when there is none.
    pub sequence: i64,
}

/// Why the log cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Reading a stream failed.
    #[error("a stream cannot be read")]
    Load(#[from] PersistenceError),
    /// A stored event is of no known shape.
    #[error("a stored {aggregate_type} event has an unknown shape at sequence {sequence}")]
    Shape {
        /// Kind of stream.
        aggregate_type: &'static str,
        /// Place in the stream.
        sequence: usize,
    },
    /// Serialising an event failed.
    #[error("an event cannot be serialised")]
    Serialise(#[from] serde_json::Error),
    /// The keys are the trouble.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The appender gave no verdict.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A statement failed.
    #[error("the event log cannot be read")]
    Database(#[from] sqlx::Error),
}

impl LogError {
    /// True when a database is away and the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Database(error) => crate::database::is_unavailable(error),
            Self::Sealing(SealingError::Key(KeyError::Database(error))) => {
                crate::database::is_unavailable(error)
            }
            Self::Load(error) => is_connection_error(error),
            Self::Append(AppendError::Full(_)) => true,
            _ => false,
        }
    }
}

fn is_connection_error(error: &PersistenceError) -> bool {
    let cause: &(dyn std::error::Error + 'static) = match error {
        PersistenceError::ConnectionError(cause) | PersistenceError::UnknownError(cause) => {
            cause.as_ref()
        }
        _ => return false,
    };
    let mut cause = Some(cause);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return crate::database::is_unavailable(error);
        }
        cause = error.source();
    }
    false
}

impl From<KeyError> for LogError {
    fn from(error: KeyError) -> Self {
        Self::Sealing(error.into())
    }
}

/// What was remembered under a command id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The same request was committed before.
    Same {
        /// What was remembered.
        outcome: Outcome,
        /// Sequence of its last event.
        sequence: i64,
        /// Position of its last event.
        position: i64,
    },
    /// Another request was committed under this key.
    Other,
}

/// Decided events on their way into the log.
#[derive(Debug)]
pub struct Decided<'a, A: Aggregate> {
    /// Which stream.
    pub id: &'a str,
    /// The state and sequence the decision was made on.
    pub before: Loaded<A>,
    /// The events with the ids they will have.
    pub events: &'a [(Uuid, A::Event)],
    /// Who and why.
    pub metadata: &'a Metadata,
    /// The command id, where one was given.
    pub remember: Option<&'a Remember>,
    /// An id for the stream's own key, used when it has none yet.
    pub key_id: Uuid,
    /// Now, for the creation time of that key.
    pub now: DateTime<Utc>,
}

/// The log of one installation, as one process uses it.
pub struct EventLog {
    homes: Homes,
    reader: Reader,
    keys: Arc<Keys>,
    appender: Appender,
    repository: SealedRepository,
    upcasters: Vec<Box<dyn EventUpcaster>>,
    claims: Secret,
    commands: Secret,
    remembered: Arc<Together<Remembered>>,
    sequences: Arc<Together<Sequences>>,
}

impl std::fmt::Debug for EventLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLog")
            .field("homes", &self.homes)
            .finish_non_exhaustive()
    }
}

impl EventLog {
    /// Opens the log over migrated homes and starts its appender.
    pub async fn open(
        homes: Homes,
        keys: Arc<Keys>,
        upcasters: Vec<Box<dyn EventUpcaster>>,
        bounds: Bounds,
        now: DateTime<Utc>,
    ) -> Result<(Self, AppenderTask), OpenError> {
        let claims = keys.instance("claims", now).await?;
        let commands = keys.instance("command-ids", now).await?;
        let pool = match &homes.log {
            Database::Postgres(pool) => Some(pool.clone()),
            Database::Sqlite(_) => None,
        };
        let reader = Reader::new(homes.log.clone());
        let recent = Arc::clone(reader.recent());
        let (appender, task) = Appender::start_beside(homes.target(), pool, recent, bounds).await?;
        let repository = SealedRepository::new(&homes.log, Arc::clone(&keys));
        Ok((
            Self {
                reader,
                homes,
                keys,
                appender,
                repository,
                upcasters,
                claims,
                commands,
                remembered: Arc::default(),
                sequences: Arc::default(),
            },
            task,
        ))
    }

    /// The homes underneath.
    #[must_use]
    pub fn homes(&self) -> &Homes {
        &self.homes
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Reads by position.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The appender, for its queue length and commit signal.
    #[must_use]
    pub fn appender(&self) -> &Appender {
        &self.appender
    }

    /// Folds a stream.
    pub async fn load<A: Aggregate>(&self, id: &str) -> Result<Loaded<A>, LogError> {
        self.fold(self.repository.get_events::<A>(id).await?)
    }

    /// The stream that holds a claim now, folded: its id and state, in one reading.
    pub async fn load_holder<A: Aggregate>(
        &self,
        scope: &str,
        value: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<(String, Loaded<A>)>, LogError> {
        let rows = fetch_all!(
            self.homes.log,
            StreamRow,
            HOLDERS_STREAM.on(self.homes.log.engine()),
            scope,
            self.claim_value(scope, value),
            now,
            A::TYPE
        )?;
        let Some(holder) = rows.first().map(|row| row.aggregate_id.clone()) else {
            return Ok(None);
        };
        let events = rows.into_iter().map(SerializedEvent::try_from);
        let events = events.collect::<Result<_, _>>()?;
        let loaded = self.fold(self.repository.open(events).await?)?;
        Ok(Some((holder, loaded)))
    }

    fn fold<A: Aggregate>(&self, events: Vec<SerializedEvent>) -> Result<Loaded<A>, LogError> {
        let mut loaded = Loaded {
            state: A::default(),
            sequence: 0,
        };
        for event in events {
            let sequence = event.sequence;
            let event = upcast(&self.upcasters, event);
            let event: A::Event =
                serde_json::from_value(event.payload).map_err(|_| LogError::Shape {
                    aggregate_type: A::TYPE,
                    sequence,
                })?;
            loaded.state.apply(event);
            loaded.sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        }
        Ok(loaded)
    }

    /// True when the stream's last event is the one of the given sequence, 0 when it should have none: a state
    /// folded up to there is what [`load`](Self::load) would give. No event is read.
    pub async fn is_at<A: Aggregate>(&self, id: &str, sequence: i64) -> Result<bool, LogError> {
        let stream = (A::TYPE, id.to_owned());
        let last = self
            .sequences
            .answer(&self.homes.log, &Sequences, stream)
            .await
            .map_err(unshared)?;
        Ok(last == sequence)
    }

    /// Seals and appends what was decided; also gives the state with the events folded in.
    pub async fn append<A: Aggregate>(
        &self,
        mut decided: Decided<'_, A>,
    ) -> Result<(Verdict, A), LogError> {
        let mut state = std::mem::take(&mut decided.before.state);
        let mut claims = Vec::new();
        for (_, event) in decided.events {
            claims.extend(state.claims(event));
            state.apply(event.clone());
        }
        let subject = state.subject().map(|id| id.0);
        let metadata = serde_json::to_string(&decided.metadata.column())?;
        let mut key = None;
        let mut events = Vec::with_capacity(decided.events.len());
        for (sequence, (event_id, event)) in (decided.before.sequence + 1..).zip(decided.events) {
            let event_type = event.event_type();
            let event_version = event.event_version();
            let mut payload = serde_json::to_value(event)?;
            if sealing::has_personal(&payload) {
                if key.is_none() {
                    key = Some(self.sealing_key::<A>(&decided, subject).await?);
                }
                let key = key.as_ref().ok_or(KeyError::Missing)?;
                let place = Place {
                    aggregate_type: A::TYPE,
                    aggregate_id: decided.id,
                    sequence,
                    event_type: &event_type,
                    event_version: &event_version,
                };
                sealing::seal(&mut payload, key, place)?;
            }
            let payload = payload.to_string();
            let content_hash = Content {
                aggregate_type: A::TYPE,
                aggregate_id: decided.id,
                sequence,
                event_type: &event_type,
                event_version: &event_version,
                payload: &payload,
                metadata: &metadata,
                event_id: *event_id,
                correlation_id: decided.metadata.correlation_id,
                causation_id: decided.metadata.causation_id,
                actor_id: &decided.metadata.actor_id,
                subject_id: subject,
            }
            .hash();
            events.push(NewEvent {
                event_id: *event_id,
                event_type,
                event_version,
                payload,
                metadata: metadata.clone(),
                content_hash,
            });
        }
        let append = Append {
            aggregate_type: A::TYPE,
            aggregate_id: decided.id.to_owned(),
            expected: decided.before.sequence,
            events,
            claims: self.claim_entries(claims),
            command: decided
                .remember
                .map(|remember| remember.hashed(&self.commands)),
            correlation_id: decided.metadata.correlation_id,
            causation_id: decided.metadata.causation_id,
            actor_id: decided.metadata.actor_id.clone(),
            subject_id: subject,
            erasing: decided.events.iter().all(|(_, event)| A::erases(event)),
        };
        Ok((self.appender.append(append).await?, state))
    }

    async fn sealing_key<A: Aggregate>(
        &self,
        decided: &Decided<'_, A>,
        subject: Option<Uuid>,
    ) -> Result<DataKey, LogError> {
        let subject = subject.ok_or(KeyError::Missing)?;
        Ok(match A::KEY_SCOPE {
            KeyScope::Clear => return Err(KeyError::Missing.into()),
            KeyScope::Subject => self.keys.subject(subject).await?,
            KeyScope::Stream => {
                let is_new = decided.before.sequence == 0;
                self.keys
                    .stream(
                        A::TYPE,
                        decided.id,
                        is_new,
                        subject,
                        decided.key_id,
                        decided.now,
                    )
                    .await?
            }
        })
    }

    /// The last change of each claim: what a command takes and gives up again leaves no trace.
    fn claim_entries(&self, changes: Vec<ClaimChange>) -> Vec<ClaimEntry> {
        let mut entries: Vec<ClaimEntry> = Vec::with_capacity(changes.len());
        for entry in self.hashed_claims(changes) {
            entries.retain(|earlier| earlier.scope != entry.scope || earlier.value != entry.value);
            entries.push(entry);
        }
        entries
    }

    fn hashed_claims(&self, changes: Vec<ClaimChange>) -> impl Iterator<Item = ClaimEntry> {
        changes.into_iter().map(|change| {
            let (claim, change) = match change {
                ClaimChange::Take(claim) => (claim, ClaimAction::Take),
                ClaimChange::Release(claim) => (claim, ClaimAction::Release),
                ClaimChange::ReleaseAt(claim, until) => (claim, ClaimAction::ReleaseAt(until)),
                ClaimChange::Erase(subject) => {
                    return ClaimEntry {
                        scope: "erased",
                        value: subject.0.as_bytes().to_vec(),
                        change: ClaimAction::Erase,
                    };
                }
            };
            let value = self.claim_value(claim.scope, &claim.value);
            ClaimEntry {
                scope: claim.scope,
                value,
                change,
            }
        })
    }

    fn claim_value(&self, scope: &str, value: &str) -> Vec<u8> {
        self.claims
            .hmac(format!("{scope}\u{0}{value}").as_bytes())
            .to_vec()
    }

    /// The stream that holds a claim now.
    pub async fn claim_holder(
        &self,
        scope: &str,
        value: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, LogError> {
        let row: Option<(String,)> = fetch_optional!(
            self.homes.log,
            (String,),
            CLAIM_HOLDER.on(self.homes.log.engine()),
            scope,
            self.claim_value(scope, value),
            now
        )?;
        Ok(row.map(|(holder,)| holder))
    }

    /// What was remembered under a command id, if anything.
    pub async fn known(
        &self,
        remember: &Remember,
        now: DateTime<Utc>,
    ) -> Result<Option<Known>, LogError> {
        let key = remember.hashed_key(&self.commands);
        let remembered = self
            .remembered
            .answer(&self.homes.log, &Remembered, key)
            .await
            .map_err(unshared)?;
        if !remembered {
            return Ok(None);
        }
        let hashed = remember.hashed(&self.commands);
        let row: Option<(Vec<u8>, String, i64, i64)> = fetch_optional!(
            self.homes.log,
            (Vec<u8>, String, i64, i64),
            KNOWN_COMMAND.on(self.homes.log.engine()),
            hashed.key,
            now
        )?;
        let Some((request, outcome, sequence, position)) = row else {
            return Ok(None);
        };
        if request != hashed.request {
            return Ok(Some(Known::Other));
        }
        let outcome = serde_json::from_str(&outcome)?;
        Ok(Some(Known::Same {
            outcome,
            sequence,
            position,
        }))
    }

    /// Forgets command ids whose time is over; gives how many.
    pub async fn forget_commands(&self, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
        unhurried(Box::pin(async {
            let mut transaction = self.homes.log.begin().await?;
            let forget = FORGET_COMMANDS.on(transaction.engine());
            let forgotten = execute!(in transaction, forget, now)?;
            transaction.commit().await?;
            Ok(forgotten)
        }))
        .await
    }
}

/// An event as the libraries' repositories read it.
#[derive(FromRow)]
struct StreamRow {
    aggregate_type: String,
    aggregate_id: String,
    sequence: i64,
    event_type: String,
    event_version: String,
    payload: String,
    metadata: String,
}

impl TryFrom<StreamRow> for SerializedEvent {
    type Error = LogError;

    fn try_from(row: StreamRow) -> Result<Self, LogError> {
        Ok(Self {
            aggregate_id: row.aggregate_id,
            sequence: usize::try_from(row.sequence).unwrap_or_default(),
            aggregate_type: row.aggregate_type,
            event_type: row.event_type,
            event_version: row.event_version,
            payload: serde_json::from_str(&row.payload)?,
            metadata: serde_json::from_str(&row.metadata)?,
        })
    }
}

/// An opened event in today's shape: every upcaster that knows its type and version is applied, in order.
pub fn upcast(upcasters: &[Box<dyn EventUpcaster>], event: SerializedEvent) -> SerializedEvent {
    upcasters.iter().fold(event, |event, upcaster| {
        if upcaster.can_upcast(&event.event_type, &event.event_version) {
            upcaster.upcast(event)
        } else {
            event
        }
    })
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A home cannot be opened.
    #[error(transparent)]
    Homes(#[from] HomesError),
    /// The keys do not open with the given master key.
    #[error(transparent)]
    Keys(#[from] KeyError),
}
