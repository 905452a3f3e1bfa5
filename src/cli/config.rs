//! `soulsense config`: what is configured.

use clap::Subcommand;

use super::output;
use crate::config::{Config, DatabaseTarget};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say everything that is wrong with the configuration at once; opens nothing.
    Check,
}

/// Runs it.
pub fn run(config: &Config, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Check => check(config),
    }
}

fn check(config: &Config) -> anyhow::Result<()> {
    config.check()?;
    output::line("the configuration is good")?;
    output::table(
        ["", ""],
        described(config)?.map(|(name, value)| [name.to_owned(), value]),
    )?;
    Ok(())
}

/// Where things are, without secrets.
fn described(config: &Config) -> anyhow::Result<[(&'static str, String); 5]> {
    let database = match config.database()? {
        DatabaseTarget::Sqlite { directory } => {
            format!("SQLite files in {}", directory.display())
        }
        DatabaseTarget::Postgres { .. } => "PostgreSQL".to_owned(),
    };
    let master_key = match config.master_key()? {
        Some(_) => "configured".to_owned(),
        None => format!("in {}", config.data_dir.display()),
    };
    Ok([
        ("database", database),
        ("data directory", config.data_dir.display().to_string()),
        ("master key", master_key),
        ("listens on", config.listen.to_string()),
        ("public address", config.public_url()),
    ])
}
