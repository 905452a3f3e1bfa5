//! Folds entries into rows. A deleted entry keeps its row, out of sight, until it is restored or erased.

use std::collections::BTreeMap;
use std::fmt::Display;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use cqrs_es::Aggregate;
use domain::identity::account::{Account, AccountEvent};
use domain::journal::entry::{Derived, Entry, EntryBody, EntryEvent};
use domain::personal::Personal;
use event_log::database::Statement;
use event_log::keys::{DataKey, KeyError};
use event_log::reader::ReadError;
use event_log::sealing::{Cell, SealingError, seal_column};
use event_log::{execute_rows, statement};
use uuid::Uuid;

use super::shown;
use crate::fact::{Event, Fact};
use crate::projection::{Projection, ProjectionError, Writer};

pub(super) const NAME: &str = "entries";
/// Marker of the table.
pub(super) const TABLE: &str = "entries";

static WRITE: Statement = statement!("../../sql/journal/write.sql");
static REVISE: Statement = statement!("../../sql/journal/revise.sql");
static HIDE: Statement = statement!("../../sql/journal/hide.sql");
static ERASE: Statement = statement!("../../sql/journal/erase.sql");
static ERASE_SUBJECTS: Statement = statement!("../../sql/journal/erase_subjects.sql");

/// The projection of entries.
#[derive(Debug)]
pub struct Entries;

/// What a page of events makes of one entry.
enum Change {
    /// A row that is not there yet.
    Write(Box<Row>),
    /// A row that is there changes.
    Alter {
        words: Option<Box<Words>>,
        deleted: Option<bool>,
    },
    /// Whatever row is there goes.
    Erase,
}

struct Row {
    account_id: Uuid,
    created_at: DateTime<Utc>,
    deleted: bool,
    words: Words,
}

/// The columns that a revision writes anew.
struct Words {
    updated_at: DateTime<Utc>,
    revision: i64,
    entry_date: NaiveDate,
    mood_rating: Option<i64>,
    /// Sealed.
    shown: Vec<u8>,
}

/// Binds the columns of [`Words`] in their order; on which engine is for the compiler to know.
macro_rules! bind_words {
    ($row:ident, $words:expr) => {
        $row.push_bind($words.updated_at);
        $row.push_bind($words.revision);
        $row.push_bind($words.entry_date);
        $row.push_bind($words.mood_rating);
        $row.push_bind($words.shown.as_slice());
    };
}

#[async_trait]
impl Projection for Entries {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i64 {
        2
    }

    fn schema(&self) -> &'static str {
        include_str!("../../sql/journal/schema.sql")
    }

    fn handles(&self, aggregate_type: &str, event_type: &str) -> bool {
        match aggregate_type {
            Entry::TYPE => true,
            Account::TYPE => event_type == "account_erased",
            _ => false,
        }
    }

    async fn project(
        &self,
        page: &[&Fact],
        writer: &mut Writer<'_>,
    ) -> Result<(), ProjectionError> {
        let mut folded = Folded::default();
        for fact in page {
            folded.fold(fact)?;
        }
        folded.write(writer).await
    }
}

#[derive(Default)]
struct Folded {
    entries: BTreeMap<Uuid, Change>,
    erased_subjects: Vec<Uuid>,
}

