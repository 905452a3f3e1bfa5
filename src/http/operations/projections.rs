//! How the projections are.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use domain::identity::account::Role;
use projections::upkeep::Status;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::read_failed;
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::extract::Json;
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// One generation of one projection: a physical copy of a read model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectionStatus {
    /// The projection.
    #[schema(example = "audit")]
    pub(crate) name: String,
    /// Version of the projection that writes it.
    #[schema(example = 1)]
    pub(crate) version: i64,
    /// True when this node reads and writes this version.
    #[schema(example = true)]
    current: bool,
    /// Number of the copy.
    #[schema(example = 1)]
    pub(crate) generation: i64,
    /// `building` beside the live one, `live`, or `old`: replaced, and kept up to date for a rollback.
    #[schema(example = "live")]
    pub(crate) state: &'static str,
    /// The checkpoint.
    #[schema(example = 1042)]
    pub(crate) position: i64,
    /// Where the log ended when building began.
    #[schema(example = 900)]
    target: i64,
    /// Events behind the end of the log.
    #[schema(example = 0)]
    pub(crate) lag: i64,
    /// Seconds since the first event it lacks was recorded.
    #[schema(example = 0)]
    pub(crate) lag_seconds: i64,
    /// How much of the log it has folded, 0 to 100.
    #[schema(example = 100)]
    percent: i64,
    /// Events a second, over a second or more that ended when the checkpoint moved last; over all the time since
    /// then once that is three seconds.
    #[schema(example = 0)]
    pub(crate) rate: i64,
    /// Seconds until it is at the end of the log at this rate; 0 at the end, null while it stands still.
    #[schema(example = 0)]
    seconds_left: Option<i64>,
    /// The node that writes it.
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    pub(crate) owner: Option<Uuid>,
    /// Milliseconds until another node may take it over, unless this one gives a sign of life.
    #[schema(example = 2400)]
    lease_left_ms: Option<i64>,
    /// Given up after too many failures, until an operator retries or rebuilds.
    #[schema(example = false)]
    pub(crate) stopped: bool,
    /// Failures in a row.
    #[schema(example = 0)]
    pub(crate) attempts: i64,
    /// The last failure.
    #[schema(example = json!(null))]
    pub(crate) error: Option<String>,
    /// Where it happened.
    #[schema(example = json!(null))]
    pub(crate) error_position: Option<i64>,
    /// When it happened.
    #[schema(example = json!(null))]
    pub(crate) error_at: Option<DateTime<Utc>>,
    /// Positions of the events that this projection leaves out, in every generation.
    #[schema(example = json!([]))]
    pub(crate) skipped: Vec<i64>,
    /// When building began.
    started_at: DateTime<Utc>,
    /// When its checkpoint moved last.
    updated_at: DateTime<Utc>,
}

impl From<Status> for ProjectionStatus {
    fn from(status: Status) -> Self {
        let row = status.generation;
        Self {
            name: row.projection,
            version: row.version,
            current: status.current,
            generation: row.generation,
            state: row.state.as_str(),
            position: row.position,
            target: row.target,
            lag: status.lag,
            lag_seconds: status.lag_seconds,
            percent: status.percent,
            rate: row.rate,
            seconds_left: status.seconds_left,
            owner: row.owner.filter(|_| row.leased),
            lease_left_ms: row.leased.then_some(row.lease_left_ms),
            stopped: row.stopped,
            attempts: row.attempts,
            error: row.error,
            error_position: row.error_position,
            error_at: row.error_at,
            skipped: status.skipped.into_iter().collect(),
            started_at: row.started_at,
            updated_at: row.updated_at,
        }
    }
}

/// Every generation of every projection.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectionList {
    items: Vec<ProjectionStatus>,
    /// Always null: there is one page.
    #[schema(example = json!(null))]
    next: Option<String>,
}

/// How far the projections are
#[utoipa::path(
    get,
    path = "/projections",
    tag = "operations",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Every generation, by name and number", body = ProjectionList),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`auth.role_required`: admin", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_projections(
    caller: Caller,
    State(node): State<Arc<Node>>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Admin)?;
    let statuses = node.projector.status().await.map_err(read_failed)?;
    Ok(Json(ProjectionList {
        items: statuses.into_iter().map(ProjectionStatus::from).collect(),
        next: None,
    }))
}
