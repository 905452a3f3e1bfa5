//! `soulsense doctor`: whether everything is as it should be, one line a thing.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Args;
use event_log::homes::{Homes, Target};
use event_log::keys::Keys;
use event_log::pooling;
use event_log::reader::Reader;
use projections::generations::State;
use projections::projector::{Parts, Projector};

use super::output;
use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::node;

/// Events read at once.
const PAGE: i64 = 1_000;

/// How thoroughly to look.
#[derive(Debug, Args)]
pub struct Arguments {
    /// So many of the newest events are compared with their hashes.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(0..))]
    pub events: i64,
}

/// Prints a line for each thing, and goes on as far as it can.
#[derive(Debug, Default)]
struct Report {
    failed: usize,
}

impl Report {
    /// Notes how a thing is; its value where it is well.
    fn note<T>(
        &mut self,
        what: &str,
        outcome: anyhow::Result<(T, String)>,
    ) -> anyhow::Result<Option<T>> {
        let (word, value, words) = match outcome {
            Ok((value, words)) => ("ok", Some(value), words),
            Err(error) => {
                self.failed += 1;
                // one line a thing, whatever the error brings along
                let words = format!("{error:#}");
                let words: Vec<&str> = words.split_whitespace().collect();
                ("failed", None, words.join(" "))
            }
        };
        output::line(&format!("{word:<7} {what:<15} {words}"))?;
        Ok(value)
    }

    fn end(&self) -> anyhow::Result<()> {
        match self.failed {
            0 => Ok(()),
            1 => bail!("one thing is not as it should be"),
            more => bail!("{more} things are not as they should be"),
        }
    }
}

/// Looks at everything; fails when anything is not as it should be. It changes nothing.
pub async fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<()> {
    let mut report = Report::default();
    let configuration = config
        .check()
        .map(|()| ((), "can be used".to_owned()))
        .map_err(anyhow::Error::from);
    if report.note("configuration", configuration)?.is_none() {
        return report.end();
    }
    report.note("data directory", writable(&config.data_dir).await)?;
    let Some(homes) = report.note("database", reachable(config).await)? else {
        return report.end();
    };
    report.note("connections", sessions(&homes).await)?;
    look_inside(config, arguments, &homes, &mut report).await?;
    homes.close().await;
    report.end()
}

async fn look_inside(
    config: &Config,
    arguments: &Arguments,
    homes: &Homes,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.note("database files", intact(homes).await)?;
    let schemas = homes
        .check()
        .await
        .map(|()| ((), "fit this version".to_owned()))
        .map_err(anyhow::Error::from);
    if report.note("schemas", schemas)?.is_none() {
        return Ok(());
    }
    let reader = Reader::new(homes.log.clone());
    report.note("event log", verified(&reader, arguments.events).await)?;
    if let Some(keys) = report.note("master key", opens(config, homes).await)? {
        let projector = Projector::new(Parts {
            read: homes.read.clone(),
            reader,
            keys: Arc::new(keys),
            upcasters: Arc::new(domain::upcasters::all()),
            projections: projections::all(),
            node: Ids::system().next(),
            now: Arc::new(|| Clock::system().now()),
        });
        read_models(&projector, report).await?;
    }
    Ok(())
}

async fn writable(directory: &Path) -> anyhow::Result<((), String)> {
    let probe = directory.join(".doctor");
    tokio::fs::write(&probe, b"")
        .await
        .with_context(|| format!("{} cannot be written", directory.display()))?;
    tokio::fs::remove_file(&probe).await?;
    Ok(((), format!("{} can be written", directory.display())))
}

async fn reachable(config: &Config) -> anyhow::Result<(Homes, String)> {
    let target = node::target(config)?;
    node::present(&target)?;
    let homes = Homes::open(&target).await?;
    let words = match &target {
        Target::Postgres { .. } => homes.server_version().await?,
        Target::Sqlite { directory } => format!("SQLite files in {}", directory.display()),
    };
    Ok((homes, words))
}

async fn sessions(homes: &Homes) -> anyhow::Result<((), String)> {
    pooling::check(homes.target()).await?;
    Ok(((), "keep what the server needs of them".to_owned()))
}

async fn intact(homes: &Homes) -> anyhow::Result<((), String)> {
    if let Target::Postgres { .. } = homes.target() {
        return Ok(((), "are the server's affair".to_owned()));
    }
    for (home, complaint) in homes.quick_check().await? {
        ensure!(complaint == "ok", "{home}: {complaint}");
    }
    Ok(((), "are whole".to_owned()))
}

/// Positions without gaps, and content that still has its hash.
async fn verified(reader: &Reader, count: i64) -> anyhow::Result<((), String)> {
    let head = reader.head().await?.position;
    let mut after = (head - count).max(0);
    let first = after + 1;
    while after < head {
        let page = reader.page(after, head, PAGE).await?;
        ensure!(!page.is_empty(), "position {} is missing", after + 1);
        for event in page {
            after += 1;
            ensure!(event.position == after, "position {after} is missing");
            ensure!(
                event.is_intact(),
                "the event at position {after} is not what was recorded"
            );
        }
    }
    let words = if head == 0 {
        "is empty".to_owned()
    } else {
        format!("ends at position {head}; {first} to {head} are as they were recorded")
    };
    Ok(((), words))
}

async fn opens(config: &Config, homes: &Homes) -> anyhow::Result<(Keys, String)> {
    let wrapped = Keys::any_wrapped(&homes.keys).await?;
    let Some(master) = node::known_master_key(config).await? else {
        if wrapped {
            bail!(node::missing_master_key(config));
        }
        let keys = Keys::new(homes.keys.clone(), &event_log::keys::Secret::random());
        return Ok((keys, "is made at the first start".to_owned()));
    };
    let keys = Keys::new(homes.keys.clone(), &master);
    if wrapped {
        keys.instance("claims", Clock::system().now())
            .await
            .context("it is not the one that the keys are wrapped with")?;
    }
    Ok((keys, "opens the keys".to_owned()))
}

async fn read_models(projector: &Projector, report: &mut Report) -> anyhow::Result<()> {
    let statuses = match projector.status().await {
        Ok(statuses) => statuses,
        Err(error) => {
            report.note::<()>("read models", Err(error.into()))?;
            return Ok(());
        }
    };
    for projection in projector.projections() {
        let name = projection.name();
        let live = statuses.iter().find(|status| {
            status.current
                && status.generation.projection == name
                && status.generation.state == State::Live
        });
        let outcome = match live {
            None => Err(anyhow::anyhow!(
                "{name} has no generation yet: it is built when a server starts"
            )),
            Some(status) if status.generation.stopped => {
                let (position, error) = status.generation.trouble();
                Err(anyhow::anyhow!(
                    "{name} has stopped at position {position}: {error}"
                ))
            }
            Some(status) if status.lag == 0 => Ok(((), format!("{name} is at the log's end"))),
            Some(status) => Ok((
                (),
                format!(
                    "{name} is {} events behind, {} s",
                    status.lag, status.lag_seconds
                ),
            )),
        };
        report.note("read model", outcome)?;
    }
    Ok(())
}
