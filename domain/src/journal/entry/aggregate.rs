//! The rules of an entry.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::command::{Change, EntryCommand};
use super::derived::Derived;
use super::error::EntryError;
use super::event::EntryEvent;
use super::value::EntryBody;
use crate::aggregate::{Aggregate, KeyScope};
use crate::id::{AccountId, EntryId};
use crate::personal::Personal;

/// How long a deleted entry can be restored.
pub const RESTORABLE_FOR: TimeDelta = TimeDelta::days(30);

/// An entry in one of its situations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum Entry {
    /// Nothing has happened.
    #[default]
    Unwritten,
    /// It can be read and revised.
    Kept(Page),
    /// It is out of sight and can be restored for a while.
    Deleted {
        /// What it was.
        page: Page,
        /// Until then, not including it, it can be restored.
        restorable_until: DateTime<Utc>,
    },
    /// Its words are gone.
    Erased {
        /// Which it was.
        entry_id: EntryId,
        /// Whose it was.
        account_id: AccountId,
    },
}

/// What is known of an entry that has been written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    entry_id: EntryId,
    account_id: AccountId,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: u32,
    body: Personal<EntryBody>,
    derived: Personal<Derived>,
}

/// The situation of an entry, without what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing has happened.
    Unwritten,
    /// It can be read and revised.
    Kept,
    /// It can be restored until then, not including it.
    Deleted {
        /// The end of the time for restoring.
        restorable_until: DateTime<Utc>,
    },
    /// Its words are gone.
    Erased,
}

crate::aggregate!(Entry, "entry", EntryCommand, EntryEvent, EntryError);

impl Aggregate for Entry {
    const KEY_SCOPE: KeyScope = KeyScope::Stream;

    fn decide(&self, command: &EntryCommand) -> Result<Vec<EntryEvent>, EntryError> {
        match (self, command) {
            (
                Self::Unwritten,
                EntryCommand::Write {
                    entry_id,
                    account_id,
                    body,
                    now,
                },
            ) => Ok(vec![EntryEvent::EntryWritten {
                entry_id: *entry_id,
                account_id: *account_id,
                written_at: *now,
                body: Personal::Known(body.as_ref().clone()),
                derived: Personal::Known(Derived::of(body)),
            }]),
            (_, EntryCommand::Write { .. }) => Err(EntryError::AlreadyWritten),

            (
                Self::Kept(page),
                EntryCommand::Revise {
                    account_id,
                    expected,
                    change,
                    today,
                    now,
                },
            ) => {
                page.is_owned_by(*account_id)?;
                page.is_at(*expected)?;
                page.revise(change, *today, *now)
            }
            (
                Self::Kept(page),
                EntryCommand::Delete {
                    account_id,
                    expected,
                    now,
                },
            ) => {
                page.is_owned_by(*account_id)?;
                page.is_at(*expected)?;
                Ok(vec![EntryEvent::EntryDeleted {
                    deleted_at: *now,
                    restorable_until: *now + RESTORABLE_FOR,
                }])
            }
            (Self::Kept(page), EntryCommand::Restore { account_id, .. })
            | (Self::Deleted { page, .. }, EntryCommand::Delete { account_id, .. }) => {
                page.is_owned_by(*account_id)?;
                Ok(Vec::new())
            }
            (
                Self::Deleted {
                    page,
                    restorable_until,
                },
                EntryCommand::Restore { account_id, now },
            ) => {
                page.is_owned_by(*account_id)?;
                if now < restorable_until {
                    Ok(vec![EntryEvent::EntryRestored { restored_at: *now }])
                } else {
                    Err(EntryError::NotFound)
                }
            }

            (Self::Kept(_) | Self::Deleted { .. }, EntryCommand::Erase { now }) => {
                Ok(vec![EntryEvent::EntryErased { erased_at: *now }])
            }
            (Self::Erased { .. }, EntryCommand::Erase { .. }) => Ok(Vec::new()),

            (Self::Deleted { .. }, EntryCommand::Revise { .. })
            | (Self::Unwritten, EntryCommand::Erase { .. })
            | (
                Self::Unwritten | Self::Erased { .. },
                EntryCommand::Revise { .. }
                | EntryCommand::Delete { .. }
                | EntryCommand::Restore { .. },
            ) => Err(EntryError::NotFound),
        }
    }

    fn subject(&self) -> Option<AccountId> {
        self.account_id()
    }

    fn erases(event: &EntryEvent) -> bool {
        matches!(event, EntryEvent::EntryErased { .. })
    }
}

