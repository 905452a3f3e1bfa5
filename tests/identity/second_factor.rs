//! The second factor.

use std::error::Error;

use axum::http::StatusCode;
use chrono::TimeDelta;
use domain::identity::account::{AccountCommand, Actor, Reason, StaffRole};
use event_log::Metadata;
use serde_json::{Value, json};
use soulsense::commands::Request;
use soulsense::totp::SecondFactor;

use crate::support::app::{App, Member, PASSWORD, Reply, on_each_engine};
use crate::support::engines::Outcome;

/// A member's authenticator.
pub struct Authenticator {
    factor: SecondFactor,
    pub recovery_codes: Vec<String>,
}

impl Authenticator {
    /// Sets the second factor of a member up.
    pub async fn of(member: &Member<'_>) -> Result<Self, Box<dyn Error>> {
        let reply = member.request("POST", "/auth/2fa/setup").send().await?;
        reply.is(StatusCode::OK)?;
        let factor =
            SecondFactor::from_base32(&reply.text("/secret"), "SoulSense", &member.username)?;
        assert_eq!(reply.text("/otpauth_url"), factor.url()?.as_str());
        let mut made = Self {
            factor,
            recovery_codes: Vec::new(),
        };
        let body = json!({"code": made.code(member.app)});
        let reply = member.post("/auth/2fa/confirm", body).await?;
        reply.is(StatusCode::OK)?;
        made.recovery_codes = serde_json::from_value(reply.at("/recovery_codes"))?;
        Ok(made)
    }

    /// A code that was not used yet: the clock moves on for it.
    pub fn code(&self, app: &App) -> String {
        app.later(TimeDelta::seconds(30));
        self.factor.code(app.clock.now())
    }
}

/// The challenge of a login with the right password.
pub async fn challenge(app: &App, name: &str) -> Result<String, Box<dyn Error>> {
    let body = json!({"identifier": name, "password": PASSWORD});
    let reply = app.post("/auth/login", body).await?;
    reply.is(StatusCode::ACCEPTED)?;
    assert_eq!(reply.at("/two_factor_required"), true);
    assert_eq!(reply.at("/access_token"), Value::Null);
    Ok(reply.text("/challenge_token"))
}

async fn answer(app: &App, challenge: &str, code: &str) -> Result<Reply, Box<dyn Error>> {
    let body = json!({"challenge_token": challenge, "code": code});
    app.post("/auth/login/2fa", body).await
}

fn code_refused(reply: &Reply) -> Outcome {
    reply.is_problem(StatusCode::UNAUTHORIZED, "identity.code_refused")
}

fn challenge_refused(reply: &Reply) -> Outcome {
    reply.is_problem(StatusCode::UNAUTHORIZED, "identity.challenge_refused")
}

#[tokio::test]
async fn a_login_takes_both_factors_once_the_second_is_on() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let reply = member
            .post("/auth/2fa/confirm", json!({"code": "123456"}))
            .await?;
        reply.is_problem(StatusCode::CONFLICT, "identity.two_factor_not_set_up")?;
        let authenticator = Authenticator::of(&member).await?;
        assert_eq!(authenticator.recovery_codes.len(), 10);
        assert_eq!(member.get("/auth/me").await?.at("/two_factor"), true);
        let reply = member.request("POST", "/auth/2fa/setup").send().await?;
        reply.is_problem(StatusCode::CONFLICT, "identity.two_factor_on")?;

        let token = challenge(app, "asha").await?;
        let code = authenticator.code(app);
        answer(app, &token, &code).await?.is(StatusCode::OK)?;
        // neither the challenge nor the code counts twice
        challenge_refused(&answer(app, &token, &authenticator.code(app)).await?)?;
        let token = challenge(app, "asha").await?;
        let code = authenticator.code(app);
        answer(app, &token, &code).await?.is(StatusCode::OK)?;
        let token = challenge(app, "asha").await?;
        code_refused(&answer(app, &token, &code).await?)
    })
    .await
}

