//! Which database an address means.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{ConfigError, Secret};

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
