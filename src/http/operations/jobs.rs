//! How the background jobs are.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use domain::identity::account::Role;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::query_failed;
use crate::http::extract::Json;
use crate::http::problem::ProblemDocument;
use crate::node::Node;
use crate::state::leases::{JobStatus, Leases};

/// A background job: what the house does by itself every so often.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Job {
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
pub(super) struct JobList {
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
pub(super) async fn list_jobs(
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
