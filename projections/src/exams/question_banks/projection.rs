//! How question banks get into their tables.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::exams::question_bank::{Bank, Item, QuestionBank, QuestionBankEvent};
use event_log::database::Statement;
use event_log::reader::ReadError;
use event_log::{execute, execute_rows, statement};

use crate::exams::stored::json;
use crate::fact::{Event, Fact};
use crate::projection::{Projection, ProjectionError, Writer};

static ADD_BANK: Statement = statement!("../../../sql/exams/question_banks/add_bank.sql");
static ADD_CATEGORIES: Statement =
    statement!("../../../sql/exams/question_banks/add_categories.sql");
static ADD_ITEMS: Statement = statement!("../../../sql/exams/question_banks/add_items.sql");
static RETIRE_BANK: Statement = statement!("../../../sql/exams/question_banks/retire_bank.sql");

/// Every version of every instrument that was published.
#[derive(Debug)]
pub struct QuestionBanks;

#[async_trait]
impl Projection for QuestionBanks {
    fn name(&self) -> &'static str {
        "question_banks"
    }

    fn version(&self) -> i64 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("../../../sql/exams/question_banks/schema.sql")
    }

    fn handles(&self, aggregate_type: &str, _: &str) -> bool {
        aggregate_type == QuestionBank::TYPE
    }

    async fn project(
        &self,
        page: &[&Fact],
        writer: &mut Writer<'_>,
    ) -> Result<(), ProjectionError> {
        // the stream's id is instrument and version: a bank is retired in its own stream
        for fact in page {
            match &fact.event {
                Ok(Event::QuestionBank(QuestionBankEvent::BankPublished {
                    bank,
                    published_at,
                })) => publish(bank, *published_at, writer).await?,
                Ok(Event::QuestionBank(QuestionBankEvent::BankRetired { retired_at })) => {
                    retire(&fact.recorded.aggregate_id, *retired_at, writer).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A category with how many items it has.
struct CategoryRow<'b> {
    place: i64,
    id: &'b str,
    name: String,
    questions: i64,
}

/// An item with its texts.
struct ItemRow<'b> {
    place: i64,
    item: &'b Item,
    body: String,
    tooltip: Option<String>,
}

async fn publish(
    bank: &Bank,
    published_at: DateTime<Utc>,
    writer: &mut Writer<'_>,
) -> Result<(), ProjectionError> {
    let (instrument, version) = (bank.instrument.as_str(), i64::from(bank.version));
    let mut sizes: BTreeMap<&str, i64> = BTreeMap::new();
    for item in &bank.items {
        *sizes.entry(&item.category).or_default() += 1;
    }
    let categories = (1..).zip(&bank.categories).map(|(place, category)| {
        Ok(CategoryRow {
            place,
            id: &category.id,
            name: json(&category.name)?,
            questions: sizes.get(category.id.as_str()).copied().unwrap_or_default(),
        })
    });
    let categories = categories.collect::<Result<Vec<_>, ReadError>>()?;
    let items = (1..).zip(&bank.items).map(|(place, item)| {
        Ok(ItemRow {
            place,
            item,
            body: json(&item.text)?,
            tooltip: item.tooltip.as_ref().map(json).transpose()?,
        })
    });
    let items = items.collect::<Result<Vec<_>, ReadError>>()?;
    let texts = || {
        Ok((
            json(&bank.title)?,
            json(&bank.description)?,
            json(&bank.scale)?,
        ))
    };
    let (title, description, scale) =
        texts().map_err(|error: serde_json::Error| ReadError::from(error))?;
    let sizes: i64 = sizes.values().sum();

    let add_bank = writer.sql(&ADD_BANK);
    let add_categories = writer.sql(&ADD_CATEGORIES);
    let add_items = writer.sql(&ADD_ITEMS);
    let transaction = writer.transaction().await?;
    execute!(
        in *transaction,
        &add_bank,
        instrument,
        version,
        title.as_str(),
        description.as_str(),
        scale.as_str(),
        sizes,
        published_at
    )?;
    execute_rows!(in *transaction, &add_categories, categories, |row, category| {
        row.push_bind(instrument);
        row.push_bind(version);
        row.push_bind(category.place);
        row.push_bind(category.id);
        row.push_bind(category.name.as_str());
        row.push_bind(category.questions);
    })?;
    execute_rows!(in *transaction, &add_items, items, |row, item| {
        row.push_bind(instrument);
        row.push_bind(version);
        row.push_bind(item.place);
        row.push_bind(item.item.id.as_str());
        row.push_bind(item.item.category.as_str());
        row.push_bind(item.body.as_str());
        row.push_bind(item.tooltip.as_deref());
        row.push_bind(i64::from(item.item.min_age));
        row.push_bind(i64::from(item.item.max_age));
    })?;
    Ok(())
}

async fn retire(
    stream: &str,
    retired_at: DateTime<Utc>,
    writer: &mut Writer<'_>,
) -> Result<(), ProjectionError> {
    let Some((instrument, version)) = named_by(stream) else {
        return Ok(());
    };
    let retire_bank = writer.sql(&RETIRE_BANK);
    let transaction = writer.transaction().await?;
    execute!(in *transaction, &retire_bank, instrument, version, retired_at)?;
    Ok(())
}

/// Instrument and version, from the id that [`Bank::stream_id`] makes of them.
fn named_by(stream: &str) -> Option<(&str, i64)> {
    let (instrument, version) = stream.rsplit_once('-')?;
    Some((instrument, version.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_id_names_instrument_and_version() {
        assert_eq!(named_by("career_clarity-12"), Some(("career_clarity", 12)));
        assert_eq!(named_by("eq"), None);
    }
}
