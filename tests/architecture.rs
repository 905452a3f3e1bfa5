//! The arrows go one way, and files look as ARCHITECTURE says.
//!
//! Every check is a pure function over manifests or sources, so that each is also shown to fail.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

type Outcome = Result<(), Box<dyn Error>>;

/// A source file, its path relative to the workspace, with `/`.
#[derive(Clone)]
struct Source {
    path: String,
    text: String,
}

/// What the crates of the workspace may not know: (crate, what its manifest and its imports may not name).
const WALLS: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "event_log",
            "projections",
            "soulsense",
            "sqlx",
            "tokio",
            "axum",
            "futures",
            "postgres_es",
            "sqlite_es",
            "reqwest",
        ],
    ),
    ("event_log", &["projections", "soulsense", "axum"]),
    ("projections", &["soulsense", "axum"]),
];

/// What the domain may not reach for: the clock, chance, the machine.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::thread",
    "Utc::now",
    "Local::now",
    "SystemTime",
    "Instant::now",
    "now_v7",
    "new_v4",
    "rand::rng(",
    "rand::rng;",
    "rand::random",
    "thread_rng",
    "OsRng",
    "SysRng",
];

/// Names that say nothing about what is inside.
const NAMES_THAT_SAY_NOTHING: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "misc", "type", "types", "model", "models",
];

/// Lines of a source file, its tests not counted.
const LONGEST_FILE: usize = 700;

/// Where statements have no place in Rust: they stand in `.sql` files.
const WITHOUT_SQL: &[&str] = &[
    "domain/src/",
    "src/http",
    "src/policies",
    "projections/src/",
];

/// The exceptions: the runner's own bookkeeping, about no context.
const WITH_SQL: &[&str] = &[
    "projections/src/generations.rs",
    "projections/src/tables.rs",
];

/// How a statement begins. In capitals, as statements are written here and prose is not.
const STATEMENTS: &[&str] = &[
    "SELECT ",
    "INSERT INTO ",
    "UPDATE {",
    "DELETE FROM ",
    "CREATE TABLE ",
    "DROP TABLE ",
    "BEGIN IMMEDIATE",
];

/// Locks that a session holds until it lets go. Behind a pooler the session is somebody else's, and a node
/// that is cut off holds them for hours. Split, so that this file does not hold them itself.
const SESSION_LOCKS: &[(&str, &str)] = &[
    ("pg_advisory_", "lock("),
    ("pg_advisory_", "lock_shared("),
    ("pg_try_advisory_", "lock("),
    ("pg_try_advisory_", "lock_shared("),
    ("pg_advisory_", "unlock"),
];

// ---- the checks ----------------------------------------------------------------------------------------

/// Dependencies, of whatever kind, that point back over a wall.
fn manifests_that_point_back(metadata: &Value) -> Vec<String> {
    let mut offences = Vec::new();
    for package in array(&metadata["packages"]) {
        let name = string(&package["name"]);
        let Some((_, forbidden)) = WALLS.iter().find(|(walled, _)| *walled == name) else {
            continue;
        };
        for dependency in array(&package["dependencies"]) {
            let dependency = string(&dependency["name"]).replace('-', "_");
            if forbidden.contains(&dependency.as_str()) {
                offences.push(format!("{name}/Cargo.toml depends on {dependency}"));
            }
        }
    }
    offences
}

/// Imports and full paths that point back over a wall.
fn imports_that_point_back(source: &Source) -> Vec<String> {
    let Some((_, forbidden)) = WALLS
        .iter()
        .find(|(walled, _)| source.path.starts_with(&format!("{walled}/src/")))
    else {
        return Vec::new();
    };
    code_lines(&source.text)
        .flat_map(|(number, line)| {
            forbidden
                .iter()
                .filter(move |name| names_crate(line, name))
                .map(move |name| (number, name))
        })
        .map(|(number, name)| format!("{}:{number} names {name}", source.path))
        .collect()
}

