//! The homes: migrated once however many start together, and refused when another version made them.

use std::error::Error;

use event_log::database::{Engine, is_storage_full};
use event_log::homes::{Homes, HomesError, Target};
use event_log::{execute, fetch_one};
use futures::future::try_join_all;

use crate::support::engines::{Installation, Outcome, each_engine, id, now};

const BOTH: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

#[tokio::test]
async fn homes_that_were_never_migrated_are_behind() -> Outcome {
    for engine in BOTH {
        let installation = Installation::bare(engine).await?;
        let refused = installation.homes.check().await;
        assert!(
            matches!(refused, Err(HomesError::Behind { home: "log" })),
            "{refused:?}"
        );
        installation.homes.migrate().await?;
        installation.homes.check().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_together_migrate_once() -> Outcome {
    for engine in BOTH {
        let installation = Installation::bare(engine).await?;
        let mut nodes: Vec<Homes> = Vec::new();
        for _ in 0..4 {
            nodes.push(installation.reopened().await?);
        }
        try_join_all(nodes.iter().map(Homes::migrate)).await?;
        for node in &nodes {
            node.check().await?;
            node.migrate().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_of_a_newer_version_is_refused() -> Outcome {
    for engine in BOTH {
        let installation = Installation::on(engine).await?;
        let table = match engine {
            Engine::Postgres => "state._sqlx_migrations",
            Engine::Sqlite => "_sqlx_migrations",
        };
        let text = format!(
            "INSERT INTO {table} (version, description, success, checksum, execution_time)
             SELECT 9999, description, success, checksum, execution_time FROM {table} WHERE version = 1"
        );
        execute!(installation.homes.state, &text)?;
        for refused in [
            installation.homes.check().await,
            installation.homes.migrate().await,
        ] {
            assert!(
                matches!(
                    refused,
                    Err(HomesError::Newer {
                        home: "state",
                        version: 9999
                    })
                ),
                "{refused:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_url_that_cannot_be_read_is_refused_without_its_password() -> Outcome {
    let target = Target::Postgres {
        url: "postgres://soulsense:hunter2@localhost:port/soulsense".to_owned(),
        direct_url: None,
        max_connections: 2,
    };
    let Err(error) = Homes::open(&target).await else {
        return Err("it opened".into());
    };
    assert!(matches!(error, HomesError::Url(_)));
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(error) = cause {
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        cause = error.source();
    }
    assert!(!format!("{target:?}").contains("hunter2"));
    Ok(())
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_named() -> Outcome {
    let place = tempfile::tempdir()?;
    let file = place.path().join("file");
    tokio::fs::write(&file, "").await?;
    let directory = file.join("data");
    let refused = Homes::open(&Target::Sqlite {
        directory: directory.clone(),
    })
    .await;
    assert!(matches!(refused, Err(HomesError::Directory(named, _)) if named == directory));
    Ok(())
}

#[tokio::test]
async fn a_closed_or_absent_database_is_unreachable_and_not_behind() -> Outcome {
    for engine in BOTH {
        let installation = Installation::on(engine).await?;
        let homes = installation.reopened().await?;
        homes.close().await;
        let refused = homes.check().await;
        assert!(
            matches!(refused, Err(HomesError::Unreachable(_))),
            "{refused:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_is_rolled_back_unless_it_is_committed() -> Outcome {
    each_engine(async |installation| {
        let database = &installation.homes.state;
        let insert = match installation.engine() {
            Engine::Postgres => "INSERT INTO state.used_totp_steps VALUES ($1, 1, $2)",
            Engine::Sqlite => "INSERT INTO used_totp_steps VALUES ($1, 1, $2)",
        };
        let count = match installation.engine() {
            Engine::Postgres => "SELECT count(*) FROM state.used_totp_steps",
            Engine::Sqlite => "SELECT count(*) FROM used_totp_steps",
        };
        for derived in [false, true] {
            let begin = async || {
                if derived {
                    database.begin_derived().await
                } else {
                    database.begin().await
                }
            };
            let (before,): (i64,) = fetch_one!(database, (i64,), count)?;
            let mut given_up = begin().await?;
            execute!(in given_up, insert, id(), now())?;
            let (inside,): (i64,) = fetch_one!(in given_up, (i64,), count)?;
            assert_eq!(inside, before + 1);
            drop(given_up);
            let mut kept = begin().await?;
            execute!(in kept, insert, id(), now())?;
            kept.commit().await?;
            let (after,): (i64,) = fetch_one!(database, (i64,), count)?;
            assert_eq!(after, before + 1);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_can_be_derived_again_does_not_wait_for_the_disk() -> Outcome {
    let installation = Installation::on(Engine::Postgres).await?;
    let read = &installation.homes.read;
    let show = "SELECT current_setting('synchronous_commit')";
    let mut derived = read.begin_derived().await?;
    let (setting,): (String,) = fetch_one!(in derived, (String,), show)?;
    assert_eq!(setting, "off");
    derived.commit().await?;
    let mut ordinary = read.begin().await?;
    let (setting,): (String,) = fetch_one!(in ordinary, (String,), show)?;
    assert_eq!(setting, "on", "it ends with its transaction");
    Ok(())
}

/// SQLite ends a transaction itself when a statement in it finds no room.
#[tokio::test]
async fn a_transaction_that_found_no_room_leaves_no_trace_on_its_connection() -> Outcome {
    let installation = Installation::on(Engine::Sqlite).await?;
    let home = &installation.homes.read;
    let mut transaction = home.begin().await?;
    execute!(in transaction, "CREATE TABLE words (word BLOB)")?;
    let (pages,): (i64,) = fetch_one!(in transaction, (i64,), "PRAGMA page_count")?;
    let limit = format!("PRAGMA max_page_count = {}", pages + 20);
    let _: (i64,) = fetch_one!(in transaction, (i64,), &limit)?;
    let full = loop {
        let filled = execute!(in transaction, "INSERT INTO words VALUES (zeroblob(10000))");
        if let Err(error) = filled {
            break error;
        }
    };
    assert!(is_storage_full(&full), "{full:?}");
    drop(transaction);

    for _ in 0..20 {
        let transaction = home.begin().await?;
        transaction.commit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_sqlite_writes_ahead_is_taken_over_before_it_is_much() -> Outcome {
    let installation = Installation::on(Engine::Sqlite).await?;
    let directory = installation.directory().ok_or("no directory")?;
    let Homes {
        log,
        state,
        keys,
        read,
        ..
    } = &installation.homes;
    for (home, file) in [
        (log, "events.db-wal"),
        (state, "state.db-wal"),
        (keys, "keys.db-wal"),
        (read, "read.db-wal"),
    ] {
        execute!(home, "CREATE TABLE filler (bytes BLOB NOT NULL)")?;
        for _ in 0..150 {
            execute!(home, "INSERT INTO filler VALUES (randomblob(32768))")?;
        }
        let length = tokio::fs::metadata(directory.join(file)).await?.len();
        assert!(length < 1 << 20, "{file} has {length} bytes");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_committed_is_on_the_disk_whatever_the_servers_default() -> Outcome {
    let installation = Installation::on(Engine::Postgres).await?;
    let careless = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
    END $$";
    execute!(installation.homes.keys, careless)?;
    let homes = installation.reopened().await?;
    for home in [&homes.log, &homes.state, &homes.keys] {
        let (setting,): (String,) = fetch_one!(home, (String,), "SHOW synchronous_commit")?;
        assert_eq!(setting, "on");
    }
    Ok(())
}
