//! Every `.sql` file outside the migrations is named by a source, and both engines understand it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Component, Path, PathBuf};

use event_log::database::{Database, Engine, render};
use event_log::homes::Homes;
use event_log::rows::around_rows;
use sqlx::Executor;

use crate::support::engines::{Outcome, each_engine};

/// Where statements and the sources that name them are.
const TREES: &[&str] = &["event_log", "projections", "src"];
/// The append is a function on Postgres and a module of its own on SQLite.
const ON_POSTGRES_ONLY: &[&str] = &["event_log/sql/append.sql"];

/// What is run, not prepared, in this order.
const SCRIPTS: [&str; 2] = ["schema", "indexes"];

/// A statement's path relative to the workspace, and its text with its markers.
struct Written {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "no runtime is held up by it")]
fn files(folder: &Path, extension: &str) -> Result<Vec<(PathBuf, String)>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|its| its == extension) {
            let text = std::fs::read_to_string(&path)?;
            found.push((path, text));
        }
    }
    Ok(found)
}

fn in_workspace(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}

/// Every statement, those that make tables first, then their indexes.
fn written() -> Result<Vec<Written>, Box<dyn Error>> {
    let mut all = Vec::new();
    for tree in TREES {
        for (path, text) in files(&root().join(tree), "sql")? {
            let path = in_workspace(&path);
            all.push(Written { path, text });
        }
    }
    all.sort_by_key(|statement| {
        let place = SCRIPTS.iter().position(|script| is(statement, script));
        (place.unwrap_or(SCRIPTS.len()), statement.path.clone())
    });
    Ok(all)
}

fn is(statement: &Written, script: &str) -> bool {
    let file = statement.path.rsplit('/').next();
    file.is_some_and(|file| file.starts_with(script))
}

/// The `.sql` files that a source names, as paths relative to the workspace.
fn named_by(source: &Path, text: &str) -> Vec<String> {
    text.split('"')
        .filter(|literal| {
            Path::new(literal)
                .extension()
                .is_some_and(|its| its == "sql")
                && !literal.contains(char::is_whitespace)
        })
        .map(|literal| {
            let mut path = source.parent().unwrap_or(root()).to_path_buf();
            for part in Path::new(literal).components() {
                match part {
                    Component::ParentDir => {
                        path.pop();
                    }
                    part => path.push(part),
                }
            }
            in_workspace(&path)
        })
        .collect()
}

/// A statement as an engine gets it: read-model tables in a first generation, one row where many may stand.
fn rendered(text: &str, engine: Engine) -> String {
    let (head, tail) = around_rows(text);
    let one_row: Cow<'_, str> = if text.contains("{rows}") {
        let values: Vec<String> = (1..=columns_of(head)).map(|at| format!("${at}")).collect();
        format!("{head}VALUES ({}){tail}", values.join(", ")).into()
    } else {
        text.into()
    };
    render(&one_row, engine, |marker| {
        if let Some(bare) = marker.strip_prefix('#') {
            return Some(Cow::Owned(format!("{bare}_g1")));
        }
        let read_model = !marker.contains('.') && !["now_ms", "bytewise"].contains(&marker);
        read_model.then(|| match engine {
            Engine::Postgres => Cow::Owned(format!("read.{marker}_g1")),
            Engine::Sqlite => Cow::Owned(format!("{marker}_g1")),
        })
    })
}

/// How many values a row has: `… (a, b) {rows}`, `… (a, b) AS ({rows})`, or one in `… IN ({rows})`.
fn columns_of(head: &str) -> usize {
    let head = head.trim_end();
    if head.ends_with("IN (") {
        return 1;
    }
    let head = head.strip_suffix("AS (").unwrap_or(head);
    head.rsplit_once('(')
        .map_or(1, |(_, list)| list.split(',').count())
}

