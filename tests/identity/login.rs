//! Logging in, and the ladder for those who cannot.

use axum::http::StatusCode;
use chrono::TimeDelta;
use domain::identity::account::{AccountCommand, PasswordHash};
use event_log::Metadata;
use futures::future::join_all;
use serde_json::{Value, json};
use soulsense::commands::Request;
use soulsense::hashing::{Hasher, HashingSettings};

use crate::support::app::{App, PASSWORD, Reply, on_each_engine};
use crate::support::engines::Outcome;

async fn try_login(
    app: &App,
    name: &str,
    password: &str,
) -> Result<Reply, Box<dyn std::error::Error>> {
    let body = json!({"identifier": name, "password": password});
    app.post("/auth/login", body).await
}

fn refused(reply: &Reply) -> Outcome {
    reply.is_problem(StatusCode::UNAUTHORIZED, "identity.credentials_refused")
}

fn waits(reply: &Reply, seconds: &str) -> Outcome {
    reply.is_problem(StatusCode::TOO_MANY_REQUESTS, "identity.too_many_attempts")?;
    assert_eq!(reply.header("retry-after"), seconds);
    Ok(())
}

#[tokio::test]
async fn a_name_nobody_has_and_a_wrong_password_are_answered_alike() -> Outcome {
    on_each_engine(async |app| {
        app.member("asha").await?;
        let before = app.settled_head().await?;
        let known = try_login(app, "asha", "wrong-horse-7-battery").await?;
        let unknown = try_login(app, "nobody", "wrong-horse-7-battery").await?;
        let odd = try_login(app, "no such name!", "wrong-horse-7-battery").await?;
        refused(&known)?;
        let bare = |reply: &Reply| {
            let mut body = reply.body.clone();
            body["request_id"] = Value::Null;
            let mut headers = reply.headers.clone();
            headers.remove("x-request-id");
            (reply.status, body, headers)
        };
        assert_eq!(bare(&known), bare(&unknown));
        assert_eq!(bare(&known), bare(&odd));
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_failure_makes_the_next_attempt_wait_whether_or_not_the_name_is_known() -> Outcome {
    on_each_engine(async |app| {
        app.member("asha").await?;
        for name in ["asha", "nobody"] {
            for wait in [1, 1, 3, 3] {
                refused(&try_login(app, name, "wrong-horse-7-battery").await?)?;
                // the right password has to wait as well, and waiting counts nothing
                waits(&try_login(app, name, PASSWORD).await?, &wait.to_string())?;
                waits(
                    &try_login(app, &name.to_uppercase(), PASSWORD).await?,
                    &wait.to_string(),
                )?;
                app.later(TimeDelta::seconds(wait));
            }
        }
        app.restart().await?;
        refused(&try_login(app, "asha", "wrong-horse-7-battery").await?)?;
        app.restart().await?;
        waits(&try_login(app, "asha", PASSWORD).await?, "3")?;
        app.later(TimeDelta::seconds(3));
        app.login("asha", PASSWORD).await?;
        // all is forgotten after a success
        refused(&try_login(app, "asha", "wrong-horse-7-battery").await?)?;
        waits(&try_login(app, "asha", PASSWORD).await?, "1")
    })
    .await
}

#[tokio::test]
async fn of_a_burst_of_guesses_at_one_name_one_is_looked_at() -> Outcome {
    on_each_engine(async |app| {
        app.member("asha").await?;
        let burst = (0..20).map(|_| try_login(app, "asha", "wrong-horse-7-battery"));
        let mut looked_at = 0;
        for reply in join_all(burst).await {
            let reply = reply?;
            if reply.status == StatusCode::UNAUTHORIZED {
                looked_at += 1;
            } else {
                waits(&reply, "1")?;
            }
        }
        assert_eq!(looked_at, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn failures_are_forgotten_after_a_day() -> Outcome {
    on_each_engine(async |app| {
        for _ in 0..3 {
            refused(&try_login(app, "nobody", "wrong-horse-7-battery").await?)?;
            app.later(TimeDelta::seconds(3));
        }
        app.later(TimeDelta::hours(24));
        refused(&try_login(app, "nobody", "wrong-horse-7-battery").await?)?;
        waits(&try_login(app, "nobody", PASSWORD).await?, "1")
    })
    .await
}

#[tokio::test]
async fn a_login_with_fields_out_of_range_is_refused_and_nothing_is_stored() -> Outcome {
    on_each_engine(async |app| {
        app.member("asha").await?;
        let before = app.settled_head().await?;
        let long = "x".repeat(257);
        for (body, pointer) in [
            (json!({"identifier": "asha", "password": long}), "/password"),
            (json!({"identifier": "asha"}), "/password"),
            (json!({"password": PASSWORD}), "/identifier"),
            (json!({"identifier": 1, "password": PASSWORD}), "/identifier"),
            (json!({"identifier": "asha", "password": PASSWORD, "device_label": ""}), "/device_label"),
            (json!({"identifier": "asha", "password": PASSWORD, "device_label": "x".repeat(101)}), "/device_label"),
            (json!({"identifier": "asha", "password": PASSWORD, "device_label": "a\u{7}"}), "/device_label"),
            (json!({"identifier": "asha", "password": PASSWORD, "transport": "pigeon"}), "/transport"),
        ] {
            let reply = app.post("/auth/login", body).await?;
            reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
            assert_eq!(reply.text("/errors/0/pointer"), pointer);
        }
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_hash_with_outgrown_parameters_is_made_anew_at_login() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let old = Hasher::try_new(HashingSettings {
            memory_kib: 64,
            iterations: 1,
            ..HashingSettings::default()
        })?;
        let command = AccountCommand::ChangePassword {
            password_hash: PasswordHash::new(old.hash(PASSWORD.to_owned().into()).await?),
            now: app.clock.now(),
        };
        let request = Request::system(Metadata::system("cli:tester", app.node.ids.next()));
        let accounts = &app.node.accounts;
        accounts.execute(&member.id, &command, &request).await?;
        for _ in 0..2 {
            app.login("asha", PASSWORD).await?;
        }
        let events = app.node.log.reader().stream("account", &member.id).await?;
        let types: Vec<_> = events
            .iter()
            .map(|event| event.event_type.as_str())
            .collect();
        assert_eq!(
            types,
            [
                "account_registered",
                "password_changed",
                "password_rehashed"
            ]
        );
        Ok(())
    })
    .await
}
