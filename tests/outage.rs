//! Stories of a database that goes away and comes back.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use event_log::database::Engine;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::support::app::{App, registration};
use crate::support::engines::Outcome;
use crate::support::gate::Gate;

/// An application whose database stands behind a door.
async fn behind_a_gate() -> Result<(App, Gate), Box<dyn std::error::Error>> {
    let server: PgConnectOptions = std::env::var("TEST_POSTGRES_URL")?.parse()?;
    let gate = Gate::before(format!("{}:{}", server.get_host(), server.get_port())).await?;
    let port = gate.port();
    let app = App::with(Engine::Postgres, |config| {
        config.database_url = config.database_url.take().map(|url| {
            let options: PgConnectOptions = url
                .expose()
                .parse()
                .unwrap_or_else(|_| PgConnectOptions::new());
            options
                .host("127.0.0.1")
                .port(port)
                .to_url_lossy()
                .to_string()
                .into()
        });
    })
    .await?;
    Ok((app, gate))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_requests_get_503_and_the_server_recovers_by_itself() -> Outcome
{
    let (app, gate) = behind_a_gate().await?;
    let member = app.member("before_it").await?;
    app.get("/readyz").await?.is(StatusCode::OK)?;

    gate.shut();
    let began = Instant::now();
    let refused = app
        .post("/auth/register", registration("during_it"))
        .await?;
    refused.is_problem(StatusCode::SERVICE_UNAVAILABLE, "service.unavailable")?;
    assert!(!refused.header("retry-after").is_empty());
    let refused = member.get("/users/me").await?;
    refused.is(StatusCode::SERVICE_UNAVAILABLE)?;
    assert!(!refused.header("retry-after").is_empty());
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "each request ends within ten seconds"
    );
    app.get("/livez").await?.is(StatusCode::OK)?;
    while app.get("/readyz").await?.status == StatusCode::OK {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the server does not notice"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    gate.open();
    let back = Instant::now();
    loop {
        let reply = member.get("/users/me").await?;
        if reply.status == StatusCode::OK {
            break;
        }
        reply.is(StatusCode::SERVICE_UNAVAILABLE)?;
        assert!(
            back.elapsed() < Duration::from_secs(10),
            "the server does not recover"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    app.post("/auth/register", registration("after_it"))
        .await?
        .is(StatusCode::CREATED)?;
    app.get("/readyz").await?.is(StatusCode::OK)?;
    app.close().await;
    Ok(())
}
