//! One's own account, as the read model has it.

use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use domain::id::SessionId;
use domain::identity::account::{Role, StaffRole};
use projections::identity;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::read_failed;
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::Models;
use crate::http::extract::Json;
use crate::http::problem::ProblemDocument;

/// One's own account.
#[derive(Serialize, ToSchema)]
pub(super) struct OwnAccount {
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    id: Uuid,
    #[schema(example = "asha_r")]
    username: String,
    #[schema(example = "asha@people.example.org")]
    email: String,
    /// Roles that work at present.
    #[schema(example = json!(["member"]), value_type = Vec<String>)]
    roles: Vec<Role>,
    /// Staff roles that were given; they work while the second factor is on.
    #[schema(example = json!([]), value_type = Vec<String>)]
    staff_roles: Vec<StaffRole>,
    /// Whether a login takes a second factor.
    #[schema(example = false)]
    two_factor: bool,
    #[schema(example = "2025-10-11T09:30:00Z")]
    created_at: DateTime<Utc>,
}

/// Whom a token stands for.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedInAs {
    #[serde(flatten)]
    account: OwnAccount,
    /// The session of the token.
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27", value_type = Uuid)]
    session_id: SessionId,
}

/// Whom the token stands for
#[utoipa::path(
    get,
    path = "/auth/me",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The account and the session", body = SignedInAs),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn signed_in_as(
    caller: Caller,
    models: Models,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(SignedInAs {
        account: own_account(&caller, models).await?,
        session_id: caller.session,
    }))
}

/// One's own account
#[utoipa::path(
    get,
    path = "/users/me",
    tag = "users",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The account", body = OwnAccount),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn me(caller: Caller, models: Models) -> Result<impl IntoResponse, Problem> {
    Ok(Json(own_account(&caller, models).await?))
}

async fn own_account(caller: &Caller, Models(models): Models) -> Result<OwnAccount, Problem> {
    let view = identity::account(&models, caller.account.0)
        .await
        .map_err(read_failed)?
        .ok_or_else(Problem::read_model_behind)?;
    Ok(OwnAccount {
        id: view.id,
        roles: view.effective_roles(),
        username: view.username.unwrap_or_default(),
        email: view.email.unwrap_or_default(),
        staff_roles: view.staff_roles,
        two_factor: view.two_factor,
        created_at: view.registered_at,
    })
}
