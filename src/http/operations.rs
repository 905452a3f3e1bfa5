//! Routes of operations: projections and jobs, for admins.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use domain::identity::account::Role;
use event_log::reader::ReadError;
use projections::generations::State as GenerationState;
use projections::upkeep::Status;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Problem;
use super::caller::Caller;
use super::command::query_failed;
use super::extract::{Json, Path};
use super::problem::ProblemDocument;
use crate::node::Node;
use crate::state::leases::{JobStatus, Leases};

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(list_projections))
        .routes(routes!(rebuild_projection))
        .routes(routes!(list_jobs))
}

/// One generation of one projection: a physical copy of a read model.
#[derive(Debug, Serialize, ToSchema)]
struct ProjectionStatus {
    /// The projection.
    #[schema(example = "audit")]
    name: String,
    /// Version of the projection that writes it.
    #[schema(example = 1)]
    version: i64,
    /// True when this node reads and writes this version.
    #[schema(example = true)]
    current: bool,
    /// Number of the copy.
    #[schema(example = 1)]
    generation: i64,
    /// `building` beside the live one, `live`, or `old`: replaced, and kept up to date for a rollback.
    #[schema(example = "live")]
    state: &'static str,
    /// The checkpoint.
    #[schema(example = 1042)]
    position: i64,
    /// Where the log ended when building began.
    #[schema(example = 900)]
    target: i64,
    /// Events behind the end of the log.
    #[schema(example = 0)]
    lag: i64,
    /// Seconds since the first event it lacks was recorded.
    #[schema(example = 0)]
    lag_seconds: i64,
    /// The node that writes it.
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    owner: Option<Uuid>,
    /// Given up after too many failures, until an operator retries or rebuilds.
    #[schema(example = false)]
    stopped: bool,
    /// Failures in a row.
    #[schema(example = 0)]
    attempts: i64,
    /// The last failure.
    #[schema(example = json!(null))]
    error: Option<String>,
    /// Where it happened.
    #[schema(example = json!(null))]
    error_position: Option<i64>,
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
            owner: row.owner.filter(|_| row.leased),
            stopped: row.stopped,
            attempts: row.attempts,
            error: row.error,
            error_position: row.error_position,
            started_at: row.started_at,
            updated_at: row.updated_at,
        }
    }
}

/// Every generation of every projection.
#[derive(Debug, Serialize, ToSchema)]
struct ProjectionList {
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
async fn list_projections(
    caller: Caller,
    State(node): State<Arc<Node>>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Admin)?;
    let statuses = node.projector.status().await.map_err(status_failed)?;
    Ok(Json(ProjectionList {
        items: statuses.into_iter().map(ProjectionStatus::from).collect(),
        next: None,
    }))
}

fn status_failed(error: ReadError) -> Problem {
    match error {
        ReadError::Database(error) => query_failed(error),
        error => Problem::internal(error),
    }
}

/// The generation that is being built.
#[derive(Debug, Serialize, ToSchema)]
struct Rebuild {
    /// The projection.
    #[schema(example = "audit")]
    name: String,
    /// Number of the copy.
    #[schema(example = 2)]
    generation: i64,
}

/// Builds a read model anew beside the live one
#[utoipa::path(
    post,
    path = "/projections/{name}/rebuild",
    tag = "operations",
    description = "A new generation is built beside the live one and takes over once it has caught up; readers notice nothing. While one is being built already, that one is named and no other is begun.",
    params(("name" = String, Path, description = "The projection", example = "audit")),
    security(("bearer" = [])),
    responses(
        (status = 202, description = "It is being built; `GET /projections` shows how far it is", body = Rebuild),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`auth.role_required`: admin", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`request.not_found`: no projection of this name", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn rebuild_projection(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Admin)?;
    let projection = node.projector.named(&name).ok_or_else(Problem::not_found)?;
    let head = node.log.reader().head().await.map_err(query_failed)?;
    let added = node
        .projector
        .rebuild(projection, head)
        .await
        .map_err(query_failed)?;
    let generation = match added {
        Some(generation) => generation,
        None => being_built(&node, &name).await?,
    };
    tracing::info!(projection = name, generation, account = %caller.account, "a rebuild was asked for");
    Ok((StatusCode::ACCEPTED, Json(Rebuild { name, generation })))
}

/// The newest generation: the one that is being built, or that went live since.
async fn being_built(node: &Node, name: &str) -> Result<i64, Problem> {
    let rows = node
        .projector
        .generations()
        .list()
        .await
        .map_err(query_failed)?;
    let of_name = || rows.iter().filter(|row| row.projection == name);
    of_name()
        .find(|row| row.state == GenerationState::Building)
        .or_else(|| of_name().next_back())
        .map(|row| row.generation)
        .ok_or_else(Problem::not_found)
}

/// A background job: what the house does by itself every so often.
#[derive(Debug, Serialize, ToSchema)]
struct Job {
    #[schema(example = "purge")]
    name: String,
    /// A node runs it now.
    #[schema(example = false)]
    running: bool,
    /// When it began last.
    started_at: Option<DateTime<Utc>>,
    /// When it ended last.
    finished_at: Option<DateTime<Utc>>,
    /// Why its last run failed.
    #[schema(example = json!(null))]
    error: Option<String>,
}

impl From<JobStatus> for Job {
    fn from(status: JobStatus) -> Self {
        Self {
            name: status.name,
            running: status.running,
            started_at: status.started_at,
            finished_at: status.finished_at,
            error: status.error,
        }
    }
}

/// Every background job.
#[derive(Debug, Serialize, ToSchema)]
struct JobList {
    items: Vec<Job>,
    /// Always null: there is one page.
    #[schema(example = json!(null))]
    next: Option<String>,
}

/// The background jobs and how their last run went
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "operations",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Every job that ever ran, by name", body = JobList),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`auth.role_required`: admin", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn list_jobs(
    caller: Caller,
    State(node): State<Arc<Node>>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Admin)?;
    let jobs = Leases::new(node.homes.state.clone(), node.id)
        .list()
        .await
        .map_err(query_failed)?;
    Ok(Json(JobList {
        items: jobs.into_iter().map(Job::from).collect(),
        next: None,
    }))
}
