//! Everything that can be configured: one struct, each field an option of the command line and an environment
//! variable, each with a default. `--help` is the manual.

mod database;
mod error;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use axum::http::Uri;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use clap::Args;
use zeroize::Zeroizing;

pub use self::database::DatabaseTarget;
pub use self::error::{ConfigError, ConfigErrors};

use crate::hashing::{FEWEST_ITERATIONS, HashingSettings, LEAST_MEMORY_KIB};
use crate::telemetry::LogFormat;

/// The server's configuration.
///
/// Every option is also an environment variable, and a line `NAME=value` of the file that `--config` names. The
/// command line wins over the environment, the environment over the file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Configuration")]
pub struct Config {
    /// A file of `NAME=value` lines with the environment variables named here.
    #[arg(long, env = "SOULSENSE_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Where the embedded database, the keys and the shred ledger live.
    #[arg(
        long,
        env = "SOULSENSE_DATA_DIR",
        value_name = "DIRECTORY",
        default_value = "./data",
        global = true
    )]
    pub data_dir: PathBuf,

    /// The database: `postgres://…`, or `sqlite:DIRECTORY`. Without it, SQLite files in the data directory.
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    pub database_url: Option<Secret>,

    /// A file that holds the database URL.
    #[arg(
        long,
        env = "DATABASE_URL_FILE",
        value_name = "FILE",
        conflicts_with = "database_url",
        global = true
    )]
    pub database_url_file: Option<PathBuf>,

    /// The same Postgres database past a connection pooler: for the connections that must keep their session.
    /// Without it, the database URL.
    #[arg(
        long,
        env = "SOULSENSE_DATABASE_DIRECT_URL",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    pub database_direct_url: Option<Secret>,

    /// A file that holds that URL.
    #[arg(
        long,
        env = "SOULSENSE_DATABASE_DIRECT_URL_FILE",
        value_name = "FILE",
        conflicts_with = "database_direct_url",
        global = true
    )]
    pub database_direct_url_file: Option<PathBuf>,

    /// Connections to the database at most.
    #[arg(
        long,
        env = "SOULSENSE_DATABASE_CONNECTIONS",
        value_name = "COUNT",
        default_value_t = 10,
        global = true
    )]
    pub database_connections: u32,

    /// Seconds to wait for a database connection.
    #[arg(
        long,
        env = "SOULSENSE_DATABASE_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value_t = 3,
        global = true
    )]
    pub database_timeout_seconds: u64,

    /// Commands that may wait to be appended to the log; one more is answered 503.
    #[arg(
        long,
        env = "SOULSENSE_APPEND_QUEUE_COMMANDS",
        value_name = "COUNT",
        default_value_t = 4_096,
        global = true
    )]
    pub append_queue_commands: usize,

    /// Bytes of events that may wait to be appended to the log; more are answered 503.
    #[arg(
        long,
        env = "SOULSENSE_APPEND_QUEUE_BYTES",
        value_name = "BYTES",
        default_value_t = 64 << 20,
        global = true
    )]
    pub append_queue_bytes: usize,

    /// The master key that wraps all others: 32 bytes in base64 or hex. Without it, one is made in the data
    /// directory at the first start.
    #[arg(
        long,
        env = "SOULSENSE_MASTER_KEY",
        value_name = "KEY",
        hide_env_values = true,
        global = true
    )]
    pub master_key: Option<Secret>,

    /// A file that holds the master key.
    #[arg(
        long,
        env = "SOULSENSE_MASTER_KEY_FILE",
        value_name = "FILE",
        conflicts_with = "master_key",
        global = true
    )]
    pub master_key_file: Option<PathBuf>,

    /// What a log line looks like.
    #[arg(
        long,
        env = "SOULSENSE_LOG_FORMAT",
        value_enum,
        default_value_t,
        global = true
    )]
    pub log_format: LogFormat,

    /// What is logged: a level, or levels by module, for instance `info,soulsense::http=debug`.
    #[arg(
        long,
        env = "SOULSENSE_LOG",
        value_name = "FILTER",
        default_value = "info",
        global = true
    )]
    pub log: String,

    /// Where the server listens.
    #[arg(
        long,
        env = "SOULSENSE_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080",
        global = true
    )]
    pub listen: SocketAddr,

    /// The address that clients use, for links and as the issuer of tokens. Without it, `http://` and the
    /// address listened on. With `https://`, replies carry Strict-Transport-Security.
    #[arg(long, env = "SOULSENSE_PUBLIC_URL", value_name = "URL", global = true)]
    pub public_url: Option<String>,

    /// Web origins that may call the API from a browser, separated by commas, each exactly as the browser sends
    /// it.
    #[arg(
        long,
        env = "SOULSENSE_CORS_ORIGINS",
        value_name = "ORIGIN",
        value_delimiter = ',',
        global = true
    )]
    pub cors_origins: Vec<String>,

    /// How many proxies of ours stand in front and append to X-Forwarded-For.
    #[arg(
        long,
        env = "SOULSENSE_TRUSTED_HOPS",
        value_name = "COUNT",
        default_value_t = 0,
        global = true
    )]
    pub trusted_hops: u8,

    /// Seconds until a request is given up.
    #[arg(
        long,
        env = "SOULSENSE_REQUEST_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value_t = 9,
        global = true
    )]
    pub request_timeout_seconds: u64,

    /// The largest request body in bytes.
    #[arg(
        long,
        env = "SOULSENSE_BODY_LIMIT",
        value_name = "BYTES",
        default_value_t = 1 << 20,
        global = true
    )]
    pub body_limit: usize,

    /// Seconds that requests under way may take to end when the server stops.
    #[arg(
        long,
        env = "SOULSENSE_DRAIN_SECONDS",
        value_name = "SECONDS",
        default_value_t = 20,
        global = true
    )]
    pub drain_seconds: u64,

    /// Logins and other writes that need no token, per minute and IP address (/64 for IPv6).
    #[arg(
        long,
        env = "SOULSENSE_OPEN_WRITES_PER_MINUTE",
        value_name = "COUNT",
        default_value = "60",
        global = true
    )]
    pub open_writes_per_minute: NonZeroU32,

    /// Minutes that an access token lives.
    #[arg(
        long,
        env = "SOULSENSE_ACCESS_TOKEN_MINUTES",
        value_name = "MINUTES",
        default_value_t = 15,
        global = true
    )]
    pub access_token_minutes: u32,

    /// Days between a member's request to be deleted and the erasure.
    #[arg(
        long,
        env = "SOULSENSE_DELETION_GRACE_DAYS",
        value_name = "DAYS",
        default_value_t = 30,
        global = true
    )]
    pub deletion_grace_days: u32,

    /// Minutes without an answer after which an exam expires.
    #[arg(
        long,
        env = "SOULSENSE_EXAM_IDLE_MINUTES",
        value_name = "MINUTES",
        default_value_t = 60,
        global = true
    )]
    pub exam_idle_minutes: u32,

    /// Hours from completing an exam until it may be taken again.
    #[arg(
        long,
        env = "SOULSENSE_EXAM_COOLDOWN_HOURS",
        value_name = "HOURS",
        default_value_t = 24,
        global = true
    )]
    pub exam_cooldown_hours: u32,

    /// Passwords hashed at the same time, each with its own memory.
    #[arg(
        long,
        env = "SOULSENSE_HASHING_THREADS",
        value_name = "COUNT",
        default_value_t = 2,
        global = true
    )]
    pub hashing_threads: usize,

    /// Passwords that may wait to be hashed; one more is answered 503.
    #[arg(
        long,
        env = "SOULSENSE_HASHING_QUEUE",
        value_name = "COUNT",
        default_value_t = 64,
        global = true
    )]
    pub hashing_queue: usize,

    /// Memory of one password hash in KiB. Raising it hashes again at the next login.
    #[arg(
        long,
        env = "SOULSENSE_HASHING_MEMORY_KIB",
        value_name = "KIB",
        default_value_t = LEAST_MEMORY_KIB,
        global = true
    )]
    pub hashing_memory_kib: u32,

    /// Passes of one password hash over its memory. Raising it hashes again at the next login.
    #[arg(
        long,
        env = "SOULSENSE_HASHING_ITERATIONS",
        value_name = "COUNT",
        default_value_t = FEWEST_ITERATIONS,
        global = true
    )]
    pub hashing_iterations: u32,
}

