//! Logging in by what one knows.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::id::AccountId;
use domain::identity::account::{Account, Password, USERNAME_SCOPE, Username};
use domain::identity::session::DeviceLabel;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::Fields;
use super::log_failed;
use super::proof::knows_password;
use super::refusal::Refusal;
use super::sign_in::{Proven, SignedIn, device};
use super::transport::Transport;
use crate::http::Problem;
use crate::http::command::{Intent, query_failed};
use crate::http::extract::{Json, Throttle};
use crate::http::problem::ProblemDocument;
use crate::node::Node;
use crate::state::challenges::{Challenge, Purpose};
use crate::state::ladder::Climber;

/// Who wants in.
#[derive(Deserialize, ToSchema)]
pub(super) struct Login {
    /// The username.
    #[schema(example = "asha_r")]
    identifier: String,
    #[schema(example = "correct-horse-7-battery-staple", format = Password)]
    password: String,
    /// What to call this device in the list of sessions, 1 to 100 characters.
    #[schema(example = "Asha's phone")]
    device_label: Option<String>,
    #[serde(default)]
    transport: Transport,
}

/// The password was right, the second factor is missing.
#[derive(Serialize, ToSchema)]
pub(super) struct Challenged {
    #[schema(example = true)]
    two_factor_required: bool,
    /// For `/auth/login/2fa`, and for nothing else.
    #[schema(example = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]
    challenge_token: String,
    /// Seconds for which it is good.
    #[schema(example = 300)]
    expires_in: i64,
}

/// Log in
///
/// Names that nobody has and wrong passwords are answered alike. After failures the next attempt has to
/// wait: 429 with `Retry-After`.
#[utoipa::path(
    post,
    path = "/auth/login",
    tag = "auth",
    request_body = Login,
    responses(
        (status = 200, description = "Signed in", body = SignedIn, headers(("Soulsense-Position" = i64), ("Set-Cookie" = String))),
        (status = 202, description = "The second factor is missing", body = Challenged),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`identity.credentials_refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`identity.suspended`, `identity.origin_refused`; `identity.deletion_pending` with `purge_after` and `restore_token`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`identity.too_many_attempts`, `request.too_many`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn login(
    Throttle(ip): Throttle,
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    intent: Intent,
    Json(login): Json<Login>,
) -> Result<Response, Problem> {
    login.transport.admit(&node, &headers)?;
    // before anything is asked of the database
    node.hasher.room()?;
    let mut fields = Fields::default();
    let password = fields.check("/password", Password::presented(&login.password));
    let label = login.device_label.as_deref();
    let label = fields.check_given("/device_label", label, DeviceLabel::parse);
    let Some(password) = password else {
        return Err(fields.refuse());
    };
    fields.finish()?;

    let climber = Climber::Identifier(&login.identifier);
    let attempt = node.ladder.attempt(climber, node.clock.now()).await?;
    let (id, account) = find(&node, &login.identifier).await?;
    let request = intent.clone().unproven(id.to_string());
    if !knows_password(&node, id, &account, &password, &request).await? {
        attempt
            .failed(node.clock.now())
            .await
            .map_err(query_failed)?;
        return Err(Refusal::Credentials.into());
    }
    let sequence = account.sequence();
    if account.two_factor_is_on() {
        return ask_for_second_factor(&node, id, sequence).await;
    }
    attempt.succeeded().await.map_err(query_failed)?;
    let proven = Proven {
        id,
        account: &account,
        sequence,
    };
    let device = device(label, ip, &headers);
    proven.sign_in(&node, intent, device, login.transport).await
}

async fn ask_for_second_factor(
    node: &Node,
    account: AccountId,
    sequence: u64,
) -> Result<Response, Problem> {
    let purpose = Purpose::SecondFactor;
    let challenge = Challenge { account, sequence };
    let challenge_token = node
        .challenges
        .issue(purpose, challenge, node.clock.now())
        .await
        .map_err(query_failed)?;
    let reply = Challenged {
        two_factor_required: true,
        challenge_token,
        expires_in: purpose.lifetime().num_seconds(),
    };
    Ok((StatusCode::ACCEPTED, Json(reply)).into_response())
}

/// The account that an identifier names. What names nobody gives the account of nobody, after the same
/// steps.
async fn find(node: &Node, identifier: &str) -> Result<(AccountId, Account), Problem> {
    let name = Username::parse(identifier);
    let name = name.as_ref().map_or("", Username::as_str);
    let held = node
        .log
        .load_holder::<Account>(USERNAME_SCOPE, name, node.clock.now())
        .await
        .map_err(log_failed)?;
    let Some((holder, loaded)) = held else {
        return Ok(Default::default());
    };
    let id = holder.parse().map_err(Problem::internal)?;
    Ok((id, loaded.state))
}
