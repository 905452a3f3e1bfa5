//! Routes of audit: the history, for auditors and for the member it is about.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use domain::identity::account::Role;
use domain::rejection::Violation;
use event_log::RecordedEvent;
use event_log::sealing;
use projections::audit::{AuditEvent, Filter, events};
use projections::page::{DEFAULT, MOST, Page, place};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Problem;
use super::caller::Caller;
use super::command::{AllModels, query_failed};
use super::extract::{Json, Path, Query};
use super::problem::ProblemDocument;
use crate::node::Node;

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(own_activity))
        .routes(routes!(trail))
        .routes(routes!(stream))
}

/// Which of one's own events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ActivityQuery {
    /// Only events of this type.
    #[param(example = "entry_written")]
    r#type: Option<String>,
    /// Recorded then or later.
    #[param(example = "2026-01-01T00:00:00Z")]
    from: Option<DateTime<Utc>>,
    /// Recorded earlier than that.
    #[param(example = "2026-02-01T00:00:00Z")]
    to: Option<DateTime<Utc>>,
    /// Most events of the page, 1 to 100; 20 when it is left out.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What happened to one's own data, and in which role somebody did it. Never by whom.
#[derive(Debug, Serialize, ToSchema)]
struct Activity {
    /// Place among all events of the house.
    #[schema(example = 1042)]
    position: i64,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// What happened.
    #[schema(example = "entry_written")]
    event_type: String,
    /// To what kind of thing.
    #[schema(example = "entry")]
    aggregate_type: String,
    /// To which.
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    aggregate_id: String,
    /// In which role: `member`, `moderator`, `auditor`, `admin`, `operator` or `system`.
    #[schema(example = "member")]
    actor_role: String,
}

impl From<AuditEvent> for Activity {
    fn from(event: AuditEvent) -> Self {
        Self {
            position: event.position,
            recorded_at: event.recorded_at,
            event_type: event.event_type,
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            actor_role: event.actor_role,
        }
    }
}

/// A page of one's own activity.
#[derive(Debug, Serialize, ToSchema)]
struct ActivityPage {
    items: Vec<Activity>,
    /// The cursor of the next page; null at the end.
    #[schema(example = "MTA0Mg")]
    next: Option<String>,
}

/// What happened to one's own data, newest first
#[utoipa::path(
    get,
    path = "/users/me/activity",
    tag = "users",
    params(ActivityQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page of events about the caller", body = ActivityPage),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn own_activity(
    caller: Caller,
    State(node): State<Arc<Node>>,
    AllModels(models): AllModels,
    Query(query): Query<ActivityQuery>,
) -> Result<impl IntoResponse, Problem> {
    let (limit, before) = slice(query.limit, query.cursor.as_deref())?;
    let filter = Filter {
        subject: Some(caller.account.0),
        event_type: query.r#type,
        from: query.from,
        to: query.to,
        before,
        ..Filter::default()
    };
    let found = events(&models, &node.log.reader(), &filter, limit + 1)
        .await
        .map_err(query_failed)?;
    let page = Page::of(found, limit, |event| event.position).map(Activity::from);
    Ok(Json(ActivityPage {
        items: page.items,
        next: page.next,
    }))
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TrailQuery {
    /// Only streams of this kind.
    #[param(example = "entry")]
    aggregate_type: Option<String>,
    /// Only this stream.
    #[param(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    aggregate_id: Option<String>,
    /// Only events of this type.
    #[param(example = "entry_written")]
    event_type: Option<String>,
    /// Only what this actor did: an account id, `policy:…`, `job:…` or `cli:…`.
    #[param(example = "policy:award_progress")]
    actor: Option<String>,
    /// Only events about this account.
    subject: Option<Uuid>,
    /// Only what followed from one request.
    correlation: Option<Uuid>,
    /// Recorded then or later.
    #[param(example = "2026-01-01T00:00:00Z")]
    from: Option<DateTime<Utc>>,
    /// Recorded earlier than that.
    #[param(example = "2026-02-01T00:00:00Z")]
    to: Option<DateTime<Utc>>,
    /// Only higher positions.
    #[param(example = 1000)]
    after: Option<i64>,
    /// Only lower positions.
    #[param(example = 2000)]
    before: Option<i64>,
    /// Most events of the page, 1 to 100; 20 when it is left out.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What stands in the clear of an event, beside its payload.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrailEvent {
    /// Place among all events: without gaps, in the order of commits.
    #[schema(example = 1042)]
    pub(crate) position: i64,
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    pub(crate) event_id: Uuid,
    /// When it was committed, by the clock of the database.
    pub(crate) recorded_at: DateTime<Utc>,
    /// Kind of stream.
    #[schema(example = "entry")]
    pub(crate) aggregate_type: String,
    /// Which stream.
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    pub(crate) aggregate_id: String,
    /// Place in its stream, from 1.
    #[schema(example = 1)]
    pub(crate) sequence: i64,
    #[schema(example = "entry_written")]
    pub(crate) event_type: String,
    /// Version of the shape of its payload.
    #[schema(example = "1")]
    pub(crate) event_version: String,
    /// Who did it: an account id, `policy:…`, `job:…` or `cli:…`.
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    pub(crate) actor_id: String,
    /// In which role.
    #[schema(example = "member")]
    pub(crate) actor_role: String,
    /// The account it is about.
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    pub(crate) subject_id: Option<Uuid>,
    /// Ties together what followed from one request.
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    pub(crate) correlation_id: Uuid,
    /// The event that caused it.
    #[schema(example = json!(null))]
    pub(crate) causation_id: Option<Uuid>,
}

impl From<AuditEvent> for TrailEvent {
    fn from(event: AuditEvent) -> Self {
        Self {
            position: event.position,
            event_id: event.event_id,
            recorded_at: event.recorded_at,
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            sequence: event.sequence,
            event_type: event.event_type,
            event_version: event.event_version,
            actor_id: event.actor_id,
            actor_role: event.actor_role,
            subject_id: event.subject_id,
            correlation_id: event.correlation_id,
            causation_id: event.causation_id,
        }
    }
}

/// A page of the trail.
#[derive(Debug, Serialize, ToSchema)]
struct TrailPage {
    items: Vec<TrailEvent>,
    /// The cursor of the next page; null at the end.
    #[schema(example = "MTA0Mg")]
    next: Option<String>,
}

/// Everybody's events, newest first
#[utoipa::path(
    get,
    path = "/audit/events",
    tag = "audit",
    params(TrailQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page of the events that fit every filter", body = TrailPage),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`auth.role_required`: auditor", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn trail(
    caller: Caller,
    State(node): State<Arc<Node>>,
    AllModels(models): AllModels,
    Query(query): Query<TrailQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Auditor)?;
    let (limit, cursor) = slice(query.limit, query.cursor.as_deref())?;
    let before = [cursor, query.before].into_iter().flatten().min();
    let filter = Filter {
        aggregate_type: query.aggregate_type,
        aggregate_id: query.aggregate_id,
        event_type: query.event_type,
        actor: query.actor,
        subject: query.subject,
        correlation: query.correlation,
        from: query.from,
        to: query.to,
        after: query.after,
        before,
    };
    let found = events(&models, &node.log.reader(), &filter, limit + 1)
        .await
        .map_err(query_failed)?;
    let page = Page::of(found, limit, |event| event.position).map(TrailEvent::from);
    Ok(Json(TrailPage {
        items: page.items,
        next: page.next,
    }))
}

/// Where in the stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// Most events of the page, 1 to 100; 20 when it is left out.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// An event with its payload, as far as that is in the clear.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamEvent {
    #[serde(flatten)]
    pub(crate) event: TrailEvent,
    /// The payload, `null` wherever it is sealed.
    #[schema(value_type = Object, example = json!({"type": "entry_deleted", "deleted_at": "2026-01-01T00:00:00Z"}))]
    pub(crate) payload: Value,
    /// JSON Pointers to what is sealed in the payload.
    #[schema(example = json!([]))]
    pub(crate) sealed: Vec<String>,
    /// Whether the event still has the hash it was recorded with.
    #[schema(example = true)]
    pub(crate) intact: bool,
}

