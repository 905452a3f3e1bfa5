//! Routes of identity: registration, login, sessions, second factor, one's own account.

mod account;
mod deletion;
mod fields;
mod login;
mod proof;
mod refusal;
mod registration;
mod second_factor;
mod sessions;
mod sign_in;
mod tokens;
mod transport;

use std::sync::Arc;

use domain::identity::account::AccountError;
use event_log::log::LogError;
use projections::projection::ProjectionError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Problem;
use super::caller::Caller;
use super::command::{Intent, query_failed};
use crate::commands::{CommandError, Request};
use crate::node::Node;

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(registration::register))
        .routes(routes!(registration::check_username))
        .routes(routes!(login::login))
        .routes(routes!(second_factor::log_in))
        .routes(routes!(second_factor::set_up))
        .routes(routes!(second_factor::confirm))
        .routes(routes!(tokens::refresh))
        .routes(routes!(tokens::log_out))
        .routes(routes!(sessions::log_out_everywhere))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end))
        .routes(routes!(account::signed_in_as))
        .routes(routes!(account::me))
        .routes(routes!(deletion::request))
        .routes(routes!(deletion::restore))
}

/// A member's command on their own account or session; under `/auth` there are no idempotency keys.
fn own(intent: Intent, caller: &Caller) -> Request {
    let mut request = intent.unproven(caller.account.to_string());
    request.metadata.actor_role = caller.role();
    request
}

/// The log or its keys did not do what a handler asked of them.
fn log_failed(error: impl Into<LogError>) -> Problem {
    CommandError::<AccountError>::from(error.into()).into()
}

/// A read model could not be asked.
fn read_failed(error: ProjectionError) -> Problem {
    match error {
        ProjectionError::Database(error) => query_failed(error),
        error => Problem::internal(error),
    }
}
