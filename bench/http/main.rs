//! HTTP from end to end: the released server against axum and sqlx with nothing around them, both under the
//! same load in one run and in turns.
//!
//! `bench/run http [--seconds 20] [--members 600] [--turns 2] [--only NAME] [--engine sqlite|postgres]`

#![expect(clippy::print_stderr, reason = "a benchmark says what it is doing")]

mod load;
#[path = "../process.rs"]
#[expect(dead_code, reason = "other benchmarks ask for more")]
mod process;
#[path = "../report.rs"]
mod report;
mod world;
mod yardsticks;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use load::{Call, Figures};
use report::{Goal, Report, Row};
use soulsense::config::Config;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use world::World;

/// Connections at which each scenario is measured.
const CONNECTIONS: [usize; 2] = [50, 100];
/// The p99 that is wished for, in milliseconds.
const SLOWEST: f64 = 25.0;
/// Hashes that wait at most: more than there are connections.
const HASHING_QUEUE: &str = "512";

#[derive(Parser)]
struct Options {
    /// Seconds of one turn.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Turns of each side; the median counts.
    #[arg(long, default_value_t = 2)]
    turns: usize,
    /// How many members there are.
    #[arg(long, default_value_t = 600)]
    members: usize,
    /// Only scenarios whose name holds this.
    #[arg(long, default_value = "")]
    only: String,
    /// Only this engine.
    #[arg(long)]
    engine: Option<String>,
    /// Another server program than the one built beside this.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_soulsense"))]
    server: PathBuf,
    /// Cargo adds it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, listen, database] = arguments.as_slice()
        && word == yardsticks::WORD
    {
        return runtime.block_on(yardsticks::serve(listen, database));
    }
    runtime.block_on(measure(&Options::parse()))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let wanted = |engine: &str| options.engine.as_deref().is_none_or(|only| only == engine);
    let mut report = Report::new("http");
    let directory = tempfile::tempdir()?;
    if wanted("sqlite") {
        let place = Place {
            engine: "SQLite",
            directory: directory.path().join("sqlite"),
            server: None,
            yardsticks: directory.path().join("yardsticks.db").display().to_string(),
            postmaster: None,
        };
        Bench::open(options, place).await?.run(&mut report).await?;
    }
    match std::env::var("TEST_POSTGRES_URL") {
        Ok(server) if wanted("postgres") => {
            on_postgres(options, &server, directory.path(), &mut report).await?;
        }
        Ok(_) => {}
        Err(_) => eprintln!("TEST_POSTGRES_URL is not set: Postgres is left out"),
    }
    Ok(report.finish()?)
}

async fn on_postgres(
    options: &Options,
    server: &str,
    directory: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut connection = PgConnectOptions::from_str(server)?.connect().await?;
    let names = ["soulsense_bench_http", "soulsense_bench_yardsticks"];
    for name in names {
        drop_database(&mut connection, name).await?;
        let create = format!("CREATE DATABASE {name}");
        connection.execute(create.as_str()).await?;
    }
    let (front, _) = server
        .rsplit_once('/')
        .context("the URL names no database")?;
    let place = Place {
        engine: "Postgres",
        directory: directory.join("postgres"),
        server: Some(format!("{front}/{}", names[0])),
        yardsticks: format!("{front}/{}", names[1]),
        postmaster: postmaster(&mut connection).await,
    };
    Bench::open(options, place).await?.run(report).await?;
    for name in names {
        drop_database(&mut connection, name).await?;
    }
    connection.close().await?;
    Ok(())
}

async fn drop_database(connection: &mut PgConnection, name: &str) -> anyhow::Result<()> {
    let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    connection.execute(drop.as_str()).await?;
    Ok(())
}

/// The first process of the cluster, when it runs on this machine and we may know.
async fn postmaster(connection: &mut PgConnection) -> Option<u32> {
    let text: String = sqlx::query_scalar("SELECT pg_read_file('postmaster.pid')")
        .fetch_one(connection)
        .await
        .ok()?;
    let pid = text.lines().next()?.trim().parse().ok()?;
    process::family_cpu(pid).ok().map(|_| pid)
}

/// Where one engine is measured.
struct Place {
    engine: &'static str,
    directory: PathBuf,
    /// The server's database; the data directory's files when absent.
    server: Option<String>,
    /// The yardsticks' database.
    yardsticks: String,
    postmaster: Option<u32>,
}

