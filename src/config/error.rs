//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong with the configuration, in one line that shows no secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A number below what works.
    #[error("{name} is {value}, the least is {least}")]
    TooSmall {
        /// The variable.
        name: &'static str,
        /// What it is.
        value: u64,
        /// What it must be at least.
        least: u64,
    },
    /// Not `http(s)://host[:port]`.
    #[error("{name}: {value} is not an origin like https://soul.example.org")]
    NotAnOrigin {
        /// The variable.
        name: &'static str,
        /// What it is.
        value: String,
    },
    /// The log filter does not parse.
    #[error("SOULSENSE_LOG: {0}")]
    LogFilter(tracing_subscriber::filter::ParseError),
    /// A file that is named cannot be read.
    #[error("{name}: cannot read {}: {source}", path.display())]
    Unreadable {
        /// The variable that names the file.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file has a line that is not `NAME=value`.
    #[error("SOULSENSE_CONFIG: {} is not a file of NAME=value lines", path.display())]
    NotAnEnvironmentFile {
        /// The file.
        path: PathBuf,
    },
    /// Not 32 bytes in base64 or hex.
    #[error("SOULSENSE_MASTER_KEY is not 32 bytes in base64 or hex")]
    MasterKey,
    /// A database URL of a scheme that is not known.
    #[error(
        "DATABASE_URL: {} is not supported, use postgres://… or sqlite:DIRECTORY",
        if scheme.is_empty() { "a URL without a known scheme" } else { scheme }
    )]
    DatabaseScheme {
        /// The scheme, when it is sure to be one.
        scheme: String,
    },
    /// A Postgres URL that does not parse.
    #[error(
        "DATABASE_URL is not a Postgres URL like postgres://user:password@host:5432/database (special characters in a password are percent-encoded)"
    )]
    PostgresUrl,
    /// A direct URL that is not of Postgres or does not parse.
    #[error(
        "SOULSENSE_DATABASE_DIRECT_URL is not a Postgres URL like postgres://user:password@host:5432/database"
    )]
    DirectUrl,
    /// A direct URL where the database is SQLite.
    #[error("SOULSENSE_DATABASE_DIRECT_URL is for Postgres, and DATABASE_URL names none")]
    DirectWithoutPostgres,
    /// A SQLite URL that names no directory.
    #[error(
        "DATABASE_URL: sqlite: takes a directory for the database files, without options; in memory is not supported"
    )]
    SqlitePath,
}

/// Everything that is wrong with the configuration, a line each.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