#[tokio::test]
async fn a_recovery_code_is_good_once() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let authenticator = Authenticator::of(&member).await?;
        let code = authenticator.recovery_codes[3]
            .to_uppercase()
            .replace('-', " ");
        let token = challenge(app, "asha").await?;
        answer(app, &token, &code).await?.is(StatusCode::OK)?;
        let token = challenge(app, "asha").await?;
        code_refused(&answer(app, &token, &code).await?)?;
        app.later(TimeDelta::seconds(1));
        answer(app, &token, &authenticator.recovery_codes[4])
            .await?
            .is(StatusCode::OK)
    })
    .await
}

#[tokio::test]
async fn wrong_codes_wait_across_challenges_until_the_last_factor_is_right() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let authenticator = Authenticator::of(&member).await?;
        let before = app.settled_head().await?;
        for wait in [1, 1, 3] {
            let token = challenge(app, "asha").await?;
            code_refused(&answer(app, &token, "000000").await?)?;
            let token = challenge(app, "asha").await?;
            let reply = answer(app, &token, &authenticator.recovery_codes[0]).await?;
            reply.is_problem(StatusCode::TOO_MANY_REQUESTS, "identity.too_many_attempts")?;
            assert_eq!(reply.header("retry-after"), wait.to_string());
            app.later(TimeDelta::seconds(wait));
        }
        assert_eq!(app.settled_head().await?, before);
        let token = challenge(app, "asha").await?;
        let code = authenticator.code(app);
        answer(app, &token, &code).await?.is(StatusCode::OK)?;
        let token = challenge(app, "asha").await?;
        code_refused(&answer(app, &token, "000000").await?)?;
        let reply = answer(app, &token, "000000").await?;
        assert_eq!(reply.header("retry-after"), "1");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_challenge_authenticates_nothing_else_and_lasts_five_minutes() -> Outcome {
    on_each_engine(async |app| {
        let mut member = app.member("asha").await?;
        let authenticator = Authenticator::of(&member).await?;
        let token = challenge(app, "asha").await?;
        let reply = app
            .post("/users/me/restore", json!({"restore_token": token}))
            .await?;
        challenge_refused(&reply)?;
        let reply = app
            .post("/auth/refresh", json!({"refresh_token": token}))
            .await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "identity.refresh_refused")?;
        app.later(TimeDelta::minutes(5));
        challenge_refused(&answer(app, &token, &authenticator.code(app)).await?)?;
        challenge_refused(&answer(app, "made up", "123456").await?)?;
        member.token = token;
        member.get("/auth/me").await?.is(StatusCode::UNAUTHORIZED)
    })
    .await
}

#[tokio::test]
async fn who_left_everywhere_in_between_cannot_finish_a_login() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let authenticator = Authenticator::of(&member).await?;
        let token = challenge(app, "asha").await?;
        let reply = member.request("POST", "/auth/logout/all").send().await?;
        reply.is(StatusCode::NO_CONTENT)?;
        challenge_refused(&answer(app, &token, &authenticator.code(app)).await?)
    })
    .await
}

#[tokio::test]
async fn a_staff_role_works_only_with_a_second_factor() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let command = AccountCommand::GrantRole {
            role: StaffRole::Auditor,
            actor: Actor::Operator,
            reason: Reason::parse("She reads the trail.").map_err(|fault| fault.detail)?,
            now: app.clock.now(),
        };
        let request = Request::system(Metadata::system("cli:tester", app.node.ids.next()));
        app.node
            .accounts
            .execute(&member.id, &command, &request)
            .await?;
        // the epoch has moved: tokens from before are refused
        super::shut_out_within_a_second(&member).await?;
        let member = app.login("asha", PASSWORD).await?;
        let me = member.get("/auth/me").await?;
        assert_eq!(
            (me.at("/roles"), me.at("/staff_roles")),
            (json!(["member"]), json!(["auditor"]))
        );
        Authenticator::of(&member).await?;
        let reply = app
            .post(
                "/auth/refresh",
                json!({"refresh_token": member.refresh_token}),
            )
            .await?;
        assert_eq!(reply.at("/account/roles"), json!(["member", "auditor"]));
        Ok(())
    })
    .await
}
