//! Who asks: the access token of a request, checked against its signature and against revocations.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::id::{AccountId, SessionId};
use domain::identity::account::Role;

use super::Problem;
use super::extract::bearer;
use crate::node::Node;
use crate::revocation::Refused;

/// A signed-in member.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Their account.
    pub account: AccountId,
    /// The device that asks.
    pub session: SessionId,
    /// Roles in force: a staff role is among them only with two factors.
    pub roles: Vec<Role>,
}

impl Caller {
    /// 403 unless the caller has the role.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        if self.roles.contains(&role) {
            Ok(())
        } else {
            Err(Problem::role_required(role.as_str()))
        }
    }

    /// The highest role the caller acts in, for metadata.
    pub fn role(&self) -> &'static str {
        [Role::Admin, Role::Auditor, Role::Moderator]
            .into_iter()
            .find(|role| self.roles.contains(role))
            .unwrap_or(Role::Member)
            .as_str()
    }
}

impl FromRequestParts<Arc<Node>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        let claims = node
            .tokens
            .verify(bearer(&parts.headers)?, node.clock.now())?;
        node.revocations
            .check(&claims)
            .map_err(|refused| match refused {
                Refused::Revoked => Problem::token_revoked(),
                Refused::Blind => Problem::unavailable(refused),
            })?;
        Ok(Self {
            account: claims.sub,
            session: claims.sid,
            roles: claims.roles,
        })
    }
}