/// A running process and where it listens.
struct Side {
    process: Child,
    pid: u32,
    address: String,
}

impl Side {
    async fn start(mut command: Command, address: String, ready: &str) -> anyhow::Result<Self> {
        let process = command.kill_on_drop(true).stdin(Stdio::null()).spawn()?;
        let pid = process.id().context("the process has ended")?;
        let mut side = Self {
            process,
            pid,
            address,
        };
        let url = format!("http://{}{ready}", side.address);
        let deadline = Instant::now() + Duration::from_mins(1);
        while !reqwest::get(&url)
            .await
            .is_ok_and(|reply| reply.status().is_success())
        {
            if let Some(status) = side.process.try_wait()? {
                bail!("a process ended at its start: {status}");
            }
            ensure!(Instant::now() < deadline, "{url} does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(side)
    }

    /// Waits until what was asked of it has settled.
    async fn quiet(&self) -> anyhow::Result<()> {
        for _ in 0..100 {
            let before = process::family_cpu(self.pid)?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            if process::family_cpu(self.pid)?.saturating_sub(before) <= Duration::from_millis(30) {
                return Ok(());
            }
        }
        eprintln!("the server does not come to rest");
        Ok(())
    }
}

/// A free port of the loopback address.
fn free_address() -> anyhow::Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

struct Bench<'o> {
    options: &'o Options,
    place: Place,
    world: World,
    ours: Side,
    yardsticks: Side,
    /// Runs against the server so far.
    runs: usize,
}

/// What is asked of the server, and of which yardstick.
struct Scenario {
    name: &'static str,
    calls: fn(&World, usize) -> Vec<Call>,
    yardstick: Yardstick,
    /// What part of the yardstick's rate it should reach with a hundred connections.
    least_at_100: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Yardstick {
    Select,
    Insert,
    Hashing,
}

impl Yardstick {
    fn name(self) -> &'static str {
        match self {
            Self::Select => "one SELECT",
            Self::Insert => "one INSERT",
            Self::Hashing => "raw argon2",
        }
    }
}

const SCENARIOS: [Scenario; 6] = [
    Scenario {
        name: "GET users/me",
        calls: |world, _| world.readings("/api/v1/users/me"),
        yardstick: Yardstick::Select,
        least_at_100: Some(0.9),
    },
    Scenario {
        name: "GET journal",
        calls: |world, _| world.readings("/api/v1/journal"),
        yardstick: Yardstick::Select,
        least_at_100: None,
    },
    Scenario {
        name: "GET gamification/summary",
        calls: |world, _| world.readings("/api/v1/gamification/summary"),
        yardstick: Yardstick::Select,
        least_at_100: None,
    },
    Scenario {
        name: "POST exam response",
        calls: World::answers,
        yardstick: Yardstick::Insert,
        least_at_100: Some(0.7),
    },
    Scenario {
        name: "POST journal entry",
        calls: |world, _| world.entries(),
        yardstick: Yardstick::Insert,
        least_at_100: None,
    },
    Scenario {
        name: "POST login",
        calls: |world, _| world.logins(),
        yardstick: Yardstick::Hashing,
        least_at_100: Some(0.8),
    },
];

/// Puts on the disk what earlier turns have left to be written, so that no turn pays for another.
async fn settle() -> anyhow::Result<()> {
    let settled = Command::new("sync").status().await?;
    ensure!(settled.success(), "the disk does not settle");
    Ok(())
}

impl<'o> Bench<'o> {
    async fn open(options: &'o Options, place: Place) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut config = Config::defaults()?;
        config.data_dir.clone_from(&place.directory);
        config.database_url = place.server.clone().map(Into::into);
        config.public_url = Some(format!("http://{address}"));
        config.access_token_minutes = 600;
        // filling waits for nobody, and nobody waits for it
        config.database_timeout_seconds = 60;
        let began = Instant::now();
        let world = World::fill(config, options.members).await?;
        eprintln!(
            "{}: {} members, {} events after {:.0} s",
            place.engine,
            world.members.len(),
            world.events,
            began.elapsed().as_secs_f64()
        );
        let mut command = Command::new(&options.server);
        command
            .env_clear()
            .args(["serve", "--listen", &address, "--data-dir"])
            .arg(&place.directory)
            .args(["--public-url", &format!("http://{address}")])
            .args(["--access-token-minutes", "600"])
            .args(["--open-writes-per-minute", "4294967295"])
            .args(["--hashing-queue", HASHING_QUEUE])
            // a log that is kept, as in operation
            .stderr(std::fs::File::create(place.directory.join("log"))?);
        if let Some(url) = &place.server {
            command.args(["--database-url", url]);
        }
        let ours = Side::start(command, address, "/readyz").await?;
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args([yardsticks::WORD, &address, &place.yardsticks]);
        let yardsticks = Side::start(command, address, "/constant").await?;
        Ok(Self {
            options,
            place,
            world,
            ours,
            yardsticks,
            runs: 0,
        })
    }

