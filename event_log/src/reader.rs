//! Reading the log by position: the head, pages, and one stream as it was recorded.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use crate::content_hash::Content;
use crate::database::{Database, Engine, Statement};
use crate::keys::{DataKey, KeyError, Keys};
use crate::patience::unhurried;
use crate::recent::Recent;
use crate::sealing::{self, Place, SealingError};
use crate::{fetch_all, fetch_one, fetch_optional, statement};

static HEAD: Statement = statement!("../sql/head.sql");
static PAGE: Statement = statement!("../sql/page.sql");
static STREAM: Statement = statement!("../sql/stream.sql");
static STREAMS: Statement = statement!("../sql/streams.sql");
static STREAM_PAGE: Statement = statement!("../sql/stream_page.sql");
static STREAM_NEWEST: Statement = statement!("../sql/stream_newest.sql");
static COUNTS: Statement = statement!("../sql/counts.sql");
static EVENT_AT: Statement = statement!("../sql/event_at.sql");

/// An event as stored: sealed where it is personal.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RecordedEvent {
    /// Kind of stream.
    pub aggregate_type: String,
    /// Which stream.
    pub aggregate_id: String,
    /// Place in the stream, from 1.
    pub sequence: i64,
    /// Kind of event.
    pub event_type: String,
    /// Version of its shape.
    pub event_version: String,
    /// JSON text as stored.
    pub payload: String,
    /// JSON text as stored.
    pub metadata: String,
    /// Place among all events: gapless, commit-ordered, from 1.
    pub position: i64,
    /// Id of the event.
    pub event_id: Uuid,
    /// When it was committed, by the database clock; never runs backwards along positions.
    pub recorded_at: DateTime<Utc>,
    /// Ties together what followed from one request.
    pub correlation_id: Uuid,
    /// The event that caused it.
    pub causation_id: Option<Uuid>,
    /// Who did it; see [`crate::Metadata`].
    pub actor_id: String,
    /// Whom it is about.
    pub subject_id: Option<Uuid>,
    /// SHA-256 over its content.
    pub content_hash: Vec<u8>,
}

impl RecordedEvent {
    /// What a sealed payload is bound to.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        Place {
            aggregate_type: &self.aggregate_type,
            aggregate_id: &self.aggregate_id,
            sequence: self.sequence,
            event_type: &self.event_type,
            event_version: &self.event_version,
        }
    }

    /// True when the stored content still has the stored hash.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        let content = Content {
            aggregate_type: &self.aggregate_type,
            aggregate_id: &self.aggregate_id,
            sequence: self.sequence,
            event_type: &self.event_type,
            event_version: &self.event_version,
            payload: &self.payload,
            metadata: &self.metadata,
            event_id: self.event_id,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            actor_id: &self.actor_id,
            subject_id: self.subject_id,
        };
        content.hash().as_slice() == self.content_hash
    }

    /// In which role the actor acted.
    pub fn actor_role(&self) -> Option<String> {
        let metadata: RoleOnly = serde_json::from_str(&self.metadata).ok()?;
        metadata.actor_role
    }
}

/// What is read of the metadata column.
#[derive(Deserialize)]
struct RoleOnly {
    actor_role: Option<String>,
}

/// A recorded event with its payload opened: personal values are known or erased.
#[derive(Debug, Clone)]
pub struct OpenedEvent {
    /// The event as stored.
    pub recorded: Arc<RecordedEvent>,
    /// Its payload, or why it does not open.
    pub payload: Result<Value, Arc<ReadError>>,
    /// The key its personal values are sealed with, which also seals what is derived from them.
    pub key: Option<DataKey>,
}

