//! Refreshing and giving up what a login gave: the refresh token alone is enough.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::id::AccountId;
use domain::identity::session::{RefreshHash, SessionCommand, SessionStatus};
use serde::Deserialize;
use utoipa::ToSchema;

use super::refusal::Refusal;
use super::sign_in::SignedIn;
use super::transport::{Presented, SetCookie, Transport};
use crate::commands::CommandError;
use crate::http::Problem;
use crate::http::command::{Intent, Position};
use crate::http::extract::{Json, Throttle};
use crate::http::problem::ProblemDocument;
use crate::node::Node;
use crate::tokens::RefreshToken;

/// A refresh token on its way back; `{}` when it is in the cookie.
#[derive(Deserialize, ToSchema)]
pub(super) struct Refresh {
    #[schema(
        example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27.kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )]
    refresh_token: Option<String>,
    /// How the next one is to travel; without it, as this one did.
    transport: Option<Transport>,
}

/// Exchange a refresh token for new tokens
///
/// A refresh token is good once. When the reply is lost, the same token gives the same successor again
/// for a minute; any later use of a spent token ends the session.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    tag = "auth",
    request_body = Refresh,
    responses(
        (status = 200, description = "New tokens", body = SignedIn, headers(("Soulsense-Position" = i64), ("Set-Cookie" = String))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`, `identity.two_refresh_tokens`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`identity.refresh_refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`identity.origin_refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`request.too_many`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn refresh(
    _: Throttle,
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    intent: Intent,
    Json(body): Json<Refresh>,
) -> Result<Response, Problem> {
    let came = Presented::read(&node, &headers, body.refresh_token)?;
    let transport = body.transport.unwrap_or(came.transport);
    transport.admit(&node, &headers)?;
    if (came.transport, transport) == (Transport::Cookie, Transport::Body) {
        return Err(Problem::bad_request(
            "identity.two_refresh_tokens",
            "What is in the cookie stays in the cookie.",
        ));
    }
    let token = came
        .token
        .as_deref()
        .and_then(RefreshToken::parse)
        .ok_or(Refusal::Refresh)?;
    let (id, floor) = owner(&node, &token).await?;
    let successor = token.successor(node.refresh_key.bytes());
    let command = SessionCommand::Refresh {
        presented_hash: RefreshHash::new(token.hash()),
        successor_hash: RefreshHash::new(successor.hash()),
        session_floor: floor,
        now: node.clock.now(),
    };
    let request = intent.unproven(id.to_string());
    let done = node
        .sessions
        .execute(&token.session().to_string(), &command, &request)
        .await?;
    if done.state.status(node.clock.now()) != SessionStatus::Live {
        return Err(Refusal::Refresh.into());
    }
    let account = node.accounts.load(&id.to_string()).await?.state;
    let position = Position(done.position);
    SignedIn::reply(&node, id, &account, &successor, transport, position)
}

/// Whose session a token names, and that account's session floor.
async fn owner(node: &Node, token: &RefreshToken) -> Result<(AccountId, u64), Problem> {
    let session = node.sessions.load(&token.session().to_string()).await?;
    let id = session.state.account_id().ok_or(Refusal::Refresh)?;
    let account = node.accounts.load(&id.to_string()).await?;
    Ok((id, account.state.session_floor()))
}

/// A refresh token that is given up; `{}` when it is in the cookie.
#[derive(Deserialize, ToSchema)]
pub(super) struct LogOut {
    #[schema(
        example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27.kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )]
    refresh_token: Option<String>,
}

/// Log out
///
/// Ends the session of a refresh token, and takes a cookie away. What is no token of a living session is
/// answered in the same way.
#[utoipa::path(
    post,
    path = "/auth/logout",
    tag = "auth",
    request_body = LogOut,
    responses(
        (status = 204, description = "The session is over", headers(("Soulsense-Position" = i64), ("Set-Cookie" = String))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`, `identity.two_refresh_tokens`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`identity.origin_refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`request.too_many`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn log_out(
    _: Throttle,
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    intent: Intent,
    Json(body): Json<LogOut>,
) -> Result<impl IntoResponse, Problem> {
    let came = Presented::read(&node, &headers, body.refresh_token)?;
    let position = match came.token.as_deref().and_then(RefreshToken::parse) {
        Some(token) => end(&node, intent, &token).await?,
        None => None,
    };
    let set_cookie = match came.transport {
        Transport::Cookie => SetCookie::removal()?,
        Transport::Body => SetCookie::none(),
    };
    Ok((StatusCode::NO_CONTENT, Position(position), set_cookie, ()))
}

async fn end(node: &Node, intent: Intent, token: &RefreshToken) -> Result<Option<i64>, Problem> {
    let session = token.session().to_string();
    let Some(id) = node.sessions.load(&session).await?.state.account_id() else {
        return Ok(None);
    };
    let command = SessionCommand::LogOut {
        presented_hash: RefreshHash::new(token.hash()),
        now: node.clock.now(),
    };
    match node
        .sessions
        .execute(&session, &command, &intent.unproven(id.to_string()))
        .await
    {
        Ok(done) => Ok(done.position),
        Err(CommandError::Rejected(_) | CommandError::SubjectErased) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
