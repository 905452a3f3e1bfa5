//! What commands print: results to standard output, remarks to standard error. Nothing is coloured.

use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// In a narrower terminal, or one that does not say how wide it is, tables are not squeezed.
const NARROWEST: u16 = 60;

/// In which form a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Ndjson,
}

/// Prints one line of a result.
pub fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints a remark, which is no result.
pub fn remark(text: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{text}")
}

/// Prints a list: as it is for programs, as a table of `cells` under `header` for people.
pub fn list<T: Serialize, const N: usize>(
    format: Format,
    items: &[T],
    header: [&str; N],
    cells: impl Fn(&T) -> [String; N],
) -> anyhow::Result<()> {
    match format {
        Format::Table => table(header, items.iter().map(cells))?,
        Format::Json => json(&items)?,
        Format::Ndjson => {
            for item in items {
                line(&serde_json::to_string(item)?)?;
            }
        }
    }
    Ok(())
}

/// Prints one JSON document, indented.
pub fn json(document: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(document)?)?;
    Ok(())
}

/// Prints a table: with lines and wrapped to the terminal, or plain and as wide as it is in a pipe.
pub fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> io::Result<()> {
    let mut table = Table::new();
    if io::stdout().is_terminal() {
        table.load_style(presets::UTF8_FULL_CONDENSED);
        if table.width().is_some_and(|width| width >= NARROWEST) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
    } else {
        table.load_style(presets::NOTHING);
    }
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for text in table.lines() {
        line(text.trim_end())?;
    }
    Ok(())
}

/// A time as it is printed: UTC, to the millisecond.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// True when whoever read the results has gone, which is their affair.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
