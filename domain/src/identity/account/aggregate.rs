//! The rules of an account.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::command::{AccountCommand, Actor};
use super::error::AccountError;
use super::event::{
    AccountEvent, PasswordCredentials, RecoveryCodeCredentials, Registrant, TwoFactorCredentials,
    UsedRecoveryCode,
};
use super::value::{
    EmailAddress, PasswordHash, RecoveryCodeHash, Role, StaffRole, TotpSecret, Username,
};
use crate::aggregate::{Aggregate, KeyScope};
use crate::claim::{Claim, ClaimChange};
use crate::id::AccountId;
use crate::personal::Personal;

/// The scope in which usernames are claimed.
pub const USERNAME_SCOPE: &str = "identity.username";

/// Days for which a given-up username stays reserved.
pub const USERNAME_RESERVED_DAYS: i64 = 90;

/// One person, as their account's events tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    sequence: u64,
    epoch: u64,
    session_floor: u64,
    situation: Situation,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
enum Situation {
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
struct Member {
    account_id: AccountId,
    registered_at: DateTime<Utc>,
    username: Option<Username>,
    email: Option<EmailAddress>,
    password_hash: Option<PasswordHash>,
    roles: BTreeSet<StaffRole>,
    second_factor: SecondFactor,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
enum SecondFactor {
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
    fn living(&self) -> Result<&Member, AccountError> {
        match &self.situation {
            Situation::Active(member)
            | Situation::Suspended(member)
            | Situation::DeletionRequested { member, .. } => Ok(member),
            Situation::Erasing(_) => Err(AccountError::ErasureStarted),
            Situation::Unregistered | Situation::Erased(_) => Err(AccountError::NotFound),
        }
    }

