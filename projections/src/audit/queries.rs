//! The trail, newest first, and the streams that are about somebody.

use chrono::{DateTime, Utc};
use event_log::database::Statement;
use event_log::reader::{OfStream, Reader};
use event_log::{RecordedEvent, fetch_all, fetch_optional, statement};
use sqlx::FromRow;
use uuid::Uuid;

use crate::tables::Pinned;

static EVENTS: Statement = statement!("../../sql/audit/events.sql");
static EVENTS_OF_TYPE: Statement = statement!("../../sql/audit/events_of_type.sql");
static EVENTS_BY_ACTOR: Statement = statement!("../../sql/audit/events_by_actor.sql");
static EVENTS_OF_SUBJECT: Statement = statement!("../../sql/audit/events_of_subject.sql");
static EVENTS_OF_CORRELATION: Statement = statement!("../../sql/audit/events_of_correlation.sql");
static FIRST_AT: Statement = statement!("../../sql/audit/first_at.sql");
static POSITION_OF: Statement = statement!("../../sql/audit/position_of.sql");
static STREAMS_OF: Statement = statement!("../../sql/audit/streams_of.sql");

/// What stands in the clear beside the payload of one event.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AuditEvent {
    /// Place among all events.
    pub position: i64,
    /// Id of the event.
    pub event_id: Uuid,
    /// When it was committed.
    pub recorded_at: DateTime<Utc>,
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
    /// Who did it; see [`event_log::Metadata`].
    #[sqlx(skip)]
    pub actor_id: String,
    /// In which role; empty when nobody noted it.
    pub actor_role: String,
    /// Whom it is about.
    pub subject_id: Option<Uuid>,
    /// Ties together what followed from one request.
    pub correlation_id: Uuid,
    /// The event that caused it.
    pub causation_id: Option<Uuid>,
}

/// An event as its row has it.
#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    event: AuditEvent,
    /// Nothing where the subject did it.
    #[sqlx(rename = "actor_id")]
    somebody_else: Option<String>,
}

impl From<Row> for AuditEvent {
    fn from(row: Row) -> Self {
        let subject = || row.event.subject_id.map(|id| id.to_string());
        Self {
            actor_id: row.somebody_else.or_else(subject).unwrap_or_default(),
            ..row.event
        }
    }
}

impl From<RecordedEvent> for AuditEvent {
    fn from(event: RecordedEvent) -> Self {
        Self {
            actor_role: event.actor_role().unwrap_or_default(),
            position: event.position,
            event_id: event.event_id,
            recorded_at: event.recorded_at,
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            sequence: event.sequence,
            event_type: event.event_type,
            event_version: event.event_version,
            actor_id: event.actor_id,
            subject_id: event.subject_id,
            correlation_id: event.correlation_id,
            causation_id: event.causation_id,
        }
    }
}

/// Which events are asked for: those that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Kind of stream.
    pub aggregate_type: Option<String>,
    /// Which stream.
    pub aggregate_id: Option<String>,
    /// Kind of event.
    pub event_type: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// Whom it is about.
    pub subject: Option<Uuid>,
    /// What it belongs together with.
    pub correlation: Option<Uuid>,
    /// Recorded then or later.
    pub from: Option<DateTime<Utc>>,
    /// Recorded earlier than that.
    pub to: Option<DateTime<Utc>>,
    /// At a higher position.
    pub after: Option<i64>,
    /// At a lower position.
    pub before: Option<i64>,
}

impl Filter {
    /// The statement that starts from the index that leaves the fewest rows.
    fn statement(&self) -> &'static Statement {
        if self.correlation.is_some() {
            &EVENTS_OF_CORRELATION
        } else if self.subject.is_some() {
            &EVENTS_OF_SUBJECT
        } else if self.actor.is_some() {
            &EVENTS_BY_ACTOR
        } else if self.event_type.is_some() {
            &EVENTS_OF_TYPE
        } else {
            &EVENTS
        }
    }
}

/// The newest `limit` events that fit, newest first. Those of one stream are read from the log itself, which
/// keeps them together.
pub async fn events(
    models: &Pinned,
    log: &Reader,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<AuditEvent>, sqlx::Error> {
    let Some((after, before)) = positions(models, filter).await? else {
        return Ok(Vec::new());
    };
    // an account that acts is found as the subject of what it did to itself
    let own: Option<Uuid> = filter.actor.as_ref().and_then(|actor| actor.parse().ok());
    let actor = own.map(|id| id.to_string()).or(filter.actor.clone());
    if let (Some(aggregate_type), Some(aggregate_id)) =
        (&filter.aggregate_type, &filter.aggregate_id)
    {
        let of = OfStream {
            aggregate_type,
            aggregate_id,
            event_type: filter.event_type.as_deref(),
            actor: actor.as_deref(),
            subject: filter.subject,
            correlation: filter.correlation,
            after,
            before,
        };
        let found = log.stream_newest(of, limit).await?;
        return Ok(found.into_iter().map(AuditEvent::from).collect());
    }
    let found = fetch_all!(
        models.database,
        Row,
        &models.sql(filter.statement()),
        filter.aggregate_type.as_deref(),
        filter.aggregate_id.as_deref(),
        filter.event_type.as_deref(),
        actor,
        own,
        filter.subject,
        filter.correlation,
        after,
        before,
        limit
    )?;
    Ok(found.into_iter().map(AuditEvent::from).collect())
}

/// The positions around what is asked for, both exclusive: time runs along positions. `None` when nothing
/// is that late.
async fn positions(models: &Pinned, filter: &Filter) -> Result<Option<(i64, i64)>, sqlx::Error> {
    let mut after = filter.after.unwrap_or(0);
    let mut before = filter.before.unwrap_or(i64::MAX);
    if let Some(from) = filter.from {
        match first_at(models, from).await? {
            Some(first) => after = after.max(first - 1),
            None => return Ok(None),
        }
    }
    if let Some(to) = filter.to
        && let Some(first) = first_at(models, to).await?
    {
        before = before.min(first);
    }
    Ok(Some((after, before)))
}

/// Where a time begins: all before that position is earlier, nothing from it on. `None` when all is earlier.
async fn first_at(models: &Pinned, time: DateTime<Utc>) -> Result<Option<i64>, sqlx::Error> {
    let row: Option<(i64,)> =
        fetch_optional!(models.database, (i64,), &models.sql(&FIRST_AT), time)?;
    Ok(row.map(|(position,)| position))
}

/// Where an event stands; `None` when there is none of that id.
pub async fn position_of(models: &Pinned, event_id: Uuid) -> Result<Option<i64>, sqlx::Error> {
    let row: Option<(i64,)> =
        fetch_optional!(models.database, (i64,), &models.sql(&POSITION_OF), event_id)?;
    Ok(row.map(|(position,)| position))
}

/// A stream by its names.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Stream {
    /// Kind of stream.
    pub aggregate_type: String,
    /// Which stream.
    pub aggregate_id: String,
}

/// Every stream with an event about a subject, by type and id.
pub async fn streams_of(models: &Pinned, subject: Uuid) -> Result<Vec<Stream>, sqlx::Error> {
    fetch_all!(models.database, Stream, &models.sql(&STREAMS_OF), subject)
}
