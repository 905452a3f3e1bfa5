//! What every benchmark reports: one table per engine on standard output, and the same as a JSON file.
//!
//! A line is a [`Row`]: something of ours beside its yardstick, measured in the same run, their ratio, the
//! goal for it, and further figures. README.md beside this file says how to read them.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::{Map, Value, json};

/// What a ratio (ours to the yardstick), or ours where there is no yardstick, should be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// A further figure of a row.
#[derive(Debug, Clone)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
}

/// One line: what was measured on which engine.
#[derive(Debug, Clone)]
pub struct Row {
    engine: String,
    what: String,
    unit: &'static str,
    ours: f64,
    yardstick: Option<(String, f64)>,
    goal: Option<Goal>,
    figures: Vec<Figure>,
}

impl Row {
    /// What was measured of ours, in `unit` (`appends/s`, `ms`, `MB`).
    pub fn new(engine: &str, what: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self {
            engine: engine.to_owned(),
            what: what.into(),
            unit,
            ours,
            yardstick: None,
            goal: None,
            figures: Vec::new(),
        }
    }

    /// What it is compared with, in the same unit.
    pub fn against(mut self, yardstick: impl Into<String>, value: f64) -> Self {
        self.yardstick = Some((yardstick.into(), value));
        self
    }

    /// What it should come to.
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// A further figure, in a column of its own; `unit` may be empty.
    pub fn with(mut self, name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        self.figures.push(Figure {
            name: name.into(),
            value,
            unit,
        });
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.yardstick.as_ref().map(|(_, value)| self.ours / value)
    }

    fn met(&self) -> Option<bool> {
        let value = self.ratio().unwrap_or(self.ours);
        self.goal.map(|goal| match goal {
            Goal::AtLeast(least) => value >= least,
            Goal::AtMost(most) => value <= most,
        })
    }

    fn judged(&self) -> String {
        let verdict = if self.met() == Some(true) {
            "met"
        } else {
            "missed"
        };
        match self.goal {
            Some(Goal::AtLeast(least)) => format!("≥ {least} {verdict}"),
            Some(Goal::AtMost(most)) => format!("≤ {most} {verdict}"),
            None => String::new(),
        }
    }

    fn json(&self) -> Value {
        let figures: Map<String, Value> = self
            .figures
            .iter()
            .map(|figure| {
                let value = json!({"value": figure.value, "unit": figure.unit});
                (figure.name.clone(), value)
            })
            .collect();
        json!({
            "engine": self.engine,
            "what": self.what,
            "unit": self.unit,
            "ours": self.ours,
            "yardstick": self.yardstick.as_ref().map(|(name, value)| json!({"name": name, "value": value})),
            "ratio": self.ratio(),
            "goal": self.goal.map(|goal| match goal {
                Goal::AtLeast(least) => json!({"at_least": least, "met": self.met()}),
                Goal::AtMost(most) => json!({"at_most": most, "met": self.met()}),
            }),
            "figures": figures,
        })
    }
}

/// The rows of one benchmark, with what is to be known of the machine.
#[derive(Debug)]
pub struct Report {
    bench: &'static str,
    date: DateTime<Utc>,
    began: Instant,
    engines: Map<String, Value>,
    rows: Vec<Row>,
}

