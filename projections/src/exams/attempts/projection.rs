//! How attempts get into their tables.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::exams::exam::{CategoryResult, Exam, ExamResult, Status};
use domain::identity::account::Account;
use event_log::database::Statement;
use event_log::reader::ReadError;
use event_log::{execute_rows, statement};
use uuid::Uuid;

use super::fold::{Change, Folded, Started, Words};
use crate::exams::stored::{json, word};
use crate::fact::Fact;
use crate::projection::{Projection, ProjectionError, Writer};

static ADD_EXAMS: Statement = statement!("../../../sql/exams/attempts/add_exams.sql");
static CHANGE_EXAMS: Statement = statement!("../../../sql/exams/attempts/change_exams.sql");
static SAVE_ANSWERS: Statement = statement!("../../../sql/exams/attempts/save_answers.sql");
static ADD_RESULTS: Statement = statement!("../../../sql/exams/attempts/add_results.sql");
static ADD_CATEGORY_RESULTS: Statement =
    statement!("../../../sql/exams/attempts/add_category_results.sql");
static SAVE_STANDINGS: Statement = statement!("../../../sql/exams/attempts/save_standings.sql");
static HIDE_STANDINGS: Statement = statement!("../../../sql/exams/attempts/hide_standings.sql");
static ERASE: [Statement; 5] = [
    statement!("../../../sql/exams/attempts/erase_answers.sql"),
    statement!("../../../sql/exams/attempts/erase_category_results.sql"),
    statement!("../../../sql/exams/attempts/erase_results.sql"),
    statement!("../../../sql/exams/attempts/erase_standings.sql"),
    statement!("../../../sql/exams/attempts/erase_exams.sql"),
];

/// Every member's attempts with their results.
#[derive(Debug)]
pub struct Exams;

#[async_trait]
impl Projection for Exams {
    fn name(&self) -> &'static str {
        "exams"
    }

    fn version(&self) -> i64 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("../../../sql/exams/attempts/schema.sql")
    }

    fn indexes(&self) -> &'static str {
        include_str!("../../../sql/exams/attempts/indexes.sql")
    }

    fn handles(&self, aggregate_type: &str, event_type: &str) -> bool {
        match aggregate_type {
            Exam::TYPE => true,
            Account::TYPE => matches!(
                event_type,
                "deletion_requested" | "account_restored" | "erasure_started"
            ),
            _ => false,
        }
    }

    async fn project(
        &self,
        page: &[&Fact],
        writer: &mut Writer<'_>,
    ) -> Result<(), ProjectionError> {
        let folded = Folded::of(page)?;
        let rows = Rows::of(&folded).map_err(ReadError::from)?;
        add_exams(&rows.started, writer).await?;
        change_exams(&rows.changed, writer).await?;
        save_answers(&folded, writer).await?;
        add_results(&rows.scored, writer).await?;
        move_standings(&folded, writer).await?;
        erase(&folded, writer).await
    }
}

/// What the page changes, with the words of the domain as they are stored.
struct Rows<'f> {
    started: Vec<StartedRow<'f>>,
    changed: Vec<ChangedRow<'f>>,
    scored: Vec<ScoredRow<'f>>,
}

/// An exam that began in the page, as the page leaves it.
struct StartedRow<'f> {
    id: Uuid,
    started: &'f Started,
    items: String,
    status: String,
    reflection: Option<&'f [u8]>,
    completed_at: Option<DateTime<Utc>>,
    expires_us: i64,
}

/// An exam that began before the page.
struct ChangedRow<'f> {
    id: Uuid,
    change: &'f Change,
    status: Option<String>,
}

/// A result, and its words.
struct ScoredRow<'f> {
    exam_id: Uuid,
    result: &'f ExamResult,
    band: String,
    label: Option<String>,
    categories: Vec<CategoryRow<'f>>,
}

/// The result of one category, and its word.
struct CategoryRow<'f> {
    exam_id: Uuid,
    result: &'f CategoryResult,
    band: Option<String>,
}

impl<'f> Rows<'f> {
    fn of(folded: &'f Folded) -> Result<Self, serde_json::Error> {
        let mut rows = Self {
            started: Vec::new(),
            changed: Vec::new(),
            scored: Vec::new(),
        };
        let staying = folded
            .exams
            .iter()
            .filter(|(id, _)| !folded.erased.contains(*id));
        for (id, change) in staying {
            match &change.started {
                Some(started) => rows.started.push(StartedRow::of(*id, started, change)?),
                None => rows.changed.push(ChangedRow {
                    id: *id,
                    change,
                    status: change.status.as_ref().map(word).transpose()?,
                }),
            }
            if let Some(result) = &change.result {
                rows.scored.push(ScoredRow::of(*id, result)?);
            }
        }
        Ok(rows)
    }
}

impl<'f> StartedRow<'f> {
    fn of(id: Uuid, started: &'f Started, change: &'f Change) -> Result<Self, serde_json::Error> {
        let active_at = change.last_activity_at.unwrap_or(started.at);
        Ok(Self {
            id,
            started,
            items: json(&started.items)?,
            status: word(&change.status.unwrap_or(Status::InProgress))?,
            reflection: change.reflection.sealed(),
            completed_at: change.completed_at,
            expires_us: active_at.timestamp_micros().saturating_add(started.idle_us),
        })
    }
}

impl<'f> ScoredRow<'f> {
    fn of(exam_id: Uuid, result: &'f ExamResult) -> Result<Self, serde_json::Error> {
        let categories = result.categories.iter().map(|result| {
            Ok(CategoryRow {
                exam_id,
                result,
                band: result.band.as_ref().map(word).transpose()?,
            })
        });
        Ok(Self {
            exam_id,
            result,
            band: word(&result.overall.band)?,
            label: result
                .sentiment
                .map(|sentiment| word(&sentiment.label))
                .transpose()?,
            categories: categories.collect::<Result<_, serde_json::Error>>()?,
        })
    }
}

