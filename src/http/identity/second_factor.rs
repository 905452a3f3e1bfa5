//! The second factor: setting it up, and logging in with it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use domain::identity::account::{AccountCommand, AccountError, RecoveryCodeHash, TotpSecret};
use domain::identity::session::DeviceLabel;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::Fields;
use super::own;
use super::proof::{generator, spend_code, spend_generated};
use super::refusal::Refusal;
use super::sign_in::{Proven, SignedIn, device};
use super::transport::Transport;
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::{Intent, Position, query_failed};
use crate::http::extract::{Json, Throttle};
use crate::http::problem::ProblemDocument;
use crate::node::Node;
use crate::state::challenges::Purpose;
use crate::state::ladder::Climber;
use crate::totp::{RECOVERY_CODES, SECRET_BYTES, recovery_code_hash, recovery_codes};

/// A second factor that waits to be confirmed.
#[derive(Serialize, ToSchema)]
pub(super) struct SetUp {
    /// To be typed into an authenticator by hand (Base32).
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// The same for a QR code.
    #[schema(
        example = "otpauth://totp/SoulSense:asha_r?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=SoulSense"
    )]
    otpauth_url: String,
}

/// Set up a second factor
///
/// Makes a secret for an authenticator (TOTP). It counts once `/auth/2fa/confirm` was given a code of it;
/// setting up again before that makes another.
#[utoipa::path(
    post,
    path = "/auth/2fa/setup",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The secret, shown this once", body = SetUp, headers(("Soulsense-Position" = i64))),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`identity.two_factor_on`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_up(
    State(node): State<Arc<Node>>,
    caller: Caller,
    intent: Intent,
) -> Result<impl IntoResponse, Problem> {
    let mut secret = zeroize::Zeroizing::new([0; SECRET_BYTES]);
    rand::fill(secret.as_mut_slice());
    let secret = totp_rs::Secret::from(secret.to_vec()).to_base32();
    let secret = TotpSecret::new(secret);
    let command = AccountCommand::SetUpTwoFactor {
        secret: secret.clone(),
        now: node.clock.now(),
    };
    let done = node
        .accounts
        .execute(&caller.account.to_string(), &command, &own(intent, &caller))
        .await?;
    let url = generator(&secret, &done.state)?
        .url()
        .map_err(Problem::internal)?;
    let reply = SetUp {
        secret: secret.as_str().to_owned(),
        otpauth_url: url.to_string(),
    };
    Ok((Position(done.position), Json(reply)))
}

/// A code of the authenticator.
#[derive(Deserialize, ToSchema)]
pub(super) struct Confirmation {
    /// Six digits.
    #[schema(example = "287082")]
    code: String,
}

/// What stands in for the second factor when it is lost.
#[derive(Serialize, ToSchema)]
pub(super) struct RecoveryCodes {
    /// Ten codes, each good for one login, shown this once.
    #[schema(example = json!(["mfrg-gzdf-mztw-q2lk"]))]
    recovery_codes: Vec<String>,
}