impl OpenedEvent {
    /// True where nobody asked for the payload.
    #[must_use]
    pub fn is_unopened(&self) -> bool {
        matches!(&self.payload, Err(error) if matches!(**error, ReadError::Unopened))
    }
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database does not answer.
    #[error("the event log cannot be read")]
    Database(#[from] sqlx::Error),
    /// The keys cannot be read, or a payload does not open.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// Nobody asked for the payload.
    #[error("the payload was not opened")]
    Unopened,
    /// A stored payload is not JSON, or not of a known shape.
    #[error("a stored event has an unknown shape")]
    Shape(#[from] serde_json::Error),
}

/// The head of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Head {
    /// Tells this log from any other, a restored copy that grew differently excepted.
    pub log_id: Uuid,
    /// Position of the newest event; 0 when there is none.
    pub position: i64,
}

/// How much there is of one kind of event.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Count {
    /// Kind of stream.
    pub aggregate_type: String,
    /// Kind of event.
    pub event_type: String,
    /// Version of its shape.
    pub event_version: String,
    /// How many events.
    pub events: i64,
    /// In how many streams.
    pub streams: i64,
    /// Position of the newest.
    pub last_position: i64,
}

/// Which events of one stream: those that fit everything that is given.
#[derive(Debug, Clone, Copy)]
pub struct OfStream<'a> {
    /// Kind of stream.
    pub aggregate_type: &'a str,
    /// Which stream.
    pub aggregate_id: &'a str,
    /// Kind of event.
    pub event_type: Option<&'a str>,
    /// Who did it.
    pub actor: Option<&'a str>,
    /// Whom it is about.
    pub subject: Option<Uuid>,
    /// What it belongs together with.
    pub correlation: Option<Uuid>,
    /// At a higher position.
    pub after: i64,
    /// At a lower position.
    pub before: i64,
}

/// Reads the log of one home. Clones share what they have read.
#[derive(Debug, Clone)]
pub struct Reader {
    database: Database,
    recent: Arc<Recent>,
}

impl Reader {
    /// A reader of the log home.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            recent: Arc::default(),
        }
    }

    /// The head as committed now.
    pub async fn head(&self) -> Result<Head, sqlx::Error> {
        fetch_one!(self.database, Head, HEAD.on(self.database.engine()))
    }

    /// At most `limit` events after a position up to `to`, in order.
    pub async fn page(
        &self,
        after: i64,
        to: i64,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, sqlx::Error> {
        fetch_all!(
            self.database,
            RecordedEvent,
            PAGE.on(self.database.engine()),
            after,
            to,
            limit
        )
    }

    /// What is kept of the newest events.
    pub(crate) fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }

    /// The same at the end of the log, where others follow: it is kept for [`recent_page`](Self::recent_page).
    pub async fn newest_page(
        &self,
        after: i64,
        to: i64,
        limit: i64,
    ) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
        let page = self.page(after, to, limit).await?;
        let page = page.into_iter().map(Arc::new).collect::<Vec<_>>();
        self.recent.keep(&page);
        Ok(page)
    }

    /// The same; what this process has just committed or read there is not fetched again, so that it may be fewer
    /// than there are.
    pub async fn recent_page(
        &self,
        after: i64,
        to: i64,
        limit: i64,
    ) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
        let known = self.kept_page(after, to, limit);
        if !known.is_empty() {
            return Ok(known);
        }
        self.newest_page(after, to, limit).await
    }

    /// Of the events after a position up to `to` what this process has just committed or read, at most `limit`,
    /// without a look at the log: there may be more, and nothing is kept of what is not new.
    #[must_use]
    pub fn kept_page(&self, after: i64, to: i64, limit: i64) -> Vec<Arc<RecordedEvent>> {
        self.recent.after(after, to, limit)
    }

    /// All events of one stream, in order.
    pub async fn stream(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
    ) -> Result<Vec<RecordedEvent>, sqlx::Error> {
        fetch_all!(
            self.database,
            RecordedEvent,
            STREAM.on(self.database.engine()),
            aggregate_type,
            aggregate_id
        )
    }

    /// All events of all streams of one kind, stream by stream, each in order: for kinds of which there is little.
    pub async fn streams(&self, aggregate_type: &str) -> Result<Vec<RecordedEvent>, sqlx::Error> {
        fetch_all!(
            self.database,
            RecordedEvent,
            STREAMS.on(self.database.engine()),
            aggregate_type
        )
    }

    /// At most `limit` events of one stream after a sequence, in order.
    pub async fn stream_page(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, sqlx::Error> {
        fetch_all!(
            self.database,
            RecordedEvent,
            STREAM_PAGE.on(self.database.engine()),
            aggregate_type,
            aggregate_id,
            after,
            limit
        )
    }

    /// The newest `limit` events of one stream that fit, newest first.
    pub async fn stream_newest(
        &self,
        of: OfStream<'_>,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, sqlx::Error> {
        fetch_all!(
            self.database,
            RecordedEvent,
            STREAM_NEWEST.on(self.database.engine()),
            of.aggregate_type,
            of.aggregate_id,
            of.event_type,
            of.actor,
            of.subject,
            of.correlation,
            of.after,
            of.before,
            limit
        )
    }

    /// How much there is of every kind of event. Reads the whole log.
    pub async fn counts(&self) -> Result<Vec<Count>, sqlx::Error> {
        let text = COUNTS.on(self.database.engine());
        if self.database.engine() == Engine::Sqlite {
            return fetch_all!(self.database, Count, text);
        }
        unhurried(Box::pin(async {
            let mut transaction = self.database.begin().await?;
            fetch_all!(in transaction, Count, text)
        }))
        .await
    }

    /// Id of the event at a position.
    pub async fn event_at(&self, position: i64) -> Result<Option<Uuid>, sqlx::Error> {
        let row: Option<(Uuid,)> = fetch_optional!(
            self.database,
            (Uuid,),
            EVENT_AT.on(self.database.engine()),
            position
        )?;
        Ok(row.map(|(id,)| id))
    }
}

