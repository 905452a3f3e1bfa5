//! The documents keep up with the program.

use std::error::Error;
use std::path::{Path, PathBuf};

use soulsense::config::Config;

type Outcome = Result<(), Box<dyn Error>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "no runtime runs here")]
fn read(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

/// The documents at the top and under `docs/`.
fn documents() -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/adr"] {
        for entry in root().join(folder).read_dir()? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Targets of `[…](target)` that are neither addresses nor anchors.
fn relative_links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

/// Options without a row in the table: name, then default, each between backticks.
fn missing_options(table: &str, options: &clap::Command) -> Vec<String> {
    options
        .get_arguments()
        .filter_map(|option| {
            let name = option.get_env()?.to_str()?;
            let defaults = option.get_default_values();
            let default = defaults.first().and_then(|value| value.to_str());
            let row = match default {
                Some(default) => format!("| `{name}` | `{default}` |"),
                None => format!("| `{name}` | |"),
            };
            (!table.contains(&row)).then_some(row)
        })
        .collect()
}

#[test]
fn every_setting_stands_in_operations_with_its_default() -> Outcome {
    let options = <Config as clap::Args>::augment_args(clap::Command::new("soulsense"));
    let missing = missing_options(&read(&root().join("docs/OPERATIONS.md"))?, &options);
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    Ok(())
}

#[test]
fn a_setting_that_is_missing_or_has_another_default_is_found() {
    let option = |name: &'static str| clap::Arg::new(name).long(name).env(name);
    let options = clap::Command::new("x")
        .arg(option("LISTEN").default_value("1"))
        .arg(option("SECRET"));
    assert!(missing_options("| `LISTEN` | `1` | |\n| `SECRET` | | |", &options).is_empty());
    assert_eq!(
        missing_options("| `LISTEN` | `2` | |", &options),
        ["| `LISTEN` | `1` |", "| `SECRET` | |"]
    );
}

#[test]
fn every_relative_link_leads_somewhere() -> Outcome {
    let mut broken = Vec::new();
    for document in documents()? {
        let text = read(&document)?;
        let folder = document.parent().unwrap_or(root());
        for link in relative_links(&text) {
            if !folder.join(link).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

#[test]
fn links_are_found_in_prose() {
    let text = "see [the plan](PLAN.md#now), [here](#here) and [there](https://example.org/x.md)";
    assert_eq!(relative_links(text).collect::<Vec<_>>(), ["PLAN.md"]);
}
