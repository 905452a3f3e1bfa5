//! The command line: one file a subcommand. Without a subcommand the server runs.
//!
//! Exit codes: 0 done; 1 it failed, with one clear line on standard error; 2 the arguments cannot be read.
//! Results go to standard output, everything else to standard error.

pub mod accounts;
pub mod audit;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod events;
pub mod migrate;
pub mod openapi;
pub mod output;
pub mod projections;
pub mod purge;
pub mod serve;

use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::node::{Node, Purpose};
use crate::telemetry::{self, Logging};

/// What is logged when nobody says anything else: by the server, and by a command that prints results.
const SERVER_LOG: &str = "info";
const TOOL_LOG: &str = "warn";

/// A self-hosted backend for emotional-intelligence exams, journaling and well-being.
#[derive(Debug, Parser)]
#[command(name = "soulsense", version)]
pub struct Arguments {
    /// What to do; without it the server runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The configuration.
    #[command(flatten)]
    pub config: Config,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (the default).
    Serve,
    /// Bring the schemas of the database up to this version.
    Migrate,
    /// Look after the read models.
    #[command(subcommand)]
    Projections(projections::Command),
    /// Build read models anew: the same as `projections rebuild`.
    Replay(projections::Rebuild),
    /// Look at the event log.
    #[command(subcommand)]
    Events(events::Command),
    /// Who did what, when, to whose data.
    Audit(audit::Arguments),
    /// Look after accounts and their roles.
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Erase the accounts whose grace is over.
    Purge(purge::Arguments),
    /// Check that everything is as it should be.
    Doctor(doctor::Arguments),
    /// Print the description of the HTTP API.
    Openapi,
    /// Print a script that completes commands in a shell.
    Completions(completions::Arguments),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::Command),
}

impl Command {
    /// False for commands that work, or say what is wrong, whatever the configuration is.
    fn needs_configuration(&self) -> bool {
        !matches!(
            self,
            Self::Doctor(_) | Self::Openapi | Self::Completions(_) | Self::Config(_)
        )
    }
}

/// Checks the configuration where the command needs one, and begins logging: until what it gives is dropped.
pub fn begin(arguments: &Arguments) -> anyhow::Result<Option<Logging>> {
    let (command, config) = (arguments.command.as_ref(), &arguments.config);
    if command.is_none_or(Command::needs_configuration) {
        config.check()?;
    } else if config.check().is_err() {
        return Ok(None);
    }
    let serves = matches!(command, None | Some(Command::Serve));
    let filter = if !serves && config.log == SERVER_LOG {
        TOOL_LOG
    } else {
        &config.log
    };
    Ok(Some(telemetry::init(config.log_format, filter)?))
}

/// Runs what the arguments ask for.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = arguments.config;
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(config).await,
        Command::Migrate => migrate::run(&config).await,
        Command::Projections(command) => projections::run(config, command).await,
        Command::Replay(rebuild) => projections::rebuild(config, rebuild).await,
        Command::Events(command) => events::run(config, command).await,
        Command::Audit(arguments) => audit::run(config, arguments).await,
        Command::Accounts(command) => accounts::run(config, command).await,
        Command::Purge(arguments) => purge::run(config, &arguments).await,
        Command::Doctor(arguments) => doctor::run(&config, &arguments).await,
        Command::Openapi => openapi::run(),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Config(command) => config::run(&config, &command),
    }
}

/// Opens a node that looks after things beside the servers, if any run.
async fn tool(config: Config) -> anyhow::Result<Arc<Node>> {
    Node::open(config, Purpose::Tool, Clock::system(), Ids::system()).await
}

/// Who gives commands here, as events name them: the user of the operating system.
fn actor() -> String {
    let user: String = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(64)
        .collect();
    if user.is_empty() {
        return "cli:unknown".to_owned();
    }
    format!("cli:{user}")
}
