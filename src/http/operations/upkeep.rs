//! What is done to projections: rebuilding, trying again, skipping.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use domain::identity::account::Role;
use domain::operations::skips::SkipReason;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read_failed;
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::{Intent, Position, query_failed};
use crate::http::extract::{Json, Path};
use crate::http::problem::ProblemDocument;
use crate::node::Node;
use crate::skipping::{self, SkippingError};

/// The generation that is being built.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rebuild {
    /// The projection.
    #[schema(example = "audit")]
    name: String,
    /// Number of the copy.
    #[schema(example = 2)]
    generation: i64,
    /// True when it was being built already, and no other was begun.
    #[schema(example = false)]
    already: bool,
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
pub(super) async fn rebuild_projection(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Admin)?;
    let projection = node.projector.named(&name).ok_or_else(Problem::not_found)?;
    let head = node.log.reader().head().await.map_err(query_failed)?;
    let begun = node
        .projector
        .begin(projection, head)
        .await
        .map_err(query_failed)?;
    tracing::info!(
        projection = name,
        generation = begun.generation,
        already = begun.already,
        account = %caller.account,
        "a rebuild was asked for"
    );
    let rebuild = Rebuild {
        name,
        generation: begun.generation,
        already: begun.already,
    };
    Ok((StatusCode::ACCEPTED, Json(rebuild)))
}

/// Whether a stopped projection goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Retry {
    /// The projection.
    #[schema(example = "audit")]
    name: String,
    /// Generations that had stopped and try again; 0 when none had.
    #[schema(example = 1)]
    generations: u64,
}

/// Lets a stopped projection try again
#[utoipa::path(
    post,
    path = "/projections/{name}/retry",
    tag = "operations",
    description = "What stopped it is tried anew, up to five times. If nothing has changed it stops again.",
    params(("name" = String, Path, description = "The projection", example = "audit")),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It tries again, or had not stopped", body = Retry),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`auth.role_required`: admin", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`request.not_found`: no projection of this name", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn retry_projection(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Admin)?;
    let projection = node.projector.named(&name).ok_or_else(Problem::not_found)?;
    let generations = node
        .projector
        .generations()
        .retry(projection.name(), node.clock.now())
        .await
        .map_err(query_failed)?;
    tracing::info!(projection = name, generations, account = %caller.account, "a retry was asked for");
    Ok(Json(Retry { name, generations }))
}

/// Which event to leave out, and why.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct SkipBody {
    /// Where it stands in the log: `error_position` of the generation that has stopped.
    #[schema(example = 1042)]
    position: i64,
    /// Why, 10 to 500 characters. It stands in the log for ever and is not sealed: about the program, never
    /// about a person.
    #[schema(example = "Written by a build that never left the laboratory.")]
    reason: String,
}

/// An event that is left out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Skip {
    /// The projection.
    #[schema(example = "audit")]
    name: String,
    /// Positions of all events that it leaves out.
    #[schema(example = json!([1042]))]
    skipped: Vec<i64>,
}

/// Has a stopped projection leave out an event
#[utoipa::path(
    post,
    path = "/projections/{name}/skips",
    tag = "operations",
    description = "Only the event at which it has stopped can be left out; this and every later generation leaves it out, and the projection goes on behind it. The skip is an event of its own in the log. Skipping the same event again changes nothing.",
    params(("name" = String, Path, description = "The projection", example = "audit")),
    security(("bearer" = [])),
    request_body = SkipBody,
    responses(
        (status = 201, description = "It is left out", body = Skip, headers(("Soulsense-Position" = i64))),
        (status = 200, description = "It was left out before", body = Skip),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`auth.role_required`: admin", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`request.not_found`: no projection of this name", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`operations.not_stopped_there`, `request.idempotency_key_in_flight`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`, `request.idempotency_key_reused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn skip_event(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    intent: Intent,
    Json(body): Json<SkipBody>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Admin)?;
    let projection = node.projector.named(&name).ok_or_else(Problem::not_found)?;
    let reason = SkipReason::parse(&body.reason)
        .map_err(|fault| Problem::invalid(vec![fault.at("/reason")]))?;
    let request = intent.by(&caller, &node, 201, &name, &body)?;
    let done = skipping::skip(&node, projection, body.position, reason, &request)
        .await
        .map_err(|error| match error {
            SkippingError::Command(error) => error.into(),
            SkippingError::Read(error) => read_failed(error),
        })?;
    let status = match done.position {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    let skip = Skip {
        name,
        skipped: done.state.positions().into_iter().collect(),
    };
    Ok((status, Position(done.position), Json(skip)))
}
