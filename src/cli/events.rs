//! `soulsense events`: the log itself.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use event_log::RecordedEvent;
use projections::audit::{AUDIT, position_of};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::output::{self, Format};
use super::projections::caught_up;
use crate::config::Config;
use crate::http::audit::StreamEvent;
use crate::node::Node;

/// How often the log is looked at for news.
const LOOK: Duration = Duration::from_millis(250);
/// Events read at once.
const PAGE: i64 = 500;

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// How much there is of what. Reads the whole log.
    Stats {
        /// In which form.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// The newest events.
    Tail {
        /// So many events.
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..))]
        limit: i64,
        /// Go on with new ones as they come.
        #[arg(long, short)]
        follow: bool,
        /// In which form.
        #[arg(long, value_enum, default_value_t)]
        format: Lines,
    },
    /// One event; what is sealed is named, not opened.
    Show {
        /// Its position or its id.
        #[arg(value_name = "POSITION|EVENT_ID")]
        event: String,
        /// In which form.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// In which form events are printed one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Lines {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Ndjson,
}

/// Runs it.
pub async fn run(config: Config, command: Command) -> anyhow::Result<()> {
    let node = super::tool(config).await?;
    match command {
        Command::Stats { format } => stats(&node, format).await?,
        Command::Tail {
            limit,
            follow,
            format,
        } => tail(&node, limit, follow, format).await?,
        Command::Show { event, format } => show(&node, &event, format).await?,
    }
    node.stop().await;
    Ok(())
}

/// How much there is of one kind of event.
#[derive(Debug, Serialize)]
struct Kind {
    aggregate_type: String,
    event_type: String,
    event_version: String,
    events: i64,
    streams: i64,
    last_position: i64,
}

async fn stats(node: &Node, format: Format) -> anyhow::Result<()> {
    let reader = node.log.reader();
    let kinds: Vec<Kind> = reader
        .counts()
        .await?
        .into_iter()
        .map(|count| Kind {
            aggregate_type: count.aggregate_type,
            event_type: count.event_type,
            event_version: count.event_version,
            events: count.events,
            streams: count.streams,
            last_position: count.last_position,
        })
        .collect();
    let header = [
        "STREAM",
        "EVENT",
        "VERSION",
        "EVENTS",
        "STREAMS",
        "LAST POSITION",
    ];
    output::list(format, &kinds, header, |kind| {
        [
            kind.aggregate_type.clone(),
            kind.event_type.clone(),
            kind.event_version.clone(),
            kind.events.to_string(),
            kind.streams.to_string(),
            kind.last_position.to_string(),
        ]
    })?;
    if format == Format::Table {
        let head = reader.head().await?;
        let total: i64 = kinds.iter().map(|kind| kind.events).sum();
        output::line(&format!(
            "{total} events; the log ends at position {}",
            head.position
        ))?;
    }
    Ok(())
}

async fn tail(node: &Node, limit: i64, follow: bool, format: Lines) -> anyhow::Result<()> {
    let reader = node.log.reader();
    let mut head = reader.head().await?.position;
    let mut after = (head - limit).max(0);
    loop {
        while after < head {
            let page = reader.page(after, head, PAGE).await?;
            let Some(last) = page.last().map(|event| event.position) else {
                bail!("the log ends at position {after} and not at {head}");
            };
            for event in page {
                print(event, format)?;
            }
            after = last;
        }
        if !follow {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
        head = reader.head().await?.position;
    }
}

fn print(event: RecordedEvent, format: Lines) -> anyhow::Result<()> {
    let event = StreamEvent::try_from(event)?;
    match format {
        Lines::Ndjson => output::line(&serde_json::to_string(&event)?)?,
        Lines::Text => {
            let event = event.event;
            output::line(&format!(
                "{:>8}  {}  {:<28}  {}/{}#{}  by {} as {}",
                event.position,
                output::time(event.recorded_at),
                event.event_type,
                event.aggregate_type,
                event.aggregate_id,
                event.sequence,
                event.actor_id,
                event.actor_role
            ))?;
        }
    }
    Ok(())
}

async fn show(node: &Node, event: &str, format: Format) -> anyhow::Result<()> {
    let position = match (event.parse::<i64>(), event.parse::<Uuid>()) {
        (Ok(position), _) => position,
        (_, Ok(id)) => {
            caught_up(node, &[AUDIT]).await?;
            position_of(&node.read(), id)
                .await?
                .with_context(|| format!("there is no event of the id {id}"))?
        }
        _ => bail!("{event} is neither a position nor the id of an event"),
    };
    let page = node.log.reader().page(position - 1, position, 1).await?;
    let event = page
        .into_iter()
        .next()
        .with_context(|| format!("there is no event at position {position}"))?;
    let event = StreamEvent::try_from(event)?;
    match format {
        Format::Json => output::json(&event),
        Format::Ndjson => Ok(output::line(&serde_json::to_string(&event)?)?),
        Format::Table => {
            let Value::Object(members) = serde_json::to_value(&event)? else {
                return Ok(());
            };
            let rows = members.into_iter().map(|(name, value)| {
                let value = match value {
                    Value::String(text) => text,
                    Value::Null => String::new(),
                    value => value.to_string(),
                };
                [name, value]
            });
            Ok(output::table(["", ""], rows)?)
        }
    }
}