impl Folded {
    fn fold(&mut self, fact: &Fact) -> Result<(), ProjectionError> {
        match &fact.event {
            Ok(Event::Entry(event)) => self.fold_entry(event, fact),
            Ok(Event::Account(AccountEvent::AccountErased { account_id, .. })) => {
                let subject = account_id.0;
                self.erased_subjects.push(subject);
                self.entries.retain(
                    |_, change| !matches!(change, Change::Write(row) if row.account_id == subject),
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn fold_entry(&mut self, event: &EntryEvent, fact: &Fact) -> Result<(), ProjectionError> {
        let Ok(id) = Uuid::parse_str(&fact.recorded.aggregate_id) else {
            return Ok(());
        };
        match event {
            EntryEvent::EntryWritten {
                account_id,
                written_at,
                body: Personal::Known(body),
                derived: Personal::Known(derived),
                ..
            } => {
                let row = Row {
                    account_id: account_id.0,
                    created_at: *written_at,
                    deleted: false,
                    words: Words::seal(id, 1, *written_at, body, derived, fact.key.as_ref())?,
                };
                self.entries.insert(id, Change::Write(Box::new(row)));
            }
            EntryEvent::EntryRevised {
                revision,
                revised_at,
                body: Personal::Known(body),
                derived: Personal::Known(derived),
            } => {
                let (at, revision) = (*revised_at, i64::from(*revision));
                let revised = Words::seal(id, revision, at, body, derived, fact.key.as_ref())?;
                match self.change(id) {
                    Change::Write(row) => row.words = revised,
                    Change::Alter { words, .. } => *words = Some(Box::new(revised)),
                    Change::Erase => {}
                }
            }
            EntryEvent::EntryDeleted { .. } => self.hide(id, true),
            EntryEvent::EntryRestored { .. } => self.hide(id, false),
            // without its key nobody can read an entry: its erasure is on its way
            EntryEvent::EntryWritten { .. }
            | EntryEvent::EntryRevised { .. }
            | EntryEvent::EntryErased { .. } => {
                self.entries.insert(id, Change::Erase);
            }
        }
        Ok(())
    }

    fn change(&mut self, id: Uuid) -> &mut Change {
        self.entries.entry(id).or_insert(Change::Alter {
            words: None,
            deleted: None,
        })
    }

    fn hide(&mut self, id: Uuid, hidden: bool) {
        match self.change(id) {
            Change::Write(row) => row.deleted = hidden,
            Change::Alter { deleted, .. } => *deleted = Some(hidden),
            Change::Erase => {}
        }
    }

    async fn write(self, writer: &mut Writer<'_>) -> Result<(), ProjectionError> {
        let (mut new, mut revised, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
        let mut erased = Vec::new();
        for (id, change) in &self.entries {
            match change {
                Change::Write(row) => new.push((*id, row.as_ref())),
                Change::Alter { words, deleted } => {
                    revised.extend(words.as_ref().map(|words| (*id, words.as_ref())));
                    hidden.extend(deleted.map(|deleted| (*id, deleted)));
                }
                Change::Erase => erased.push(*id),
            }
        }
        let (write, revise, hide) = (writer.sql(&WRITE), writer.sql(&REVISE), writer.sql(&HIDE));
        let (erase, erase_subjects) = (writer.sql(&ERASE), writer.sql(&ERASE_SUBJECTS));
        let transaction = writer.transaction().await?;
        execute_rows!(in *transaction, &write, new, |row, (id, entry)| {
            row.push_bind(*id);
            row.push_bind(entry.account_id);
            row.push_bind(entry.created_at);
            row.push_bind(entry.deleted);
            bind_words!(row, entry.words);
        })?;
        execute_rows!(in *transaction, &revise, revised, |row, (id, words)| {
            row.push_bind(*id);
            bind_words!(row, words);
        })?;
        execute_rows!(in *transaction, &hide, hidden, |row, (id, deleted)| {
            row.push_bind(*id);
            row.push_bind(*deleted);
        })?;
        execute_rows!(in *transaction, &erase, erased, |row, id| {
            row.push_bind(*id);
        })?;
        execute_rows!(in *transaction, &erase_subjects, self.erased_subjects, |row, subject| {
            row.push_bind(*subject);
        })?;
        Ok(())
    }
}

impl Words {
    fn seal(
        id: Uuid,
        revision: i64,
        updated_at: DateTime<Utc>,
        body: &EntryBody,
        derived: &Derived,
        key: Option<&DataKey>,
    ) -> Result<Self, ProjectionError> {
        let key = key.ok_or(SealingError::Key(KeyError::Missing))?;
        let members = shown::members(body, derived).map_err(ReadError::from)?;
        Ok(Self {
            updated_at,
            revision,
            entry_date: body.entry_date,
            mood_rating: body.mood_rating.map(i64::from),
            shown: seal_column(key, cell(&id), &members)?,
        })
    }
}

/// Where what an entry shows belongs, sealed.
pub(super) fn cell<'a>(row: &'a (dyn Display + 'a)) -> Cell<'a> {
    Cell {
        table: TABLE,
        column: "shown",
        row,
    }
}