/// The clock, chance or the machine inside the domain.
fn impurities(source: &Source) -> Vec<String> {
    if !source.path.starts_with("domain/src/") || is_test(&source.path) {
        return Vec::new();
    }
    code_lines(without_tests(&source.text))
        .flat_map(|(number, line)| {
            IMPURE
                .iter()
                .filter(move |impure| line.contains(**impure))
                .map(move |impure| (number, impure))
        })
        .map(|(number, impure)| {
            format!(
                "{}:{number} uses {impure}: it must arrive inside the command",
                source.path
            )
        })
        .collect()
}

/// Files and folders with a name that says nothing.
fn meaningless_names(source: &Source) -> Vec<String> {
    source
        .path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"))
        .filter(|part| NAMES_THAT_SAY_NOTHING.contains(part))
        .map(|part| format!("{}: `{part}` says nothing, name the thing", source.path))
        .collect()
}

/// A module that does not say what it is.
fn missing_introduction(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    if first.trim_start_matches("//!").trim().is_empty() || !first.starts_with("//!") {
        return vec![format!("{} does not open with `//!`", source.path)];
    }
    Vec::new()
}

/// A file nobody reads in one go.
fn excess_length(source: &Source) -> Vec<String> {
    if is_test(&source.path) {
        return Vec::new();
    }
    let lines = without_tests(&source.text).lines().count();
    if lines > LONGEST_FILE {
        return vec![format!(
            "{} has {lines} lines, more than {LONGEST_FILE}",
            source.path
        )];
    }
    Vec::new()
}

/// Statements in Rust where they belong into `.sql` files.
fn stray_statements(source: &Source) -> Vec<String> {
    let within = |places: &[&str]| places.iter().any(|place| source.path.starts_with(place));
    if !within(WITHOUT_SQL) || within(WITH_SQL) || is_test(&source.path) {
        return Vec::new();
    }
    code_lines(without_tests(&source.text))
        .filter(|(_, line)| STATEMENTS.iter().any(|statement| line.contains(statement)))
        .map(|(number, _)| {
            format!(
                "{}:{number} holds a statement: it belongs into projections/sql",
                source.path
            )
        })
        .collect()
}

/// Locks that outlive their transaction, in whatever case.
fn session_locks(source: &Source) -> Vec<String> {
    let locks = |line: &str| {
        let line = line.to_lowercase();
        SESSION_LOCKS
            .iter()
            .any(|(start, end)| line.contains(&format!("{start}{end}")))
    };
    (1..)
        .zip(source.text.lines())
        .filter(|(_, line)| locks(line))
        .map(|(number, _)| format!("{}:{number} takes a lock for a session", source.path))
        .collect()
}

// ---- reading -------------------------------------------------------------------------------------------

/// True when `line` names the crate as `name::…`, `use name;` or `use name as …`.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = &line[start + name.len()..];
        let stands_alone = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.')
            && !line[..start].ends_with("crate::")
            && !line[..start].ends_with("self::")
            && !line[..start].ends_with("super::");
        let imported = line[..start].trim_end().ends_with("use")
            && (after.starts_with(';') || after.starts_with(" as "));
        stands_alone && (after.starts_with("::") || imported)
    })
}

/// Numbered lines that are not comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The text before the test module that closes a file.
fn without_tests(text: &str) -> &str {
    let mut end = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let opens = lines.peek().is_some_and(|next| {
            let next = next.trim();
            next.starts_with("mod ") && next.ends_with('{')
        });
        if line.trim_end() == "#[cfg(test)]" && opens {
            break;
        }
        end += line.len();
    }
    &text[..end]
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Every Rust source of the workspace.
fn sources() -> Result<Vec<Source>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for package in ["", "domain/", "event_log/", "projections/"] {
        for folder in ["src", "tests", "benches", "examples"] {
            collect(root, &format!("{package}{folder}"), "rs", &mut found)?;
        }
    }
    Ok(found)
}

