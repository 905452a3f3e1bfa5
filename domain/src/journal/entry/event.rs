//! What happened to an entry.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::derived::Derived;
use super::value::EntryBody;
use crate::id::{AccountId, EntryId};
use crate::personal::Personal;

/// A fact about an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EntryEvent {
    /// A member wrote an entry; this is its revision 1.
    EntryWritten {
        /// The entry.
        entry_id: EntryId,
        /// The member.
        account_id: AccountId,
        /// When.
        written_at: DateTime<Utc>,
        /// What was written.
        body: Personal<EntryBody>,
        /// What was computed from it.
        derived: Personal<Derived>,
    },
    /// The member changed the entry.
    EntryRevised {
        /// Number of this revision, from 2, one more than the one before.
        revision: u32,
        /// When.
        revised_at: DateTime<Utc>,
        /// The whole body after the change.
        body: Personal<EntryBody>,
        /// What was computed from it.
        derived: Personal<Derived>,
    },
    /// The member deleted the entry.
    EntryDeleted {
        /// When.
        deleted_at: DateTime<Utc>,
        /// Until then, not including it, the entry can be restored.
        restorable_until: DateTime<Utc>,
    },
    /// The member took the deletion back.
    EntryRestored {
        /// When.
        restored_at: DateTime<Utc>,
    },
    /// The entry's words are gone for ever.
    EntryErased {
        /// When.
        erased_at: DateTime<Utc>,
    },
}

crate::event_types!(EntryEvent {
    EntryWritten: "entry_written" 1,
    EntryRevised: "entry_revised" 1,
    EntryDeleted: "entry_deleted" 1,
    EntryRestored: "entry_restored" 1,
    EntryErased: "entry_erased" 1,
});