impl TryFrom<RecordedEvent> for StreamEvent {
    type Error = serde_json::Error;

    fn try_from(event: RecordedEvent) -> Result<Self, Self::Error> {
        let mut payload = serde_json::from_str(&event.payload)?;
        let sealed = sealing::redact(&mut payload);
        Ok(Self {
            payload,
            sealed,
            intact: event.is_intact(),
            event: AuditEvent::from(event).into(),
        })
    }
}

/// A page of one stream.
#[derive(Debug, Serialize, ToSchema)]
struct StreamPage {
    items: Vec<StreamEvent>,
    /// The cursor of the next page; null at the end.
    #[schema(example = "MjA")]
    next: Option<String>,
}

/// One stream from its beginning, straight from the log; nothing sealed is opened
#[utoipa::path(
    get,
    path = "/audit/streams/{type}/{id}",
    tag = "audit",
    params(
        ("type" = String, Path, description = "Kind of stream", example = "account"),
        ("id" = String, Path, description = "Which stream", example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27"),
        StreamQuery,
    ),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page of the stream, oldest first", body = StreamPage),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`auth.role_required`: auditor", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn stream(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path((aggregate_type, aggregate_id)): Path<(String, String)>,
    Query(query): Query<StreamQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Auditor)?;
    let (limit, after) = slice(query.limit, query.cursor.as_deref())?;
    let found = node
        .log
        .reader()
        .stream_page(
            &aggregate_type,
            &aggregate_id,
            after.unwrap_or(0),
            limit + 1,
        )
        .await
        .map_err(query_failed)?;
    if found.is_empty() && after.is_none() {
        return Err(Problem::not_found());
    }
    let page = Page::of(found, limit, |event| event.sequence);
    let items = page.items.into_iter().map(StreamEvent::try_from);
    Ok(Json(StreamPage {
        items: items.collect::<Result<_, _>>().map_err(Problem::internal)?,
        next: page.next,
    }))
}

/// How many, and from which place on.
fn slice(limit: Option<i64>, cursor: Option<&str>) -> Result<(i64, Option<i64>), Problem> {
    let mut wrong = Vec::new();
    let limit = limit.unwrap_or(DEFAULT);
    if !(1..=MOST).contains(&limit) {
        wrong.push(
            Violation::new("out_of_range", format!("1 to {MOST}."))
                .at("/limit")
                .with("min", 1)
                .with("max", MOST),
        );
    }
    let from = cursor.map(|cursor| place::<i64>(cursor).filter(|place| *place > 0));
    if from == Some(None) {
        wrong.push(Violation::new("unreadable", "This cursor was not made here.").at("/cursor"));
    }
    if wrong.is_empty() {
        Ok((limit, from.flatten()))
    } else {
        Err(Problem::invalid(wrong))
    }
}