impl Page {
    fn is_owned_by(&self, account_id: AccountId) -> Result<(), EntryError> {
        if self.account_id == account_id {
            Ok(())
        } else {
            Err(EntryError::NotFound)
        }
    }

    fn is_at(&self, expected: Option<u32>) -> Result<(), EntryError> {
        match expected {
            Some(revision) if revision != self.revision => Err(EntryError::Stale),
            _ => Ok(()),
        }
    }

    /// A date the entry has already stays valid when the member's zone changes and today moves back.
    fn revise(
        &self,
        change: &Change,
        today: NaiveDate,
        now: DateTime<Utc>,
    ) -> Result<Vec<EntryEvent>, EntryError> {
        let current = self.body.known().ok_or(EntryError::NotFound)?;
        let body = match change {
            Change::Replace(body) => body.as_ref().clone(),
            Change::Merge(patch) => {
                let draft = patch.as_ref().clone().merge(current.to_draft());
                EntryBody::try_new(draft, today.max(current.entry_date))?
            }
        };
        if body == *current {
            return Ok(Vec::new());
        }
        Ok(vec![EntryEvent::EntryRevised {
            revision: self.revision.saturating_add(1),
            revised_at: now,
            derived: Personal::Known(Derived::of(&body)),
            body: Personal::Known(body),
        }])
    }
}

impl Entry {
    fn fold(&mut self, event: EntryEvent) {
        *self = match (std::mem::take(self), event) {
            (
                _,
                EntryEvent::EntryWritten {
                    entry_id,
                    account_id,
                    written_at,
                    body,
                    derived,
                },
            ) => Self::Kept(Page {
                entry_id,
                account_id,
                created_at: written_at,
                updated_at: written_at,
                revision: 1,
                body,
                derived,
            }),
            (
                Self::Kept(page),
                EntryEvent::EntryRevised {
                    revision,
                    revised_at,
                    body,
                    derived,
                },
            ) => Self::Kept(Page {
                revision,
                updated_at: revised_at,
                body,
                derived,
                ..page
            }),
            (
                Self::Kept(page),
                EntryEvent::EntryDeleted {
                    restorable_until, ..
                },
            ) => Self::Deleted {
                page,
                restorable_until,
            },
            (Self::Deleted { page, .. }, EntryEvent::EntryRestored { .. }) => Self::Kept(page),
            (Self::Kept(page) | Self::Deleted { page, .. }, EntryEvent::EntryErased { .. }) => {
                Self::Erased {
                    entry_id: page.entry_id,
                    account_id: page.account_id,
                }
            }
            (unmoved, _) => unmoved,
        };
    }

    fn page(&self) -> Option<&Page> {
        match self {
            Self::Kept(page) | Self::Deleted { page, .. } => Some(page),
            Self::Unwritten | Self::Erased { .. } => None,
        }
    }

    /// Which situation it is in.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Unwritten => Status::Unwritten,
            Self::Kept(_) => Status::Kept,
            Self::Deleted {
                restorable_until, ..
            } => Status::Deleted {
                restorable_until: *restorable_until,
            },
            Self::Erased { .. } => Status::Erased,
        }
    }

    /// Its id; `None` before it is written.
    #[must_use]
    pub fn entry_id(&self) -> Option<EntryId> {
        match self {
            Self::Unwritten => None,
            Self::Kept(page) | Self::Deleted { page, .. } => Some(page.entry_id),
            Self::Erased { entry_id, .. } => Some(*entry_id),
        }
    }

    /// Whose it is, also when it is erased; `None` before it is written.
    #[must_use]
    pub fn account_id(&self) -> Option<AccountId> {
        match self {
            Self::Unwritten => None,
            Self::Kept(page) | Self::Deleted { page, .. } => Some(page.account_id),
            Self::Erased { account_id, .. } => Some(*account_id),
        }
    }

    /// What is written; `None` before and when the words or their key are gone.
    #[must_use]
    pub fn body(&self) -> Option<&EntryBody> {
        self.page()?.body.known()
    }

    /// What was computed from the body; `None` exactly when there is no [`Entry::body`].
    #[must_use]
    pub fn derived(&self) -> Option<&Derived> {
        self.page()?.derived.known()
    }

    /// When it was written.
    #[must_use]
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.page().map(|page| page.created_at)
    }

    /// When its words last changed.
    #[must_use]
    pub fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.page().map(|page| page.updated_at)
    }

    /// How many revisions there are, the first writing included; the number of the present one.
    #[must_use]
    pub fn revision(&self) -> Option<u32> {
        self.page().map(|page| page.revision)
    }
}
