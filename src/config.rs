//! Everything that can be configured: one struct, each field an option of the command line and an environment
//! variable, each with a default. `--help` is the manual.

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
        default_value_t = 10,
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

        errors.extend(self.database().err());
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

fn key_of_32_bytes(text: &str) -> Option<Zeroizing<[u8; 32]>> {
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

/// Which engine keeps the data, and where.
#[derive(Debug, Clone)]
pub enum DatabaseTarget {
    /// SQLite files, one for each home, in this directory.
    Sqlite {
        /// The directory, made when absent.
        directory: PathBuf,
    },
    /// A Postgres server.
    Postgres {
        /// A URL that sqlx understands.
        url: Secret,
    },
}

impl FromStr for DatabaseTarget {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(':').ok_or(ConfigError::DatabaseScheme {
            scheme: String::new(),
        })?;
        match scheme {
            "postgres" | "postgresql" => postgres(text.to_owned()),
            // what SQLAlchemy calls it; its driver says ssl where libpq says sslmode
            "postgresql+asyncpg" | "postgres+asyncpg" => postgres(
                format!("postgresql:{rest}")
                    .replace("?ssl=", "?sslmode=")
                    .replace("&ssl=", "&sslmode="),
            ),
            "sqlite" => sqlite(rest.strip_prefix("//").unwrap_or(rest)),
            // three slashes and a relative path, four and an absolute one
            "sqlite+aiosqlite" => sqlite(rest.strip_prefix("///").unwrap_or_default()),
            _ => Err(ConfigError::DatabaseScheme {
                scheme: if rest.starts_with("//") {
                    scheme.to_owned()
                } else {
                    String::new()
                },
            }),
        }
    }
}

fn postgres(url: String) -> Result<DatabaseTarget, ConfigError> {
    if url
        .split_once("://")
        .is_none_or(|(_, rest)| rest.is_empty())
        || sqlx::postgres::PgConnectOptions::from_str(&url).is_err()
    {
        return Err(ConfigError::PostgresUrl);
    }
    Ok(DatabaseTarget::Postgres { url: url.into() })
}

