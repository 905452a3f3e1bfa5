//! `soulsense accounts` and `soulsense purge`, beside a server that runs.

use std::error::Error;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::process::Command;

use super::deletion::leave;
use crate::support::app::{App, PASSWORD, on_each_engine, on_each_engine_with};
use crate::support::engines::Outcome;

struct Told {
    well: bool,
    out: String,
    remarks: String,
}

async fn run(app: &App, arguments: &[&str]) -> Result<Told, Box<dyn Error>> {
    let config = &app.node.config;
    let mut command = Command::new(env!("CARGO_BIN_EXE_soulsense"));
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(&config.data_dir)
        .env_remove("DATABASE_URL")
        .env("USER", "operator");
    if let Some(url) = &config.database_url {
        command.env("DATABASE_URL", url.expose());
    }
    let output = command.output().await?;
    Ok(Told {
        well: output.status.success(),
        out: String::from_utf8(output.stdout)?,
        remarks: String::from_utf8(output.stderr)?,
    })
}

#[tokio::test]
async fn the_first_admin_comes_from_the_command_line_and_the_last_one_stays() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        app.member("ben").await?;
        let told = run(app, &["accounts", "grant", "admin", "Asha"]).await?;
        assert!(told.well, "{}", told.remarks);
        assert_eq!(told.out.trim_end(), "Asha has the role admin");
        assert!(told.remarks.contains("second factor"), "{}", told.remarks);
        let told = run(app, &["accounts", "grant", "admin", "asha"]).await?;
        assert!(told.well && told.out.contains("already"), "{}", told.out);

        let granted = app
            .node
            .log
            .reader()
            .stream("account", &member.id)
            .await?
            .pop()
            .ok_or("no event")?;
        assert_eq!(
            (granted.event_type.as_str(), granted.actor_id.as_str()),
            ("role_granted", "cli:operator")
        );
        assert_eq!(granted.actor_role().as_deref(), Some("operator"));
        assert!(!granted.payload.contains("operator"), "{}", granted.payload);

        let told = run(app, &["accounts", "list", "--format", "json"]).await?;
        let list: Value = serde_json::from_str(&told.out)?;
        let named: Vec<_> = list
            .as_array()
            .into_iter()
            .flatten()
            .map(|item| (&item["username"], &item["staff_roles"]))
            .collect();
        assert_eq!(
            named,
            [
                (&json!("asha"), &json!(["admin"])),
                (&json!("ben"), &json!([]))
            ]
        );
        let told = run(app, &["accounts", "list"]).await?;
        assert!(
            told.out.contains("USERNAME") && told.out.contains("ben"),
            "{}",
            told.out
        );

        let before = app.settled_head().await?;
        let told = run(app, &["accounts", "revoke", "admin", "asha"]).await?;
        assert!(
            !told.well && told.remarks.contains("last admin"),
            "{}",
            told.remarks
        );
        assert_eq!(app.settled_head().await?, before);
        assert!(run(app, &["accounts", "grant", "admin", "ben"]).await?.well);
        let told = run(
            app,
            &[
                "accounts",
                "revoke",
                "admin",
                "asha",
                "--reason",
                "She rests.",
            ],
        )
        .await?;
        assert!(
            told.well && told.out.contains("no more"),
            "{}",
            told.remarks
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_cannot_be_granted_is_one_clear_line() -> Outcome {
    on_each_engine(async |app| {
        app.member("asha").await?;
        let before = app.settled_head().await?;
        for (arguments, line) in [
            (
                ["accounts", "grant", "admin", "nobody"],
                "nobody has the username nobody",
            ),
            (
                ["accounts", "revoke", "admin", "no body"],
                "nobody has the username no body",
            ),
            (
                ["accounts", "grant", "king", "asha"],
                "One of moderator, auditor, admin.",
            ),
        ] {
            let told = run(app, &arguments).await?;
            assert!(
                !told.well && told.remarks.contains(line),
                "{}",
                told.remarks
            );
        }
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_purge_says_first_what_it_would_erase() -> Outcome {
    let at_once = |config: &mut soulsense::config::Config| config.deletion_grace_days = 0;
    on_each_engine_with(at_once, async |app| {
        let told = run(app, &["purge", "--dry-run"]).await?;
        assert!(
            told.well && told.out.contains("nothing is due"),
            "{}",
            told.remarks
        );
        let member = app.member("asha").await?;
        let entry = member
            .post("/journal", json!({"content": "A quiet evening."}))
            .await?;
        entry.is(StatusCode::CREATED)?;
        leave(&member).await?;
        let before = app.settled_head().await?;
        let told = run(app, &["purge", "--dry-run"]).await?;
        assert!(told.well, "{}", told.remarks);
        for part in [member.id.as_str(), "1 account", "1 entry", "1 session"] {
            assert!(told.out.contains(part), "{part} in {}", told.out);
        }
        assert_eq!(app.settled_head().await?, before);
        let told = run(app, &["purge"]).await?;
        assert!(told.well, "{}", told.remarks);
        assert_eq!(told.out.trim_end(), format!("{} is erased", member.id));
        let body = json!({"identifier": "asha", "password": PASSWORD});
        let reply = app.post("/auth/login", body).await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "identity.credentials_refused")
    })
    .await
}
