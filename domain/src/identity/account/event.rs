//! What has happened to an account.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::value::{
    EmailAddress, Gender, PasswordHash, PersonName, Reason, RecoveryCodeHash, StaffRole,
    TotpSecret, Username,
};
use crate::event_types;
use crate::id::AccountId;
use crate::personal::Personal;

/// What a member says about themselves at registration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registrant {
    /// The public name.
    pub username: Username,
    /// Not verified yet.
    pub email: EmailAddress,
    /// For the profile.
    pub first_name: PersonName,
    /// For the profile.
    pub last_name: Option<PersonName>,
    /// Calendar year, computed from the age given; right within a year.
    pub birth_year: Option<i32>,
    /// For the profile.
    pub gender: Option<Gender>,
}

/// The credential of a password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PasswordCredentials {
    /// argon2id, PHC form.
    pub password_hash: PasswordHash,
}

/// The credential of a second factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TwoFactorCredentials {
    /// Shared with the member's generator.
    pub secret: TotpSecret,
}

/// The recovery codes in force from the event on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoveryCodeCredentials {
    /// One hash a code.
    pub recovery_codes: Vec<RecoveryCodeHash>,
}

/// The recovery code that was used up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsedRecoveryCode {
    /// Its hash.
    pub recovery_code: RecoveryCodeHash,
}

/// What has happened to an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AccountEvent {
    /// The account exists, and its member is a data subject.
    AccountRegistered {
        /// The stream's own id.
        account_id: AccountId,
        /// When.
        registered_at: DateTime<Utc>,
        /// Who.
        member: Personal<Registrant>,
        /// How they prove it.
        credentials: Personal<PasswordCredentials>,
    },
    /// The same password, hashed with today's parameters.
    PasswordRehashed {
        /// When.
        rehashed_at: DateTime<Utc>,
        /// The new hash.
        credentials: Personal<PasswordCredentials>,
    },
    /// Another password; every session has ended.
    PasswordChanged {
        /// When.
        changed_at: DateTime<Utc>,
        /// The new hash.
        credentials: Personal<PasswordCredentials>,
    },
    /// Every session has ended.
    LoggedOutEverywhere {
        /// When.
        logged_out_at: DateTime<Utc>,
    },
    /// A second factor waits to be confirmed.
    TwoFactorSetUp {
        /// When.
        set_up_at: DateTime<Utc>,
        /// Its secret, in place of one that was set up before.
        credentials: Personal<TwoFactorCredentials>,
    },
    /// The second factor set up last is on.
    TwoFactorConfirmed {
        /// When.
        confirmed_at: DateTime<Utc>,
        /// What stands in for it when it is lost.
        credentials: Personal<RecoveryCodeCredentials>,
    },
    /// A recovery code is used up.
    RecoveryCodeUsed {
        /// When.
        used_at: DateTime<Utc>,
        /// Which.
        credentials: Personal<UsedRecoveryCode>,
    },
    /// All recovery codes are replaced.
    RecoveryCodesRegenerated {
        /// When.
        regenerated_at: DateTime<Utc>,
        /// By these.
        credentials: Personal<RecoveryCodeCredentials>,
    },
    /// There is no second factor any more, and staff roles do not work.
    TwoFactorDisabled {
        /// When.
        disabled_at: DateTime<Utc>,
    },
    /// A staff role was given.
    RoleGranted {
        /// When.
        granted_at: DateTime<Utc>,
        /// Which.
        role: StaffRole,
        /// Why.
        reason: Personal<Reason>,
    },
    /// A staff role was taken away.
    RoleRevoked {
        /// When.
        revoked_at: DateTime<Utc>,
        /// Which.
        role: StaffRole,
        /// Why.
        reason: Personal<Reason>,
    },
    /// The member is shut out; every session has ended.
    AccountSuspended {
        /// When.
        suspended_at: DateTime<Utc>,
        /// Why.
        reason: Personal<Reason>,
    },
    /// The member may come in again.
    AccountReinstated {
        /// When.
        reinstated_at: DateTime<Utc>,
        /// Why.
        reason: Personal<Reason>,
    },
    /// The account is hidden and will be erased; every session has ended.
    DeletionRequested {
        /// When.
        requested_at: DateTime<Utc>,
        /// Erasure may start from here on.
        purge_after: DateTime<Utc>,
    },
    /// The request for deletion is taken back.
    AccountRestored {
        /// When.
        restored_at: DateTime<Utc>,
    },
    /// No way back: only erasure follows for this subject.
    ErasureStarted {
        /// The subject.
        account_id: AccountId,
        /// When.
        started_at: DateTime<Utc>,
    },
    /// The subject's key is destroyed.
    AccountErased {
        /// The subject.
        account_id: AccountId,
        /// When.
        erased_at: DateTime<Utc>,
    },
}

event_types!(AccountEvent {
    AccountRegistered: "account_registered" 1,
    PasswordRehashed: "password_rehashed" 1,
    PasswordChanged: "password_changed" 1,
    LoggedOutEverywhere: "logged_out_everywhere" 1,
    TwoFactorSetUp: "two_factor_set_up" 1,
    TwoFactorConfirmed: "two_factor_confirmed" 1,
    RecoveryCodeUsed: "recovery_code_used" 1,
    RecoveryCodesRegenerated: "recovery_codes_regenerated" 1,
    TwoFactorDisabled: "two_factor_disabled" 1,
    RoleGranted: "role_granted" 1,
    RoleRevoked: "role_revoked" 1,
    AccountSuspended: "account_suspended" 1,
    AccountReinstated: "account_reinstated" 1,
    DeletionRequested: "deletion_requested" 1,
    AccountRestored: "account_restored" 1,
    ErasureStarted: "erasure_started" 1,
    AccountErased: "account_erased" 1,
});

impl AccountEvent {
    /// The event types after which access tokens issued before are refused: their sequence is the
    /// account's epoch. Whoever follows only the log's clear columns needs no more than this.
    pub const EPOCH_TYPES: &'static [&'static str] = &[
        "password_changed",
        "logged_out_everywhere",
        "two_factor_disabled",
        "role_granted",
        "role_revoked",
        "account_suspended",
        "deletion_requested",
        "erasure_started",
    ];

    /// The event types that also end every session begun before.
    pub const SESSION_ENDING_TYPES: &'static [&'static str] = &[
        "password_changed",
        "logged_out_everywhere",
        "account_suspended",
        "deletion_requested",
        "erasure_started",
    ];

    /// Whether access tokens issued before this event are refused.
    #[must_use]
    pub fn moves_epoch(&self) -> bool {
        self.is_of(Self::EPOCH_TYPES)
    }

    /// Whether every session begun before this event ends with it.
    #[must_use]
    pub fn ends_sessions(&self) -> bool {
        self.is_of(Self::SESSION_ENDING_TYPES)
    }

    fn is_of(&self, types: &[&str]) -> bool {
        types.contains(&cqrs_es::DomainEvent::event_type(self).as_str())
    }
}
