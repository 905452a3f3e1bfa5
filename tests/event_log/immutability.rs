//! What is in the log stays as it is: both engines refuse every way of changing an event.

use event_log::RecordedEvent;
use event_log::append::{Appender, Bounds};
use event_log::database::Engine;
use event_log::execute;
use event_log::reader::Reader;

use super::queueing::command;
use crate::support::engines::{Outcome, each_engine};

const EVERYWHERE: &[&str] = &[
    "UPDATE {events} SET payload = '{}' WHERE position = 1",
    "UPDATE {events} SET position = position + 10",
    "DELETE FROM {events} WHERE position = 1",
    "DELETE FROM {events}",
    "INSERT INTO {events} SELECT * FROM {events} WHERE position = 1",
    "INSERT INTO {events} SELECT * FROM {events} WHERE position = 1
        ON CONFLICT (position) DO UPDATE SET payload = '[]'",
];
const ON_POSTGRES: &[&str] = &[
    "TRUNCATE {events}",
    "TRUNCATE {events} CASCADE",
    "INSERT INTO {events} SELECT * FROM {events} WHERE position = 1
        ON CONFLICT (aggregate_type, aggregate_id, sequence) DO UPDATE SET payload = '[]'",
];
const ON_SQLITE: &[&str] = &[
    "INSERT OR REPLACE INTO {events} SELECT * FROM {events} WHERE position = 1",
    "REPLACE INTO {events} SELECT * FROM {events} WHERE position = 1",
    // the same position under another sequence, and the same sequence under another position
    "REPLACE INTO {events} SELECT aggregate_type, aggregate_id, 99, event_type, event_version, payload, metadata,
        position, event_id, recorded_at, correlation_id, causation_id, actor_id, subject_id, content_hash
        FROM {events} WHERE position = 1",
    "REPLACE INTO {events} SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
        99, event_id, recorded_at, correlation_id, causation_id, actor_id, subject_id, content_hash
        FROM {events} WHERE position = 1",
    "UPDATE OR REPLACE {events} SET position = 2 WHERE position = 1",
];

#[tokio::test]
async fn no_statement_changes_or_removes_an_event() -> Outcome {
    each_engine(async |installation| {
        let (appender, _task) = Appender::start(installation.target(), Bounds::default()).await?;
        appender.append(command("a", "{}")).await?;
        appender.append(command("b", "{}")).await?;
        let reader = Reader::new(installation.homes.log.clone());
        let before: Vec<RecordedEvent> = reader.page(0, 100, 100).await?;
        let (own, table) = match installation.engine() {
            Engine::Postgres => (ON_POSTGRES, "log.events"),
            Engine::Sqlite => (ON_SQLITE, "events"),
        };
        for text in EVERYWHERE.iter().chain(own) {
            let text = text.replace("{events}", table);
            let refused = execute!(installation.homes.log, &text);
            assert!(matches!(refused, Err(sqlx::Error::Database(_))), "{text}");
        }
        assert_eq!(reader.page(0, 100, 100).await?, before);
        assert_eq!(before.len(), 2);
        Ok(())
    })
    .await
}
