//! Access tokens that are not ours, and refresh tokens that come once or twice.

use std::error::Error;

use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use domain::id::SessionId;
use domain::identity::account::Role;
use serde_json::json;
use soulsense::tokens::{AccessGrant, KeyRing, TokenIssuer, TokenKey};

use super::shut_out_within_a_second;
use crate::support::app::{App, PASSWORD, Reply, on_each_engine, on_each_engine_with};
use crate::support::engines::Outcome;

async fn refresh(app: &App, token: &str) -> Result<Reply, Box<dyn Error>> {
    app.post("/auth/refresh", json!({"refresh_token": token}))
        .await
}

fn refused(reply: &Reply) -> Outcome {
    reply.is_problem(StatusCode::UNAUTHORIZED, "identity.refresh_refused")
}

#[tokio::test]
async fn a_token_that_is_not_ours_is_a_clear_problem() -> Outcome {
    on_each_engine(async |app| {
        let mut member = app.member("asha").await?;
        let ours = member.token.clone();
        let (_, rest) = ours.split_once('.').ok_or("no token")?;
        let (claims, signature) = rest.split_once('.').ok_or("no token")?;
        let header = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let seed = [7; 32];
        let ring = KeyRing {
            previous: None,
            current: TokenKey::from_seed(&seed),
            next: None,
        };
        let stranger = TokenIssuer::new(
            app.node.config.public_url(),
            "soulsense",
            ring,
            TimeDelta::minutes(15),
        );
        let grant = AccessGrant {
            account: member.id.parse()?,
            session: SessionId(app.node.ids.next()),
            token_id: app.node.ids.next(),
            epoch: 0,
            roles: vec![Role::Member, Role::Admin],
        };
        let admin = BASE64_URL_SAFE_NO_PAD.encode(
            String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(claims)?)?
                .replace(r#"["member"]"#, r#"["member","admin"]"#),
        );
        let ours_header = ours.split('.').next().unwrap_or_default();
        for forged in [
            stranger.issue(grant, app.clock.now())?,
            format!("{ours_header}.{admin}.{signature}"),
            format!("{}.{claims}.", header(r#"{"alg":"none","typ":"at+jwt"}"#)),
            format!(
                "{}.{claims}.{signature}",
                header(r#"{"alg":"HS256","typ":"at+jwt"}"#)
            ),
            format!("{ours_header}.{claims}"),
            "x".to_owned(),
            member.refresh_token.clone(),
        ] {
            member.token = forged;
            let reply = member.get("/auth/me").await?;
            reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_invalid")?;
            assert!(reply.header("www-authenticate").starts_with("Bearer"));
        }
        member.token = ours;
        member.get("/auth/me").await?.is(StatusCode::OK)?;
        app.later(TimeDelta::minutes(15));
        let reply = member.get("/auth/me").await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_expired")?;
        let reply = app.get("/auth/me").await?;
        reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_missing")
    })
    .await
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_again_while_its_reply_may_be_lost() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let first = refresh(app, &member.refresh_token).await?;
        first.is(StatusCode::OK)?;
        assert_ne!(first.text("/refresh_token"), member.refresh_token);
        assert_eq!(first.text("/account/id"), member.id);
        app.later(TimeDelta::seconds(60));
        let before = app.settled_head().await?;
        let again = refresh(app, &member.refresh_token).await?;
        assert_eq!(again.text("/refresh_token"), first.text("/refresh_token"));
        assert_eq!(app.settled_head().await?, before);
        let second = refresh(app, &first.text("/refresh_token")).await?;
        second.is(StatusCode::OK)
    })
    .await
}

#[tokio::test]
async fn a_spent_refresh_token_that_comes_again_ends_the_session() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let other = app.login("asha", PASSWORD).await?;
        let first = refresh(app, &member.refresh_token).await?;
        let second = refresh(app, &first.text("/refresh_token")).await?;
        refused(&refresh(app, &member.refresh_token).await?)?;
        refused(&refresh(app, &second.text("/refresh_token")).await?)?;
        shut_out_within_a_second(&member).await?;
        // the other device goes on
        refresh(app, &other.refresh_token)
            .await?
            .is(StatusCode::OK)?;

        let late = app.login("asha", PASSWORD).await?;
        refresh(app, &late.refresh_token)
            .await?
            .is(StatusCode::OK)?;
        app.later(TimeDelta::seconds(61));
        refused(&refresh(app, &late.refresh_token).await?)?;
        shut_out_within_a_second(&late).await
    })
    .await
}

