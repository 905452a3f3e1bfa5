//! One signed-in device: a family of refresh secrets, each good for one use.
//!
//! A refresh spends the current secret and puts its successor in its place. The successor is derived from
//! the spent secret, so a spent secret that comes again within [`REPLAY_WINDOW_SECONDS`], while its
//! successor is unused, is taken for a reply that got lost: nothing is appended, and the caller derives
//! the same successor again. Every other spent secret that comes again was stolen at one end or the
//! other: the family is revoked.
//!
//! Only secrets that this family really issued count as spent, however old, so that who knows no more
//! than a session's id cannot end it. All of them are kept in the state: a family lives
//! [`FAMILY_DAYS`], which at one refresh each access-token lifetime is less than nine thousand hashes.

mod aggregate;
mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;
mod value;

pub use aggregate::{FAMILY_DAYS, IDLE_DAYS, REPLAY_WINDOW_SECONDS, Session, SessionStatus};
pub use command::SessionCommand;
pub use error::SessionError;
pub use event::{Device, RefreshCredentials, Revocation, SessionEvent};
pub use value::{DeviceLabel, RefreshHash, UserAgent};
