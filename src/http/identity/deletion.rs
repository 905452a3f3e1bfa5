//! Leaving, and coming back while there is time.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::identity::account::{AccountCommand, Password, Status};
use domain::identity::session::DeviceLabel;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::Fields;
use super::proof::prove_again;
use super::refusal::Refusal;
use super::sign_in::{Proven, SignedIn, device};
use super::transport::Transport;
use super::{own, read_failed};
use crate::admins;
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::{Intent, Position, query_failed};
use crate::http::extract::{Json, Throttle};
use crate::http::problem::ProblemDocument;
use crate::node::Node;
use crate::state::challenges::Purpose;

/// Who wants to leave.
#[derive(Deserialize, ToSchema)]
pub(super) struct DeletionRequest {
    #[schema(example = "correct-horse-7-battery-staple", format = Password)]
    password: String,
    /// Of the second factor, where it is on; a recovery code will do.
    #[schema(example = "287082")]
    code: Option<String>,
}

/// A deletion that is pending.
#[derive(Serialize, ToSchema)]
pub(super) struct PendingDeletion {
    /// Until then a login can take it back; afterwards everything is erased for good.
    #[schema(example = "2025-11-10T09:30:00Z")]
    purge_after: DateTime<Utc>,
}

/// Ask for one's account to be deleted
///
/// Hides the account and ends its sessions at once; erases it for good when the grace is over.
#[utoipa::path(
    post,
    path = "/users/me/deletion",
    tag = "users",
    security(("bearer" = [])),
    request_body = DeletionRequest,
    responses(
        (status = 202, description = "Deletion is pending", body = PendingDeletion, headers(("Soulsense-Position" = i64))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`identity.credentials_refused`, `identity.code_refused`, `auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`identity.last_admin`, `identity.erasure_started`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`identity.too_many_attempts`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn request(
    State(node): State<Arc<Node>>,
    caller: Caller,
    intent: Intent,
    Json(body): Json<DeletionRequest>,
) -> Result<impl IntoResponse, Problem> {
    let mut fields = Fields::default();
    let password = fields.check("/password", Password::presented(&body.password));
    let Some(password) = password else {
        return Err(fields.refuse());
    };
    let id = caller.account.to_string();
    let request = own(intent, &caller);
    let account = node.accounts.load(&id).await?.state;
    prove_again(
        &node,
        caller.account,
        &account,
        &password,
        body.code.as_deref(),
        &request,
    )
    .await?;
    let command = AccountCommand::RequestDeletion {
        grace: node.config.deletion_grace(),
        is_last_admin: admins::is_last(&node, caller.account, &account)
            .await
            .map_err(read_failed)?,
        now: node.clock.now(),
    };
    let done = node.accounts.execute(&id, &command, &request).await?;
    let purge_after = done
        .state
        .purge_after()
        .ok_or_else(|| Problem::internal("a pending deletion has no end"))?;
    Ok((
        StatusCode::ACCEPTED,
        Position(done.position),
        Json(PendingDeletion { purge_after }),
    ))
}

/// Who wants to come back.
#[derive(Deserialize, ToSchema)]
pub(super) struct Restoration {
    /// From a login while deletion is pending.
    #[schema(example = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]
    restore_token: String,
    /// What to call this device in the list of sessions, 1 to 100 characters.
    #[schema(example = "Asha's phone")]
    device_label: Option<String>,
    #[serde(default)]
    transport: Transport,
}

/// Take a request for deletion back
///
/// Takes the token of a login while deletion is pending, which is good once and for ten minutes.
#[utoipa::path(
    post,
    path = "/users/me/restore",
    tag = "users",
    request_body = Restoration,
    responses(
        (status = 200, description = "The account is back, and signed in", body = SignedIn, headers(("Soulsense-Position" = i64), ("Set-Cookie" = String))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`identity.challenge_refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`identity.suspended`, `identity.origin_refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`identity.erasure_started`, `identity.deletion_not_requested`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`request.too_many`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn restore(
    Throttle(ip): Throttle,
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    intent: Intent,
    Json(body): Json<Restoration>,
) -> Result<Response, Problem> {
    body.transport.admit(&node, &headers)?;
    let mut fields = Fields::default();
    let label = body.device_label.as_deref();
    let label = fields.check_given("/device_label", label, DeviceLabel::parse);
    fields.finish()?;

    let (purpose, token) = (Purpose::Restore, body.restore_token.as_str());
    let now = node.clock.now();
    let challenge = node
        .challenges
        .find(purpose, token, now)
        .await
        .map_err(query_failed)?
        .ok_or(Refusal::Challenge)?;
    let id = challenge.account;
    let account = node.accounts.load(&id.to_string()).await?.state;
    let asked_again = challenge.sequence < account.session_floor();
    if account.status() == Status::DeletionRequested && asked_again {
        return Err(Refusal::Challenge.into());
    }
    let spent = node.challenges.spend(purpose, token, now).await;
    if !spent.map_err(query_failed)? {
        return Err(Refusal::Challenge.into());
    }
    let request = intent.clone().unproven(id.to_string());
    let done = node
        .accounts
        .execute(
            &id.to_string(),
            &AccountCommand::RestoreAccount { now },
            &request,
        )
        .await?;
    let proven = Proven {
        id,
        account: &done.state,
        sequence: done.state.sequence(),
    };
    let device = device(label, ip, &headers);
    proven.sign_in(&node, intent, device, body.transport).await
}