    /// The member of an account in good standing.
    fn active(&self) -> Result<&Member, AccountError> {
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

    fn member_mut(&mut self) -> Option<&mut Member> {
        match &mut self.situation {
            Situation::Active(member)
            | Situation::Suspended(member)
            | Situation::DeletionRequested { member, .. } => Some(member),
            Situation::Unregistered | Situation::Erasing(_) | Situation::Erased(_) => None,
        }
    }

    fn is_suspended(&self) -> bool {
        matches!(
            self.situation,
            Situation::Suspended(_)
                | Situation::DeletionRequested {
                    suspended: true,
                    ..
                }
        )
    }

    fn fold(&mut self, event: AccountEvent) {
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
    fn after(self, event: &AccountEvent) -> Self {
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
    fn fold(&mut self, event: AccountEvent) {
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

    fn keep_an_admin(&self, is_last_admin: bool) -> Result<(), AccountError> {
        if is_last_admin && self.roles.contains(&StaffRole::Admin) {
            return Err(AccountError::LastAdmin);
        }
        Ok(())
    }

    fn keep_off_own_roles(&self, actor: Actor) -> Result<(), AccountError> {
        if actor == Actor::Account(self.account_id) {
            return Err(AccountError::OwnRoles);
        }
        Ok(())
    }
}

impl SecondFactor {
    fn is_on(&self) -> bool {
        matches!(self, Self::On { .. })
    }
}

fn password_hash(credentials: Personal<PasswordCredentials>) -> Option<PasswordHash> {
    credentials.into_known().map(|known| known.password_hash)
}

fn recovery_codes(credentials: Personal<RecoveryCodeCredentials>) -> Vec<RecoveryCodeHash> {
    credentials
        .into_known()
        .map(|known| known.recovery_codes)
        .unwrap_or_default()
}

/// `time` and `by` more; the end of time when that is further.
fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    time.checked_add_signed(by)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

crate::aggregate!(
    Account,
    "account",
    AccountCommand,
    AccountEvent,
    AccountError
);

impl Aggregate for Account {
    const KEY_SCOPE: KeyScope = KeyScope::Subject;

    #[expect(
        clippy::too_many_lines,
        reason = "one match holds all the rules, so that they are read on one page"
    )]
    fn decide(&self, command: &AccountCommand) -> Result<Vec<AccountEvent>, AccountError> {
        let event = match (&self.situation, command) {
            (
                Situation::Unregistered,
                AccountCommand::Register {
                    account_id,
                    username,
                    email,
                    password_hash,
                    first_name,
                    last_name,
                    age,
                    gender,
                    now,
                },
            ) => AccountEvent::AccountRegistered {
                account_id: *account_id,
                registered_at: *now,
                member: Personal::Known(Registrant {
                    username: username.clone(),
                    email: email.clone(),
                    first_name: first_name.clone(),
                    last_name: last_name.clone(),
                    birth_year: age.map(|age| age.birth_year(*now)),
                    gender: *gender,
                }),
                credentials: Personal::Known(PasswordCredentials {
                    password_hash: password_hash.clone(),
                }),
            },
            (_, AccountCommand::Register { .. }) => return Err(AccountError::AlreadyRegistered),

            (
                _,
                AccountCommand::RecordPasswordRehash {
                    replaces,
                    password_hash,
                    now,
                },
            ) => {
                if self.password_hash() != Some(replaces.as_str()) || replaces == password_hash {
                    return Ok(Vec::new());
                }
                AccountEvent::PasswordRehashed {
                    rehashed_at: *now,
                    credentials: Personal::Known(PasswordCredentials {
                        password_hash: password_hash.clone(),
                    }),
                }
            }
            (_, AccountCommand::ChangePassword { password_hash, now }) => {
                self.active()?;
                AccountEvent::PasswordChanged {
                    changed_at: *now,
                    credentials: Personal::Known(PasswordCredentials {
                        password_hash: password_hash.clone(),
                    }),
                }
            }
            (_, AccountCommand::LogOutEverywhere { now }) => {
                self.active()?;
                AccountEvent::LoggedOutEverywhere {
                    logged_out_at: *now,
                }
            }

            (_, AccountCommand::SetUpTwoFactor { secret, now }) => {
                if self.active()?.second_factor.is_on() {
                    return Err(AccountError::TwoFactorOn);
                }
                AccountEvent::TwoFactorSetUp {
                    set_up_at: *now,
                    credentials: Personal::Known(TwoFactorCredentials {
                        secret: secret.clone(),
                    }),
                }
            }
            (
                _,
                AccountCommand::ConfirmTwoFactor {
                    secret,
                    recovery_codes,
                    now,
                },
            ) => match &self.active()?.second_factor {
                SecondFactor::On { .. } => return Err(AccountError::TwoFactorOn),
                SecondFactor::SetUp(Some(pending)) if pending == secret => {
                    AccountEvent::TwoFactorConfirmed {
                        confirmed_at: *now,
                        credentials: Personal::Known(RecoveryCodeCredentials {
                            recovery_codes: recovery_codes.clone(),
                        }),
                    }
                }
                SecondFactor::SetUp(_) | SecondFactor::Off => {
                    return Err(AccountError::TwoFactorNotSetUp);
                }
            },
            // a login in the grace may need one to reach the restore token
            (_, AccountCommand::UseRecoveryCode { code, now }) => {
                match &self.living()?.second_factor {
                    SecondFactor::On { recovery_codes, .. } if recovery_codes.contains(code) => {
                        AccountEvent::RecoveryCodeUsed {
                            used_at: *now,
                            credentials: Personal::Known(UsedRecoveryCode {
                                recovery_code: code.clone(),
                            }),
                        }
                    }
                    SecondFactor::On { .. } => return Err(AccountError::CodeRefused),
                    SecondFactor::SetUp(_) | SecondFactor::Off => {
                        return Err(AccountError::TwoFactorOff);
                    }
                }
            }
            (
                _,
                AccountCommand::RegenerateRecoveryCodes {
                    recovery_codes,
                    now,
                },
            ) => {
                if !self.active()?.second_factor.is_on() {
                    return Err(AccountError::TwoFactorOff);
                }
                AccountEvent::RecoveryCodesRegenerated {
                    regenerated_at: *now,
                    credentials: Personal::Known(RecoveryCodeCredentials {
                        recovery_codes: recovery_codes.clone(),
                    }),
                }
            }
            (_, AccountCommand::DisableTwoFactor { now }) => {
                if self.active()?.second_factor == SecondFactor::Off {
                    return Ok(Vec::new());
                }
                AccountEvent::TwoFactorDisabled { disabled_at: *now }
            }

            (
                _,
                AccountCommand::GrantRole {
                    role,
                    actor,
                    reason,
                    now,
                },
            ) => {
                let member = self.active()?;
                member.keep_off_own_roles(*actor)?;
                if member.roles.contains(role) {
                    return Ok(Vec::new());
                }
                AccountEvent::RoleGranted {
                    granted_at: *now,
                    role: *role,
                    reason: Personal::Known(reason.clone()),
                }
            }
            (
                _,
                AccountCommand::RevokeRole {
                    role,
                    actor,
                    reason,
                    is_last_admin,
                    now,
                },
            ) => {
                let member = self.living()?;
                member.keep_off_own_roles(*actor)?;
                if !member.roles.contains(role) {
                    return Ok(Vec::new());
                }
                member.keep_an_admin(*is_last_admin && *role == StaffRole::Admin)?;
                AccountEvent::RoleRevoked {
                    revoked_at: *now,
                    role: *role,
                    reason: Personal::Known(reason.clone()),
                }
            }
            (
                _,
                AccountCommand::Suspend {
                    reason,
                    is_last_admin,
                    now,
                },
            ) => {
                let member = self.living()?;
                if self.is_suspended() {
                    return Ok(Vec::new());
                }
                member.keep_an_admin(*is_last_admin)?;
                AccountEvent::AccountSuspended {
                    suspended_at: *now,
                    reason: Personal::Known(reason.clone()),
                }
            }
            (_, AccountCommand::Reinstate { reason, now }) => {
                self.living()?;
                if !self.is_suspended() {
                    return Ok(Vec::new());
                }
                AccountEvent::AccountReinstated {
                    reinstated_at: *now,
                    reason: Personal::Known(reason.clone()),
                }
            }

            (
                situation,
                AccountCommand::RequestDeletion {
                    grace,
                    is_last_admin,
                    now,
                },
            ) => {
                self.living()?.keep_an_admin(*is_last_admin)?;
                let requested = later(*now, *grace);
                if let Situation::DeletionRequested { purge_after, .. } = situation
                    && *purge_after <= requested
                {
                    return Ok(Vec::new());
                }
                AccountEvent::DeletionRequested {
                    requested_at: *now,
                    purge_after: requested,
                }
            }
            (Situation::DeletionRequested { .. }, AccountCommand::RestoreAccount { now }) => {
                AccountEvent::AccountRestored { restored_at: *now }
            }
            (Situation::Erased(_), AccountCommand::RestoreAccount { .. }) => {
                return Err(AccountError::ErasureStarted);
            }
            (
                Situation::DeletionRequested {
                    member,
                    purge_after,
                    ..
                },
                AccountCommand::StartErasure { is_last_admin, now },
            ) => {
                if now < purge_after {
                    return Err(AccountError::GraceNotOver {
                        purge_after: *purge_after,
                    });
                }
                member.keep_an_admin(*is_last_admin)?;
                AccountEvent::ErasureStarted {
                    account_id: member.account_id,
                    started_at: *now,
                }
            }
            (Situation::Erasing(_) | Situation::Erased(_), AccountCommand::StartErasure { .. })
            | (Situation::Erased(_), AccountCommand::FinishErasure { .. }) => {
                return Ok(Vec::new());
            }
            (_, AccountCommand::RestoreAccount { .. } | AccountCommand::StartErasure { .. }) => {
                self.living()?;
                return Err(AccountError::DeletionNotRequested);
            }
            (Situation::Erasing(account_id), AccountCommand::FinishErasure { now }) => {
                AccountEvent::AccountErased {
                    account_id: *account_id,
                    erased_at: *now,
                }
            }
            (_, AccountCommand::FinishErasure { .. }) => {
                self.living()?;
                return Err(AccountError::ErasureNotStarted);
            }
        };
        Ok(vec![event])
    }

    fn subject(&self) -> Option<AccountId> {
        match &self.situation {
            Situation::Unregistered => None,
            Situation::Active(member)
            | Situation::Suspended(member)
            | Situation::DeletionRequested { member, .. } => Some(member.account_id),
            Situation::Erasing(account_id) | Situation::Erased(account_id) => Some(*account_id),
        }
    }

    fn claims(&self, event: &AccountEvent) -> Vec<ClaimChange> {
        let claim = |name: &Username| Claim::new(USERNAME_SCOPE, name.as_str());
        match event {
            AccountEvent::AccountRegistered { member, .. } => member
                .known()
                .map(|registrant| ClaimChange::Take(claim(&registrant.username)))
                .into_iter()
                .collect(),
            AccountEvent::ErasureStarted {
                account_id,
                started_at,
            } => {
                let free_at = later(*started_at, Duration::days(USERNAME_RESERVED_DAYS));
                let release = self
                    .username()
                    .map(|name| ClaimChange::ReleaseAt(claim(name), free_at));
                std::iter::once(ClaimChange::Erase(*account_id))
                    .chain(release)
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn claim_taken(scope: &str, _holder: &str) -> Option<AccountError> {
        (scope == USERNAME_SCOPE).then_some(AccountError::UsernameTaken)
    }

    fn erases(event: &AccountEvent) -> bool {
        matches!(
            event,
            AccountEvent::ErasureStarted { .. } | AccountEvent::AccountErased { .. }
        )
    }
}
