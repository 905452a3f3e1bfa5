//! What is read of attempts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::exams::exam::{Band, CategoryResult, ExamResult, Flags, Overall, Percentage, Status};
use domain::id::{AccountId, ExamId};
use domain::language::Language;
use domain::sentiment::Sentiment;
use event_log::database::Statement;
use event_log::sealing::Opener;
use event_log::{fetch_all, fetch_one, fetch_optional, statement};
use sqlx::FromRow;
use uuid::Uuid;

use super::fold::reflection_of;
use crate::exams::stored::{read_word, word};
use crate::page::Page;
use crate::query::QueryError;
use crate::tables::Pinned;

static EXAM: Statement = statement!("../../../sql/exams/attempts/exam.sql");
static CURRENT_EXAM: Statement = statement!("../../../sql/exams/attempts/current_exam.sql");
static ANSWERS: Statement = statement!("../../../sql/exams/attempts/answers.sql");
static RESULT: Statement = statement!("../../../sql/exams/attempts/result.sql");
static CATEGORY_RESULTS: Statement = statement!("../../../sql/exams/attempts/category_results.sql");
static STANDING: Statement = statement!("../../../sql/exams/attempts/standing.sql");
static LATEST: Statement = statement!("../../../sql/exams/attempts/latest.sql");
static HISTORY: Statement = statement!("../../../sql/exams/attempts/history.sql");

/// An attempt with its answers so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The exam.
    pub id: ExamId,
    /// The instrument's slug.
    pub instrument: String,
    /// The version of its bank.
    pub bank_version: u32,
    /// The language it is asked in.
    pub language: Language,
    /// Where it stands; expired also when nobody has noticed yet that its time ran out.
    pub status: Status,
    /// The ids of what is asked, in order.
    pub items: Vec<String>,
    /// The answers by item, 1 to 5.
    pub answers: BTreeMap<String, u8>,
    /// What the member said about it.
    pub reflection: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was completed.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it expires or would have.
    pub expires_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct ExamRow {
    id: Uuid,
    instrument: String,
    bank_version: i64,
    language: String,
    items: String,
    reflection: Option<Vec<u8>>,
    started_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    expires_us: i64,
    status: String,
}

/// A member's exam; `None` when there is none of this id, or it is another member's.
pub async fn exam(
    models: &Pinned,
    id: ExamId,
    account: AccountId,
    now: DateTime<Utc>,
) -> Result<Option<Attempt>, QueryError> {
    let row = fetch_optional!(
        models.database,
        ExamRow,
        &models.sql(&EXAM),
        id.0,
        account.0,
        now.timestamp_micros()
    )?;
    with_answers(models, row).await
}

/// The exam a member started last of those that still take answers, of one instrument or of any.
pub async fn current(
    models: &Pinned,
    account: AccountId,
    instrument: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<Attempt>, QueryError> {
    let row = fetch_optional!(
        models.database,
        ExamRow,
        &models.sql(&CURRENT_EXAM),
        account.0,
        now.timestamp_micros(),
        instrument
    )?;
    with_answers(models, row).await
}

async fn with_answers(
    models: &Pinned,
    row: Option<ExamRow>,
) -> Result<Option<Attempt>, QueryError> {
    let Some(row) = row else {
        return Ok(None);
    };
    let answers: Vec<(String, i64)> = fetch_all!(
        models.database,
        (String, i64),
        &models.sql(&ANSWERS),
        row.id
    )?;
    let sealed = row.reflection.as_deref();
    let opener = Opener::fetch(&models.keys, sealed).await?;
    let reflection = match sealed {
        Some(sealed) => opener.open(sealed, reflection_of(&row.id))?,
        None => None,
    };
    Ok(Some(Attempt {
        id: row.id.into(),
        instrument: row.instrument,
        bank_version: u32::try_from(row.bank_version).unwrap_or_default(),
        language: read_word(row.language)?,
        status: read_word(row.status)?,
        items: serde_json::from_str(&row.items)?,
        answers: answers
            .into_iter()
            .map(|(item, answer)| (item, u8::try_from(answer).unwrap_or_default()))
            .collect(),
        reflection,
        started_at: row.started_at,
        completed_at: row.completed_at,
        expires_at: DateTime::from_timestamp_micros(row.expires_us).unwrap_or(row.started_at),
    }))
}

/// What a member's next exam of an instrument depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latest {
    /// This one is under way, if only because nobody has noticed yet that its time ran out.
    UnderWay(ExamId),
    /// None is under way, and the last one was completed then.
    CompletedAt(DateTime<Utc>),
}

