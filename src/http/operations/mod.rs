//! Routes of operations: projections and jobs, for admins.

mod jobs;
mod projections;
mod upkeep;

use std::sync::Arc;

use event_log::reader::ReadError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Problem;
use super::command::query_failed;
use crate::node::Node;

pub(crate) use projections::ProjectionStatus;

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(projections::list_projections))
        .routes(routes!(upkeep::rebuild_projection))
        .routes(routes!(upkeep::retry_projection))
        .routes(routes!(upkeep::skip_event))
        .routes(routes!(jobs::list_jobs))
}

fn read_failed(error: ReadError) -> Problem {
    match error {
        ReadError::Database(error) => query_failed(error),
        error => Problem::internal(error),
    }
}