#[expect(clippy::disallowed_methods, reason = "no runtime runs here")]
fn collect(root: &Path, folder: &str, kind: &str, found: &mut Vec<Source>) -> Outcome {
    if !root.join(folder).is_dir() {
        return Ok(());
    }
    for entry in root.join(folder).read_dir()? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(root, &path, kind, found)?;
        } else if entry.path().extension().is_some_and(|ext| ext == kind) {
            let text = std::fs::read_to_string(entry.path())?;
            found.push(Source { path, text });
        }
    }
    Ok(())
}

fn hold_everywhere(check: impl Fn(&Source) -> Vec<String>) -> Outcome {
    let sources = sources()?;
    assert!(
        sources.iter().any(|source| source.path == "src/lib.rs"),
        "the sources were not found"
    );
    let offences: Vec<String> = sources.iter().flat_map(check).collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    Ok(())
}

// ---- what holds ----------------------------------------------------------------------------------------

#[test]
fn no_manifest_points_back() -> Outcome {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(array(&metadata["packages"]).len(), 4);
    let offences = manifests_that_point_back(&metadata);
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    Ok(())
}

#[test]
fn no_import_points_back() -> Outcome {
    hold_everywhere(imports_that_point_back)
}

#[test]
fn the_domain_is_pure() -> Outcome {
    hold_everywhere(impurities)
}

#[test]
fn every_name_says_something() -> Outcome {
    hold_everywhere(meaningless_names)
}

#[test]
fn every_module_says_what_it_is() -> Outcome {
    hold_everywhere(missing_introduction)
}

#[test]
fn every_file_can_be_read_in_one_go() -> Outcome {
    hold_everywhere(excess_length)
}

#[test]
fn statements_stand_in_sql_files() -> Outcome {
    hold_everywhere(stray_statements)
}

#[test]
fn no_lock_outlives_its_transaction() -> Outcome {
    let mut found = Vec::new();
    for folder in ["event_log", "projections", "src", "migrations"] {
        collect(
            Path::new(env!("CARGO_MANIFEST_DIR")),
            folder,
            "sql",
            &mut found,
        )?;
    }
    assert!(
        found.len() > 50,
        "only {} statements were read",
        found.len()
    );
    found.extend(sources()?);
    let offences: Vec<String> = found.iter().flat_map(session_locks).collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    Ok(())
}

// ---- and that the checks can fail ----------------------------------------------------------------------

fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn a_manifest_that_points_back_is_found() {
    let package = |name: &str, dependency: &str| {
        serde_json::json!({ "packages": [{
            "name": name,
            "dependencies": [{ "name": "serde", "kind": null }, { "name": dependency, "kind": "dev" }],
        }]})
    };
    for (name, dependency) in [
        ("domain", "event_log"),
        ("domain", "sqlx"),
        ("domain", "postgres-es"),
        ("event_log", "projections"),
        ("event_log", "axum"),
        ("projections", "soulsense"),
    ] {
        assert_eq!(
            manifests_that_point_back(&package(name, dependency)).len(),
            1,
            "{name} → {dependency}"
        );
    }
    for (name, dependency) in [
        ("event_log", "domain"),
        ("event_log", "sqlx"),
        ("projections", "event_log"),
        ("soulsense", "axum"),
    ] {
        assert!(
            manifests_that_point_back(&package(name, dependency)).is_empty(),
            "{name} → {dependency}"
        );
    }
}

#[test]
fn an_import_that_points_back_is_found() {
    for (path, text) in [
        ("domain/src/id.rs", "use sqlx::Row;\n"),
        ("domain/src/id.rs", "    pub use tokio;\n"),
        ("domain/src/id.rs", "use axum as web;\n"),
        (
            "event_log/src/append.rs",
            "let page = projections::page();\n",
        ),
        ("projections/src/lib.rs", "use ::soulsense::clock::Clock;\n"),
    ] {
        assert_eq!(
            imports_that_point_back(&source(path, text)).len(),
            1,
            "{path}: {text}"
        );
    }
    for (path, text) in [
        ("domain/src/id.rs", "// sqlx::Row reads these\n"),
        ("domain/src/id.rs", "use crate::projections::Page;\n"),
        ("domain/src/id.rs", "let my_tokio::x = futures_of(tokio);\n"),
        ("event_log/src/lib.rs", "use sqlx::Row;\n"),
        ("src/lib.rs", "use axum::Router;\n"),
    ] {
        assert!(
            imports_that_point_back(&source(path, text)).is_empty(),
            "{path}: {text}"
        );
    }
}