fn sqlite(path: &str) -> Result<DatabaseTarget, ConfigError> {
    if path.is_empty() || path.contains('?') || path.contains(":memory:") {
        return Err(ConfigError::SqlitePath);
    }
    let path = Path::new(path);
    let named_like_a_file = path.extension().is_some_and(|extension| {
        ["db", "sqlite", "sqlite3"]
            .iter()
            .any(|known| extension == *known)
    });
    Ok(DatabaseTarget::Sqlite {
        directory: if named_like_a_file {
            path.with_extension("")
        } else {
            path.to_owned()
        },
    })
}

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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "no runtime runs here")]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn target(text: &str) -> Result<DatabaseTarget, String> {
        text.parse().map_err(|error: ConfigError| error.to_string())
    }

    #[test]
    fn the_defaults_are_right_as_they_are() -> Outcome {
        let config = Config::defaults()?;
        config.check()?;
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.public_url(), "http://127.0.0.1:8080");
        assert_eq!(config.access_token_lifetime(), TimeDelta::minutes(15));
        assert!(matches!(
            config.database()?,
            DatabaseTarget::Sqlite { directory } if directory == Path::new("./data")
        ));
        assert!(config.master_key()?.is_none());
        Ok(())
    }

    #[test]
    fn every_option_has_an_environment_variable_and_a_text() {
        let command = Config::augment_args(clap::Command::new("soulsense"));
        for argument in command.get_arguments() {
            let name = argument
                .get_env()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            assert!(
                name.starts_with("SOULSENSE_") || name.starts_with("DATABASE_URL"),
                "{:?}",
                argument.get_id()
            );
            assert!(argument.get_help().is_some(), "{name}");
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once() -> Outcome {
        let config = Config {
            hashing_memory_kib: 1,
            request_timeout_seconds: 0,
            public_url: Some("soul.example".to_owned()),
            cors_origins: vec![
                "https://a.example".to_owned(),
                "https://b.example/path".to_owned(),
            ],
            log: "soulsense=loudly".to_owned(),
            master_key: Some("short".parse()?),
            database_url: Some("mysql://root:hunter2@db/x".parse()?),
            ..Config::defaults()?
        };
        let said = config.check().err().ok_or("accepted")?.to_string();
        for part in [
            "SOULSENSE_HASHING_MEMORY_KIB is 1, the least is 19456",
            "SOULSENSE_REQUEST_TIMEOUT_SECONDS is 0",
            "SOULSENSE_PUBLIC_URL: soul.example",
            "SOULSENSE_CORS_ORIGINS: https://b.example/path",
            "SOULSENSE_LOG: ",
            "SOULSENSE_MASTER_KEY is not 32 bytes",
            "DATABASE_URL: mysql is not supported",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert_eq!(said.lines().count(), 7, "{said}");
        assert!(!said.contains("hunter2"));
        Ok(())
    }

    #[test]
    fn the_engine_is_chosen_by_scheme() {
        for (text, expected) in [
            ("postgres://u:p@h/d", "postgres://u:p@h/d"),
            (
                "postgresql://u:p@h:5433/d?sslmode=require",
                "postgresql://u:p@h:5433/d?sslmode=require",
            ),
            (
                "postgresql+asyncpg://u:p@h/d?ssl=require",
                "postgresql://u:p@h/d?sslmode=require",
            ),
        ] {
            assert!(
                matches!(target(text), Ok(DatabaseTarget::Postgres { url }) if url.expose() == expected),
                "{text}"
            );
        }
        for (text, expected) in [
            ("sqlite:data", "data"),
            ("sqlite://data", "data"),
            ("sqlite:///srv/soul", "/srv/soul"),
            ("sqlite:/srv/soul.db", "/srv/soul"),
            ("sqlite+aiosqlite:///./soul.db", "./soul"),
            ("sqlite+aiosqlite:////srv/soul.db", "/srv/soul"),
        ] {
            assert!(
                matches!(target(text), Ok(DatabaseTarget::Sqlite { directory }) if directory == Path::new(expected)),
                "{text}"
            );
        }
    }

    #[test]
    fn another_url_is_one_clear_line_without_its_password() {
        for text in [
            "",
            "hunter2",
            "hunter2:x",
            "mysql://root:hunter2@db/x",
            "postgres:",
            "postgres://",
            "postgres://u:hunter2@h:port/d",
            "postgresql://u:hun/hunter2@h/d",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:data?mode=hunter2",
            "sqlite+aiosqlite://",
        ] {
            let Err(said) = target(text) else {
                panic!("{text} was accepted");
            };
            assert!(said.starts_with("DATABASE_URL"), "{said}");
            assert_eq!(said.lines().count(), 1);
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn the_master_key_is_read_in_base64_and_hex_from_value_and_file() -> Outcome {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("key");
        let bytes = [0xfb; 32];
        for text in [
            BASE64_STANDARD.encode(bytes),
            BASE64_URL_SAFE_NO_PAD.encode(bytes),
            crate::tokens::hex(&bytes),
        ] {
            let by_value = Config {
                master_key: Some(text.parse()?),
                ..Config::defaults()?
            };
            assert_eq!(by_value.master_key()?.as_deref(), Some(&bytes));
            std::fs::write(&path, format!("{text}\n"))?;
            let by_file = Config {
                master_key_file: Some(path.clone()),
                ..Config::defaults()?
            };
            assert_eq!(by_file.master_key()?.as_deref(), Some(&bytes));
        }
        let absent = Config {
            master_key_file: Some(directory.path().join("absent")),
            ..Config::defaults()?
        };
        assert!(matches!(
            absent.master_key(),
            Err(ConfigError::Unreadable { .. })
        ));
        Ok(())
    }

    #[test]
    fn a_secret_is_never_shown() -> Outcome {
        let config = Config {
            master_key: Some("hunter2".parse()?),
            database_url: Some("postgres://u:hunter2@h/d".parse()?),
            ..Config::defaults()?
        };
        let shown = format!("{config:?} {:?}", config.database()?);
        assert!(!shown.contains("hunter2"));
        Ok(())
    }

    #[test]
    fn the_file_is_found_on_the_command_line() {
        let found = |arguments: &[&str]| file_of(arguments.iter().map(OsString::from));
        assert_eq!(
            found(&["x", "serve", "--config", "a.env"]),
            Some("a.env".into())
        );
        assert_eq!(
            found(&["x", "--config=b.env", "serve"]),
            Some("b.env".into())
        );
        assert_eq!(found(&["x", "--", "--config=b.env"]), None);
        assert_eq!(found(&["x"]), None);
    }

    #[test]
    fn a_file_that_is_absent_or_not_understood_is_an_error_without_its_lines() -> Outcome {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("soul.env");
        let load = || load_file(["x".into(), "--config".into(), path.clone().into_os_string()]);
        assert!(matches!(load(), Err(ConfigError::Unreadable { .. })));
        std::fs::write(&path, "hunter2 'is my master key\n")?;
        let said = load().err().ok_or("accepted")?.to_string();
        assert!(
            said.contains("soul.env") && !said.contains("hunter2"),
            "{said}"
        );
        Ok(())
    }
}
