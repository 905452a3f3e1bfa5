//! Opening an account, and everything that may not open one.

use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::app::{PASSWORD, on_each_engine, on_each_engine_with, registration};
use crate::support::engines::Outcome;

#[tokio::test]
async fn who_registers_logs_in_at_once() -> Outcome {
    on_each_engine(async |app| {
        let registered = app.post("/auth/register", registration("Asha_R")).await?;
        registered.is(StatusCode::CREATED)?;
        assert_eq!(registered.text("/username"), "asha_r");
        assert_ne!(registered.header("soulsense-position"), "");
        assert_ne!(registered.header("location"), "");
        let member = app.login("asha_r", PASSWORD).await?;
        assert_eq!(member.id, registered.text("/id"));
        let me = member.get("/users/me").await?;
        me.is(StatusCode::OK)?;
        assert_eq!(me.text("/email"), "Asha_R@people.example.org");
        assert_eq!(me.at("/roles"), json!(["member"]));
        assert_eq!(me.at("/two_factor"), false);
        Ok(())
    })
    .await
}

/// What is wrong with a registration: the field, its value, and the code of the refusal.
fn faults() -> Vec<(&'static str, Value, &'static str)> {
    let long = |length: usize| Value::from("é".repeat(length));
    vec![
        ("username", json!("ab"), "too_short"),
        ("username", json!("a".repeat(21)), "too_long"),
        ("username", json!("1asha"), "bad_characters"),
        ("username", json!("asha-r"), "bad_characters"),
        ("username", json!("admin"), "reserved"),
        ("username", json!(7), "wrong_type"),
        ("username", Value::Null, "wrong_type"),
        ("password", json!("Xk7$q"), "too_short"),
        ("password", long(257), "too_long"),
        ("password", json!("password1"), "too_common"),
        ("password", json!("asha_asha_asha"), "too_guessable"),
        ("email", json!("asha"), "bad_format"),
        ("email", json!("asha@mailinator.com"), "disposable"),
        (
            "email",
            json!(format!("{}@people.example.org", "a".repeat(250))),
            "too_long",
        ),
        ("first_name", json!("  "), "too_short"),
        ("first_name", long(101), "too_long"),
        ("first_name", json!("A\tsha"), "bad_characters"),
        ("last_name", json!(""), "too_short"),
        ("last_name", long(101), "too_long"),
        ("age", json!(12), "out_of_range"),
        ("age", json!(121), "out_of_range"),
        ("age", json!(-1), "out_of_range"),
        ("age", json!("34"), "wrong_type"),
        ("age", json!(34.5), "wrong_type"),
        ("gender", json!("unsure"), "unknown_value"),
    ]
}

#[tokio::test]
async fn every_field_out_of_range_is_refused_and_nothing_is_stored() -> Outcome {
    on_each_engine(async |app| {
        let before = app.settled_head().await?;
        for (field, value, code) in faults() {
            let mut body = registration("asha");
            body[field] = value;
            let reply = app.post("/auth/register", body).await?;
            reply
                .is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")
                .map_err(|error| format!("{field} {code}: {error}"))?;
            let errors = reply.at("/errors");
            assert_eq!(errors[0]["pointer"], format!("/{field}"), "{errors}");
            assert_eq!(errors[0]["code"], code, "{errors}");
            assert_eq!(errors.as_array().map(Vec::len), Some(1), "{errors}");
        }
        let mut body = registration("asha");
        body["admin"] = json!(true);
        let reply = app.post("/auth/register", body).await?;
        reply.is_problem(StatusCode::BAD_REQUEST, "request.unknown_field")?;
        let reply = app.post("/auth/register", registration("as\0ha")).await?;
        reply.is_problem(StatusCode::BAD_REQUEST, "request.nul_character")?;
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn all_faults_are_told_together() -> Outcome {
    on_each_engine(async |app| {
        let body =
            json!({"username": "a", "password": "b", "email": "c", "first_name": "", "age": 1});
        let reply = app.post("/auth/register", body).await?;
        assert_eq!(reply.at("/errors").as_array().map(Vec::len), Some(5));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_taken_username_is_a_clear_conflict() -> Outcome {
    on_each_engine(async |app| {
        let check = async |name: &str| {
            app.get(&format!("/auth/check-username?username={name}"))
                .await
        };
        assert_eq!(check("asha").await?.at("/available"), true);
        app.member("asha").await?;
        assert_eq!(check("ASHA").await?.at("/available"), false);
        let reply = check("a").await?;
        reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
        let before = app.settled_head().await?;
        let reply = app.post("/auth/register", registration("ASHA")).await?;
        reply.is_problem(StatusCode::CONFLICT, "identity.username_taken")?;
        assert_eq!(app.settled_head().await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_hundred_racing_registrations_give_one_account() -> Outcome {
    let roomy = |config: &mut soulsense::config::Config| {
        config.hashing_queue = 256;
        // a hundred hashes take what they take on a busy machine
        config.request_timeout_seconds = 120;
    };
    on_each_engine_with(roomy, async |app| {
        let before = app.settled_head().await?;
        let racing = (0..100).map(|_| app.post("/auth/register", registration("asha")));
        let mut created = 0;
        for reply in join_all(racing).await {
            let reply = reply?;
            if reply.status == StatusCode::CREATED {
                created += 1;
            } else {
                reply.is_problem(StatusCode::CONFLICT, "identity.username_taken")?;
            }
        }
        assert_eq!((created, app.settled_head().await?), (1, before + 1));
        app.login("asha", PASSWORD).await?;
        Ok(())
    })
    .await
}