    async fn run(mut self, report: &mut Report) -> anyhow::Result<()> {
        report.engine(self.place.engine, self.world.engine.clone());
        for connections in CONNECTIONS {
            if "constant".contains(&self.options.only) {
                let used = self.constant(connections).await?;
                report.add(self.row("a constant, bare axum", connections, &used))?;
            }
        }
        for scenario in &SCENARIOS {
            if !scenario.name.contains(&self.options.only) {
                continue;
            }
            let mut fastest = 0.0_f64;
            for connections in CONNECTIONS {
                let (ours, theirs) = self.compare(scenario, connections).await?;
                fastest = fastest.max(ours.figures.rate);
                let mut row = self
                    .row(scenario.name, connections, &ours)
                    .against(scenario.yardstick.name(), theirs.figures.rate);
                if scenario.yardstick != Yardstick::Hashing {
                    row = row.with(
                        "CPU a reply of the yardstick",
                        theirs.each(theirs.process),
                        "µs",
                    );
                    if let Some(cluster) = theirs.cluster {
                        row = row.with("Postgres a reply of it", theirs.each(cluster), "µs");
                    }
                }
                if let Some(least) = scenario.least_at_100.filter(|_| connections == 100) {
                    row = row.goal(Goal::AtLeast(least));
                }
                report.add(row)?;
                if scenario.yardstick == Yardstick::Select && connections == 100 {
                    report.add(self.p99(scenario.name, &ours))?;
                }
            }
            if scenario.yardstick == Yardstick::Insert {
                let used = self.half(scenario, fastest / 2.0).await?;
                let name = format!("{}, half the rate", scenario.name);
                report.add(self.row(&name, CONNECTIONS[1], &used))?;
                report.add(self.p99(&name, &used))?;
            }
        }
        Ok(())
    }

    fn row(&self, name: &str, connections: usize, used: &Used) -> Row {
        let mut row = Row::new(
            self.place.engine,
            format!("{name}, {connections} connections"),
            "replies/s",
            used.figures.rate,
        )
        .with("p50", used.figures.p50, "ms")
        .with("p99", used.figures.p99, "ms")
        .with("failed", used.failed(), "")
        .with("CPU", used.process.as_secs_f64(), "s")
        .with("CPU a reply", used.each(used.process), "µs");
        if let Some(cluster) = used.cluster {
            row = row.with("Postgres a reply", used.each(cluster), "µs");
        }
        row.with("memory", used.memory, "MB")
    }

    fn p99(&self, name: &str, used: &Used) -> Row {
        let what = format!("{name}, p99 at {} connections", CONNECTIONS[1]);
        Row::new(self.place.engine, what, "ms", used.figures.p99).goal(Goal::AtMost(SLOWEST))
    }

    fn span(&self) -> Duration {
        Duration::from_secs(self.options.seconds)
    }

    async fn constant(&self, connections: usize) -> anyhow::Result<Used> {
        let calls = vec![call("GET", "/constant".to_owned(), ""); load::THREADS];
        self.load(&self.yardsticks, &calls, connections).await
    }

    /// Yardstick and server in turns: the medians of both.
    async fn compare(
        &mut self,
        scenario: &Scenario,
        connections: usize,
    ) -> anyhow::Result<(Used, Used)> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.options.turns {
            let used = self.yardstick(scenario.yardstick, connections).await?;
            ensure!(used.figures.failed == 0, "a yardstick failed");
            theirs.push(used);
            let calls = self.calls(scenario);
            let used = self.load(&self.ours, &calls, connections).await?;
            self.ours.quiet().await?;
            ours.push(used);
        }
        Ok((median(ours)?, median(theirs)?))
    }

