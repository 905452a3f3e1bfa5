//! Routes of identity: registration, login, sessions, second factor, one's own account.

mod fields;
mod login;
mod refusal;
mod registration;
mod signed_in;

use std::sync::Arc;

use domain::identity::account::AccountError;
use event_log::log::LogError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Problem;
use crate::commands::CommandError;
use crate::node::Node;

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(registration::register))
        .routes(routes!(login::login))
}

/// The log or its keys did not do what a handler asked of them.
fn log_failed(error: impl Into<LogError>) -> Problem {
    CommandError::<AccountError>::from(error.into()).into()
}
