//! What somebody gets who has proven who they are: a session and its tokens, or the way back into an
//! account that is about to be deleted.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use domain::id::{AccountId, SessionId};
use domain::identity::account::{Account, AccountError, Role, Status};
use domain::identity::session::{Device, DeviceLabel, RefreshHash, SessionCommand, UserAgent};
use serde::Serialize;
use utoipa::ToSchema;

use super::transport::{SetCookie, Transport};
use crate::http::Problem;
use crate::http::command::{Intent, Position, query_failed};
use crate::http::extract::{ClientIp, Json};
use crate::node::Node;
use crate::state::challenges::{Challenge, Purpose};
use crate::tokens::{AccessGrant, RefreshToken};

/// Tokens for a device that is signed in.
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
    pub(super) fn reply(
        node: &Node,
        id: AccountId,
        account: &Account,
        refresh: &RefreshToken,
        transport: Transport,
        position: Position,
    ) -> Result<Response, Problem> {
        let roles = account.effective_roles();
        let grant = AccessGrant {
            account: id,
            session: refresh.session(),
            token_id: node.ids.next(),
            epoch: account.epoch(),
            roles: roles.clone(),
        };
        let now = node.clock.now();
        let refresh_token = refresh.expose();
        let (set_cookie, refresh_token) = match transport {
            Transport::Cookie => (SetCookie::token(&refresh_token)?, None),
            Transport::Body => (SetCookie::none(), Some(refresh_token.to_string())),
        };
        let username = account.username().map(|name| name.as_str().to_owned());
        let signed_in = Self {
            access_token: node.tokens.issue(grant, now).map_err(Problem::internal)?,
            token_type: "Bearer",
            expires_in: node.tokens.lifetime().num_seconds(),
            refresh_token,
            account: AccountSummary {
                id,
                username: username.unwrap_or_default(),
                roles,
            },
        };
        Ok((position, set_cookie, Json(signed_in)).into_response())
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

/// Somebody whose factors are all proven.
pub(super) struct Proven<'a> {
    pub(super) id: AccountId,
    pub(super) account: &'a Account,
    /// The account's sequence when the first of them was proven.
    pub(super) sequence: u64,
}

impl Proven<'_> {
    /// Starts a session. Refuses whom the house has shut out; who is leaving gets the token to come back.
    pub(super) async fn sign_in(
        self,
        node: &Node,
        intent: Intent,
        device: Device,
        transport: Transport,
    ) -> Result<Response, Problem> {
        match self.account.status() {
            Status::Active => {}
            Status::Suspended => return Err(Problem::from_rejection(&AccountError::Suspended)),
            Status::DeletionRequested => return Err(self.deletion_pending(node).await),
            Status::Unregistered | Status::Erasing | Status::Erased => {
                return Err(Problem::from_rejection(&AccountError::NotFound));
            }
        }
        let mut secret = [0; 32];
        rand::fill(&mut secret);
        let refresh = RefreshToken::new(SessionId(node.ids.next()), secret);
        let command = SessionCommand::Start {
            session_id: refresh.session(),
            account_id: self.id,
            account_sequence: self.sequence,
            secret_hash: RefreshHash::new(refresh.hash()),
            device,
            now: node.clock.now(),
        };
        let request = intent.unproven(self.id.to_string());
        let done = node
            .sessions
            .begin(&refresh.session().to_string(), &command, &request)
            .await?;
        let position = Position(done.position);
        SignedIn::reply(node, self.id, self.account, &refresh, transport, position)
    }

    async fn deletion_pending(self, node: &Node) -> Problem {
        let Some(purge_after) = self.account.purge_after() else {
            return Problem::from_rejection(&AccountError::NotFound);
        };
        let challenge = Challenge {
            account: self.id,
            sequence: self.sequence,
        };
        let now = node.clock.now();
        match node
            .challenges
            .issue(Purpose::Restore, challenge, now)
            .await
        {
            Ok(token) => Problem::from_rejection(&AccountError::DeletionPending { purge_after })
                .with_extension("restore_token", token),
            Err(error) => query_failed(error),
        }
    }
}
