//! The devices that are signed in.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use domain::identity::account::AccountCommand;
use domain::identity::session::{Revocation, SessionCommand};
use projections::identity::{self, Place, SessionView};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{own, read_failed};
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::{Intent, Models, Position};
use crate::http::extract::{Json, Path, Query};
use crate::http::paging::{self, Listed};
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// Log out everywhere
///
/// Ends every session of the account, this one too.
#[utoipa::path(
    post,
    path = "/auth/logout/all",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 204, description = "Every session is over", headers(("Soulsense-Position" = i64))),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn log_out_everywhere(
    State(node): State<Arc<Node>>,
    caller: Caller,
    intent: Intent,
) -> Result<impl IntoResponse, Problem> {
    let command = AccountCommand::LogOutEverywhere {
        now: node.clock.now(),
    };
    let id = caller.account.to_string();
    let done = node
        .accounts
        .execute(&id, &command, &own(intent, &caller))
        .await?;
    Ok((StatusCode::NO_CONTENT, Position(done.position), ()))
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
pub(super) struct ListQuery {
    /// Items of a page, 1 to 100.
    #[param(example = 20)]
    limit: Option<i64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A signed-in device.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedInDevice {
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    id: Uuid,
    /// Whether it is the one that asks.
    #[schema(example = true)]
    current: bool,
    /// What its owner calls it.
    #[schema(example = "Asha's phone")]
    label: Option<String>,
    /// Where it signed in from.
    #[schema(example = "203.0.113.7")]
    ip: Option<String>,
    /// What it says it is.
    #[schema(example = "Mozilla/5.0")]
    user_agent: Option<String>,
    #[schema(example = "2025-10-11T09:30:00Z")]
    started_at: DateTime<Utc>,
    /// When it last refreshed its tokens.
    #[schema(example = "2025-10-12T18:00:00Z")]
    refreshed_at: DateTime<Utc>,
    /// It is over then unless it refreshes.
    #[schema(example = "2025-10-19T18:00:00Z")]
    expires_at: DateTime<Utc>,
}

impl SignedInDevice {
    fn new(view: SessionView, caller: &Caller) -> Self {
        Self {
            id: view.id,
            current: view.id == caller.session.0,
            label: view.label,
            ip: view.ip,
            user_agent: view.user_agent,
            started_at: view.started_at,
            refreshed_at: view.refreshed_at,
            expires_at: view.expires_at,
        }
    }
}

/// The signed-in devices
///
/// The latest first.
#[utoipa::path(
    get,
    path = "/auth/sessions",
    tag = "auth",
    security(("bearer" = [])),
    params(ListQuery),
    responses(
        (status = 200, description = "A page of them", body = Listed<SignedInDevice>),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
    Models(models): Models,
) -> Result<impl IntoResponse, Problem> {
    let (limit, after) = paging::asked::<Place>(query.limit, query.cursor.as_deref())?;
    let now = node.clock.now();
    let page = identity::sessions(&models, caller.account.0, now, after, limit)
        .await
        .map_err(read_failed)?
        .map(|view| SignedInDevice::new(view, &caller));
    Ok(Json(Listed::<SignedInDevice>::from(page)))
}

/// End a session
///
/// Its tokens are worthless within a second.
#[utoipa::path(
    delete,
    path = "/auth/sessions/{id}",
    tag = "auth",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "Of one's own session")),
    responses(
        (status = 204, description = "The session is over", headers(("Soulsense-Position" = i64))),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`identity.session_not_found`, `request.not_found`: absent, or another member's", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn end(
    State(node): State<Arc<Node>>,
    caller: Caller,
    intent: Intent,
    Path(id): Path<Uuid>,
) -> Result<impl IntoResponse, Problem> {
    let command = SessionCommand::Revoke {
        account_id: caller.account,
        reason: Revocation::RevokedByOwner,
        now: node.clock.now(),
    };
    let done = node
        .sessions
        .execute(&id.to_string(), &command, &own(intent, &caller))
        .await?;
    Ok((StatusCode::NO_CONTENT, Position(done.position), ()))
}