impl Latest {
    /// When the last one was completed, unless one is under way.
    pub const fn completed_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::UnderWay(_) => None,
            Self::CompletedAt(at) => Some(at),
        }
    }
}

/// What a member's next exam of an instrument depends on; `None` before the first.
pub async fn latest(
    models: &Pinned,
    account: AccountId,
    instrument: &str,
) -> Result<Option<Latest>, QueryError> {
    let row: Option<(Uuid, Option<DateTime<Utc>>)> = fetch_optional!(
        models.database,
        (Uuid, Option<DateTime<Utc>>),
        &models.sql(&LATEST),
        account.0,
        instrument
    )?;
    Ok(row.map(|(id, completed_at)| {
        completed_at.map_or(Latest::UnderWay(id.into()), Latest::CompletedAt)
    }))
}

/// A completed exam with its result.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The instrument's slug.
    pub instrument: String,
    /// The version of its bank.
    pub bank_version: u32,
    /// The formulas it was scored by.
    pub scoring_version: u16,
    /// The language it was asked in.
    pub language: Language,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was completed.
    pub completed_at: DateTime<Utc>,
    /// The result.
    pub result: ExamResult,
}

#[derive(FromRow)]
struct ResultRow {
    instrument: String,
    bank_version: i64,
    scoring_version: i64,
    language: String,
    started_at: DateTime<Utc>,
    completed_at: DateTime<Utc>,
    tenths: i64,
    band: String,
    rushed: bool,
    inconsistent: Option<bool>,
    compound: Option<f64>,
    sentiment_score: Option<f64>,
    sentiment_label: Option<String>,
}

#[derive(FromRow)]
struct CategoryRow {
    category: String,
    items: i64,
    score: i64,
    lowest: i64,
    highest: i64,
    tenths: i64,
    band: Option<String>,
}

/// The result of a member's exam; `None` when there is no such exam, it is another member's, or it is not
/// completed.
pub async fn result(
    models: &Pinned,
    id: ExamId,
    account: AccountId,
) -> Result<Option<Scored>, QueryError> {
    let row = fetch_optional!(
        models.database,
        ResultRow,
        &models.sql(&RESULT),
        id.0,
        account.0
    )?;
    let Some(row) = row else {
        return Ok(None);
    };
    let categories = fetch_all!(
        models.database,
        CategoryRow,
        &models.sql(&CATEGORY_RESULTS),
        id.0
    )?;
    let categories = categories.into_iter().map(CategoryResult::try_from);
    Ok(Some(Scored {
        instrument: row.instrument,
        bank_version: u32::try_from(row.bank_version).unwrap_or_default(),
        scoring_version: u16::try_from(row.scoring_version).unwrap_or_default(),
        language: read_word(row.language)?,
        started_at: row.started_at,
        completed_at: row.completed_at,
        result: ExamResult {
            overall: Overall {
                percentage: percentage(row.tenths),
                band: read_word(row.band)?,
            },
            categories: categories.collect::<Result<_, QueryError>>()?,
            flags: Flags {
                rushed: row.rushed,
                inconsistent: row.inconsistent,
            },
            sentiment: sentiment(row.compound, row.sentiment_score, row.sentiment_label)?,
            analyser: None,
        },
    }))
}

impl TryFrom<CategoryRow> for CategoryResult {
    type Error = QueryError;

    fn try_from(row: CategoryRow) -> Result<Self, QueryError> {
        let whole = |number: i64| u32::try_from(number).unwrap_or_default();
        Ok(Self {
            category: row.category,
            items: whole(row.items),
            score: whole(row.score),
            min: whole(row.lowest),
            max: whole(row.highest),
            percentage: percentage(row.tenths),
            band: row.band.map(read_word).transpose()?,
        })
    }
}