impl Report {
    /// Begins now.
    #[expect(
        clippy::disallowed_methods,
        reason = "a report says when it was made; no command depends on it"
    )]
    pub fn new(bench: &'static str) -> Self {
        Self {
            bench,
            date: Utc::now(),
            began: Instant::now(),
            engines: Map::new(),
            rows: Vec::new(),
        }
    }

    /// Notes the version of an engine, as it says itself.
    pub fn engine(&mut self, name: &str, version: impl Into<String>) {
        self.engines.insert(name.to_owned(), version.into().into());
    }

    /// Adds a row, and says on standard error that there is one: long benchmarks show that they live.
    pub fn add(&mut self, row: Row) -> io::Result<()> {
        let ratio = row
            .ratio()
            .map_or(String::new(), |ratio| format!(", ratio {ratio:.2}"));
        writeln!(
            io::stderr(),
            "{:>5} s  {}, {}: {} {}{ratio}",
            self.began.elapsed().as_secs(),
            row.engine,
            row.what,
            number(row.ours),
            row.unit
        )?;
        self.rows.push(row);
        Ok(())
    }

    /// Prints the tables and writes `<bench>.json`, into `bench/results` or where `BENCH_RESULTS` names a
    /// directory.
    pub fn finish(self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let mut engines: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !engines.contains(&row.engine.as_str()) {
                engines.push(&row.engine);
            }
        }
        for engine in engines {
            let version = self.engines.get(engine).and_then(Value::as_str);
            writeln!(out, "\n{}: {}", self.bench, version.unwrap_or(engine))?;
            let rows: Vec<&Row> = self
                .rows
                .iter()
                .filter(|row| row.engine == engine)
                .collect();
            writeln!(out, "{}", table(&rows))?;
        }
        let directory = std::env::var_os("BENCH_RESULTS").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/bench/results")),
            PathBuf::from,
        );
        std::fs::create_dir_all(&directory)?;
        let path = directory.join(self.bench).with_extension("json");
        let mut text = serde_json::to_vec_pretty(&self.json())?;
        text.push(b'\n');
        std::fs::File::create(&path)?.write_all(&text)?;
        writeln!(out, "\nwritten to {}", path.display())
    }

    fn json(&self) -> Value {
        json!({
            "bench": self.bench,
            "arguments": std::env::args().skip(1).filter(|one| one != "--bench").collect::<Vec<_>>(),
            "date": self.date.to_rfc3339_opts(SecondsFormat::Secs, true),
            "seconds": self.began.elapsed().as_secs(),
            "commit": std::env::var("BENCH_COMMIT").ok().filter(|commit| !commit.is_empty()),
            "machine": {
                "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
                "processor": line_of("/proc/cpuinfo", "model name"),
                "memory": line_of("/proc/meminfo", "MemTotal"),
                "kernel": line_of("/proc/version", "Linux version"),
            },
            "engines": self.engines,
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        })
    }
}

fn table(rows: &[&Row]) -> Table {
    let mut further: Vec<(&str, &str)> = Vec::new();
    for figure in rows.iter().flat_map(|row| &row.figures) {
        if !further.iter().any(|(name, _)| *name == figure.name) {
            further.push((&figure.name, figure.unit));
        }
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let fixed = [
        "measured",
        "unit",
        "ours",
        "yardstick",
        "its figure",
        "ratio",
        "goal",
    ];
    table.set_header(
        fixed
            .into_iter()
            .map(str::to_owned)
            .chain(further.iter().map(|(name, unit)| match *unit {
                "" => (*name).to_owned(),
                unit => format!("{name} ({unit})"),
            })),
    );
    for row in rows {
        let (yardstick, value) = match &row.yardstick {
            Some((name, value)) => (name.clone(), number(*value)),
            None => (String::new(), String::new()),
        };
        let ratio = row
            .ratio()
            .map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let mut cells = vec![
            Cell::new(&row.what),
            Cell::new(row.unit),
            right(number(row.ours)),
            Cell::new(yardstick),
            right(value),
            right(ratio),
            Cell::new(row.judged()),
        ];
        cells.extend(further.iter().map(|(name, _)| {
            let figure = row.figures.iter().find(|figure| figure.name == *name);
            right(figure.map_or(String::new(), |figure| number(figure.value)))
        }));
        table.add_row(cells);
    }
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// Three significant digits or all of the whole part.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

/// What a line of a file under `/proc` says after its name; `None` where there is no such file.
#[expect(clippy::disallowed_methods, reason = "nothing else runs any more")]
fn line_of(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    let value = line
        .strip_prefix(name)?
        .trim_start_matches([' ', '\t', ':']);
    Some(value.to_owned())
}