async fn add_exams(rows: &[StartedRow<'_>], writer: &mut Writer<'_>) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = writer.sql(&ADD_EXAMS);
    let transaction = writer.transaction().await?;
    execute_rows!(in *transaction, &sql, rows, |row, exam| {
        row.push_bind(exam.id);
        row.push_bind(exam.started.account_id);
        row.push_bind(exam.started.instrument.as_str());
        row.push_bind(i64::from(exam.started.bank_version));
        row.push_bind(i64::from(exam.started.scoring_version));
        row.push_bind(exam.started.language.code());
        row.push_bind(exam.items.as_str());
        row.push_bind(i64::try_from(exam.started.items.len()).unwrap_or(i64::MAX));
        row.push_bind(exam.status.as_str());
        row.push_bind(exam.reflection);
        row.push_bind(exam.started.at);
        row.push_bind(exam.completed_at);
        row.push_bind(exam.started.idle_us);
        row.push_bind(exam.expires_us);
    })?;
    Ok(())
}

async fn change_exams(rows: &[ChangedRow<'_>], writer: &mut Writer<'_>) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = writer.sql(&CHANGE_EXAMS);
    let transaction = writer.transaction().await?;
    execute_rows!(in *transaction, &sql, rows, |row, ChangedRow { id, change, status }| {
        row.push_bind(*id);
        row.push_bind(status.as_deref());
        row.push_bind(change.completed_at);
        row.push_bind(change.last_activity_at.map(|at| at.timestamp_micros()));
        row.push_bind(!matches!(change.reflection, Words::Unchanged));
        row.push_bind(change.reflection.sealed());
    })?;
    Ok(())
}

async fn save_answers(folded: &Folded, writer: &mut Writer<'_>) -> Result<(), sqlx::Error> {
    let rows: Vec<(Uuid, &str, i64)> = folded
        .exams
        .iter()
        .filter(|(id, _)| !folded.erased.contains(*id))
        .flat_map(|(id, change)| {
            let answers = change.answers.iter();
            answers.map(|(item, answer)| (*id, item.as_str(), *answer))
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let sql = writer.sql(&SAVE_ANSWERS);
    let transaction = writer.transaction().await?;
    execute_rows!(in *transaction, &sql, rows, |row, (exam_id, item, answer)| {
        row.push_bind(*exam_id);
        row.push_bind(*item);
        row.push_bind(*answer);
    })?;
    Ok(())
}

async fn add_results(rows: &[ScoredRow<'_>], writer: &mut Writer<'_>) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let add_results = writer.sql(&ADD_RESULTS);
    let add_category_results = writer.sql(&ADD_CATEGORY_RESULTS);
    let transaction = writer.transaction().await?;
    execute_rows!(in *transaction, &add_results, rows, |row, scored| {
        let ExamResult { overall, flags, sentiment, .. } = scored.result;
        row.push_bind(scored.exam_id);
        row.push_bind(i64::from(overall.percentage.tenths()));
        row.push_bind(scored.band.as_str());
        row.push_bind(flags.rushed);
        row.push_bind(flags.inconsistent);
        row.push_bind(sentiment.map(|sentiment| sentiment.compound));
        row.push_bind(sentiment.map(|sentiment| sentiment.score));
        row.push_bind(scored.label.as_deref());
    })?;
    let categories: Vec<&CategoryRow<'_>> =
        rows.iter().flat_map(|scored| &scored.categories).collect();
    execute_rows!(in *transaction, &add_category_results, categories, |row, category| {
        let CategoryRow { exam_id, result, band } = category;
        row.push_bind(*exam_id);
        row.push_bind(result.category.as_str());
        row.push_bind(i64::from(result.items));
        row.push_bind(i64::from(result.score));
        row.push_bind(i64::from(result.min));
        row.push_bind(i64::from(result.max));
        row.push_bind(i64::from(result.percentage.tenths()));
        row.push_bind(band.as_deref());
    })?;
    Ok(())
}

async fn move_standings(folded: &Folded, writer: &mut Writer<'_>) -> Result<(), sqlx::Error> {
    if folded.standings.is_empty() && folded.hidden.is_empty() {
        return Ok(());
    }
    let save = writer.sql(&SAVE_STANDINGS);
    let hide = writer.sql(&HIDE_STANDINGS);
    let transaction = writer.transaction().await?;
    let rows: Vec<_> = folded.standings.iter().collect();
    execute_rows!(in *transaction, &save, rows, |row, (key, standing)| {
        row.push_bind(key.account_id);
        row.push_bind(key.instrument.as_str());
        row.push_bind(i64::from(key.bank_version));
        row.push_bind(i64::from(key.scoring_version));
        row.push_bind(standing.exam_id);
        row.push_bind(i64::from(standing.tenths));
        row.push_bind(false);
    })?;
    let rows: Vec<_> = folded.hidden.iter().collect();
    execute_rows!(in *transaction, &hide, rows, |row, (account, hidden)| {
        row.push_bind(**account);
        row.push_bind(**hidden);
    })?;
    Ok(())
}

async fn erase(folded: &Folded, writer: &mut Writer<'_>) -> Result<(), ProjectionError> {
    let rows: Vec<_> = folded.erased.iter().collect();
    if rows.is_empty() {
        return Ok(());
    }
    for statement in &ERASE {
        let sql = writer.sql(statement);
        let transaction = writer.transaction().await?;
        execute_rows!(in *transaction, &sql, rows, |row, id| {
            row.push_bind(**id);
        })?;
    }
    Ok(())
}
