//! What an account's events add up to.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::command::Actor;
use super::error::AccountError;
use super::event::{AccountEvent, PasswordCredentials, RecoveryCodeCredentials, Registrant};
use super::value::{
    EmailAddress, PasswordHash, RecoveryCodeHash, Role, StaffRole, TotpSecret, Username,
};
use crate::id::AccountId;
use crate::personal::Personal;

/// One person, as their account's events tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub(super) sequence: u64,
    pub(super) epoch: u64,
    pub(super) session_floor: u64,
    pub(super) situation: Situation,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Situation {
    #[default]
    Unregistered,
    Active(Member),
    Suspended(Member),
    DeletionRequested {
        member: Member,
        purge_after: DateTime<Utc>,
        suspended: bool,
    },
    Erasing(AccountId),
    Erased(AccountId),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) account_id: AccountId,
    pub(super) registered_at: DateTime<Utc>,
    pub(super) username: Option<Username>,
    pub(super) email: Option<EmailAddress>,
    pub(super) password_hash: Option<PasswordHash>,
    pub(super) roles: BTreeSet<StaffRole>,
    pub(super) second_factor: SecondFactor,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum SecondFactor {
    #[default]
    Off,
    SetUp(Option<TotpSecret>),
    On {
        secret: Option<TotpSecret>,
        recovery_codes: Vec<RecoveryCodeHash>,
    },
}

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// No event yet.
    Unregistered,
    /// In good standing.
    Active,
    /// Shut out by staff.
    Suspended,
    /// Hidden; can be restored until erasure starts.
    DeletionRequested,
    /// No way back.
    Erasing,
    /// Nothing is left but tombstones.
    Erased,
}

