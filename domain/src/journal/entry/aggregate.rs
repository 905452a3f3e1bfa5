//! The rules of an entry.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::command::{Change, Command};
use super::derived::Derived;
use super::error::Error;
use super::event::Event;
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

crate::aggregate!(Entry, "entry", Command, Event, Error);

impl Aggregate for Entry {
    const KEY_SCOPE: KeyScope = KeyScope::Stream;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (
                Self::Unwritten,
                Command::Write {
                    entry_id,
                    account_id,
                    body,
                    now,
                },
            ) => Ok(vec![Event::EntryWritten {
                entry_id: *entry_id,
                account_id: *account_id,
                written_at: *now,
                body: Personal::Known(body.as_ref().clone()),
                derived: Personal::Known(Derived::of(body)),
            }]),
            (_, Command::Write { .. }) => Err(Error::AlreadyWritten),

            (
                Self::Kept(page),
                Command::Revise {
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
                Command::Delete {
                    account_id,
                    expected,
                    now,
                },
            ) => {
                page.is_owned_by(*account_id)?;
                page.is_at(*expected)?;
                Ok(vec![Event::EntryDeleted {
                    deleted_at: *now,
                    restorable_until: *now + RESTORABLE_FOR,
                }])
            }
            (Self::Kept(page), Command::Restore { account_id, .. })
            | (Self::Deleted { page, .. }, Command::Delete { account_id, .. }) => {
                page.is_owned_by(*account_id)?;
                Ok(Vec::new())
            }
            (
                Self::Deleted {
                    page,
                    restorable_until,
                },
                Command::Restore { account_id, now },
            ) => {
                page.is_owned_by(*account_id)?;
                if now < restorable_until {
                    Ok(vec![Event::EntryRestored { restored_at: *now }])
                } else {
                    Err(Error::NotFound)
                }
            }

            (Self::Kept(_) | Self::Deleted { .. }, Command::Erase { now }) => {
                Ok(vec![Event::EntryErased { erased_at: *now }])
            }
            (Self::Erased { .. }, Command::Erase { .. }) => Ok(Vec::new()),

            (Self::Deleted { .. }, Command::Revise { .. })
            | (Self::Unwritten, Command::Erase { .. })
            | (
                Self::Unwritten | Self::Erased { .. },
                Command::Revise { .. } | Command::Delete { .. } | Command::Restore { .. },
            ) => Err(Error::NotFound),
        }
    }

    fn subject(&self) -> Option<AccountId> {
        self.account_id()
    }

    fn erases(event: &Event) -> bool {
        matches!(event, Event::EntryErased { .. })
    }
}

impl Page {
    fn is_owned_by(&self, account_id: AccountId) -> Result<(), Error> {
        if self.account_id == account_id {
            Ok(())
        } else {
            Err(Error::NotFound)
        }
    }

    fn is_at(&self, expected: Option<u32>) -> Result<(), Error> {
        match expected {
            Some(revision) if revision != self.revision => Err(Error::Stale),
            _ => Ok(()),
        }
    }

    /// A date the entry has already stays valid when the member's zone changes and today moves back.
    fn revise(
        &self,
        change: &Change,
        today: NaiveDate,
        now: DateTime<Utc>,
    ) -> Result<Vec<Event>, Error> {
        let current = self.body.known().ok_or(Error::NotFound)?;
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
        Ok(vec![Event::EntryRevised {
            revision: self.revision.saturating_add(1),
            revised_at: now,
            derived: Personal::Known(Derived::of(&body)),
            body: Personal::Known(body),
        }])
    }
}

impl Entry {
    fn fold(&mut self, event: Event) {
        *self = match (std::mem::take(self), event) {
            (
                _,
                Event::EntryWritten {
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
                Event::EntryRevised {
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
                Event::EntryDeleted {
                    restorable_until, ..
                },
            ) => Self::Deleted {
                page,
                restorable_until,
            },
            (Self::Deleted { page, .. }, Event::EntryRestored { .. }) => Self::Kept(page),
            (Self::Kept(page) | Self::Deleted { page, .. }, Event::EntryErased { .. }) => {
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
