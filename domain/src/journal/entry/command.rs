//! What can be asked of an entry.

use chrono::{DateTime, NaiveDate, Utc};

use super::value::{EntryBody, Patch};
use crate::id::{AccountId, EntryId};

/// A request to an entry. Those of a member name the account that asks.
#[derive(Debug, Clone, PartialEq)]
pub enum EntryCommand {
    /// Write a new entry.
    Write {
        /// The entry's own id, new.
        entry_id: EntryId,
        /// Who writes.
        account_id: AccountId,
        /// What is written.
        body: Box<EntryBody>,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Change what is written. A change that leaves the same body changes nothing.
    Revise {
        /// Who asks.
        account_id: AccountId,
        /// The revision the client has read; `None` when it does not say.
        expected: Option<u32>,
        /// What becomes of the body.
        change: Change,
        /// Today in the member's time zone.
        today: NaiveDate,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Delete the entry, restorable for [`super::RESTORABLE_FOR`].
    Delete {
        /// Who asks.
        account_id: AccountId,
        /// The revision the client has read; `None` when it does not say.
        expected: Option<u32>,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Take a deletion back.
    Restore {
        /// Who asks.
        account_id: AccountId,
        /// The present time.
        now: DateTime<Utc>,
    },
    /// Erase the entry for ever: asked by the purge alone, whatever state the entry is in.
    Erase {
        /// The present time.
        now: DateTime<Utc>,
    },
}

/// What becomes of an entry's body.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Another body takes its place.
    Replace(Box<EntryBody>),
    /// Single fields change (RFC 7396).
    Merge(Box<Patch>),
}