impl Account {
    /// Where the account stands.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.situation {
            Situation::Unregistered => Status::Unregistered,
            Situation::Active(_) => Status::Active,
            Situation::Suspended(_) => Status::Suspended,
            Situation::DeletionRequested { .. } => Status::DeletionRequested,
            Situation::Erasing(_) => Status::Erasing,
            Situation::Erased(_) => Status::Erased,
        }
    }

    /// The sequence of the last event folded; 0 before registration.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The sequence of the last event that made earlier access tokens worthless; 0 when none did.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The sequence of the last event that ended all sessions; 0 when none did. A session that was
    /// started on an account below this sequence is over, whether or not its own stream says so yet.
    #[must_use]
    pub fn session_floor(&self) -> u64 {
        self.session_floor
    }

    /// The username; `None` before registration and from the start of erasure on.
    #[must_use]
    pub fn username(&self) -> Option<&Username> {
        self.living().ok()?.username.as_ref()
    }

    /// The e-mail address; `None` before registration and from the start of erasure on.
    #[must_use]
    pub fn email(&self) -> Option<&EmailAddress> {
        self.living().ok()?.email.as_ref()
    }

    /// The hash of the password in force.
    #[must_use]
    pub fn password_hash(&self) -> Option<&str> {
        Some(self.living().ok()?.password_hash.as_ref()?.as_str())
    }

    /// When the account was registered; `None` once erasure has started.
    #[must_use]
    pub fn registered_at(&self) -> Option<DateTime<Utc>> {
        Some(self.living().ok()?.registered_at)
    }

    /// Whether a login needs a second factor.
    #[must_use]
    pub fn two_factor_is_on(&self) -> bool {
        self.living()
            .is_ok_and(|member| member.second_factor.is_on())
    }

    /// The secret of the second factor that is on.
    #[must_use]
    pub fn two_factor_secret(&self) -> Option<&TotpSecret> {
        match &self.living().ok()?.second_factor {
            SecondFactor::On { secret, .. } => secret.as_ref(),
            SecondFactor::Off | SecondFactor::SetUp(_) => None,
        }
    }

    /// The secret that waits to be confirmed.
    #[must_use]
    pub fn pending_two_factor_secret(&self) -> Option<&TotpSecret> {
        match &self.living().ok()?.second_factor {
            SecondFactor::SetUp(secret) => secret.as_ref(),
            SecondFactor::Off | SecondFactor::On { .. } => None,
        }
    }

    /// The hashes of the recovery codes that are left.
    #[must_use]
    pub fn recovery_codes(&self) -> &[RecoveryCodeHash] {
        match self.living().map(|member| &member.second_factor) {
            Ok(SecondFactor::On { recovery_codes, .. }) => recovery_codes,
            _ => &[],
        }
    }

    /// The staff roles the account has been given, whether or not they work at present.
    #[must_use]
    pub fn staff_roles(&self) -> Vec<StaffRole> {
        self.living()
            .map(|member| member.roles.iter().copied().collect())
            .unwrap_or_default()
    }

    /// What the account may do at present: member while it is active, its staff roles while the second
    /// factor is on as well.
    #[must_use]
    pub fn effective_roles(&self) -> Vec<Role> {
        let Ok(member) = self.active() else {
            return Vec::new();
        };
        let mut roles = vec![Role::Member];
        if member.second_factor.is_on() {
            roles.extend(member.roles.iter().copied().map(Role::from));
        }
        roles
    }

    /// From when on erasure may start, while deletion is pending.
    #[must_use]
    pub fn purge_after(&self) -> Option<DateTime<Utc>> {
        match self.situation {
            Situation::DeletionRequested { purge_after, .. } => Some(purge_after),
            _ => None,
        }
    }

    /// The member of an account that erasure has not reached.
    pub(super) fn living(&self) -> Result<&Member, AccountError> {
        match &self.situation {
            Situation::Active(member)
            | Situation::Suspended(member)
            | Situation::DeletionRequested { member, .. } => Ok(member),
            Situation::Erasing(_) => Err(AccountError::ErasureStarted),
            Situation::Unregistered | Situation::Erased(_) => Err(AccountError::NotFound),
        }
    }

    /// The member of an account in good standing.
    pub(super) fn active(&self) -> Result<&Member, AccountError> {
        match &self.situation {
            Situation::Suspended(_) => Err(AccountError::Suspended),
            Situation::DeletionRequested { purge_after, .. } => {
                Err(AccountError::DeletionPending {
                    purge_after: *purge_after,
                })
            }
            _ => self.living(),
        }
    }

    pub(super) fn member_mut(&mut self) -> Option<&mut Member> {
        match &mut self.situation {
            Situation::Active(member)
            | Situation::Suspended(member)
            | Situation::DeletionRequested { member, .. } => Some(member),
            Situation::Unregistered | Situation::Erasing(_) | Situation::Erased(_) => None,
        }
    }

    pub(super) fn is_suspended(&self) -> bool {
        matches!(
            self.situation,
            Situation::Suspended(_)
                | Situation::DeletionRequested {
                    suspended: true,
                    ..
                }
        )
    }

    pub(super) fn fold(&mut self, event: AccountEvent) {
        self.sequence += 1;
        if event.moves_epoch() {
            self.epoch = self.sequence;
        }
        if event.ends_sessions() {
            self.session_floor = self.sequence;
        }
        match event {
            AccountEvent::AccountRegistered {
                account_id,
                registered_at,
                member,
                credentials,
            } => {
                let (username, email) = match member {
                    Personal::Known(Registrant {
                        username, email, ..
                    }) => (Some(username), Some(email)),
                    Personal::Erased => (None, None),
                };
                self.situation = Situation::Active(Member {
                    account_id,
                    registered_at,
                    username,
                    email,
                    password_hash: password_hash(credentials),
                    roles: BTreeSet::new(),
                    second_factor: SecondFactor::Off,
                });
            }
            AccountEvent::ErasureStarted { account_id, .. } => {
                self.situation = Situation::Erasing(account_id);
            }
            AccountEvent::AccountErased { account_id, .. } => {
                self.situation = Situation::Erased(account_id);
            }
            AccountEvent::AccountSuspended { .. }
            | AccountEvent::AccountReinstated { .. }
            | AccountEvent::DeletionRequested { .. }
            | AccountEvent::AccountRestored { .. } => {
                self.situation = std::mem::take(&mut self.situation).after(&event);
            }
            _ => {
                if let Some(member) = self.member_mut() {
                    member.fold(event);
                }
            }
        }
    }
}

