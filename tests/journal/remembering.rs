//! What is refused or empty from memory stands as long as the log has nothing newer, and not longer.

use axum::http::StatusCode;
use domain::id::AccountId;
use domain::journal::entry::{EntryCommand, EntryError};
use event_log::database::Engine;
use event_log::execute;
use serde_json::json;
use soulsense::commands::CommandError;
use soulsense::node::Node;
use uuid::Uuid;

use super::beginning::{beside, request, write};
use crate::support::app::{App, on_each_engine};
use crate::support::engines::{Outcome, id};

/// Deletes the entry, which must be at the given revision where one is named.
fn delete(app: &App, account: &str, expected: Option<u32>) -> Result<EntryCommand, uuid::Error> {
    Ok(EntryCommand::Delete {
        account_id: AccountId(account.parse()?),
        expected,
        now: app.clock.now(),
    })
}

fn restore(app: &App, account: &str) -> Result<EntryCommand, uuid::Error> {
    Ok(EntryCommand::Restore {
        account_id: AccountId(account.parse()?),
        now: app.clock.now(),
    })
}

/// The sequence of the entry's stream after a command, and whether the command appended anything.
async fn told(
    node: &Node,
    entry: Uuid,
    command: &EntryCommand,
) -> Result<(i64, bool), CommandError<EntryError>> {
    let entry = entry.to_string();
    let done = node
        .entries
        .execute(&entry, command, &request(None))
        .await?;
    Ok((done.sequence, done.position.is_some()))
}

#[tokio::test]
async fn a_state_that_another_node_moved_on_is_noticed() -> Outcome {
    on_each_engine(async |app| {
        let (asha, other) = (app.member("asha").await?, beside(app).await?);
        let (here, entry) = (&app.node, id());
        let (delete, restore) = (delete(app, &asha.id, None)?, restore(app, &asha.id)?);
        let write = write(app, &asha.id, entry)?;
        assert_eq!(told(here, entry, &write).await?, (1, true));
        assert_eq!(told(here, entry, &restore).await?, (1, false));

        assert_eq!(told(&other, entry, &delete).await?, (2, true));
        let restored = told(here, entry, &restore).await?;
        assert_eq!(
            restored,
            (3, true),
            "in memory there was nothing to restore"
        );
        let deleted = told(&other, entry, &delete).await?;
        assert_eq!(deleted, (4, true), "in memory it was deleted already");
        other.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refusal_from_memory_is_judged_again_when_the_stream_has_moved_on() -> Outcome {
    on_each_engine(async |app| {
        let (asha, other) = (app.member("asha").await?, beside(app).await?);
        let entry = id();
        let write = write(app, &asha.id, entry)?;
        assert_eq!(told(&other, entry, &write).await?, (1, true));
        let change = asha.request("PATCH", &format!("/journal/{entry}"));
        let change = change
            .header("if-match", "*")
            .json(json!({"title": "Later"}));
        change.send().await?.is(StatusCode::OK)?;

        let second = delete(app, &asha.id, Some(2))?;
        assert_eq!(told(&other, entry, &second).await?, (3, true));
        other.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stream_that_is_begun_is_looked_for_when_nothing_can_be_begun() -> Outcome {
    on_each_engine(async |app| {
        let (asha, other) = (app.member("asha").await?, beside(app).await?);
        let (delete, no_request) = (delete(app, &asha.id, None)?, request(None));
        let nothing = id().to_string();
        let refused = app.node.entries.begin(&nothing, &delete, &no_request).await;
        assert!(matches!(
            refused,
            Err(CommandError::Rejected(EntryError::NotFound))
        ));
        let entry = id();
        told(&other, entry, &write(app, &asha.id, entry)?).await?;
        let entry = entry.to_string();
        let begun = app.node.entries.begin(&entry, &delete, &no_request).await?;
        assert_eq!(begun.sequence, 2);
        other.stop().await;
        Ok(())
    })
    .await
}

/// Makes the first event of an entry unreadable, as nobody can but who owns the database.
async fn spoil(node: &Node, entry: Uuid) -> Result<u64, sqlx::Error> {
    let (log, payload) = (&node.homes.log, r#"{"type":"never_heard"}"#);
    let (open, spoil) = match log.engine() {
        Engine::Postgres => (
            "ALTER TABLE log.events DISABLE TRIGGER USER",
            "UPDATE log.events SET payload = $2::text::json WHERE aggregate_id = $1 AND sequence = 1",
        ),
        Engine::Sqlite => (
            "DROP TRIGGER events_are_never_updated",
            "UPDATE events SET payload = $2 WHERE aggregate_id = $1 AND sequence = 1",
        ),
    };
    execute!(log, open)?;
    execute!(log, spoil, entry.to_string(), payload)
}

#[tokio::test]
async fn what_memory_refuses_or_leaves_as_it_is_reads_no_event() -> Outcome {
    on_each_engine(async |app| {
        let (asha, other) = (app.member("asha").await?, beside(app).await?);
        let entry = id();
        let write = write(app, &asha.id, entry)?;
        told(&app.node, entry, &write).await?;
        app.settled().await?;
        assert_eq!(spoil(&app.node, entry).await?, 1);

        let restore = restore(app, &asha.id)?;
        assert_eq!(told(&app.node, entry, &restore).await?, (1, false));
        let refused = told(&app.node, entry, &write).await;
        assert!(matches!(
            refused,
            Err(CommandError::Rejected(EntryError::AlreadyWritten))
        ));
        // who remembers nothing has to read it
        for command in [&restore, &write] {
            let unread = told(&other, entry, command).await;
            assert!(matches!(unread, Err(CommandError::Internal(_))));
        }
        other.stop().await;
        Ok(())
    })
    .await
}
