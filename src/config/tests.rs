//! Defaults, checks, secrets and database addresses.

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
fn a_direct_url_is_a_second_address_of_a_postgres_database() -> Outcome {
    let config = |database: &str, direct: &str| -> Result<Config, Box<dyn std::error::Error>> {
        Ok(Config {
            database_url: Some(database.parse()?),
            database_direct_url: Some(direct.parse()?),
            ..Config::defaults()?
        })
    };
    let good = config(
        "postgres://pooler/soul",
        "postgresql+asyncpg://db/soul?ssl=require",
    )?;
    good.check()?;
    let direct = good.direct_url(&good.database()?)?.ok_or("it is lost")?;
    assert_eq!(direct.expose(), "postgresql://db/soul?sslmode=require");
    assert!(!format!("{good:?}").contains("db/soul"));
    for (database, direct, said) in [
        (
            "sqlite:data",
            "postgres://u:hunter2@db/soul",
            "is for Postgres",
        ),
        (
            "postgres://pooler/soul",
            "sqlite:hunter2",
            "is not a Postgres URL",
        ),
        ("postgres://pooler/soul", "hunter2", "is not a Postgres URL"),
    ] {
        let complaint = config(database, direct)?.check().err().ok_or("accepted")?;
        let complaint = complaint.to_string();
        assert!(complaint.contains(said), "{complaint}");
        assert!(!complaint.contains("hunter2"), "{complaint}");
    }
    Ok(())
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
