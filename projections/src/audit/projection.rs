//! One row an event of every stream.

use async_trait::async_trait;
use event_log::database::Statement;
use event_log::{RecordedEvent, execute_rows, statement};
use uuid::Uuid;

use crate::fact::Fact;
use crate::projection::{Projection, ProjectionError, Writer};

static ADD_EVENTS: Statement = statement!("../../sql/audit/add_events.sql");

/// The name of the projection.
pub const AUDIT: &str = "audit";

/// Keeps the clear columns of every event, also of those whose payload nobody can read any more. What it
/// holds of a person are ids, so erasure leaves it as it is.
#[derive(Debug)]
pub struct Audit;

#[async_trait]
impl Projection for Audit {
    fn name(&self) -> &'static str {
        AUDIT
    }

    fn version(&self) -> i64 {
        2
    }

    fn schema(&self) -> &'static str {
        include_str!("../../sql/audit/schema.sql")
    }

    fn indexes(&self) -> &'static str {
        include_str!("../../sql/audit/indexes.sql")
    }

    fn handles(&self, _: &str, _: &str) -> bool {
        true
    }

    fn reads_payloads(&self) -> bool {
        false
    }

    fn gathers(&self) -> bool {
        true
    }

    async fn project(
        &self,
        page: &[&Fact],
        writer: &mut Writer<'_>,
    ) -> Result<(), ProjectionError> {
        let sql = writer.sql(&ADD_EVENTS);
        let transaction = writer.transaction().await?;
        execute_rows!(in *transaction, &sql, page, |row, fact| {
            let event = &fact.recorded;
            row.push_bind(event.position);
            row.push_bind(event.event_id);
            row.push_bind(event.recorded_at);
            row.push_bind(event.aggregate_type.as_str());
            row.push_bind(event.aggregate_id.as_str());
            row.push_bind(event.sequence);
            row.push_bind(event.event_type.as_str());
            row.push_bind(event.event_version.as_str());
            row.push_bind(somebody_else(event));
            row.push_bind(event.actor_role().unwrap_or_default());
            row.push_bind(event.subject_id);
            row.push_bind(event.correlation_id);
            row.push_bind(event.causation_id);
        })?;
        Ok(())
    }
}

/// Who did it, unless that is the one it is about: then nothing, so that what members do themselves, which is
/// nearly everything, is found by its subject and needs no second index.
fn somebody_else(event: &RecordedEvent) -> Option<&str> {
    let actor = event.actor_id.as_str();
    let own = event.subject_id.is_some_and(|subject| {
        actor
            == subject
                .hyphenated()
                .encode_lower(&mut Uuid::encode_buffer())
    });
    (!own).then_some(actor)
}
