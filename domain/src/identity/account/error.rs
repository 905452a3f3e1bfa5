//! Why an account says no.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

use crate::rejection::{Kind, Rejection};

/// Why an account says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Never registered, or erased.
    #[error("there is no such account")]
    NotFound,
    /// The id is in use.
    #[error("this account is registered already")]
    AlreadyRegistered,
    /// Another account has this username, or had it until lately.
    #[error("this username is taken")]
    UsernameTaken,
    /// Staff shut the member out.
    #[error("this account is suspended")]
    Suspended,
    /// The member asked for deletion and can still restore the account.
    #[error("this account is about to be deleted")]
    DeletionPending {
        /// Until when it can be restored.
        purge_after: DateTime<Utc>,
    },
    /// Nobody asked for deletion.
    #[error("no deletion of this account is pending")]
    DeletionNotRequested,
    /// Erasure may not start yet.
    #[error("the account can still be restored")]
    GraceNotOver {
        /// Until when.
        purge_after: DateTime<Utc>,
    },
    /// The point of no return is behind.
    #[error("the erasure of this account has started")]
    ErasureStarted,
    /// Erasure cannot end before it starts.
    #[error("the erasure of this account has not started")]
    ErasureNotStarted,
    /// Nobody would be left to run the house.
    #[error("this is the last admin")]
    LastAdmin,
    /// Nobody changes their own roles.
    #[error("nobody changes their own roles")]
    OwnRoles,
    /// Setting up again would lock the member's generator out.
    #[error("the second factor is on already")]
    TwoFactorOn,
    /// There is none to use or to renew.
    #[error("the second factor is off")]
    TwoFactorOff,
    /// What was confirmed is not what is being set up.
    #[error("this second factor is not being set up")]
    TwoFactorNotSetUp,
    /// Not one of the codes that are left.
    #[error("this code is not accepted")]
    CodeRefused,
}

impl Rejection for AccountError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "identity.account_not_found",
            Self::AlreadyRegistered => "identity.already_registered",
            Self::UsernameTaken => "identity.username_taken",
            Self::Suspended => "identity.suspended",
            Self::DeletionPending { .. } => "identity.deletion_pending",
            Self::DeletionNotRequested => "identity.deletion_not_requested",
            Self::GraceNotOver { .. } => "identity.grace_not_over",
            Self::ErasureStarted => "identity.erasure_started",
            Self::ErasureNotStarted => "identity.erasure_not_started",
            Self::LastAdmin => "identity.last_admin",
            Self::OwnRoles => "identity.own_roles",
            Self::TwoFactorOn => "identity.two_factor_on",
            Self::TwoFactorOff => "identity.two_factor_off",
            Self::TwoFactorNotSetUp => "identity.two_factor_not_set_up",
            Self::CodeRefused => "identity.code_refused",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Suspended | Self::DeletionPending { .. } | Self::OwnRoles => Kind::Forbidden,
            Self::CodeRefused => Kind::Unauthenticated,
            Self::AlreadyRegistered
            | Self::UsernameTaken
            | Self::DeletionNotRequested
            | Self::GraceNotOver { .. }
            | Self::ErasureStarted
            | Self::ErasureNotStarted
            | Self::LastAdmin
            | Self::TwoFactorOn
            | Self::TwoFactorOff
            | Self::TwoFactorNotSetUp => Kind::Conflict,
        }
    }

    fn extensions(&self) -> Map<String, Value> {
        match self {
            Self::DeletionPending { purge_after } | Self::GraceNotOver { purge_after } => {
                let time = purge_after.to_rfc3339_opts(SecondsFormat::Secs, true);
                Map::from_iter([("purge_after".to_owned(), Value::String(time))])
            }
            _ => Map::new(),
        }
    }
}