impl Config {
    /// The configuration with every default, whatever the environment says: for tests and tools.
    pub fn defaults() -> Result<Self, clap::Error> {
        let command = Self::augment_args(clap::Command::new("soulsense"))
            .mut_args(|argument| argument.env(clap::builder::Resettable::Reset));
        let matches = command.try_get_matches_from(["soulsense"])?;
        <Self as clap::FromArgMatches>::from_arg_matches(&matches)
    }

    /// Everything that is wrong, at once; nothing is opened or written.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        let mut at_least = |name: &'static str, value: u64, least: u64| {
            if value < least {
                errors.push(ConfigError::TooSmall { name, value, least });
            }
        };
        at_least(
            "SOULSENSE_DATABASE_CONNECTIONS",
            self.database_connections.into(),
            1,
        );
        at_least(
            "SOULSENSE_DATABASE_TIMEOUT_SECONDS",
            self.database_timeout_seconds,
            1,
        );
        at_least(
            "SOULSENSE_APPEND_QUEUE_COMMANDS",
            self.append_queue_commands as u64,
            1,
        );
        at_least(
            "SOULSENSE_APPEND_QUEUE_BYTES",
            self.append_queue_bytes as u64,
            1 << 20,
        );
        at_least(
            "SOULSENSE_REQUEST_TIMEOUT_SECONDS",
            self.request_timeout_seconds,
            1,
        );
        at_least("SOULSENSE_BODY_LIMIT", self.body_limit as u64, 1_024);
        at_least(
            "SOULSENSE_ACCESS_TOKEN_MINUTES",
            self.access_token_minutes.into(),
            1,
        );
        at_least(
            "SOULSENSE_EXAM_IDLE_MINUTES",
            self.exam_idle_minutes.into(),
            1,
        );
        at_least("SOULSENSE_HASHING_THREADS", self.hashing_threads as u64, 1);
        at_least(
            "SOULSENSE_HASHING_MEMORY_KIB",
            self.hashing_memory_kib.into(),
            LEAST_MEMORY_KIB.into(),
        );
        at_least(
            "SOULSENSE_HASHING_ITERATIONS",
            self.hashing_iterations.into(),
            FEWEST_ITERATIONS.into(),
        );

        match self.database() {
            Ok(database) => errors.extend(self.direct_url(&database).err()),
            Err(error) => errors.push(error),
        }
        errors.extend(self.master_key().err());
        if let Some(url) = &self.public_url
            && !is_origin(url.trim_end_matches('/'))
        {
            errors.push(ConfigError::NotAnOrigin {
                name: "SOULSENSE_PUBLIC_URL",
                value: url.clone(),
            });
        }
        for origin in &self.cors_origins {
            if !is_origin(origin) {
                errors.push(ConfigError::NotAnOrigin {
                    name: "SOULSENSE_CORS_ORIGINS",
                    value: origin.clone(),
                });
            }
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log) {
            errors.push(ConfigError::LogFilter(error));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors(errors))
        }
    }

    /// Where events and read models are kept.
    pub fn database(&self) -> Result<DatabaseTarget, ConfigError> {
        match secret(
            "DATABASE_URL_FILE",
            self.database_url.as_ref(),
            self.database_url_file.as_deref(),
        )? {
            Some(url) => url.expose().parse(),
            None => Ok(DatabaseTarget::Sqlite {
                directory: self.data_dir.clone(),
            }),
        }
    }

    /// The URL of the database past a pooler, where one is configured.
    pub fn direct_url(&self, database: &DatabaseTarget) -> Result<Option<Secret>, ConfigError> {
        let url = secret(
            "SOULSENSE_DATABASE_DIRECT_URL_FILE",
            self.database_direct_url.as_ref(),
            self.database_direct_url_file.as_deref(),
        )?;
        let Some(url) = url else { return Ok(None) };
        match (url.expose().parse(), database) {
            (Ok(DatabaseTarget::Postgres { url }), DatabaseTarget::Postgres { .. }) => {
                Ok(Some(url))
            }
            (_, DatabaseTarget::Sqlite { .. }) => Err(ConfigError::DirectWithoutPostgres),
            _ => Err(ConfigError::DirectUrl),
        }
    }

    /// The configured master key; none means the one in the data directory.
    pub fn master_key(&self) -> Result<Option<Zeroizing<[u8; 32]>>, ConfigError> {
        let text = secret(
            "SOULSENSE_MASTER_KEY_FILE",
            self.master_key.as_ref(),
            self.master_key_file.as_deref(),
        )?;
        text.map(|text| key_of_32_bytes(text.expose()).ok_or(ConfigError::MasterKey))
            .transpose()
    }

    /// The address that clients use, without a slash at its end.
    #[must_use]
    pub fn public_url(&self) -> String {
        self.public_url.as_ref().map_or_else(
            || format!("http://{}", self.listen),
            |url| url.trim_end_matches('/').to_owned(),
        )
    }

    /// How hard password hashing is, and how much of it at once.
    #[must_use]
    pub const fn hashing(&self) -> HashingSettings {
        HashingSettings {
            memory_kib: self.hashing_memory_kib,
            iterations: self.hashing_iterations,
            parallelism: 1,
            threads: self.hashing_threads,
            queue: self.hashing_queue,
        }
    }

    /// How long an access token lives.
    #[must_use]
    pub fn access_token_lifetime(&self) -> TimeDelta {
        TimeDelta::minutes(self.access_token_minutes.into())
    }

    /// The time between a member's request to be deleted and the erasure.
    #[must_use]
    pub fn deletion_grace(&self) -> TimeDelta {
        TimeDelta::days(self.deletion_grace_days.into())
    }

    /// The time without an answer after which an exam expires.
    #[must_use]
    pub fn exam_idle(&self) -> TimeDelta {
        TimeDelta::minutes(self.exam_idle_minutes.into())
    }

    /// The time from completing an exam until it may be taken again.
    #[must_use]
    pub fn exam_cooldown(&self) -> TimeDelta {
        TimeDelta::hours(self.exam_cooldown_hours.into())
    }

    /// How long to wait for a database connection.
    #[must_use]
    pub const fn database_timeout(&self) -> Duration {
        Duration::from_secs(self.database_timeout_seconds)
    }

    /// How long requests under way may take to end when the server stops.
    #[must_use]
    pub const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