impl Situation {
    /// The standing that follows from a change of standing.
    pub(super) fn after(self, event: &AccountEvent) -> Self {
        let (member, pending, suspended) = match self {
            Self::Active(member) => (member, None, false),
            Self::Suspended(member) => (member, None, true),
            Self::DeletionRequested {
                member,
                purge_after,
                suspended,
            } => (member, Some(purge_after), suspended),
            Self::Unregistered | Self::Erasing(_) | Self::Erased(_) => return self,
        };
        let suspended = match event {
            AccountEvent::AccountSuspended { .. } => true,
            AccountEvent::AccountReinstated { .. } => false,
            _ => suspended,
        };
        let pending = match event {
            AccountEvent::DeletionRequested { purge_after, .. } => Some(*purge_after),
            AccountEvent::AccountRestored { .. } => None,
            _ => pending,
        };
        match (pending, suspended) {
            (Some(purge_after), suspended) => Self::DeletionRequested {
                member,
                purge_after,
                suspended,
            },
            (None, true) => Self::Suspended(member),
            (None, false) => Self::Active(member),
        }
    }
}

impl Member {
    pub(super) fn fold(&mut self, event: AccountEvent) {
        match event {
            AccountEvent::PasswordRehashed { credentials, .. }
            | AccountEvent::PasswordChanged { credentials, .. } => {
                self.password_hash = password_hash(credentials);
            }
            AccountEvent::TwoFactorSetUp { credentials, .. } => {
                let secret = credentials.into_known().map(|known| known.secret);
                self.second_factor = SecondFactor::SetUp(secret);
            }
            AccountEvent::TwoFactorConfirmed { credentials, .. } => {
                let secret = match std::mem::take(&mut self.second_factor) {
                    SecondFactor::SetUp(secret) | SecondFactor::On { secret, .. } => secret,
                    SecondFactor::Off => None,
                };
                self.second_factor = SecondFactor::On {
                    secret,
                    recovery_codes: recovery_codes(credentials),
                };
            }
            AccountEvent::RecoveryCodesRegenerated { credentials, .. } => {
                if let SecondFactor::On {
                    recovery_codes: left,
                    ..
                } = &mut self.second_factor
                {
                    *left = recovery_codes(credentials);
                }
            }
            AccountEvent::RecoveryCodeUsed { credentials, .. } => {
                if let (SecondFactor::On { recovery_codes, .. }, Personal::Known(used)) =
                    (&mut self.second_factor, credentials)
                {
                    recovery_codes.retain(|code| *code != used.recovery_code);
                }
            }
            AccountEvent::TwoFactorDisabled { .. } => self.second_factor = SecondFactor::Off,
            AccountEvent::RoleGranted { role, .. } => {
                self.roles.insert(role);
            }
            AccountEvent::RoleRevoked { role, .. } => {
                self.roles.remove(&role);
            }
            AccountEvent::LoggedOutEverywhere { .. }
            | AccountEvent::AccountRegistered { .. }
            | AccountEvent::AccountSuspended { .. }
            | AccountEvent::AccountReinstated { .. }
            | AccountEvent::DeletionRequested { .. }
            | AccountEvent::AccountRestored { .. }
            | AccountEvent::ErasureStarted { .. }
            | AccountEvent::AccountErased { .. } => {}
        }
    }

    pub(super) fn keep_an_admin(&self, is_last_admin: bool) -> Result<(), AccountError> {
        if is_last_admin && self.roles.contains(&StaffRole::Admin) {
            return Err(AccountError::LastAdmin);
        }
        Ok(())
    }

    pub(super) fn keep_off_own_roles(&self, actor: Actor) -> Result<(), AccountError> {
        if actor == Actor::Account(self.account_id) {
            return Err(AccountError::OwnRoles);
        }
        Ok(())
    }
}

impl SecondFactor {
    pub(super) fn is_on(&self) -> bool {
        matches!(self, Self::On { .. })
    }
}

pub(super) fn password_hash(credentials: Personal<PasswordCredentials>) -> Option<PasswordHash> {
    credentials.into_known().map(|known| known.password_hash)
}

pub(super) fn recovery_codes(
    credentials: Personal<RecoveryCodeCredentials>,
) -> Vec<RecoveryCodeHash> {
    credentials
        .into_known()
        .map(|known| known.recovery_codes)
        .unwrap_or_default()
}
