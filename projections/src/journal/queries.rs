//! What can be asked of a member's entries. Deleted ones are not among the answers.

use chrono::{DateTime, NaiveDate, Utc};
use domain::journal::patterns::Pattern;
use domain::language::Language;
use domain::sentiment::{Sentiment, SentimentLabel};
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
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of EntryBody and Derived")]
pub struct Entry {
    pub id: Uuid,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Number of the present revision.
    pub revision: i64,
    pub title: Option<String>,
    pub content: String,
    pub tags: Vec<String>,
    pub stress_triggers: Option<String>,
    pub daily_schedule: Option<String>,
    pub mood_rating: Option<i64>,
    pub energy_level: Option<i64>,
    pub stress_level: Option<i64>,
    pub sleep_quality: Option<i64>,
    pub sleep_hours: Option<f64>,
    pub work_hours: Option<f64>,
    pub screen_time_mins: Option<i64>,
    pub language: Language,
    pub entry_date: NaiveDate,
    pub sentiment: Option<Sentiment>,
    pub patterns: Vec<Pattern>,
    pub word_count: i64,
    pub reading_time_mins: f64,
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
    title: Option<Vec<u8>>,
    content: Vec<u8>,
    tags: Vec<u8>,
    stress_triggers: Option<Vec<u8>>,
    daily_schedule: Option<Vec<u8>>,
    mood_rating: Option<i64>,
    energy_level: Option<i64>,
    stress_level: Option<i64>,
    sleep_quality: Option<i64>,
    sleep_hours: Option<f64>,
    work_hours: Option<f64>,
    screen_time_mins: Option<i64>,
    language: String,
    entry_date: NaiveDate,
    sentiment_compound: Option<f64>,
    sentiment_score: Option<f64>,
    sentiment_label: Option<String>,
    patterns: String,
    word_count: i64,
    reading_time_mins: f64,
}

/// Opens rows, fetching their keys together; `None` for one whose key is destroyed.
async fn open(models: &Pinned, rows: Vec<Row>) -> Result<Vec<Option<Entry>>, QueryError> {
    let sealed = rows.iter().map(|row| row.content.as_slice());
    let opener = Opener::fetch(&models.keys, sealed).await?;
    rows.into_iter().map(|row| row.open(&opener)).collect()
}

impl Row {
    fn open(self, opener: &Opener) -> Result<Option<Entry>, QueryError> {
        let open = |column, sealed: &[u8]| opener.open(sealed, cell(column, &self.id));
        let open_some = |column, sealed: Option<&Vec<u8>>| match sealed {
            Some(sealed) => open(column, sealed),
            None => Ok(None),
        };
        let (Some(content), Some(tags)) =
            (open("content", &self.content)?, open("tags", &self.tags)?)
        else {
            return Ok(None);
        };
        Ok(Some(Entry {
            title: open_some("title", self.title.as_ref())?,
            content,
            tags: serde_json::from_str(&tags)?,
            stress_triggers: open_some("stress_triggers", self.stress_triggers.as_ref())?,
            daily_schedule: open_some("daily_schedule", self.daily_schedule.as_ref())?,
            sentiment: self.sentiment(),
            patterns: serde_json::from_str(&self.patterns)?,
            language: Language::parse(&self.language).unwrap_or_default(),
            id: self.id,
            created_at: self.created_at,
            updated_at: self.updated_at,
            revision: self.revision,
            mood_rating: self.mood_rating,
            energy_level: self.energy_level,
            stress_level: self.stress_level,
            sleep_quality: self.sleep_quality,
            sleep_hours: self.sleep_hours,
            work_hours: self.work_hours,
            screen_time_mins: self.screen_time_mins,
            entry_date: self.entry_date,
            word_count: self.word_count,
            reading_time_mins: self.reading_time_mins,
        }))
    }

    fn sentiment(&self) -> Option<Sentiment> {
        let label = self.sentiment_label.as_deref()?;
        Some(Sentiment {
            compound: self.sentiment_compound?,
            score: self.sentiment_score?,
            label: SentimentLabel::ALL
                .into_iter()
                .find(|known| known.slug() == label)?,
        })
    }
}
