//! Leaving, and coming back while there is time.

use std::error::Error;

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::second_factor::{Authenticator, challenge};
use super::shut_out_within_a_second;
use crate::support::app::{App, Member, PASSWORD, Reply, on_each_engine};
use crate::support::engines::Outcome;

pub async fn leave(member: &Member<'_>) -> Result<DateTime<Utc>, Box<dyn Error>> {
    let reply = member
        .post("/users/me/deletion", json!({"password": PASSWORD}))
        .await?;
    reply.is(StatusCode::ACCEPTED)?;
    Ok(reply.text("/purge_after").parse()?)
}

async fn login_in_grace(app: &App) -> Result<Reply, Box<dyn Error>> {
    let body = json!({"identifier": "asha", "password": PASSWORD});
    let reply = app.post("/auth/login", body).await?;
    reply.is_problem(StatusCode::FORBIDDEN, "identity.deletion_pending")?;
    Ok(reply)
}

#[tokio::test]
async fn who_leaves_is_signed_out_and_can_come_back() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let purge_after = leave(&member).await?;
        let grace = purge_after - app.clock.now();
        assert_eq!(grace.num_days(), 30);
        shut_out_within_a_second(&member).await?;

        let reply = login_in_grace(app).await?;
        assert!(
            reply
                .text("/purge_after")
                .starts_with(&purge_after.format("%FT%T").to_string())
        );
        let restore = json!({"restore_token": reply.text("/restore_token")});
        let back = app.post("/users/me/restore", restore.clone()).await?;
        back.is(StatusCode::OK)?;
        assert_eq!(back.text("/account/id"), member.id);
        let reply = app.post("/users/me/restore", restore).await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "identity.challenge_refused")?;
        app.login("asha", PASSWORD).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_restore_token_lasts_ten_minutes_and_restores_only_what_it_was_given_for() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        leave(&member).await?;
        let first = login_in_grace(app).await?.text("/restore_token");
        app.later(TimeDelta::minutes(10));
        let reply = app
            .post("/users/me/restore", json!({"restore_token": first}))
            .await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "identity.challenge_refused")?;

        let one = login_in_grace(app).await?.text("/restore_token");
        let two = login_in_grace(app).await?.text("/restore_token");
        let back = app
            .post("/users/me/restore", json!({"restore_token": one}))
            .await?;
        back.is(StatusCode::OK)?;
        let reply = app
            .post("/users/me/restore", json!({"restore_token": two}))
            .await?;
        reply.is_problem(StatusCode::CONFLICT, "identity.deletion_not_requested")
    })
    .await
}

#[tokio::test]
async fn leaving_takes_every_factor() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let ask = async |body| member.post("/users/me/deletion", body).await;
        let before = app.settled_head().await?;
        let reply = ask(json!({"password": "wrong-horse-7-battery"})).await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "identity.credentials_refused")?;
        let reply = ask(json!({"password": PASSWORD})).await?;
        reply.is_problem(StatusCode::TOO_MANY_REQUESTS, "identity.too_many_attempts")?;
        app.later(TimeDelta::seconds(1));
        for body in [
            json!({}),
            json!({"password": "x".repeat(257)}),
            json!({"password": PASSWORD, "code": 1}),
        ] {
            let reply = ask(body).await?;
            reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
        }
        assert_eq!(app.settled_head().await?, before);

        let authenticator = Authenticator::of(&member).await?;
        let reply = ask(json!({"password": PASSWORD})).await?;
        reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
        assert_eq!(reply.text("/errors/0/pointer"), "/code");
        let reply = ask(json!({"password": PASSWORD, "code": "000000"})).await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "identity.code_refused")?;
        let code = authenticator.code(app);
        ask(json!({"password": PASSWORD, "code": code}))
            .await?
            .is(StatusCode::ACCEPTED)?;

        // and so does coming back
        let token = challenge(app, "asha").await?;
        let body = json!({"challenge_token": token, "code": authenticator.code(app)});
        let reply = app.post("/auth/login/2fa", body).await?;
        reply.is_problem(StatusCode::FORBIDDEN, "identity.deletion_pending")?;
        let restore = json!({"restore_token": reply.text("/restore_token")});
        app.post("/users/me/restore", restore)
            .await?
            .is(StatusCode::OK)
    })
    .await
}
