//! The rules of an account.

use chrono::{DateTime, Duration, Utc};

use super::command::AccountCommand;
use super::error::AccountError;
use super::event::{
    AccountEvent, PasswordCredentials, RecoveryCodeCredentials, Registrant, TwoFactorCredentials,
    UsedRecoveryCode,
};
use super::state::{Account, SecondFactor, Situation};
use super::value::{StaffRole, Username};
use crate::aggregate::{Aggregate, KeyScope};
use crate::claim::{Claim, ClaimChange};
use crate::id::AccountId;
use crate::personal::Personal;

/// The scope in which usernames are claimed.
pub const USERNAME_SCOPE: &str = "identity.username";

/// Days for which a given-up username stays reserved.
pub const USERNAME_RESERVED_DAYS: i64 = 90;

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
