//! Where the words of an entry stand, and where not.

use std::error::Error;
use std::path::Path;

use axum::http::StatusCode;
use domain::journal::entry::EntryCommand;
use event_log::database::{Database, Engine};
use event_log::{Metadata, fetch_all};
use serde_json::{Value, json};
use soulsense::commands::Request;
use soulsense::tokens::hex;

use super::{full, patch, path_of, plain, without_support, written};
use crate::support::app::{App, on_each_engine};
use crate::support::engines::Outcome;
use crate::support::rebuild::rebuilt_equals_live;

#[tokio::test]
async fn support_stands_in_the_reply_to_a_write_and_nowhere_else() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let entry = written(&asha, plain("Some days I want to die.")).await?;
        assert_ne!(entry.text("/support/message"), "");
        assert_ne!(entry.text("/support/resources/0/url"), "");
        let path = path_of(&entry);
        let read = asha.get(&path).await?;
        assert!(read.body.get("support").is_none());
        let spanish = json!({"language": "es"});
        let changed = patch(&asha, &path, "\"1\"", spanish).await?;
        assert_ne!(
            changed.text("/support/message"),
            entry.text("/support/message")
        );
        assert_ne!(changed.text("/support/message"), "");
        let words = entry.text("/support/message");
        assert!(!leaks(app, &[&words]).await?, "support is stored");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_word_of_an_entry_is_stored_in_the_clear() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let body = json!({
            "title": "Zwiebelfisch title", "content": "Zwiebelfisch content of an entry",
            "tags": ["zwiebelfisch tag"], "stress_triggers": "Zwiebelfisch triggers",
            "daily_schedule": "Zwiebelfisch schedule",
        });
        let entry = written(&asha, body).await?;
        let path = path_of(&entry);
        let change = json!({"content": "Zwiebelfisch content once again"});
        patch(&asha, &path, "*", change).await?.is(StatusCode::OK)?;
        app.settled().await?;
        assert!(!leaks(app, &["Zwiebelfisch", "zwiebelfisch"]).await?);
        // the search itself finds what is there: ids and times are clear
        let clear = match app.node.homes.read.engine() {
            Engine::Sqlite => "CREATE TABLE entries_g1",
            Engine::Postgres => "entry_written",
        };
        assert!(leaks(app, &[clear]).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_erased_entry_leaves_no_row_before_or_after_a_rebuild() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let kept = written(&asha, full()).await?;
        let erased = written(&asha, full()).await?;
        let (path, id) = (path_of(&erased), erased.text("/id"));
        let now = app.node.clock.now();
        let change = patch(&asha, &path, "*", json!({"mood_rating": 1})).await?;
        change.is(StatusCode::OK)?;

        let request = Request::system(Metadata::system("job:test", app.node.ids.next()));
        let erase = EntryCommand::Erase { now };
        app.node.entries.execute(&id, &erase, &request).await?;
        let keys = app.node.log.keys();
        keys.destroy_stream("entry", &id, now).await?;
        for path in [path.clone(), format!("{path}/revisions")] {
            let reply = asha.get(&path).await?;
            reply.is_problem(StatusCode::NOT_FOUND, "journal.not_found")?;
        }
        rebuilt_equals_live(app).await?;
        let list = asha.get("/journal").await?;
        assert_eq!(list.at("/items/0"), without_support(&kept));
        assert_eq!(list.at("/items/1"), Value::Null);

        // a key that is gone before its event has come closes the words at once
        let (path, id) = (path_of(&kept), kept.text("/id"));
        keys.destroy_stream("entry", &id, now).await?;
        for path in [path.clone(), format!("{path}/revisions")] {
            let reply = asha.get(&path).await?;
            reply.is_problem(StatusCode::NOT_FOUND, "journal.not_found")?;
        }
        assert_eq!(asha.get("/journal").await?.at("/items"), json!([]));
        Ok(())
    })
    .await
}

/// True when one of the words stands in a file of the data directory or in a row of Postgres.
async fn leaks(app: &App, words: &[&str]) -> Result<bool, Box<dyn Error>> {
    if words
        .iter()
        .any(|word| in_files(app.directory(), word).unwrap_or(true))
    {
        return Ok(true);
    }
    let Database::Postgres(_) = &app.node.homes.log else {
        return Ok(false);
    };
    let tables: Vec<(String,)> = fetch_all!(
        app.node.homes.log,
        (String,),
        "SELECT CAST(schemaname || '.' || tablename AS TEXT) FROM pg_tables
          WHERE schemaname IN ('log', 'state', 'keys', 'read')"
    )?;
    assert!(tables.len() > 8);
    for (table,) in tables {
        let sql = format!("SELECT CAST(row AS TEXT) FROM {table} row");
        let rows: Vec<(String,)> = fetch_all!(app.node.homes.log, (String,), &sql)?;
        let found = rows.iter().any(|(row,)| {
            words
                .iter()
                .any(|word| row.contains(word) || row.contains(&hex(word.as_bytes())))
        });
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[expect(clippy::disallowed_methods, reason = "no runtime is held up by it")]
fn in_files(folder: &Path, word: &str) -> std::io::Result<bool> {
    for file in folder.read_dir()? {
        let path = file?.path();
        let found = if path.is_dir() {
            in_files(&path, word)?
        } else {
            let bytes = std::fs::read(&path)?;
            bytes
                .windows(word.len())
                .any(|part| part == word.as_bytes())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