#[tokio::test]
async fn who_guesses_a_refresh_token_learns_nothing_and_ends_nothing() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        let before = app.settled_head().await?;
        let (session, _) = member.refresh_token.split_once('.').ok_or("no token")?;
        let secret = BASE64_URL_SAFE_NO_PAD.encode([1; 32]);
        for guess in [
            format!("{session}.{secret}"),
            format!("{}.{secret}", app.node.ids.next()),
            format!("{session}."),
            "nothing".to_owned(),
        ] {
            refused(&refresh(app, &guess).await?)?;
            let reply = app
                .post("/auth/logout", json!({"refresh_token": guess}))
                .await?;
            reply.is(StatusCode::NO_CONTENT)?;
        }
        refused(&app.post("/auth/refresh", json!({})).await?)?;
        let reply = app
            .post("/auth/refresh", json!({"refresh_token": 1}))
            .await?;
        reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
        assert_eq!(app.settled_head().await?, before);
        refresh(app, &member.refresh_token)
            .await?
            .is(StatusCode::OK)
    })
    .await
}

#[tokio::test]
async fn an_unused_refresh_token_is_good_for_a_week() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        app.later(TimeDelta::days(7) - TimeDelta::seconds(1));
        let reply = refresh(app, &member.refresh_token).await?;
        reply.is(StatusCode::OK)?;
        app.later(TimeDelta::days(7));
        refused(&refresh(app, &reply.text("/refresh_token")).await?)
    })
    .await
}

#[tokio::test]
async fn logging_out_takes_the_refresh_token_alone_and_is_in_force_within_a_second() -> Outcome {
    on_each_engine(async |app| {
        let member = app.member("asha").await?;
        for _ in 0..2 {
            let body = json!({"refresh_token": member.refresh_token});
            let reply = app.post("/auth/logout", body).await?;
            reply.is(StatusCode::NO_CONTENT)?;
        }
        shut_out_within_a_second(&member).await?;
        refused(&refresh(app, &member.refresh_token).await?)
    })
    .await
}

const PAGE: &str = "https://soul.example.org";

#[tokio::test]
async fn a_browser_keeps_its_refresh_token_in_a_cookie() -> Outcome {
    let change =
        |config: &mut soulsense::config::Config| config.cors_origins = vec![PAGE.to_owned()];
    on_each_engine_with(change, async |app| {
        app.member("asha").await?;
        let login = json!({"identifier": "asha", "password": PASSWORD, "transport": "cookie"});
        let ask = |path: &str| app.request("POST", path).json(json!({}));
        let reply = app.post("/auth/login", login.clone()).await?;
        reply.is_problem(StatusCode::FORBIDDEN, "identity.origin_refused")?;
        let reply = app
            .request("POST", "/auth/login")
            .json(login)
            .header("origin", PAGE)
            .send()
            .await?;
        reply.is(StatusCode::OK)?;
        assert_eq!(reply.at("/refresh_token"), json!(null));
        let set = reply.header("set-cookie");
        for part in [
            "__Secure-refresh=",
            "Path=/api/v1/auth",
            "HttpOnly",
            "Secure",
            "SameSite=Strict",
            "Max-Age=604800",
        ] {
            assert!(set.contains(part), "{set}");
        }
        let cookie = set.split(';').next().unwrap_or_default().to_owned();
        let token = cookie
            .split_once('=')
            .map(|(_, token)| token.to_owned())
            .unwrap_or_default();

        for origin in [None, Some("https://evil.example"), Some("null")] {
            let mut call = ask("/auth/refresh").header("cookie", &cookie);
            if let Some(origin) = origin {
                call = call.header("origin", origin);
            }
            let reply = call.send().await?;
            reply.is_problem(StatusCode::FORBIDDEN, "identity.origin_refused")?;
        }
        let both = app
            .request("POST", "/auth/refresh")
            .json(json!({"refresh_token": token}));
        let reply = both
            .header("cookie", &cookie)
            .header("origin", PAGE)
            .send()
            .await?;
        reply.is_problem(StatusCode::BAD_REQUEST, "identity.two_refresh_tokens")?;
        let out = app
            .request("POST", "/auth/refresh")
            .json(json!({"transport": "body"}));
        let reply = out
            .header("cookie", &cookie)
            .header("origin", PAGE)
            .send()
            .await?;
        reply.is_problem(StatusCode::BAD_REQUEST, "identity.two_refresh_tokens")?;

        let reply = ask("/auth/refresh")
            .header("cookie", &cookie)
            .header("origin", PAGE)
            .send()
            .await?;
        reply.is(StatusCode::OK)?;
        assert_eq!(reply.at("/refresh_token"), json!(null));
        let next = reply.header("set-cookie");
        let next = next.split(';').next().unwrap_or_default();
        assert_ne!(next, cookie);
        let reply = ask("/auth/logout")
            .header("cookie", next)
            .header("origin", PAGE)
            .send()
            .await?;
        reply.is(StatusCode::NO_CONTENT)?;
        assert!(reply.header("set-cookie").contains("Max-Age=0"));
        let reply = ask("/auth/refresh")
            .header("cookie", next)
            .header("origin", PAGE)
            .send()
            .await?;
        refused(&reply)
    })
    .await
}
