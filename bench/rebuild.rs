//! How fast read models are rebuilt from a long log: all together, each alone, and the naive way, which is
//! one event a transaction through the same projections.
//!
//! `cargo bench --bench rebuild [EVENTS]`. Postgres is measured where `TEST_POSTGRES_URL` names a server.
//! `REBUILD_ENGINE=sqlite|postgres` measures one engine, `REBUILD_QUICK=all` only all together,
//! `REBUILD_QUICK=each` also each alone but not the naive way.
//! With `REBUILD_LOG=directory` the filled logs are kept there (and in a database of the server) and found
//! again by the next run with as many events.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::print_stderr, reason = "and says what it left out")]
#![expect(
    clippy::disallowed_methods,
    reason = "it reads /proc and runs itself, and nothing else waits for its runtime"
)]

#[path = "rebuild/members.rs"]
mod members;
#[path = "rebuild/naive.rs"]
mod naive;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use event_log::reader::Head;
use projections::generations::State;
use projections::projection::Projection;
use serde::Serialize;
use soulsense::clock::{Clock, Ids};
use soulsense::config::Config;
use soulsense::node::{Node, Purpose};
use sqlx::{Connection, PgConnection};

/// Events in the log when nobody says how many.
const EVENTS: i64 = 200_000;
/// Events that the naive way is measured on.
const NAIVE: i64 = 5_000;
/// The figures as JSON.
const FIGURES: &str = "target/bench/rebuild.json";

/// What was measured of one rebuild.
#[derive(Debug, Serialize)]
struct Figure {
    engine: &'static str,
    projection: String,
    events: i64,
    seconds: f64,
    events_a_second: f64,
    /// User and system time of this process, the database's not included.
    cpu_seconds: f64,
    /// Highest resident set of this process while it was built.
    peak_megabytes: f64,
    naive_events_a_second: Option<f64>,
    times_naive: Option<f64>,
}

/// Each phase is a process of its own, so that the figures of one carry nothing of another.
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|text| !text.starts_with("--"))
        .collect();
    match arguments.as_slice() {
        [phase, engine, events, directory] => {
            let place = Place::new(engine, events.parse()?, Path::new(directory))?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(place.run(phase))
        }
        rest => {
            let events = rest.first().map_or(Ok(EVENTS), |text| text.parse())?;
            every_engine(events)
        }
    }
}

fn every_engine(events: i64) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let kept = std::env::var_os("REBUILD_LOG").map(PathBuf::from);
    let directory = kept
        .as_deref()
        .unwrap_or(temporary.path())
        .join(events.to_string());
    std::fs::create_dir_all(&directory)?;
    let mut figures: Vec<serde_json::Value> = Vec::new();
    for engine in ["sqlite", "postgres"] {
        if engine == "postgres" && std::env::var_os("TEST_POSTGRES_URL").is_none() {
            eprintln!("TEST_POSTGRES_URL is not set: Postgres is left out");
            continue;
        }
        if std::env::var("REBUILD_ENGINE").is_ok_and(|only| only != engine) {
            continue;
        }
        let filled = directory.join(format!("{engine}.filled"));
        if !filled.exists() {
            phase("fill", engine, events, &directory)?;
            std::fs::write(&filled, "")?;
        }
        phase("measure", engine, events, &directory)?;
        let written = std::fs::read(directory.join(format!("{engine}.json")))?;
        figures.extend(serde_json::from_slice::<Vec<serde_json::Value>>(&written)?);
        if kept.is_none() {
            phase("drop", engine, events, &directory)?;
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIGURES);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(&path, serde_json::to_vec_pretty(&figures)?)?;
    Ok(())
}

fn phase(name: &str, engine: &str, events: i64, directory: &Path) -> anyhow::Result<()> {
    let status = Command::new(std::env::current_exe()?)
        .args([name, engine, &events.to_string()])
        .arg(directory)
        .status()?;
    ensure!(status.success(), "{name} on {engine} failed");
    Ok(())
}

/// Where the log of one engine is.
struct Place {
    engine: &'static str,
    events: i64,
    directory: PathBuf,
    config: Config,
}

impl Place {
    fn new(engine: &str, events: i64, directory: &Path) -> anyhow::Result<Self> {
        let mut config = Config::defaults()?;
        config.data_dir = directory.join(engine);
        let engine = match engine {
            "sqlite" => "SQLite",
            "postgres" => {
                let server = std::env::var("TEST_POSTGRES_URL")?;
                let (front, _) = server
                    .rsplit_once('/')
                    .context("the URL names no database")?;
                config.database_url = Some(format!("{front}/soulsense_bench_{events}").into());
                "Postgres"
            }
            other => bail!("no engine {other}"),
        };
        Ok(Self {
            engine,
            events,
            directory: directory.to_path_buf(),
            config,
        })
    }

    async fn run(self, phase: &str) -> anyhow::Result<()> {
        match phase {
            "fill" => self.fill().await,
            "measure" => self.measure().await,
            "drop" => self.database("DROP DATABASE IF EXISTS").await,
            other => bail!("no phase {other}"),
        }
    }