/// The one home a statement belongs to.
fn home_of<'h>(homes: &'h Homes, statement: &Written) -> Result<&'h Database, String> {
    let named: Vec<&Database> = [
        ("{log.", &homes.log),
        ("{state.", &homes.state),
        ("{keys.", &homes.keys),
        ("{read.", &homes.read),
    ]
    .into_iter()
    .filter(|(marker, _)| statement.text.contains(marker))
    .map(|(_, home)| home)
    .collect();
    match named.as_slice() {
        [] => Ok(&homes.read),
        [home] => Ok(home),
        _ => Err(format!("{} spans homes", statement.path)),
    }
}

async fn understood(database: &Database, text: &str, runs: bool) -> Result<(), sqlx::Error> {
    let prepared = match database {
        Database::Postgres(pool) if runs => sqlx::raw_sql(text).execute(pool).await.map(|_| ()),
        Database::Sqlite(pool) if runs => sqlx::raw_sql(text).execute(pool).await.map(|_| ()),
        Database::Postgres(pool) => pool.hold().await?.prepare(text).await.map(|_| ()),
        Database::Sqlite(pool) => pool.acquire().await?.prepare(text).await.map(|_| ()),
    };
    match prepared {
        // the last thing Postgres looks at: a parameter whose type only the bound value will tell, and
        // what does not fit with it while it is taken for text
        Err(sqlx::Error::Database(error))
            if matches!(
                error.code().as_deref(),
                Some("42P18" | "42P08" | "42804" | "42883")
            ) =>
        {
            Ok(())
        }
        prepared => prepared,
    }
}

#[test]
fn every_statement_is_named_by_a_source() -> Outcome {
    let mut named = BTreeSet::new();
    for tree in TREES {
        for (path, text) in files(&root().join(tree), "rs")? {
            named.extend(named_by(&path, &text));
        }
    }
    let all = written()?;
    assert!(all.len() > 20, "the statements were not found");
    let forgotten: Vec<&str> = all
        .iter()
        .map(|statement| statement.path.as_str())
        .filter(|path| !named.contains(*path))
        .collect();
    assert!(forgotten.is_empty(), "no source names {forgotten:?}");
    Ok(())
}

#[tokio::test]
async fn every_statement_is_understood_by_both_engines() -> Outcome {
    let all = written()?;
    each_engine(async |installation| {
        let engine = installation.engine();
        let mut offences = Vec::new();
        for statement in &all {
            if engine == Engine::Sqlite && ON_POSTGRES_ONLY.contains(&statement.path.as_str()) {
                continue;
            }
            let database = home_of(&installation.homes, statement)?;
            let text = rendered(&statement.text, engine);
            let runs = SCRIPTS.iter().any(|script| is(statement, script));
            if let Err(error) = understood(database, &text, runs).await {
                offences.push(format!("{}: {error}", statement.path));
            }
        }
        assert!(offences.is_empty(), "{}", offences.join("\n"));
        Ok(())
    })
    .await
}

#[test]
fn a_read_models_markers_are_rendered_for_its_generation() {
    let text = "INSERT INTO {exam_results} (id, score) {rows} ON CONFLICT DO NOTHING";
    assert_eq!(
        rendered(text, Engine::Postgres),
        "INSERT INTO read.exam_results_g1 (id, score) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    );
    assert_eq!(
        rendered(
            "CREATE INDEX {#exam_results}_by_score ON {exam_results} (score)",
            Engine::Sqlite
        ),
        "CREATE INDEX exam_results_g1_by_score ON exam_results_g1 (score)"
    );
}

#[test]
fn a_source_names_statements_relative_to_itself() {
    let source = root().join("event_log/src/reader.rs");
    let named = named_by(&source, "statement!(\"../sql/head.sql\"); // \"not a.sql\"");
    assert_eq!(named, ["event_log/sql/head.sql"]);
}

#[tokio::test]
async fn a_statement_of_an_unknown_table_is_not_understood() -> Outcome {
    each_engine(async |installation| {
        let text = rendered("SELECT 1 FROM {nowhere}", installation.engine());
        assert!(
            understood(&installation.homes.read, &text, false)
                .await
                .is_err()
        );
        Ok(())
    })
    .await
}
