//! `soulsense projections`: how the read models are, and what can be done to them.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use projections::generations::{Generation, State};
use projections::projection::Projection;
use projections::upkeep::RollbackError;
use tokio_util::sync::CancellationToken;

use super::output::{self, Format};
use crate::config::Config;
use crate::http::operations::ProjectionStatus;
use crate::node::Node;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often progress is told where there is no terminal.
const TELL: Duration = Duration::from_secs(3);
/// How long a rollback waits for an older generation that is only just behind.
const ROLLBACK_WAIT: Duration = Duration::from_secs(5);

/// What to do with the read models.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// How far each generation is.
    Status {
        /// In which form.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Build read models anew beside the live ones, which go on answering until the new ones take over.
    #[command(alias = "replay")]
    Rebuild(Rebuild),
    /// Let a projection that was given up try again.
    Retry {
        /// The projection.
        name: String,
    },
    /// Make the generation live again that the last rebuild replaced.
    Rollback {
        /// The projection.
        name: String,
    },
    /// Drop the generations that were replaced, and those of older versions that no node runs any more.
    DropOld {
        /// The projection; all of them when it is left out.
        name: Option<String>,
    },
}

/// Which read models to build anew.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// The projection.
    #[arg(required_unless_present = "all")]
    pub name: Option<String>,
    /// All projections.
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
}

/// Runs it.
pub async fn run(config: Config, command: Command) -> anyhow::Result<()> {
    if let Command::Rebuild(which) = command {
        return rebuild(config, which).await;
    }
    let node = super::tool(config).await?;
    match command {
        Command::Status { format } => status(&node, format).await?,
        Command::Rebuild(_) => {}
        Command::Retry { name } => retry(&node, &name).await?,
        Command::Rollback { name } => roll_back(&node, &name).await?,
        Command::DropOld { name } => drop_old(&node, name.as_deref()).await?,
    }
    node.stop().await;
    Ok(())
}

async fn status(node: &Node, format: Format) -> anyhow::Result<()> {
    let rows = node.projector.status().await?;
    let rows: Vec<ProjectionStatus> = rows.into_iter().map(ProjectionStatus::from).collect();
    let header = [
        "PROJECTION",
        "VERSION",
        "GENERATION",
        "STATE",
        "POSITION",
        "LAG",
        "SECONDS",
        "OWNER",
        "TROUBLE",
    ];
    output::list(format, &rows, header, |row| {
        let trouble = row.error.as_ref().map_or_else(String::new, |error| {
            let place = row.error_position.map(|at| format!(" at position {at}"));
            format!(
                "{error}{} (attempt {})",
                place.unwrap_or_default(),
                row.attempts
            )
        });
        [
            row.name.clone(),
            row.version.to_string(),
            row.generation.to_string(),
            if row.stopped { "stopped" } else { row.state }.to_owned(),
            row.position.to_string(),
            row.lag.to_string(),
            row.lag_seconds.to_string(),
            row.owner
                .map_or_else(String::new, |owner| owner.to_string()),
            trouble,
        ]
    })
}

fn named<'n>(node: &'n Node, name: &str) -> anyhow::Result<&'n dyn Projection> {
    node.projector.named(name).with_context(|| {
        let names: Vec<&str> = all_of(node).map(Projection::name).collect();
        format!(
            "there is no projection {name}; there are: {}",
            names.join(", ")
        )
    })
}

fn all_of(node: &Node) -> impl Iterator<Item = &dyn Projection> {
    node.projector.projections().iter().map(AsRef::as_ref)
}

async fn retry(node: &Node, name: &str) -> anyhow::Result<()> {
    let name = named(node, name)?.name();
    let stopped = node
        .projector
        .generations()
        .retry(name, node.clock.now())
        .await?;
    if stopped == 0 {
        output::line(&format!("{name} was not stopped"))?;
    } else {
        output::line(&format!("{name} tries again as soon as a server runs"))?;
    }
    Ok(())
}

