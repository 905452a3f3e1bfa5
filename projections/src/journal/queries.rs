//! What can be asked of a member's entries. Deleted ones are not among the answers.

use chrono::{DateTime, NaiveDate, Utc};
use event_log::database::Statement;
use event_log::sealing::Opener;
use event_log::{fetch_all, fetch_optional, statement};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

use super::projection::cell;
use crate::page::Page;
use crate::query::QueryError;
use crate::tables::Pinned;

static ENTRY: Statement = statement!("../../sql/journal/entry.sql");
static LIST: Statement = statement!("../../sql/journal/list.sql");
static LIST_FILTERED: Statement = statement!("../../sql/journal/list_filtered.sql");

/// An entry as it stands, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When its present revision was written.
    pub updated_at: DateTime<Utc>,
    /// Number of the present revision.
    pub revision: i64,
    /// What it shows of that revision: the members of a JSON object, without its braces.
    pub members: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The place of an entry in the list: newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// Its id.
    pub id: Uuid,
}

/// Which entries are asked for; bounds include themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// Entries about this day or a later one.
    pub from: Option<NaiveDate>,
    /// Entries about this day or an earlier one.
    pub to: Option<NaiveDate>,
    /// Rated at least so.
    pub mood_min: Option<i64>,
    /// Rated at most so.
    pub mood_max: Option<i64>,
}

/// Before every day and after every day that an entry can be about.
const DAYS: (NaiveDate, NaiveDate) = (
    NaiveDate::from_ymd_opt(1, 1, 1).unwrap(),
    NaiveDate::from_ymd_opt(9999, 12, 31).unwrap(),
);

/// An entry of this member; `None` when there is none, or another member's, or it is deleted.
pub async fn entry(
    models: &Pinned,
    account_id: Uuid,
    id: Uuid,
) -> Result<Option<Entry>, QueryError> {
    let sql = models.sql(&ENTRY);
    let row = fetch_optional!(models.database, Row, &sql, id, account_id)?;
    let rows: Vec<Row> = row.into_iter().collect();
    Ok(open(models, rows).await?.into_iter().next().flatten())
}

/// The member's entries after a place, newest first.
pub async fn list(
    models: &Pinned,
    account_id: Uuid,
    filter: Filter,
    after: Option<Place>,
    limit: i64,
) -> Result<Page<Entry>, QueryError> {
    let after = after.unwrap_or(Place {
        created_at: DAYS.1.and_time(chrono::NaiveTime::MIN).and_utc(),
        id: Uuid::max(),
    });
    // one text for both would be planned as if the filters left nearly nothing, and sort all entries
    let rows = if filter == Filter::default() {
        let sql = models.sql(&LIST);
        fetch_all!(
            models.database,
            Row,
            &sql,
            account_id,
            after.created_at,
            after.id,
            limit + 1
        )?
    } else {
        let sql = models.sql(&LIST_FILTERED);
        fetch_all!(
            models.database,
            Row,
            &sql,
            account_id,
            after.created_at,
            after.id,
            filter.from.unwrap_or(DAYS.0),
            filter.to.unwrap_or(DAYS.1),
            filter.mood_min,
            filter.mood_max,
            limit + 1
        )?
    };
    let page = Page::of(rows, limit, |row| Place {
        created_at: row.created_at,
        id: row.id,
    });
    Ok(Page {
        items: open(models, page.items)
            .await?
            .into_iter()
            .flatten()
            .collect(),
        next: page.next,
    })
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
    shown: Vec<u8>,
}

/// Opens rows, fetching their keys together; `None` for one whose key is destroyed.
async fn open(models: &Pinned, rows: Vec<Row>) -> Result<Vec<Option<Entry>>, QueryError> {
    let sealed = rows.iter().map(|row| row.shown.as_slice());
    let opener = Opener::fetch(&models.keys, sealed).await?;
    let entries = rows.into_iter().map(|row| {
        let members = opener.open(&row.shown, cell(&row.id))?;
        Ok(members.map(|members| Entry {
            id: row.id,
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
            members,
        }))
    });
    entries.collect()
}
