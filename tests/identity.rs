//! Stories of identity.

use axum::http::StatusCode;

use super::support::app::{on_each_engine, registration};
use super::support::engines::Outcome;

#[tokio::test]
async fn who_registers_logs_in_at_once() -> Outcome {
    on_each_engine(async |app| {
        let registered = app.post("/auth/register", registration("Asha_R")).await?;
        registered.is(StatusCode::CREATED)?;
        assert_eq!(registered.text("/username"), "asha_r");
        assert_ne!(registered.header("soulsense-position"), "");
        let member = app.login("asha_r", super::support::app::PASSWORD).await?;
        assert_eq!(member.id, registered.text("/id"));
        Ok(())
    })
    .await
}