/// Opens recorded events, fetching all keys they need together.
///
/// Only `wanted` payloads are opened; the others are [`ReadError::Unopened`]. A payload that does not open
/// is reported in its place; only a keys home that does not answer fails the whole page.
pub async fn open_page(
    keys: &Keys,
    page: impl IntoIterator<Item = impl Into<Arc<RecordedEvent>>>,
    wanted: impl Fn(&RecordedEvent) -> bool,
) -> Result<Vec<OpenedEvent>, ReadError> {
    let page: Vec<Arc<RecordedEvent>> = page.into_iter().map(Into::into).collect();
    let parsed: Vec<Result<Value, ReadError>> = page
        .iter()
        .map(|event| {
            if wanted(event) {
                serde_json::from_str(&event.payload).map_err(ReadError::from)
            } else {
                Err(ReadError::Unopened)
            }
        })
        .collect();
    let ids: HashSet<Uuid> = parsed
        .iter()
        .filter_map(|payload| sealing::key_id(payload.as_ref().ok()?))
        .collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let found = keys.by_id(&ids).await.map_err(SealingError::from)?;
    let opened = page.into_iter().zip(parsed).map(|(recorded, parsed)| {
        let key = parsed
            .as_ref()
            .ok()
            .and_then(|payload| found.get(&sealing::key_id(payload)?).cloned());
        let payload = parsed
            .and_then(|payload| open_payload(payload, key.as_ref(), &recorded))
            .map_err(Arc::new);
        OpenedEvent {
            recorded,
            payload,
            key,
        }
    });
    Ok(opened.collect())
}

fn open_payload(
    mut payload: Value,
    key: Option<&DataKey>,
    recorded: &RecordedEvent,
) -> Result<Value, ReadError> {
    if payload.get(sealing::SEALED).is_some() {
        let key = key.ok_or(SealingError::Key(KeyError::Missing))?;
        sealing::open(&mut payload, key, recorded.place())?;
    }
    Ok(payload)
}
