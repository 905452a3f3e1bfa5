//! What has happened to a session.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::value::{DeviceLabel, RefreshHash, UserAgent};
use crate::event_types;
use crate::id::{AccountId, SessionId};
use crate::personal::Personal;

/// What is known about a signed-in device.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// What its owner calls it.
    pub label: Option<DeviceLabel>,
    /// Where it signed in from.
    pub ip: Option<IpAddr>,
    /// What it says it is.
    pub user_agent: Option<UserAgent>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Device(…)")
    }
}

/// The refresh secret in force from the event on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefreshCredentials {
    /// Its hash.
    pub secret_hash: RefreshHash,
}

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// Its device logged out.
    Logout,
    /// Its owner ended it from another device.
    RevokedByOwner,
    /// Its owner logged out everywhere.
    LogoutAll,
    /// The password was changed or reset.
    PasswordChanged,
    /// The account was suspended.
    Suspended,
    /// The account is about to be deleted.
    Deletion,
    /// A spent secret came again.
    Replayed,
}

/// What has happened to a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SessionEvent {
    /// A device is signed in.
    SessionStarted {
        /// The stream's own id.
        session_id: SessionId,
        /// Whose device it is.
        account_id: AccountId,
        /// The account's sequence at the time.
        account_sequence: u64,
        /// When.
        started_at: DateTime<Utc>,
        /// The secret is good until then.
        expires_at: DateTime<Utc>,
        /// No successor is good for longer.
        family_expires_at: DateTime<Utc>,
        /// What is known about it.
        device: Personal<Device>,
        /// The first secret.
        credentials: Personal<RefreshCredentials>,
    },
    /// The current secret is spent.
    SessionRefreshed {
        /// When.
        refreshed_at: DateTime<Utc>,
        /// The successor is good until then.
        expires_at: DateTime<Utc>,
        /// The successor.
        credentials: Personal<RefreshCredentials>,
    },
    /// No secret of the family is good any more.
    SessionRevoked {
        /// When.
        revoked_at: DateTime<Utc>,
        /// Why.
        reason: Revocation,
    },
    /// The tombstone of an erased account's session.
    SessionErased {
        /// The stream's own id.
        session_id: SessionId,
        /// The subject.
        account_id: AccountId,
        /// When.
        erased_at: DateTime<Utc>,
    },
}

event_types!(SessionEvent {
    SessionStarted: "session_started" 1,
    SessionRefreshed: "session_refreshed" 1,
    SessionRevoked: "session_revoked" 1,
    SessionErased: "session_erased" 1,
});