    fn calls(&mut self, scenario: &Scenario) -> Vec<Call> {
        self.runs += 1;
        (scenario.calls)(&self.world, self.runs)
    }

    async fn yardstick(&self, yardstick: Yardstick, connections: usize) -> anyhow::Result<Used> {
        let calls: Vec<Call> = match yardstick {
            Yardstick::Select => (0..yardsticks::ROWS)
                .map(|number| call("GET", format!("/rows/{}", yardsticks::row(number)), ""))
                .collect(),
            Yardstick::Insert => {
                let body = r#"{"question_id":"sa_01","value":4}"#;
                vec![call("POST", "/rows".to_owned(), body); load::THREADS]
            }
            Yardstick::Hashing => return self.hashing().await,
        };
        self.load(&self.yardsticks, &calls, connections).await
    }

    async fn hashing(&self) -> anyhow::Result<Used> {
        let config = Config::defaults()?;
        let (threads, span) = (config.hashing_threads, self.span());
        let (memory, passes) = (config.hashing_memory_kib, config.hashing_iterations);
        let rate =
            tokio::task::spawn_blocking(move || yardsticks::hashing(threads, span, memory, passes))
                .await??;
        Ok(Used::nothing_but(rate))
    }

    async fn load(&self, side: &Side, calls: &[Call], connections: usize) -> anyhow::Result<Used> {
        settle().await?;
        let before = self.meters(side)?;
        let directory = &self.place.directory;
        let figures =
            load::closed(directory, &side.address, calls, connections, self.span()).await?;
        self.used(side, figures, before)
    }

    /// The server at half the rate it can do at most, with requests that wait for nobody.
    async fn half(&mut self, scenario: &Scenario, rate: f64) -> anyhow::Result<Used> {
        let calls = self.calls(scenario);
        settle().await?;
        let before = self.meters(&self.ours)?;
        let (server, connections) = (&self.ours.address, CONNECTIONS[1]);
        let figures = load::open(server, &calls, connections, rate, self.span()).await?;
        let used = self.used(&self.ours, figures, before)?;
        self.ours.quiet().await?;
        Ok(used)
    }

    fn meters(&self, side: &Side) -> anyhow::Result<(Duration, Option<Duration>)> {
        let cluster = self.place.postmaster.map(process::family_cpu).transpose()?;
        Ok((process::family_cpu(side.pid)?, cluster))
    }

    fn used(
        &self,
        side: &Side,
        figures: Figures,
        before: (Duration, Option<Duration>),
    ) -> anyhow::Result<Used> {
        let after = self.meters(side)?;
        let cluster = after.1.zip(before.1);
        Ok(Used {
            figures,
            process: after.0.saturating_sub(before.0),
            cluster: cluster.map(|(after, before)| after.saturating_sub(before)),
            memory: process::resident(side.pid)?,
        })
    }
}

/// What one turn gave, and what it took.
#[derive(Clone, Copy)]
struct Used {
    figures: Figures,
    /// Processor time of the process that was asked.
    process: Duration,
    /// Processor time of the database server.
    cluster: Option<Duration>,
    /// Resident, in MB.
    memory: f64,
}

impl Used {
    /// Of work that is no request.
    fn nothing_but(rate: f64) -> Self {
        let figures = Figures {
            requests: 0,
            rate,
            p50: 0.0,
            p99: 0.0,
            failed: 0,
        };
        Self {
            figures,
            process: Duration::ZERO,
            cluster: None,
            memory: 0.0,
        }
    }

    /// Microseconds of `time` for each reply.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    fn each(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.figures.requests as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "a count, mostly 0")]
    fn failed(&self) -> f64 {
        self.figures.failed as f64
    }
}

/// The turn in the middle by rate, the lower of two; failures of all of them.
fn median(mut turns: Vec<Used>) -> anyhow::Result<Used> {
    turns.sort_by(|one, other| one.figures.rate.total_cmp(&other.figures.rate));
    let failed = turns.iter().map(|turn| turn.figures.failed).sum();
    let mut middle = *turns
        .get((turns.len() - 1) / 2)
        .context("no turn was taken")?;
    middle.figures.failed = failed;
    Ok(middle)
}

fn call(method: &'static str, path: String, body: &str) -> Call {
    Call {
        token: String::new(),
        method,
        path,
        body: body.to_owned(),
    }
}
