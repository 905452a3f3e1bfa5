//! How fast read models are rebuilt from a long log: all together, each alone, and the naive way, which is
//! one event a transaction through the same projections.
//!
//! `cargo bench --bench rebuild [EVENTS]`. Postgres is measured where `TEST_POSTGRES_URL` names a server.
//! `REBUILD_ENGINE=sqlite|postgres` measures one engine, `REBUILD_QUICK=all` only all together,
//! `REBUILD_QUICK=each` also each alone but not the naive way.
//! With `REBUILD_LOG=directory` the filled logs are kept there (and in a database of the server) and found
//! again by the next run with as many events.

#![expect(clippy::print_stderr, reason = "a benchmark says what it left out")]
#![expect(
    clippy::disallowed_methods,
    reason = "it reads /proc and runs itself, and nothing else waits for its runtime"
)]

#[path = "rebuild/members.rs"]
mod members;
#[path = "rebuild/naive.rs"]
mod naive;
#[expect(dead_code, reason = "each benchmark uses what it needs of it")]
mod process;
#[expect(dead_code, reason = "each benchmark uses what it needs of it")]
mod report;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use event_log::database::Database;
use event_log::reader::Head;
use projections::generations::State;
use projections::projection::Projection;
use report::{Goal, Report, Row};
use serde::{Deserialize, Serialize};
use soulsense::clock::{Clock, Ids};
use soulsense::config::Config;
use soulsense::node::{Node, Purpose};
use sqlx::{Connection, PgConnection};

/// Events in the log when nobody says how many.
const EVENTS: i64 = 200_000;
/// Events that the naive way is measured on.
const NAIVE: i64 = 5_000;
/// A million events into all read models in 20 s.
const GOAL: f64 = 50_000.0;

/// What was measured on one engine.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    engine: String,
    version: String,
    all: Figure,
    /// Each alone, and events a second the naive way.
    each: Vec<(String, Figure, Option<f64>)>,
}

/// What was measured of one rebuild.
#[derive(Debug, Serialize, Deserialize)]
struct Figure {
    events: i64,
    seconds: f64,
    /// User and system time of this process.
    cpu_seconds: f64,
    /// User and system time of the database server; nothing on SQLite, which is in this process.
    server_cpu_seconds: f64,
    /// Highest resident set of this process while it was built, of 1,000,000 bytes.
    peak_megabytes: f64,
}

impl Figure {
    fn rate(&self) -> f64 {
        number(self.events) / self.seconds
    }

    fn row(&self, engine: &str, what: &str) -> Row {
        Row::new(engine, what, "events/s", self.rate())
            .with("events", number(self.events), "")
            .with("took", self.seconds, "s")
            .with("CPU", self.cpu_seconds, "s")
            .with("server's CPU", self.server_cpu_seconds, "s")
            .with("peak memory", self.peak_megabytes, "MB")
    }
}

impl Measured {
    fn report(&self, report: &mut Report) -> std::io::Result<()> {
        report.engine(&self.engine, self.version.as_str());
        let mut all = self.all.row(&self.engine, "all read models together");
        if self.engine == "Postgres" {
            all = all.goal(Goal::AtLeast(GOAL));
        }
        report.add(all)?;
        let naive: Option<Vec<f64>> = self.each.iter().map(|(_, _, naive)| *naive).collect();
        if let Some(naive) = naive.filter(|naive| !naive.is_empty()) {
            // one after the other, which is what there is without sharing
            let rate = 1.0 / naive.iter().map(|rate| 1.0 / rate).sum::<f64>();
            let row = Row::new(&self.engine, "the same", "events/s", self.all.rate());
            report.add(row.against("one event a transaction", rate))?;
        }
        for (name, figure, naive) in &self.each {
            let row = figure.row(&self.engine, &format!("{name} alone"));
            report.add(match naive {
                Some(naive) => row.against("one event a transaction", *naive),
                None => row,
            })?;
        }
        Ok(())
    }
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
    let mut report = Report::new("rebuild");
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
        serde_json::from_slice::<Measured>(&written)?.report(&mut report)?;
        if kept.is_none() {
            phase("drop", engine, events, &directory)?;
        }
    }
    Ok(report.finish()?)
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
        let figure = self.rebuild(&node, &all, head).await?;
        clear(&node).await?;
        let mut measured = Measured {
            engine: self.engine.to_owned(),
            version: node.homes.server_version().await?,
            all: figure,
            each: Vec::new(),
        };
        let slice = NAIVE.min(head.position);
        let quick = std::env::var("REBUILD_QUICK").unwrap_or_default();
        for projection in all.iter().filter(|_| quick != "all") {
            let one = std::slice::from_ref(projection);
            let figure = self.rebuild(&node, one, head).await?;
            clear(&node).await?;
            let naive = if quick.is_empty() {
                Some(naive::rate(&node, projection.as_ref(), slice).await?)
            } else {
                None
            };
            let name = projection.name().to_owned();
            measured.each.push((name, figure, naive));
        }
        let file = format!("{}.json", self.engine.to_lowercase());
        std::fs::write(self.directory.join(file), serde_json::to_vec(&measured)?)?;
        node.stop().await;
        Ok(())
    }

    async fn rebuild(
        &self,
        node: &Arc<Node>,
        projections: &[Arc<dyn Projection>],
        head: Head,
    ) -> anyhow::Result<Figure> {
        // the highest mark starts again from here
        std::fs::write("/proc/self/clear_refs", "5")?;
        let server = server(node).await?;
        let (cpu, server_cpu) = (process::own_cpu()?, cpu_of(server)?);
        let began = Instant::now();
        for projection in projections {
            node.projector.rebuild(projection.as_ref(), head).await?;
        }
        built(node).await?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Figure {
            events: head.position,
            seconds,
            cpu_seconds: process::own_cpu()?.saturating_sub(cpu).as_secs_f64(),
            server_cpu_seconds: cpu_of(server)?.saturating_sub(server_cpu).as_secs_f64(),
            peak_megabytes: peak_megabytes()?,
        })
    }
}

/// The first process of a Postgres server on this machine.
async fn server(node: &Node) -> anyhow::Result<Option<u32>> {
    let Database::Postgres(pool) = &node.homes.read else {
        return Ok(None);
    };
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(pool)
        .await?;
    Ok(process::parent_named(u32::try_from(backend)?, "postgres"))
}

fn cpu_of(server: Option<u32>) -> anyhow::Result<Duration> {
    Ok(server.map_or(Ok(Duration::ZERO), process::family_cpu)?)
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
        let unread = Duration::ZERO;
        node.projector.drop_old(projection.as_ref(), unread).await?;
    }
    Ok(())
}

/// A count as a number to divide; no log here is longer than 2³² events.
fn number(count: i64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn peak_megabytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kilobytes: u32 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .context("no VmHWM")?
        .parse()?;
    Ok(f64::from(kilobytes) * 1024.0 / 1e6)
}
