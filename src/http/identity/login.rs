//! Logging in by what one knows.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use domain::id::AccountId;
use domain::identity::account::{
    Account, AccountCommand, AccountError, Password, PasswordHash, Status, USERNAME_SCOPE, Username,
};
use domain::identity::session::DeviceLabel;
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::fields::Fields;
use super::log_failed;
use super::refusal::Refusal;
use super::signed_in::{SignedIn, device, sign_in};
use crate::commands::Request;
use crate::hashing::Verdict;
use crate::http::Problem;
use crate::http::command::Intent;
use crate::http::extract::{Json, Throttle};
use crate::http::problem::ProblemDocument;
use crate::node::Node;

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
}

/// Log in
#[utoipa::path(
    post,
    path = "/auth/login",
    tag = "auth",
    request_body = Login,
    responses(
        (status = 200, description = "Signed in", body = SignedIn, headers(("Soulsense-Position" = i64))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`identity.credentials_refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`identity.suspended`, `identity.deletion_pending`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`request.too_many`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn login(
    Throttle(ip): Throttle,
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    intent: Intent,
    Json(login): Json<Login>,
) -> Result<impl IntoResponse, Problem> {
    let mut fields = Fields::default();
    let password = fields.check("/password", Password::presented(&login.password));
    let label = fields.check_given(
        "/device_label",
        login.device_label.as_deref(),
        DeviceLabel::parse,
    );
    let Some(password) = password else {
        return Err(fields.refuse());
    };
    fields.finish()?;
    let (id, account) = find(&node, &login.identifier).await?;
    let request = intent.clone().unproven(id.to_string());
    if !knows_password(&node, id, &account, &password, &request).await? {
        return Err(Refusal::Credentials.into());
    }
    in_good_standing(&account)?;
    let device = device(label, ip, &headers);
    let (position, signed_in) = sign_in(&node, intent, id, &account, device).await?;
    Ok((position, Json(signed_in)))
}

/// The account that an identifier names. What names nobody gives the account of nobody, after the same
/// steps.
async fn find(node: &Node, identifier: &str) -> Result<(AccountId, Account), Problem> {
    let name = Username::parse(identifier);
    let name = name.as_ref().map_or("", Username::as_str);
    let holder = node
        .log
        .claim_holder(USERNAME_SCOPE, name, node.clock.now())
        .await
        .map_err(log_failed)?;
    let id: AccountId = holder
        .map(|holder| holder.parse().map_err(Problem::internal))
        .transpose()?
        .unwrap_or_default();
    let loaded = node.accounts.load(&id.to_string()).await?;
    Ok((id, loaded.state))
}

/// Whether the password is the account's, in the same time whether or not there is one. A hash with
/// outgrown parameters is made anew on the way.
pub(super) async fn knows_password(
    node: &Node,
    id: AccountId,
    account: &Account,
    password: &Password,
    request: &Request,
) -> Result<bool, Problem> {
    let text = Zeroizing::new(password.as_str().to_owned());
    let Some(stored) = account.password_hash() else {
        node.hasher.verify_nothing(text).await?;
        return Ok(false);
    };
    match node.hasher.verify(text.clone(), stored.to_owned()).await? {
        Verdict::Differs => Ok(false),
        Verdict::Matches {
            needs_rehash: false,
        } => Ok(true),
        Verdict::Matches { needs_rehash: true } => {
            let command = AccountCommand::RecordPasswordRehash {
                replaces: PasswordHash::new(stored),
                password_hash: PasswordHash::new(node.hasher.hash(text).await?),
                now: node.clock.now(),
            };
            node.accounts
                .execute(&id.to_string(), &command, request)
                .await?;
            Ok(true)
        }
    }
}

/// Refuses whom the house has shut out or who is leaving it.
fn in_good_standing(account: &Account) -> Result<(), Problem> {
    let refusal = match account.status() {
        Status::Active => return Ok(()),
        Status::Suspended => AccountError::Suspended,
        Status::DeletionRequested => match account.purge_after() {
            Some(purge_after) => AccountError::DeletionPending { purge_after },
            None => AccountError::NotFound,
        },
        Status::Unregistered | Status::Erasing | Status::Erased => AccountError::NotFound,
    };
    Err(Problem::from_rejection(&refusal))
}
