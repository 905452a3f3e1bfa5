//! What can be asked of a session.

use chrono::{DateTime, Utc};

use super::event::{Device, Revocation};
use super::value::RefreshHash;
use crate::id::{AccountId, SessionId};

/// What can be asked of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionCommand {
    /// Signs a device in, after all factors.
    Start {
        /// The stream's own id.
        session_id: SessionId,
        /// Whose device it is.
        account_id: AccountId,
        /// [`Account::sequence`](crate::identity::account::Account::sequence) as it was when the
        /// password was checked.
        account_sequence: u64,
        /// Of the first secret.
        secret_hash: RefreshHash,
        /// What is known about the device.
        device: Device,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Spends a secret for its successor. No event and no rejection means: a lost reply, the same
    /// successor again.
    Refresh {
        /// Of the secret that was presented.
        presented_hash: RefreshHash,
        /// Of the secret derived from it.
        successor_hash: RefreshHash,
        /// [`Account::session_floor`](crate::identity::account::Account::session_floor), looked up.
        session_floor: u64,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Ends the session by what it hands out: any secret of the family will do.
    LogOut {
        /// Of the secret that was presented.
        presented_hash: RefreshHash,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Ends the session for the account.
    Revoke {
        /// Who asks; another's session is not there for them.
        account_id: AccountId,
        /// Why.
        reason: Revocation,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Leaves a tombstone, while the account is being erased.
    Erase {
        /// The present time.
        now: DateTime<Utc>,
    },
}
