//! What can be asked of an account.

use chrono::{DateTime, Duration, Utc};

use super::value::{
    Age, EmailAddress, Gender, PasswordHash, PersonName, Reason, RecoveryCodeHash, StaffRole,
    TotpSecret, Username,
};
use crate::id::AccountId;

/// Who asks for something to be done to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in account.
    Account(AccountId),
    /// Whoever runs the program on the machine itself.
    Operator,
}

/// What can be asked of an account.
///
/// Passwords and one-time codes are checked before the command is given. `is_last_admin` is a looked-up
/// fact: no *other* account in good standing holds the admin role.
#[derive(Debug, Clone, PartialEq)]
pub enum AccountCommand {
    /// Opens the account.
    Register {
        /// The stream's own id.
        account_id: AccountId,
        /// Claimed in the same append.
        username: Username,
        /// Not claimed until it is verified.
        email: EmailAddress,
        /// Of the chosen password.
        password_hash: PasswordHash,
        /// For the profile.
        first_name: PersonName,
        /// For the profile.
        last_name: Option<PersonName>,
        /// Kept as a year of birth, for the profile.
        age: Option<Age>,
        /// For the profile.
        gender: Option<Gender>,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Replaces the hash of the same password by one with today's parameters. Never refused: it changes
    /// nothing unless `replaces` is still the hash in force.
    RecordPasswordRehash {
        /// The hash the password was just checked against.
        replaces: PasswordHash,
        /// The new one.
        password_hash: PasswordHash,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Sets a new password.
    ChangePassword {
        /// Of the new password.
        password_hash: PasswordHash,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Ends every session at once.
    LogOutEverywhere {
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Starts (again) to set up a second factor.
    SetUpTwoFactor {
        /// A fresh one.
        secret: TotpSecret,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Turns the second factor on.
    ConfirmTwoFactor {
        /// The secret a valid code was just given for; must still be the one being set up.
        secret: TotpSecret,
        /// Ten fresh ones.
        recovery_codes: Vec<RecoveryCodeHash>,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Uses up a recovery code.
    UseRecoveryCode {
        /// Of the code that was presented.
        code: RecoveryCodeHash,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Replaces all recovery codes.
    RegenerateRecoveryCodes {
        /// Ten fresh ones.
        recovery_codes: Vec<RecoveryCodeHash>,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Turns the second factor off, or gives up setting it up.
    DisableTwoFactor {
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Gives a staff role.
    GrantRole {
        /// Which.
        role: StaffRole,
        /// Who gives it.
        actor: Actor,
        /// Why.
        reason: Reason,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Takes a staff role away.
    RevokeRole {
        /// Which.
        role: StaffRole,
        /// Who takes it.
        actor: Actor,
        /// Why.
        reason: Reason,
        /// Looked up.
        is_last_admin: bool,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Shuts the member out.
    Suspend {
        /// Why.
        reason: Reason,
        /// Looked up.
        is_last_admin: bool,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Lets a suspended member in again.
    Reinstate {
        /// Why.
        reason: Reason,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Asks for the account to be erased after `grace`. Asking again can only bring the day nearer.
    RequestDeletion {
        /// How long it can be restored.
        grace: Duration,
        /// Looked up.
        is_last_admin: bool,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Takes the request for deletion back.
    RestoreAccount {
        /// The present time.
        now: DateTime<Utc>,
    },
    /// The point of no return, once the grace is over.
    StartErasure {
        /// Looked up.
        is_last_admin: bool,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// The member's key is destroyed; nothing is left to do.
    FinishErasure {
        /// The present time.
        now: DateTime<Utc>,
    },
}