/// Loads the file that `--config` or `SOULSENSE_CONFIG` names into the environment, where variables that are set
/// already stay as they are. To be called with the process's arguments before they are parsed, and before any
/// thread is started.
pub fn load_file(arguments: impl IntoIterator<Item = OsString>) -> Result<(), ConfigError> {
    let Some(path) =
        file_of(arguments).or_else(|| std::env::var_os("SOULSENSE_CONFIG").map(PathBuf::from))
    else {
        return Ok(());
    };
    dotenvy::from_path(&path).map_err(|error| match error {
        dotenvy::Error::Io(source) => ConfigError::Unreadable {
            name: "SOULSENSE_CONFIG",
            path,
            source,
        },
        // the library's message holds the line, and the line may hold a secret
        _ => ConfigError::NotAnEnvironmentFile { path },
    })
}

fn file_of(arguments: impl IntoIterator<Item = OsString>) -> Option<PathBuf> {
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            return None;
        }
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument
            .to_str()
            .and_then(|text| text.strip_prefix("--config="))
        {
            return Some(PathBuf::from(path));
        }
    }
    None
}

#[expect(
    clippy::disallowed_methods,
    reason = "configuration is read before anything is served"
)]
fn secret(
    name: &'static str,
    value: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, ConfigError> {
    let Some(path) = file else {
        return Ok(value.cloned());
    };
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        name,
        path: path.to_owned(),
        source,
    })?;
    let text = Zeroizing::new(text);
    Ok(Some(Secret::from(text.trim().to_owned())))
}

pub(crate) fn key_of_32_bytes(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let text = text.trim();
    let bytes = if text.len() == 64 {
        (0..32)
            .map(|place| u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok())
            .collect()
    } else {
        [
            BASE64_STANDARD,
            BASE64_STANDARD_NO_PAD,
            BASE64_URL_SAFE_NO_PAD,
        ]
        .iter()
        .find_map(|alphabet| alphabet.decode(text).ok())
    };
    let bytes = Zeroizing::new(bytes?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

/// Whether `text` is a scheme, a host and perhaps a port, and nothing else.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = Uri::from_str(text) else {
        return false;
    };
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|known| {
            known.as_str() == authority && !authority.contains('@') && !known.host().is_empty()
        })
}

/// Text that is never shown and is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself. Whoever calls this keeps it out of logs, errors and `Debug`.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::from(text.to_owned()))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "no runtime runs here")]
mod tests;
