//! The command line: results, failures in one line, exit codes.

use event_log::database::Engine;
use serde_json::Value;
use sqlx::Connection;

use super::support::binary::{Machine, bare, ended, on_each_machine, overwrite};
use super::support::engines::Outcome;

#[tokio::test(flavor = "multi_thread")]
async fn a_database_url_that_means_nothing_is_refused() -> Outcome {
    for (url, saying) in [
        (
            "mysql://root:secret@host/x",
            "DATABASE_URL: mysql is not supported",
        ),
        ("nonsense", "DATABASE_URL: a URL without a known scheme"),
        ("postgres://", "DATABASE_URL is not a Postgres URL"),
        ("sqlite::memory:", "in memory is not supported"),
        (
            "postgres://nobody:secret@127.0.0.1:1/x",
            "the database cannot be reached",
        ),
    ] {
        let machine = Machine::on(Engine::Sqlite).await?;
        let variables = [("DATABASE_URL", url), ("SOULSENSE_LISTEN", "127.0.0.1:0")];
        for command in [&["serve"][..], &["migrate"], &["projections", "status"]] {
            let ended = machine.run_with(command, &variables).await?;
            ended.failed(saying)?;
            assert!(!ended.remarks.contains("secret"), "{}", ended.remarks);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_cannot_be_is_refused() -> Outcome {
    let machine = Machine::on(Engine::Sqlite).await?;
    let file = machine.data();
    overwrite(&file, "not a directory").await?;
    let variables = [("SOULSENSE_LISTEN", "127.0.0.1:0")];
    let ended = machine.run_with(&["serve"], &variables).await?;
    ended.failed("the data directory")?;
    let below = file.join("below");
    let variables = [
        ("SOULSENSE_LISTEN", "127.0.0.1:0"),
        ("SOULSENSE_DATA_DIR", below.to_str().unwrap_or_default()),
    ];
    let ended = machine.run_with(&["serve"], &variables).await?;
    ended.failed("the data directory")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_refused() -> Outcome {
    on_each_machine(async |machine| {
        let server = machine.serve().await?;
        let variables = [("SOULSENSE_LISTEN", server.address())];
        let ended = machine.run_with(&[], &variables).await?;
        ended.failed("the port is in use")?;
        server.kill().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_files_is_refused() -> Outcome {
    let machine = Machine::on(Engine::Sqlite).await?;
    let server = machine.serve().await?;
    let variables = [("SOULSENSE_LISTEN", "127.0.0.1:0")];
    let ended = machine.run_with(&["serve"], &variables).await?;
    ended.failed("another server runs on the data in")?;
    server.kill().await?;
    // the lock went with the process
    let server = machine.serve().await?;
    assert_eq!(server.terminate().await?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_master_key_nothing_is_started_or_made() -> Outcome {
    on_each_machine(async |machine| {
        machine.serve().await?.kill().await?;
        let path = machine.data().join("master.key");
        let key = tokio::fs::read_to_string(&path).await?;
        let variables = [("SOULSENSE_LISTEN", "127.0.0.1:0")];
        let commands = [&["serve"][..], &["audit"], &["events", "tail"]];

        tokio::fs::remove_file(&path).await?;
        for command in commands {
            let ended = machine.run_with(command, &variables).await?;
            ended.failed("the master key is missing")?;
            assert!(!path.exists(), "another key was made");
        }
        let report = machine.run(&["doctor"]).await?;
        assert_eq!(report.status.code(), Some(1));
        assert!(
            report
                .results
                .contains("failed  master key      the master key is missing")
        );

        overwrite(&path, &"5e".repeat(32)).await?;
        for command in commands {
            let ended = machine.run_with(command, &variables).await?;
            ended.failed("is it the right master key?")?;
        }
        let report = machine.run(&["doctor"]).await?;
        assert_eq!(report.status.code(), Some(1));
        assert!(
            report
                .results
                .contains("failed  master key      it is not the one")
        );

        overwrite(&path, "too short").await?;
        let ended = machine.run_with(&["serve"], &variables).await?;
        ended.failed("does not hold 32 bytes")?;

        overwrite(&path, &key).await?;
        machine.serve().await?.kill().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_later_version_is_refused() -> Outcome {
    on_each_machine(async |machine| {
        machine.run(&["migrate"]).await?.done()?;
        let later = |table: &str| {
            format!(
                "INSERT INTO {table} (version, description, success, checksum, execution_time)
                 SELECT 9999, 'later', success, checksum, 0 FROM {table} WHERE version = 1"
            )
        };
        if let Some(url) = machine.url() {
            let mut connection = sqlx::PgConnection::connect(url).await?;
            sqlx::query(&later("log._sqlx_migrations"))
                .execute(&mut connection)
                .await?;
        } else {
            let file = machine.data().join("events.db");
            let url = format!("sqlite:{}", file.display());
            let mut connection = sqlx::SqliteConnection::connect(&url).await?;
            sqlx::query(&later("_sqlx_migrations"))
                .execute(&mut connection)
                .await?;
            connection.close().await?;
        }
        let variables = [("SOULSENSE_LISTEN", "127.0.0.1:0")];
        for command in [&["serve"][..], &["migrate"], &["audit"]] {
            let ended = machine.run_with(command, &variables).await?;
            ended.failed("the log schema has migration 9999")?;
        }
        let report = machine.run(&["doctor"]).await?;
        assert!(
            report
                .results
                .contains("failed  schemas         the log schema")
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_after_things_makes_none() -> Outcome {
    let machine = Machine::on(Engine::Sqlite).await?;
    for command in [
        &["audit"][..],
        &["projections", "status"],
        &["events", "stats"],
    ] {
        machine.run(command).await?.failed("there is no data in")?;
    }
    let report = machine.run(&["doctor"]).await?;
    assert_eq!(report.status.code(), Some(1));
    assert!(!machine.data().exists(), "something was made");
    let machine = Machine::on(Engine::Postgres).await?;
    machine
        .run(&["audit"])
        .await?
        .failed("the log schema is behind this version of soulsense: run `soulsense migrate`")?;
    machine.run(&["migrate"]).await?.done()?;
    machine
        .run(&["audit"])
        .await?
        .failed("there are no keys yet")?;
    assert!(!machine.data().exists(), "something was made");
    machine.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_cannot_be_read_end_with_two() -> Outcome {
    for arguments in [
        &["nonsense"][..],
        &["--nonsense"],
        &["projections", "rebuild"],
        &["projections", "rebuild", "audit", "--all"],
        &["audit", "--limit", "0"],
        &["audit", "--since", "yesterday"],
        &["audit", "--format", "xml"],
        &["events", "show"],
        &["completions", "abacus"],
        &["--listen", "here"],
    ] {
        let ended = ended(bare(arguments)).await?;
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.results.is_empty(), "{arguments:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_database_works_without_one() -> Outcome {
    let document = ended(bare(&["openapi"])).await?.done()?;
    let document: Value = serde_json::from_str(&document)?;
    assert!(document["paths"]["/api/v1/audit/events"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        let script = ended(bare(&["completions", shell])).await?.done()?;
        assert!(script.contains("soulsense"), "{shell}");
    }
    let good = ended(bare(&["config", "check"])).await?.done()?;
    assert!(good.contains("the configuration is good"));
    let mut wrong = bare(&["config", "check"]);
    wrong.env("DATABASE_URL", "mysql://user:secret@host/x");
    wrong.env("SOULSENSE_HASHING_THREADS", "0");
    let wrong = ended(wrong).await?;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.remarks.contains("mysql is not supported"));
    assert!(wrong.remarks.contains("SOULSENSE_HASHING_THREADS is 0"));
    assert!(!wrong.remarks.contains("secret"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_reading_is_no_failure() -> Outcome {
    let command = format!(
        "set -o pipefail; {} openapi | head -n 1",
        env!("CARGO_BIN_EXE_soulsense")
    );
    let mut shell = tokio::process::Command::new("bash");
    shell.args(["-c", &command]);
    assert_eq!(ended(shell).await?.done()?, "{\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_plain_and_alone_on_standard_output() -> Outcome {
    on_each_machine(async |machine| {
        let server = machine.serve().await?;
        assert_eq!(server.terminate().await?.code(), Some(0));
        for command in [
            &["projections", "status"][..],
            &["audit"],
            &["events", "stats"],
            &["events", "tail"],
            &["events", "show", "1"],
            &["doctor"],
        ] {
            let results = machine.run(command).await?;
            assert_eq!(results.remarks, "", "{command:?}");
            let results = results.done()?;
            assert!(!results.contains('\u{1b}'), "{command:?} is coloured");
            assert!(!results.is_empty(), "{command:?}");
        }
        for command in [
            &["projections", "status", "--format", "json"][..],
            &["audit", "--format", "json"],
            &["events", "stats", "--format", "json"],
            &["events", "show", "1", "--format", "json"],
        ] {
            let results = machine.run(command).await?.done()?;
            let _: Value = serde_json::from_str(&results)?;
        }
        for command in [
            &["audit", "--format", "ndjson", "--limit", "1"][..],
            &["events", "tail", "--format", "ndjson", "-n", "1"],
            &["events", "show", "1", "--format", "ndjson"],
        ] {
            let results = machine.run(command).await?.done()?;
            let event: Value = serde_json::from_str(results.trim_end())?;
            assert_eq!(event["event_type"], "bank_published", "{command:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_is_found_by_every_filter_and_an_event_by_its_id() -> Outcome {
    on_each_machine(async |machine| {
        let server = machine.serve().await?;
        server.terminate().await?;
        let list = async |arguments: &[&str]| {
            let mut command = vec!["audit", "--format", "json"];
            command.extend(arguments);
            let results = machine.run(&command).await?.done()?;
            let events: Vec<Value> = serde_json::from_str(&results)?;
            Ok::<_, Box<dyn std::error::Error>>(events)
        };
        let all = list(&[]).await?;
        let event = all.first().ok_or("no event")?;
        let text = |member: &str| event[member].as_str().unwrap_or_default().to_owned();
        let stream = format!("{}/{}", text("aggregate_type"), text("aggregate_id"));
        for (arguments, found) in [
            (vec!["--type", "bank_published"], true),
            (vec!["--type", "never_heard"], false),
            (vec!["--stream", "question_bank"], true),
            (vec!["--stream", &stream], true),
            (vec!["--stream", "question_bank/none"], false),
            (vec!["--actor", &text("actor_id")], true),
            (vec!["--actor", "nobody"], false),
            (vec!["--correlation", &text("correlation_id")], true),
            (vec!["--since", "2000-01-01"], true),
            (vec!["--since", "2999-01-01"], false),
            (vec!["--until", "2000-01-01T00:00:00Z"], false),
            (
                vec!["--user", "00000000-0000-0000-0000-000000000000"],
                false,
            ),
        ] {
            let events = list(&arguments).await?;
            assert_eq!(!events.is_empty(), found, "{arguments:?}");
        }
        let nobody = machine.run(&["audit", "--user", "nobody_here"]).await?;
        nobody.failed("there is no member nobody_here")?;

        let id = text("event_id");
        let shown = machine
            .run(&["events", "show", &id, "--format", "json"])
            .await?
            .done()?;
        let shown: Value = serde_json::from_str(&shown)?;
        assert_eq!(shown["event_id"], id.as_str());
        assert_eq!(shown["intact"], true);
        assert!(shown["payload"].is_object());
        for (event, saying) in [
            ("999999", "there is no event at position 999999"),
            ("0", "there is no event at position 0"),
            (
                "00000000-0000-0000-0000-000000000000",
                "there is no event of the id",
            ),
            ("x", "neither a position nor the id"),
        ] {
            machine
                .run(&["events", "show", event])
                .await?
                .failed(saying)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_are_rebuilt_rolled_back_and_dropped_from_the_command_line() -> Outcome {
    on_each_machine(async |machine| {
        machine.serve().await?.terminate().await?;
        let run = async |arguments: &[&str]| {
            let mut command = vec!["projections"];
            command.extend(arguments);
            machine.run(&command).await
        };
        run(&["rollback", "audit"])
            .await?
            .failed("no older generation of audit is kept")?;
        for command in ["rebuild", "retry", "rollback", "drop-old"] {
            run(&[command, "nothing"])
                .await?
                .failed("there is no projection nothing")?;
        }
        let rebuilt = run(&["rebuild", "audit"]).await?.done()?;
        assert!(
            rebuilt.starts_with("audit: generation 2 is live at position"),
            "{rebuilt}"
        );
        let back = run(&["rollback", "audit"]).await?.done()?;
        assert_eq!(back, "audit: generation 1 is live again\n");
        let variables = [("SOULSENSE_REQUEST_TIMEOUT_SECONDS", "1")];
        let dropped = machine
            .run_with(&["projections", "drop-old", "audit"], &variables)
            .await?;
        // a request may have begun just before the rollback
        assert!(dropped.remarks.contains("waiting"), "{dropped:?}");
        assert_eq!(dropped.done()?, "audit: generation 2 is dropped\n");
        assert_eq!(run(&["drop-old"]).await?.done()?, "");
        let rebuilt = run(&["rebuild", "audit"]).await?.done()?;
        assert!(
            rebuilt.starts_with("audit: generation 3 is live at position"),
            "a number is given twice: {rebuilt}"
        );
        assert_eq!(
            run(&["retry", "audit"]).await?.done()?,
            "audit was not stopped\n"
        );
        Ok(())
    })
    .await
}