    async fn database(&self, verb: &str) -> anyhow::Result<()> {
        if self.engine == "Postgres" {
            let mut connection =
                PgConnection::connect(&std::env::var("TEST_POSTGRES_URL")?).await?;
            sqlx::query(&format!("{verb} soulsense_bench_{}", self.events))
                .execute(&mut connection)
                .await?;
        }
        Ok(())
    }

    async fn open(&self) -> anyhow::Result<Arc<Node>> {
        Node::open(
            self.config.clone(),
            Purpose::Serve,
            Clock::system(),
            Ids::system(),
        )
        .await
    }

    async fn fill(self) -> anyhow::Result<()> {
        if self.config.data_dir.exists() {
            std::fs::remove_dir_all(&self.config.data_dir)?;
        }
        self.database("DROP DATABASE IF EXISTS").await?;
        self.database("CREATE DATABASE").await?;
        let node = self.open().await?;
        let began = Instant::now();
        members::fill(&node, self.events).await?;
        eprintln!(
            "{}: filled in {:.0} s",
            self.engine,
            began.elapsed().as_secs_f64()
        );
        node.stop().await;
        Ok(())
    }

    async fn measure(self) -> anyhow::Result<()> {
        let node = self.open().await?;
        let head = node.log.reader().head().await?;
        node.start_projections().await?;
        built(&node).await?;
        clear(&node).await?;
        let all: Vec<_> = node.projector.projections().to_vec();
        let mut figures = vec![self.rebuild(&node, "all", &all, head).await?];
        clear(&node).await?;
        let naive = NAIVE.min(head.position);
        let quick = std::env::var("REBUILD_QUICK").unwrap_or_default();
        for projection in all.iter().filter(|_| quick != "all") {
            let one = std::slice::from_ref(projection);
            let mut figure = self.rebuild(&node, projection.name(), one, head).await?;
            clear(&node).await?;
            if quick.is_empty() {
                let slow = naive::rate(&node, projection.as_ref(), naive).await?;
                figure.naive_events_a_second = Some(slow);
                figure.times_naive = Some(figure.events_a_second / slow);
            }
            figures.push(figure);
        }
        print(&figures);
        let path = self
            .directory
            .join(format!("{}.json", self.engine.to_lowercase()));
        std::fs::write(path, serde_json::to_vec(&figures)?)?;
        node.stop().await;
        Ok(())
    }

    async fn rebuild(
        &self,
        node: &Arc<Node>,
        name: &str,
        projections: &[Arc<dyn Projection>],
        head: Head,
    ) -> anyhow::Result<Figure> {
        // the highest mark starts again from here
        std::fs::write("/proc/self/clear_refs", "5")?;
        let (began, cpu) = (Instant::now(), cpu_seconds()?);
        for projection in projections {
            node.projector.rebuild(projection.as_ref(), head).await?;
        }
        built(node).await?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Figure {
            engine: self.engine,
            projection: name.to_owned(),
            events: head.position,
            seconds,
            events_a_second: number(head.position) / seconds,
            cpu_seconds: cpu_seconds()? - cpu,
            peak_megabytes: peak_megabytes()?,
            naive_events_a_second: None,
            times_naive: None,
        })
    }
}

fn print(figures: &[Figure]) {
    println!(
        "| engine | rebuilt | events | s | events/s | CPU s | peak MB | naive events/s | times naive |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for figure in figures {
        let maybe = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.0}"));
        println!(
            "| {} | {} | {} | {:.2} | {:.0} | {:.2} | {:.0} | {} | {} |",
            figure.engine,
            figure.projection,
            figure.events,
            figure.seconds,
            figure.events_a_second,
            figure.cpu_seconds,
            figure.peak_megabytes,
            maybe(figure.naive_events_a_second),
            maybe(figure.times_naive),
        );
    }
}

/// Waits until nothing is being built.
async fn built(node: &Arc<Node>) -> anyhow::Result<()> {
    loop {
        let rows = node.projector.generations().list().await?;
        if let Some(row) = rows.iter().find(|row| row.stopped) {
            bail!("{} has stopped: {:?}", row.projection, row.error);
        }
        if node.projector.is_live() && rows.iter().all(|row| row.state != State::Building) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Drops what was replaced, so that nothing else is written beside.
async fn clear(node: &Arc<Node>) -> anyhow::Result<()> {
    for projection in node.projector.projections() {
        node.projector.drop_old(projection.as_ref()).await?;
    }
    Ok(())
}

/// A count as a number to divide; no log here is longer than 2³² events.
fn number(count: i64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no process name")?;
    let ticks: u32 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u32>)
        .sum::<Result<u32, _>>()?;
    Ok(f64::from(ticks) / 100.0)
}

fn peak_megabytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kilobytes: u32 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .context("no VmHWM")?
        .parse()?;
    Ok(f64::from(kilobytes) / 1024.0)
}
