//! One person: credentials, roles, second factor, suspension, and the way from registration to erasure.
//!
//! `Unregistered → Active ⇄ Suspended`, from either of the two `→ DeletionRequested` and back while the
//! grace lasts, then `→ Erasing → Erased`, from where nothing returns.
//!
//! The username is a [claim](USERNAME_SCOPE), taken in the append that registers. It is given up when
//! erasure starts, while the account still knows it, and stays reserved for
//! [`USERNAME_RESERVED_DAYS`] more, so that nobody steps into a departed member's name at once and no
//! trace of the name is kept for ever.

mod aggregate;
mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;
mod value;

pub use aggregate::{USERNAME_RESERVED_DAYS, USERNAME_SCOPE};
pub use command::{AccountCommand, Actor};
pub use error::AccountError;
pub use event::{
    AccountEvent, PasswordCredentials, RecoveryCodeCredentials, Registrant, TwoFactorCredentials,
    UsedRecoveryCode,
};
pub use state::{Account, Status};
pub use value::{
    Age, DisposableDomains, EmailAddress, Gender, Password, PasswordHash, PersonName, Reason,
    RecoveryCodeHash, Role, StaffRole, TotpSecret, Username,
};