/// Turn the second factor on
///
/// Takes a code of the secret set up last. Staff roles work from the next login or refresh on.
#[utoipa::path(
    post,
    path = "/auth/2fa/confirm",
    tag = "auth",
    security(("bearer" = [])),
    request_body = Confirmation,
    responses(
        (status = 200, description = "The second factor is on", body = RecoveryCodes, headers(("Soulsense-Position" = i64))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`identity.code_refused`, `auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`identity.two_factor_on`, `identity.two_factor_not_set_up`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`identity.too_many_attempts`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn confirm(
    State(node): State<Arc<Node>>,
    caller: Caller,
    intent: Intent,
    Json(confirmation): Json<Confirmation>,
) -> Result<impl IntoResponse, Problem> {
    let id = caller.account.to_string();
    let account = node.accounts.load(&id).await?.state;
    let Some(secret) = account.pending_two_factor_secret() else {
        return Err(Problem::from_rejection(&if account.two_factor_is_on() {
            AccountError::TwoFactorOn
        } else {
            AccountError::TwoFactorNotSetUp
        }));
    };
    let climber = Climber::Account(caller.account);
    let attempt = node.ladder.attempt(climber, node.clock.now()).await?;
    let generator = generator(secret, &account)?;
    if !spend_generated(&node, caller.account, &generator, &confirmation.code).await? {
        attempt
            .failed(node.clock.now())
            .await
            .map_err(query_failed)?;
        return Err(Refusal::Code.into());
    }
    attempt.succeeded().await.map_err(query_failed)?;
    let mut randomness = zeroize::Zeroizing::new([0; RECOVERY_CODES * 10]);
    rand::fill(randomness.as_mut_slice());
    let codes = recovery_codes(&randomness);
    let command = AccountCommand::ConfirmTwoFactor {
        secret: secret.clone(),
        recovery_codes: codes
            .iter()
            .map(|code| RecoveryCodeHash::new(recovery_code_hash(code)))
            .collect(),
        now: node.clock.now(),
    };
    let done = node
        .accounts
        .execute(&id, &command, &own(intent, &caller))
        .await?;
    let reply = RecoveryCodes {
        recovery_codes: codes.iter().map(|code| code.to_string()).collect(),
    };
    Ok((Position(done.position), Json(reply)))
}

/// Who was asked for the second factor.
#[derive(Deserialize, ToSchema)]
pub(super) struct SecondLogin {
    /// From `/auth/login`.
    #[schema(example = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]
    challenge_token: String,
    /// Six digits of the authenticator, or a recovery code.
    #[schema(example = "287082")]
    code: String,
    /// What to call this device in the list of sessions, 1 to 100 characters.
    #[schema(example = "Asha's phone")]
    device_label: Option<String>,
    #[serde(default)]
    transport: Transport,
}

/// Log in with the second factor
///
/// A code counts once. Wrong codes count for the account, across challenges.
#[utoipa::path(
    post,
    path = "/auth/login/2fa",
    tag = "auth",
    request_body = SecondLogin,
    responses(
        (status = 200, description = "Signed in", body = SignedIn, headers(("Soulsense-Position" = i64), ("Set-Cookie" = String))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`identity.challenge_refused`, `identity.code_refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`identity.suspended`, `identity.origin_refused`; `identity.deletion_pending` with `purge_after` and `restore_token`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`identity.too_many_attempts`, `request.too_many`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn log_in(
    Throttle(ip): Throttle,
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    intent: Intent,
    Json(login): Json<SecondLogin>,
) -> Result<Response, Problem> {
    login.transport.admit(&node, &headers)?;
    let mut fields = Fields::default();
    let label = login.device_label.as_deref();
    let label = fields.check_given("/device_label", label, DeviceLabel::parse);
    fields.finish()?;

    let token = login.challenge_token.as_str();
    let challenge = node
        .challenges
        .find(Purpose::SecondFactor, token, node.clock.now())
        .await
        .map_err(query_failed)?
        .ok_or(Refusal::Challenge)?;
    let id = challenge.account;
    let attempt = node
        .ladder
        .attempt(Climber::Account(id), node.clock.now())
        .await?;
    let account = node.accounts.load(&id.to_string()).await?.state;
    if challenge.sequence < account.session_floor() {
        // the password that was proven is another one by now, or the member has left in between
        return Err(Refusal::Challenge.into());
    }
    let request = intent.clone().unproven(id.to_string());
    if !spend_code(&node, id, &account, &login.code, &request).await? {
        attempt
            .failed(node.clock.now())
            .await
            .map_err(query_failed)?;
        return Err(Refusal::Code.into());
    }
    let spent = node
        .challenges
        .spend(Purpose::SecondFactor, token, node.clock.now())
        .await
        .map_err(query_failed)?;
    if !spent {
        return Err(Refusal::Challenge.into());
    }
    attempt.succeeded().await.map_err(query_failed)?;
    if let Some(name) = account.username() {
        node.ladder
            .clear(Climber::Identifier(name.as_str()))
            .await
            .map_err(query_failed)?;
    }
    let proven = Proven {
        id,
        account: &account,
        sequence: challenge.sequence,
    };
    let device = device(label, ip, &headers);
    proven.sign_in(&node, intent, device, login.transport).await
}
