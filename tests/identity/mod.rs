//! Stories of identity.

mod command_line;
mod deletion;
mod login;
mod purge;
mod registration;
mod second_factor;
mod sessions;
mod tokens;

use std::time::{Duration, Instant};

use axum::http::StatusCode;

use super::support::app::Member;
use super::support::engines::Outcome;

/// Fails unless the member's access token is refused within a second.
async fn shut_out_within_a_second(member: &Member<'_>) -> Outcome {
    let began = Instant::now();
    loop {
        let reply = member.get("/auth/me").await?;
        if reply.status == StatusCode::UNAUTHORIZED {
            return reply.is_problem(StatusCode::UNAUTHORIZED, "auth.token_revoked");
        }
        if began.elapsed() > Duration::from_secs(1) {
            return Err("the token is still good after a second".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
