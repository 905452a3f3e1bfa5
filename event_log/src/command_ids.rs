//! Command ids: the key under which a command and its outcome are remembered.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::append::CommandId;
use crate::keys::Secret;

/// What was remembered of a committed command: enough to answer again, never a body or a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// HTTP status of the first reply; 0 for commands that did not come over HTTP.
    pub status: u16,
    /// The stream the command went to.
    pub aggregate_id: String,
}

/// A command id before it is hashed.
#[derive(Debug, Clone)]
pub struct Remember {
    /// Who and what for: account, method and route; or the policy's name.
    pub scope: String,
    /// The `Idempotency-Key`, or the causing event.
    pub key: String,
    /// The request's bytes, to tell a repetition from another request under the same key.
    pub request: Vec<u8>,
    /// What to remember.
    pub outcome: Outcome,
    /// When it may be forgotten.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it follows from, an id that grows with time: keys that are kept for ever are kept in that order, so
    /// that a long log adds them all at one end of their index.
    pub cause: Option<Uuid>,
}

impl Remember {
    /// A policy's command: remembered for ever.
    #[must_use]
    pub fn policy(policy: &str, cause: Uuid, aggregate_id: &str) -> Self {
        Self {
            scope: format!("policy:{policy}"),
            key: cause.to_string(),
            request: Vec::new(),
            outcome: Outcome {
                status: 0,
                aggregate_id: aggregate_id.to_owned(),
            },
            expires_at: None,
            cause: Some(cause),
        }
    }

    /// The form the log stores: HMACs of key and request.
    pub(crate) fn hashed(&self, secret: &Secret) -> CommandId {
        let outcome = serde_json::json!({
            "status": self.outcome.status,
            "aggregate_id": self.outcome.aggregate_id,
        });
        CommandId {
            key: self.hashed_key(secret),
            request: secret.hmac(&self.request).to_vec(),
            outcome: outcome.to_string(),
            expires_at: self.expires_at,
        }
    }

    /// HMAC of scope and key, after the cause if there is one.
    pub(crate) fn hashed_key(&self, secret: &Secret) -> Vec<u8> {
        let mut key = self
            .cause
            .map_or_else(Vec::new, |cause| cause.as_bytes().to_vec());
        key.extend(secret.hmac(format!("{}\u{0}{}", self.scope, self.key).as_bytes()));
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_for_ever_is_kept_in_the_order_of_its_causes() {
        let secret = Secret::new([7; 32]);
        let causes = (1..100).map(|number| Uuid::from_u128(number << 64));
        let keys: Vec<_> = causes
            .map(|cause| Remember::policy("p", cause, "a").hashed_key(&secret))
            .collect();
        assert!(keys.is_sorted_by(|one, next| one < next));
        let other = Remember::policy("q", Uuid::from_u128(1 << 64), "a").hashed_key(&secret);
        assert_ne!(keys[0], other, "each policy reacts to a cause once");
    }
}
