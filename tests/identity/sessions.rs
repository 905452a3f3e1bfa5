//! The devices that are signed in.

use axum::http::StatusCode;
use serde_json::json;

use super::shut_out_within_a_second;
use crate::support::app::{PASSWORD, on_each_engine};
use crate::support::engines::Outcome;

#[tokio::test]
async fn a_member_sees_their_devices_and_ends_one() -> Outcome {
    on_each_engine(async |app| {
        let first = app.member("asha").await?;
        let body =
            json!({"identifier": "asha", "password": PASSWORD, "device_label": "Asha's phone"});
        let call = app.request("POST", "/auth/login").json(body);
        let phone = call.header("user-agent", "Soul/1.0").send().await?;
        phone.is(StatusCode::OK)?;

        let list = first.get("/auth/sessions").await?;
        list.is(StatusCode::OK)?;
        assert_eq!(list.at("/items").as_array().map(Vec::len), Some(2));
        let item = |field: &str| list.at(&format!("/items/0/{field}"));
        assert_eq!(item("label"), "Asha's phone");
        assert_eq!(item("user_agent"), "Soul/1.0");
        assert_eq!(item("ip"), "127.0.0.1");
        assert_eq!(item("current"), false);
        assert_eq!(list.at("/items/1/current"), true);

        let page = first.get("/auth/sessions?limit=1").await?;
        assert_eq!(page.at("/items/0/id"), item("id"));
        let next = page.text("/next");
        let page = first
            .get(&format!("/auth/sessions?limit=1&cursor={next}"))
            .await?;
        assert_eq!(page.at("/items/0/id"), list.at("/items/1/id"));
        assert_eq!(page.at("/next"), json!(null));
        for wrong in ["limit=0", "limit=101", "limit=x", "cursor=x"] {
            let reply = first.get(&format!("/auth/sessions?{wrong}")).await?;
            reply.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid")?;
        }

        let id = list.text("/items/0/id");
        let path = format!("/auth/sessions/{id}");
        let reply = first.request("DELETE", &path).send().await?;
        reply.is(StatusCode::NO_CONTENT)?;
        let list = first.get("/auth/sessions").await?;
        assert_eq!(list.at("/items").as_array().map(Vec::len), Some(1));
        let reply = app.post(
            "/auth/refresh",
            json!({"refresh_token": phone.text("/refresh_token")}),
        );
        reply
            .await?
            .is_problem(StatusCode::UNAUTHORIZED, "identity.refresh_refused")
    })
    .await
}

#[tokio::test]
async fn another_members_session_is_not_there() -> Outcome {
    on_each_engine(async |app| {
        let asha = app.member("asha").await?;
        let ben = app.member("ben").await?;
        let before = app.settled_head().await?;
        let id = ben.get("/auth/sessions").await?.text("/items/0/id");
        for id in [id, app.node.ids.next().to_string()] {
            let reply = asha
                .request("DELETE", &format!("/auth/sessions/{id}"))
                .send()
                .await?;
            reply.is_problem(StatusCode::NOT_FOUND, "identity.session_not_found")?;
        }
        let reply = asha.request("DELETE", "/auth/sessions/x").send().await?;
        reply.is(StatusCode::NOT_FOUND)?;
        assert_eq!(app.settled_head().await?, before);
        ben.get("/auth/me").await?.is(StatusCode::OK)
    })
    .await
}

#[tokio::test]
async fn logging_out_everywhere_ends_every_session_within_a_second() -> Outcome {
    on_each_engine(async |app| {
        let first = app.member("asha").await?;
        let second = app.login("asha", PASSWORD).await?;
        let other = app.member("ben").await?;
        let reply = first.request("POST", "/auth/logout/all").send().await?;
        reply.is(StatusCode::NO_CONTENT)?;
        for member in [&first, &second] {
            shut_out_within_a_second(member).await?;
            let reply = app.post(
                "/auth/refresh",
                json!({"refresh_token": member.refresh_token}),
            );
            reply
                .await?
                .is_problem(StatusCode::UNAUTHORIZED, "identity.refresh_refused")?;
        }
        other.get("/auth/me").await?.is(StatusCode::OK)?;
        let again = app.login("asha", PASSWORD).await?;
        let list = again.get("/auth/sessions").await?;
        assert_eq!(list.at("/items").as_array().map(Vec::len), Some(1));
        Ok(())
    })
    .await
}