#[test]
fn an_impure_domain_is_found() {
    let clock = "let now = Utc::now();\n";
    assert_eq!(impurities(&source("domain/src/id.rs", clock)).len(), 1);
    let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{clock}}}\n");
    assert!(impurities(&source("domain/src/id.rs", &tested)).is_empty());
    assert!(impurities(&source("src/clock.rs", clock)).is_empty());
    let values = "use rand::rngs::Xoshiro256PlusPlus;\nuse std::net::IpAddr;\n";
    assert!(impurities(&source("domain/src/id.rs", values)).is_empty());
}

#[test]
fn a_name_that_says_nothing_is_found() {
    for path in [
        "src/utils.rs",
        "domain/src/common/mod.rs",
        "tests/helpers.rs",
    ] {
        assert_eq!(meaningless_names(&source(path, "")).len(), 1, "{path}");
    }
    assert!(meaningless_names(&source("domain/src/id.rs", "")).is_empty());
}

#[test]
fn a_module_without_introduction_is_found() {
    for text in ["", "use std::fmt;\n", "//!\nuse std::fmt;\n", "// no\n"] {
        assert_eq!(
            missing_introduction(&source("src/x.rs", text)).len(),
            1,
            "{text:?}"
        );
    }
    assert!(missing_introduction(&source("src/x.rs", "//! Says it.\n")).is_empty());
}

#[test]
fn a_file_too_long_is_found_and_its_tests_do_not_count() {
    let long = "fn f() {}\n".repeat(LONGEST_FILE + 1);
    assert_eq!(excess_length(&source("src/x.rs", &long)).len(), 1);
    assert!(excess_length(&source("domain/src/journal/entry/tests.rs", &long)).is_empty());
    let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert!(excess_length(&source("src/x.rs", &tested)).is_empty());
    let declared = format!("#[cfg(test)]\nmod tests;\n{long}");
    assert_eq!(excess_length(&source("src/x.rs", &declared)).len(), 1);
}

#[test]
fn a_statement_in_rust_is_found() {
    for text in [
        "sqlx::query(\"SELECT id FROM entries\")\n",
        "    INSERT INTO {entries} (id) VALUES ($1)\n",
        "let q = \"UPDATE {entries} SET title = $1\";\n",
        "query(\"DELETE FROM {entries}\")\n",
    ] {
        for path in ["src/http/journal.rs", "projections/src/journal/queries.rs"] {
            assert_eq!(stray_statements(&source(path, text)).len(), 1, "{text}");
        }
        for path in ["projections/src/generations.rs", "event_log/src/sqlite.rs"] {
            assert!(stray_statements(&source(path, text)).is_empty(), "{text}");
        }
    }
    let comment = "/// SELECT stands in a file of its own.\n";
    assert!(stray_statements(&source("src/http/journal.rs", comment)).is_empty());
}

#[test]
fn a_lock_for_a_session_is_found_and_one_for_a_transaction_is_not() {
    for (start, end) in SESSION_LOCKS {
        let text = format!("SELECT {start}{end}1)\n");
        for text in [text.clone(), text.to_uppercase()] {
            assert_eq!(
                session_locks(&source("event_log/sql/x.sql", &text)).len(),
                1
            );
        }
    }
    let for_a_transaction = "SELECT pg_advisory_xact_lock($1)\n";
    assert!(session_locks(&source("event_log/src/homes.rs", for_a_transaction)).is_empty());
}