fn percentage(tenths: i64) -> Percentage {
    Percentage::from_tenths(u16::try_from(tenths).unwrap_or_default())
}

fn sentiment(
    compound: Option<f64>,
    score: Option<f64>,
    label: Option<String>,
) -> Result<Option<Sentiment>, QueryError> {
    let (Some(compound), Some(score), Some(label)) = (compound, score, label) else {
        return Ok(None);
    };
    Ok(Some(Sentiment {
        compound,
        score,
        label: read_word(label)?,
    }))
}

/// How a result stands among the latest sound ones of the other members: same instrument, same bank, same
/// scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Standing {
    /// How many others there are.
    pub others: i64,
    /// How many of them are lower.
    pub below: i64,
    /// How many of them are the same.
    pub equal: i64,
}

/// Where `percentage` stands among the other members' results that compare with it.
pub async fn standing(
    models: &Pinned,
    account: AccountId,
    instrument: &str,
    bank_version: u32,
    scoring_version: u16,
    percentage: Percentage,
) -> Result<Standing, QueryError> {
    Ok(fetch_one!(
        models.database,
        Standing,
        &models.sql(&STANDING),
        instrument,
        i64::from(bank_version),
        i64::from(scoring_version),
        account.0,
        i64::from(percentage.tenths())
    )?)
}

/// Which exams of a member are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this instrument only.
    pub instrument: Option<String>,
    /// Standing so only.
    pub status: Option<Status>,
    /// Older than the exam that began then and has this id.
    pub before: Option<(DateTime<Utc>, ExamId)>,
    /// At most so many.
    pub limit: i64,
}

/// An exam in a member's history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryItem {
    /// The exam.
    pub id: ExamId,
    /// The instrument's slug.
    pub instrument: String,
    /// The version of its bank.
    pub bank_version: u32,
    /// The language it is asked in.
    pub language: Language,
    /// Where it stands.
    pub status: Status,
    /// How many questions are answered.
    pub answered: i64,
    /// How many questions it has.
    pub total: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was completed.
    pub completed_at: Option<DateTime<Utc>>,
    /// The result over all items, of a completed one.
    pub overall: Option<Overall>,
}

#[derive(FromRow)]
struct HistoryRow {
    id: Uuid,
    instrument: String,
    bank_version: i64,
    language: String,
    total: i64,
    started_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    status: String,
    answered: i64,
    tenths: Option<i64>,
    band: Option<String>,
}

/// A member's exams, the newest first.
pub async fn history(
    models: &Pinned,
    account: AccountId,
    filter: &Filter,
    now: DateTime<Utc>,
) -> Result<Page<HistoryItem>, QueryError> {
    let status = filter.status.as_ref().map(word).transpose()?;
    let (before, before_id) = filter.before.unzip();
    let rows = fetch_all!(
        models.database,
        HistoryRow,
        &models.sql(&HISTORY),
        account.0,
        now.timestamp_micros(),
        filter.instrument.as_deref(),
        status.as_deref(),
        before,
        before_id.map(|id| id.0),
        filter.limit + 1
    )?;
    let items = rows.into_iter().map(HistoryItem::try_from);
    let items = items.collect::<Result<Vec<_>, QueryError>>()?;
    Ok(Page::of(items, filter.limit, |item| {
        (item.started_at, item.id)
    }))
}

impl TryFrom<HistoryRow> for HistoryItem {
    type Error = QueryError;

    fn try_from(row: HistoryRow) -> Result<Self, QueryError> {
        let band: Option<Band> = row.band.map(read_word).transpose()?;
        Ok(Self {
            id: row.id.into(),
            instrument: row.instrument,
            bank_version: u32::try_from(row.bank_version).unwrap_or_default(),
            language: read_word(row.language)?,
            status: read_word(row.status)?,
            answered: row.answered,
            total: row.total,
            started_at: row.started_at,
            completed_at: row.completed_at,
            overall: row.tenths.zip(band).map(|(tenths, band)| Overall {
                percentage: percentage(tenths),
                band,
            }),
        })
    }
}
