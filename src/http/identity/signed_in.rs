//! What somebody gets who has proven who they are: a session and its tokens.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use domain::id::{AccountId, SessionId};
use domain::identity::account::{Account, Role};
use domain::identity::session::{Device, DeviceLabel, RefreshHash, SessionCommand, UserAgent};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Problem;
use crate::http::command::{Intent, Position};
use crate::http::extract::ClientIp;
use crate::node::Node;
use crate::tokens::{AccessGrant, RefreshToken};

/// Tokens for a device that has signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    /// For `Authorization: Bearer`.
    #[schema(
        example = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.eyJzdWIiOiIwMTk5In0.c2lnbmF0dXJl"
    )]
    access_token: String,
    /// `Bearer`
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds for which the access token is good.
    #[schema(example = 900)]
    expires_in: i64,
    /// Good for one use at `/auth/refresh`; left out when it went into a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27.kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )]
    refresh_token: Option<String>,
    account: AccountSummary,
}

/// Whose tokens they are.
#[derive(Serialize, ToSchema)]
struct AccountSummary {
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27", value_type = uuid::Uuid)]
    id: AccountId,
    #[schema(example = "asha_r")]
    username: String,
    /// Roles that work at present; staff roles take a second factor.
    #[schema(example = json!(["member"]), value_type = Vec<String>)]
    roles: Vec<Role>,
}

impl SignedIn {
    /// Access for a session of an account, with the refresh token that goes on from here.
    pub(super) fn new(
        node: &Node,
        id: AccountId,
        account: &Account,
        refresh: &RefreshToken,
    ) -> Result<Self, Problem> {
        let roles = account.effective_roles();
        let grant = AccessGrant {
            account: id,
            session: refresh.session(),
            token_id: node.ids.next(),
            epoch: account.epoch(),
            roles: roles.clone(),
        };
        let access_token = node
            .tokens
            .issue(grant, node.clock.now())
            .map_err(Problem::internal)?;
        Ok(Self {
            access_token,
            token_type: "Bearer",
            expires_in: node.tokens.lifetime().num_seconds(),
            refresh_token: Some(refresh.expose().to_string()),
            account: AccountSummary {
                id,
                username: account
                    .username()
                    .map(|name| name.as_str().to_owned())
                    .unwrap_or_default(),
                roles,
            },
        })
    }
}

/// What is kept about the device that asks.
pub(super) fn device(label: Option<DeviceLabel>, ip: ClientIp, headers: &HeaderMap) -> Device {
    let user_agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .map(UserAgent::clip);
    Device {
        label,
        ip: Some(ip.0),
        user_agent,
    }
}

/// Starts a session for an account whose factors are all proven.
pub(super) async fn sign_in(
    node: &Arc<Node>,
    intent: Intent,
    id: AccountId,
    account: &Account,
    device: Device,
) -> Result<(Position, SignedIn), Problem> {
    let mut secret = [0; 32];
    rand::fill(&mut secret);
    let refresh = RefreshToken::new(SessionId(node.ids.next()), secret);
    let command = SessionCommand::Start {
        session_id: refresh.session(),
        account_id: id,
        account_sequence: account.sequence(),
        secret_hash: RefreshHash::new(refresh.hash()),
        device,
        now: node.clock.now(),
    };
    let done = node
        .sessions
        .execute(
            &refresh.session().to_string(),
            &command,
            &intent.unproven(id.to_string()),
        )
        .await?;
    let signed_in = SignedIn::new(node, id, account, &refresh)?;
    Ok((Position(done.position), signed_in))
}
