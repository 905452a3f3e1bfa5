//! `soulsense projections`: how the read models are, and what can be done to them.

mod rebuild;

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use domain::operations::skips::SkipReason;
use event_log::Metadata;
use projections::generations::State;
use projections::projection::Projection;
use projections::upkeep::RollbackError;
use tokio_util::sync::CancellationToken;

use super::output::{self, Format};
use crate::commands::Request;
use crate::config::Config;
use crate::http::operations::ProjectionStatus;
use crate::node::Node;
use crate::skipping;

pub use rebuild::rebuild;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often progress is told where there is no terminal.
const TELL: Duration = Duration::from_secs(3);
/// How long a rollback waits for an older generation that is only just behind.
const ROLLBACK_WAIT: Duration = Duration::from_secs(5);
/// How much later than told another node may notice that a generation was replaced.
const NOTICE: Duration = Duration::from_secs(3);

/// What to do with the read models.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// How far each generation is.
    Status {
        /// In which form.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// The same as `--format json`.
        #[arg(long, conflicts_with = "format")]
        json: bool,
    },
    /// Build read models anew beside the live ones, which go on answering until the new ones take over.
    #[command(alias = "replay")]
    Rebuild(Rebuild),
    /// Let a projection that was given up try again.
    Retry {
        /// The projection.
        name: String,
    },
    /// Have a projection that was given up leave out the event at which it stopped, now and in every rebuild.
    Skip {
        /// The projection.
        name: String,
        /// Where the event stands in the log: what `status` shows as its trouble.
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
        position: i64,
        /// Why, 10 to 500 characters. It stands in the log for ever: about the program, never about a person.
        #[arg(long, value_parser = skip_reason)]
        reason: SkipReason,
    },
    /// Make the generation live again that the last rebuild replaced.
    Rollback {
        /// The projection.
        name: String,
    },
    /// Drop the generations that were replaced, and those of older versions that no node runs any more. Waits
    /// until no request can be reading them.
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

fn skip_reason(text: &str) -> Result<SkipReason, String> {
    SkipReason::parse(text).map_err(|fault| fault.detail.into_owned())
}

/// Runs it.
pub async fn run(config: Config, command: Command) -> anyhow::Result<()> {
    if let Command::Rebuild(which) = command {
        return rebuild(config, which).await;
    }
    let node = super::tool(config).await?;
    match command {
        Command::Status { format, json } => {
            status(&node, if json { Format::Json } else { format }).await?;
        }
        Command::Rebuild(_) => {}
        Command::Retry { name } => retry(&node, &name).await?,
        Command::Skip {
            name,
            position,
            reason,
        } => skip(&node, &name, position, reason).await?,
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
        "EVENTS/S",
        "SKIPPED",
        "OWNER",
        "TROUBLE",
    ];
    output::list(format, &rows, header, |row| {
        let trouble = row.error.as_ref().map_or_else(String::new, |error| {
            let place = row.error_position.map(|at| format!(" at position {at}"));
            let time = row.error_at.map(|at| format!(" on {}", output::time(at)));
            format!(
                "{error}{}{} (attempt {})",
                place.unwrap_or_default(),
                time.unwrap_or_default(),
                row.attempts
            )
        });
        let skipped: Vec<String> = row.skipped.iter().map(i64::to_string).collect();
        [
            row.name.clone(),
            row.version.to_string(),
            row.generation.to_string(),
            if row.stopped { "stopped" } else { row.state }.to_owned(),
            row.position.to_string(),
            row.lag.to_string(),
            row.lag_seconds.to_string(),
            row.rate.to_string(),
            skipped.join(" "),
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

async fn skip(node: &Node, name: &str, position: i64, reason: SkipReason) -> anyhow::Result<()> {
    let projection = named(node, name)?;
    let request = Request::system(Metadata {
        correlation_id: node.ids.next(),
        causation_id: None,
        actor_id: super::actor(),
        actor_role: "operator",
    });
    let done = skipping::skip(node, projection, position, reason, &request).await?;
    output::line(&if done.position.is_some() {
        format!(
            "{name} leaves out the event at position {position} and goes on as soon as a server runs"
        )
    } else {
        format!("{name} left out the event at position {position} before")
    })?;
    Ok(())
}

async fn drop_old(node: &Node, name: Option<&str>) -> anyhow::Result<()> {
    let projections = match name {
        Some(name) => vec![named(node, name)?],
        None => all_of(node).collect(),
    };
    let grace = Duration::from_secs(node.config.request_timeout_seconds) + NOTICE;
    loop {
        let mut wait = None;
        for projection in &projections {
            let dropped = node.projector.drop_old(*projection, grace).await?;
            for generation in dropped.gone {
                let name = projection.name();
                output::line(&format!("{name}: generation {generation} is dropped"))?;
            }
            wait = wait.max(dropped.wait);
        }
        let Some(wait) = wait else {
            return Ok(());
        };
        output::remark(&format!(
            "waiting {} s, until no request can be reading what was replaced",
            wait.as_secs() + 1
        ))?;
        tokio::time::sleep(wait).await;
    }
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
