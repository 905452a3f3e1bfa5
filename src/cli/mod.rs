//! The command line: one file a subcommand. Without a subcommand the server runs.
//!
//! Exit codes: 0 done; 1 it failed, with one clear line on standard error; 2 the arguments cannot be read.

pub mod serve;

use clap::{Parser, Subcommand};

use crate::config::Config;

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
}

/// Runs what the arguments ask for.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = arguments.config;
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(config).await,
    }
}