async fn roll_back(node: &Node, name: &str) -> anyhow::Result<()> {
    let projection = named(node, name)?;
    let began = Instant::now();
    let generation = loop {
        match node.projector.roll_back(projection).await {
            Ok(generation) => break generation,
            Err(RollbackError::Behind { .. }) if began.elapsed() < ROLLBACK_WAIT => {
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    output::line(&format!("{name}: generation {generation} is live again"))?;
    Ok(())
}

async fn drop_old(node: &Node, name: Option<&str>) -> anyhow::Result<()> {
    let projections = match name {
        Some(name) => vec![named(node, name)?],
        None => all_of(node).collect(),
    };
    for projection in projections {
        for generation in node.projector.drop_old(projection).await? {
            let name = projection.name();
            output::line(&format!("{name}: generation {generation} is dropped"))?;
        }
    }
    Ok(())
}

/// `soulsense projections rebuild`, with or without a server beside it: whoever holds the lease builds, this
/// command or a server, and this command returns when all are live.
pub async fn rebuild(config: Config, which: Rebuild) -> anyhow::Result<()> {
    let node = super::tool(config).await?;
    let projections: Vec<&dyn Projection> = match &which.name {
        Some(name) => vec![named(&node, name)?],
        None => all_of(&node).collect(),
    };
    node.projector.prepare().await?;
    let head = node.log.reader().head().await?;
    let mut wanted = Vec::new();
    for projection in projections {
        let generation = match node.projector.rebuild(projection, head).await? {
            Some(generation) => generation,
            None => being_built(&node, projection.name()).await?,
        };
        wanted.push(Wanted::new(projection.name(), generation));
    }
    let stop = CancellationToken::new();
    let (projector, committed) = (node.projector.clone(), node.log.appender().committed());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { projector.run(committed, stop).await }
    });
    let built = watch(&node, wanted).await;
    stop.cancel();
    running.await?;
    node.stop().await;
    built
}

async fn being_built(node: &Node, name: &str) -> anyhow::Result<i64> {
    let rows = node.projector.generations().list().await?;
    rows.iter()
        .rfind(|row| row.projection == name)
        .map(|row| row.generation)
        .with_context(|| format!("{name} has no generation"))
}

/// A generation that is to go live.
struct Wanted {
    name: &'static str,
    generation: i64,
    bar: ProgressBar,
    done: bool,
}

impl Wanted {
    fn new(name: &'static str, generation: i64) -> Self {
        Self {
            name,
            generation,
            bar: ProgressBar::hidden(),
            done: false,
        }
    }

    fn told(&self, row: &Generation, head: i64) -> String {
        format!(
            "{}: {} of {head} events, {:.0}/s, about {} s left",
            self.name,
            row.position,
            self.bar.per_sec(),
            self.bar.eta().as_secs()
        )
    }
}

/// Shows progress until all are live or given up.
async fn watch(node: &Node, mut wanted: Vec<Wanted>) -> anyhow::Result<()> {
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template(
        "{prefix:16} {bar:32} {human_pos}/{human_len} events  {per_sec}  {eta} left",
    )?;
    for one in &mut wanted {
        one.bar = bars.add(ProgressBar::new(0).with_style(style.clone()));
        one.bar.set_prefix(one.name);
    }
    let terminal = std::io::stderr().is_terminal();
    let (mut told, mut given_up) = (Instant::now(), Vec::new());
    while wanted.iter().any(|one| !one.done) {
        let head = node.log.reader().head().await?.position;
        let rows = node.projector.generations().list().await?;
        let tell = !terminal && told.elapsed() >= TELL;
        for one in wanted.iter_mut().filter(|one| !one.done) {
            let row = rows
                .iter()
                .find(|row| row.projection == one.name && row.generation == one.generation);
            let Some(row) = row else {
                bail!("generation {} of {} was dropped", one.generation, one.name);
            };
            one.bar.set_length(u64::try_from(head)?);
            one.bar.set_position(u64::try_from(row.position)?);
            if row.state != State::Building {
                one.done = true;
                one.bar.finish_and_clear();
                output::line(&format!(
                    "{}: generation {} is live at position {}",
                    one.name, one.generation, row.position
                ))?;
            } else if row.stopped {
                one.done = true;
                one.bar.abandon();
                given_up.push(format!(
                    "{} at position {} ({})",
                    one.name,
                    row.error_position.unwrap_or(row.position + 1),
                    row.error.as_deref().unwrap_or("no reason is known")
                ));
            } else if tell {
                output::remark(&one.told(row, head))?;
            }
        }
        if tell {
            told = Instant::now();
        }
        tokio::time::sleep(LOOK).await;
    }
    if given_up.is_empty() {
        return Ok(());
    }
    bail!("given up: {}", given_up.join("; "))
}

/// Has the named projections folded up to the end of the log, by whoever holds their leases.
pub(super) async fn caught_up(node: &Node, names: &[&str]) -> anyhow::Result<()> {
    node.projector.prepare().await?;
    let head = node.log.reader().head().await?.position;
    let reached = || {
        let live = node.projector.progress().now();
        names.iter().all(|name| {
            live.get(name)
                .is_some_and(|at| at.stopped || at.position >= head)
        })
    };
    if reached() {
        return Ok(());
    }
    let stop = CancellationToken::new();
    let (projector, committed) = (node.projector.clone(), node.log.appender().committed());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { projector.run(committed, stop).await }
    });
    let mut told = Instant::now();
    let outcome = loop {
        if reached() {
            break Ok(());
        }
        let rows = node.projector.generations().list().await?;
        if let Some(row) = rows.iter().find(|row| {
            names.contains(&row.projection.as_str()) && row.state == State::Building && row.stopped
        }) {
            break Err(anyhow::anyhow!(
                "the read model {} cannot be built: see `soulsense projections status`",
                row.projection
            ));
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            output::remark("the read model is catching up with the log")?;
        }
        tokio::time::sleep(LOOK).await;
    };
    stop.cancel();
    running.await?;
    outcome
}
