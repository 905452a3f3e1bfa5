//! What is read of question banks.

use chrono::{DateTime, Utc};
use domain::exams::question_bank::Scale;
use domain::language::Translated;
use event_log::database::Statement;
use event_log::{fetch_all, fetch_optional, statement};
use sqlx::FromRow;

use crate::page::Page;
use crate::query::QueryError;
use crate::tables::Pinned;

static LIST_BANKS: Statement = statement!("../../../sql/exams/question_banks/list_banks.sql");
static BANK: Statement = statement!("../../../sql/exams/question_banks/bank.sql");
static CURRENT_BANK: Statement = statement!("../../../sql/exams/question_banks/current_bank.sql");
static CATEGORIES: Statement = statement!("../../../sql/exams/question_banks/categories.sql");
static ITEMS: Statement = statement!("../../../sql/exams/question_banks/items.sql");
static ITEM: Statement = statement!("../../../sql/exams/question_banks/item.sql");
static PAGE_OF_ITEMS: Statement = statement!("../../../sql/exams/question_banks/page_of_items.sql");

/// One published version of an instrument.
#[derive(Debug, Clone, PartialEq)]
pub struct BankSummary {
    /// The instrument's slug.
    pub instrument: String,
    /// Its version, from 1.
    pub version: u32,
    /// What it is called.
    pub title: Translated,
    /// What it is about.
    pub description: Translated,
    /// How its questions are answered.
    pub scale: Scale,
    /// How many questions it has.
    pub questions: i64,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// Since when no exam starts from it.
    pub retired_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct BankRow {
    instrument: String,
    version: i64,
    title: String,
    description: String,
    scale: String,
    questions: i64,
    published_at: DateTime<Utc>,
    retired_at: Option<DateTime<Utc>>,
}

impl TryFrom<BankRow> for BankSummary {
    type Error = QueryError;

    fn try_from(row: BankRow) -> Result<Self, QueryError> {
        Ok(Self {
            instrument: row.instrument,
            version: u32::try_from(row.version).unwrap_or_default(),
            title: serde_json::from_str(&row.title)?,
            description: serde_json::from_str(&row.description)?,
            scale: serde_json::from_str(&row.scale)?,
            questions: row.questions,
            published_at: row.published_at,
            retired_at: row.retired_at,
        })
    }
}

/// A category of a bank.
#[derive(Debug, Clone, PartialEq)]
pub struct CategorySummary {
    /// Its slug.
    pub id: String,
    /// What it is called.
    pub name: Translated,
    /// How many questions the bank has in it.
    pub questions: i64,
}

/// A question as everybody may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Its place in the bank, from 1.
    pub place: i64,
    /// Its slug.
    pub id: String,
    /// The slug of its category.
    pub category: String,
    /// The statement.
    pub text: Translated,
    /// An explanation.
    pub tooltip: Option<Translated>,
}

#[derive(FromRow)]
struct ItemRow {
    place: i64,
    item: String,
    category: String,
    body: String,
    tooltip: Option<String>,
}

impl TryFrom<ItemRow> for Question {
    type Error = QueryError;

    fn try_from(row: ItemRow) -> Result<Self, QueryError> {
        Ok(Self {
            place: row.place,
            id: row.item,
            category: row.category,
            text: serde_json::from_str(&row.body)?,
            tooltip: row
                .tooltip
                .map(|text| serde_json::from_str(&text))
                .transpose()?,
        })
    }
}

/// Which questions of a bank are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this category only.
    pub category: Option<String>,
    /// Fit for this age in years only.
    pub age: Option<u8>,
    /// After this place in the bank.
    pub after: i64,
    /// At most so many.
    pub limit: i64,
}

/// Every published bank, by instrument and version, after the given one.
pub async fn banks(
    models: &Pinned,
    after: Option<(String, u32)>,
    limit: i64,
) -> Result<Page<BankSummary>, QueryError> {
    let (instrument, version) = after.unzip();
    let rows = fetch_all!(
        models.database,
        BankRow,
        &models.sql(&LIST_BANKS),
        instrument.as_deref(),
        version.map(i64::from),
        limit + 1
    )?;
    let banks = rows.into_iter().map(BankSummary::try_from);
    let banks = banks.collect::<Result<Vec<_>, _>>()?;
    Ok(Page::of(banks, limit, |bank| {
        (bank.instrument.clone(), bank.version)
    }))
}

/// One published bank.
pub async fn bank(
    models: &Pinned,
    instrument: &str,
    version: u32,
) -> Result<Option<BankSummary>, QueryError> {
    let row = fetch_optional!(
        models.database,
        BankRow,
        &models.sql(&BANK),
        instrument,
        i64::from(version)
    )?;
    row.map(BankSummary::try_from).transpose()
}

/// The newest bank of an instrument that is not retired.
pub async fn current_bank(
    models: &Pinned,
    instrument: &str,
) -> Result<Option<BankSummary>, QueryError> {
    let row = fetch_optional!(
        models.database,
        BankRow,
        &models.sql(&CURRENT_BANK),
        instrument
    )?;
    row.map(BankSummary::try_from).transpose()
}

/// The categories of a bank in its order.
pub async fn categories(
    models: &Pinned,
    instrument: &str,
    version: u32,
) -> Result<Vec<CategorySummary>, QueryError> {
    let rows: Vec<(String, String, i64)> = fetch_all!(
        models.database,
        (String, String, i64),
        &models.sql(&CATEGORIES),
        instrument,
        i64::from(version)
    )?;
    rows.into_iter()
        .map(|(id, name, questions)| {
            let name = serde_json::from_str(&name)?;
            Ok(CategorySummary {
                id,
                name,
                questions,
            })
        })
        .collect()
}

/// All questions of a bank in its order.
pub async fn questions_of(
    models: &Pinned,
    instrument: &str,
    version: u32,
) -> Result<Vec<Question>, QueryError> {
    let rows = fetch_all!(
        models.database,
        ItemRow,
        &models.sql(&ITEMS),
        instrument,
        i64::from(version)
    )?;
    rows.into_iter().map(Question::try_from).collect()
}

/// The questions of a bank that are wanted, in its order.
pub async fn questions(
    models: &Pinned,
    instrument: &str,
    version: u32,
    wanted: &Wanted,
) -> Result<Page<Question>, QueryError> {
    let rows = fetch_all!(
        models.database,
        ItemRow,
        &models.sql(&PAGE_OF_ITEMS),
        instrument,
        i64::from(version),
        wanted.after,
        wanted.category.as_deref(),
        wanted.age.map(i64::from),
        wanted.limit + 1
    )?;
    let questions = rows.into_iter().map(Question::try_from);
    let questions = questions.collect::<Result<Vec<_>, _>>()?;
    Ok(Page::of(questions, wanted.limit, |question| question.place))
}

/// One question of a bank.
pub async fn question(
    models: &Pinned,
    instrument: &str,
    version: u32,
    id: &str,
) -> Result<Option<Question>, QueryError> {
    let row = fetch_optional!(
        models.database,
        ItemRow,
        &models.sql(&ITEM),
        instrument,
        i64::from(version),
        id
    )?;
    row.map(Question::try_from).transpose()
}
