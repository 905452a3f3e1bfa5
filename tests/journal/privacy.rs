//! Where the words of an entry stand, and where not.

use std::error::Error;
use std::path::Path;

use axum::http::StatusCode;
use event_log::database::{Database, Engine};
use event_log::fetch_all;
use serde_json::json;
use soulsense::tokens::hex;

use super::{patch, path_of, plain, written};
use crate::support::app::{App, on_each_engine};
use crate::support::engines::Outcome;
use crate::support::rebuild::settled;

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
        settled(app).await?;
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
