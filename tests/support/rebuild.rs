//! Rebuilds every read model of an application and compares the new rows with the old ones, opened.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use event_log::database::{Database, Engine};
use event_log::keys::Keys;
use event_log::sealing::{Cell, Opener, column_key_id};
use event_log::{fetch_all, fetch_one};
use projections::generations::State;
use projections::projector::Projector;
use projections::tables::{Tables, markers};
use serde_json::{Value, from_str};
use uuid::Uuid;

use super::app::{App, PATIENCE};
use super::engines::Outcome;

/// Shortest sealed column: form, key id, nonce and tag.
const SHORTEST_SEALED: usize = 1 + 16 + 12 + 16;

/// Builds every projection anew and fails unless the new rows are the live ones, row by row after opening.
/// Nothing may be written meanwhile.
pub async fn rebuilt_equals_live(app: &App) -> Outcome {
    let projector = &app.node.projector;
    app.settled().await?;
    let before = live(projector).await?;
    rebuild_all(app).await?;
    let after = live(projector).await?;
    for projection in projector.projections() {
        let name = projection.name();
        for marker in markers(projection.schema()) {
            let (keys, read) = (app.node.log.keys(), &app.node.homes.read);
            let old = dump(read, keys, &table(read, projection, before[name]), marker).await?;
            let new = dump(read, keys, &table(read, projection, after[name]), marker).await?;
            if old != new {
                return Err(format!("{marker}: live {old:#?}, rebuilt {new:#?}").into());
            }
        }
    }
    Ok(())
}

/// Rebuilds every projection and waits until the new generations are what this application reads.
pub async fn rebuild_all(app: &App) -> Outcome {
    let projector = &app.node.projector;
    let head = app.node.log.reader().head().await?;
    let mut wanted = Vec::new();
    for projection in projector.projections() {
        let added = projector.rebuild(projection.as_ref(), head).await?;
        wanted.push((
            projection.name(),
            added.ok_or("a rebuild was under way already")?,
        ));
    }
    let began = Instant::now();
    loop {
        let live = projector.progress().now();
        let all = wanted.iter().all(|(name, generation)| {
            live.get(name)
                .is_some_and(|at| at.generation == *generation && at.position >= head.position)
        });
        if all {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let rows = projector.generations().list().await?;
            let stuck: Vec<_> = rows
                .iter()
                .filter(|row| row.state == State::Building)
                .collect();
            return Err(format!("these are still being built: {stuck:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn live(projector: &Projector) -> Result<BTreeMap<String, i64>, sqlx::Error> {
    let rows = projector.generations().list().await?;
    Ok(rows
        .into_iter()
        .filter(|row| row.state == State::Live)
        .map(|row| (row.projection, row.generation))
        .collect())
}

fn table(
    read: &Database,
    projection: &std::sync::Arc<dyn projections::projection::Projection>,
    generation: i64,
) -> Tables {
    Tables::of(read.engine(), [(projection.as_ref(), generation)])
}

/// Every row of a table as text, sealed columns opened, in the order of the text.
async fn dump(
    read: &Database,
    keys: &Keys,
    tables: &Tables,
    marker: &'static str,
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let bare = tables.render(&format!("{{#{marker}}}"));
    let (columns, quoted) = match read.engine() {
        Engine::Postgres => (
            "SELECT CAST(column_name AS TEXT) FROM information_schema.columns
              WHERE table_schema = 'read' AND table_name = $1 ORDER BY ordinal_position",
            "CAST(json_build_array({columns}) AS TEXT)",
        ),
        Engine::Sqlite => (
            "SELECT name FROM pragma_table_info($1)",
            "json_array({columns})",
        ),
    };
    let columns: Vec<(String,)> = fetch_all!(read, (String,), columns, &bare)?;
    let cells: Vec<String> = columns
        .iter()
        .map(|(column,)| match read.engine() {
            Engine::Postgres => format!("CAST({column} AS TEXT)"),
            Engine::Sqlite => format!("quote({column})"),
        })
        .collect();
    let quoted = quoted.replace("{columns}", &cells.join(", "));
    let sql = tables.render(&format!("SELECT {quoted} FROM {{{marker}}}"));
    let rows: Vec<(String,)> = fetch_all!(read, (String,), &sql)?;
    let (count,): (i64,) = {
        let sql = tables.render(&format!("SELECT count(*) FROM {{{marker}}}"));
        fetch_one!(read, (i64,), &sql)?
    };
    assert_eq!(usize::try_from(count)?, rows.len());
    let mut dumped = Vec::with_capacity(rows.len());
    for (row,) in rows {
        let cells: Vec<Value> = from_str(&row)?;
        let cells: Vec<Vec<u8>> = cells.iter().map(bytes).collect();
        let sealed = cells.iter().filter(|cell| is_sealed(cell));
        let opener = Opener::fetch(keys, sealed.map(Vec::as_slice)).await?;
        let names: Vec<String> = cells
            .iter()
            .filter(|cell| !is_sealed(cell))
            .map(|cell| shown(cell))
            .collect();
        let mut text = Vec::with_capacity(cells.len());
        for ((column,), cell) in columns.iter().zip(&cells) {
            text.push(if is_sealed(cell) {
                opened(&opener, cell, marker, column.clone(), &names)?
            } else {
                shown(cell)
            });
        }
        dumped.push(text.join(" | "));
    }
    dumped.sort();
    Ok(dumped)
}

/// A cell as its database quotes it, as bytes where it is bytes.
fn bytes(cell: &Value) -> Vec<u8> {
    let text = cell.as_str().unwrap_or("NULL");
    let hexed = text
        .strip_prefix("\\x")
        .or_else(|| text.strip_prefix("X'")?.strip_suffix('\''));
    let Some(hexed) = hexed else {
        return text.trim_matches('\'').as_bytes().to_vec();
    };
    hexed
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

fn is_sealed(cell: &[u8]) -> bool {
    cell.len() >= SHORTEST_SEALED && column_key_id(cell).is_ok()
}

fn shown(cell: &[u8]) -> String {
    match (Uuid::from_slice(cell), std::str::from_utf8(cell)) {
        (Ok(id), Err(_)) => id.to_string(),
        (_, Ok(text)) => text.to_owned(),
        (Err(_), Err(_)) => format!("{cell:?}"),
    }
}

/// Whatever else stands in the row may be what identifies it.
fn opened(
    opener: &Opener,
    sealed: &[u8],
    table: &'static str,
    column: String,
    names: &[String],
) -> Result<String, Box<dyn std::error::Error>> {
    let column: &'static str = column.leak();
    for row in names {
        if let Ok(plain) = opener.open(sealed, Cell { table, column, row }) {
            return Ok(plain.unwrap_or_else(|| "erased".to_owned()));
        }
    }
    Err(format!("{table}.{column} opens under no value of its row").into())
}
