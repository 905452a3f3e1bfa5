//! `soulsense projections rebuild`: begins new generations, has them built, and tells how far they are.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use projections::generations::{Generation, State};
use projections::projection::Projection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{LOOK, Rebuild, TELL, all_of, named, output};
use crate::config::Config;
use crate::http::server::stop_signal;
use crate::node::Node;

/// How long no server may hold a lease before this command builds itself: one that has just put a generation
/// live, or taken over from another, holds none for a moment.
const UNSERVED: Duration = Duration::from_millis(700);

/// Builds read models anew and returns when all are live. Where a server runs it is the server that builds,
/// and goes on when this command is interrupted; else, or when the server ends, this command builds.
pub async fn rebuild(config: Config, which: Rebuild) -> anyhow::Result<()> {
    let node = crate::cli::tool(config).await?;
    let projections: Vec<&dyn Projection> = match &which.name {
        Some(name) => vec![named(&node, name)?],
        None => all_of(&node).collect(),
    };
    node.projector.prepare().await?;
    let head = node.log.reader().head().await?;
    let mut wanted = Vec::new();
    for projection in projections {
        let (name, begun) = (
            projection.name(),
            node.projector.begin(projection, head).await?,
        );
        if begun.already {
            let generation = begun.generation;
            output::remark(&format!(
                "{name}: generation {generation} is being built already"
            ))?;
        }
        wanted.push(Wanted {
            name,
            generation: begun.generation,
            bar: ProgressBar::hidden(),
            done: false,
        });
    }
    let mut work = Work::new(&node);
    let outcome = tokio::select! {
        built = watch(&mut work, &mut wanted) => built.map(|()| true),
        signal = stop_signal() => signal.map(|()| false).context("signals cannot be heard"),
    };
    let alone = work.end().await?;
    let finished = outcome?;
    if !finished {
        interrupted(&node, &wanted, alone).await?;
    }
    node.stop().await;
    Ok(())
}

/// Says what becomes of what is not live yet.
async fn interrupted(node: &Node, wanted: &[Wanted], alone: bool) -> anyhow::Result<()> {
    if !alone {
        output::remark("the server goes on building: see `soulsense projections status`")?;
        return Ok(());
    }
    let rows = node.projector.generations().list().await?;
    let left: Vec<String> = wanted
        .iter()
        .filter(|one| !one.done)
        .filter_map(|one| {
            Some(format!(
                "{} is at position {}",
                one.name,
                one.row(&rows)?.position
            ))
        })
        .collect();
    bail!(
        "interrupted: {}; the next server or rebuild goes on from there",
        left.join(", ")
    )
}

/// A generation that is to go live.
struct Wanted {
    name: &'static str,
    generation: i64,
    bar: ProgressBar,
    done: bool,
}

impl Wanted {
    fn row<'r>(&self, rows: &'r [Generation]) -> Option<&'r Generation> {
        rows.iter()
            .find(|row| row.projection == self.name && row.generation == self.generation)
    }
}

/// How fast, and how long it takes yet.
fn pace(row: &Generation, head: i64) -> String {
    let lag = (head - row.position).max(0);
    match row.rate {
        rate if rate > 0 => format!("{rate}/s, about {} s left", (lag + rate - 1) / rate),
        _ => "no rate yet".to_owned(),
    }
}

/// Who builds: a server, or this command where none runs.
struct Work<'n> {
    node: &'n Node,
    own: Option<(CancellationToken, JoinHandle<()>)>,
    unserved: Option<Instant>,
    told: bool,
}

impl<'n> Work<'n> {
    fn new(node: &'n Node) -> Self {
        Self {
            node,
            own: None,
            unserved: None,
            told: false,
        }
    }

    /// Begins to build unless a server, which holds leases, does.
    fn see_to_it(&mut self, rows: &[Generation]) -> anyhow::Result<()> {
        if self.own.is_some() {
            return Ok(());
        }
        let projector = &self.node.projector;
        let served = rows
            .iter()
            .any(|row| projector.runs(row) && row.leased && row.owner != Some(self.node.id));
        if served {
            if !self.told {
                output::remark("a server runs, and it builds")?;
                self.told = true;
            }
            self.unserved = None;
            return Ok(());
        }
        if self.unserved.get_or_insert_with(Instant::now).elapsed() < UNSERVED {
            return Ok(());
        }
        let stop = CancellationToken::new();
        let (projector, committed) = (projector.clone(), self.node.log.appender().committed());
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { projector.run(committed, stop).await }
        });
        self.own = Some((stop, task));
        Ok(())
    }

    /// Gives the leases up. True when this command has built.
    async fn end(self) -> anyhow::Result<bool> {
        let Some((stop, task)) = self.own else {
            return Ok(false);
        };
        stop.cancel();
        task.await?;
        Ok(true)
    }
}

/// Shows progress until all are live or given up.
async fn watch(work: &mut Work<'_>, wanted: &mut [Wanted]) -> anyhow::Result<()> {
    let node = work.node;
    work.see_to_it(&node.projector.generations().list().await?)?;
    let bars = MultiProgress::new();
    let style =
        ProgressStyle::with_template("{prefix:16} {bar:32} {human_pos}/{human_len} events  {msg}")?;
    for one in &mut *wanted {
        one.bar = bars.add(ProgressBar::new(0).with_style(style.clone()));
        one.bar.set_prefix(one.name);
    }
    let terminal = std::io::stderr().is_terminal();
    let (mut told, mut given_up) = (Instant::now(), Vec::new());
    while wanted.iter().any(|one| !one.done) {
        let head = node.log.reader().head().await?.position;
        let rows = node.projector.generations().list().await?;
        work.see_to_it(&rows)?;
        let tell = !terminal && told.elapsed() >= TELL;
        for one in wanted.iter_mut().filter(|one| !one.done) {
            let Some(row) = one.row(&rows) else {
                bail!("generation {} of {} was dropped", one.generation, one.name);
            };
            one.bar.set_length(u64::try_from(head)?);
            one.bar.set_position(u64::try_from(row.position)?);
            one.bar.set_message(pace(row, head));
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
                let (position, error) = row.trouble();
                given_up.push(format!("{} at position {position} ({error})", one.name));
            } else if tell {
                output::remark(&format!(
                    "{}: {} of {head} events, {}",
                    one.name,
                    row.position,
                    pace(row, head)
                ))?;
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
