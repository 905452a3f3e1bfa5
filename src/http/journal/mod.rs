//! Routes of journal: a member's entries.

mod body;
mod reading;
mod reply;
mod writing;

use std::sync::Arc;

use domain::journal::entry::EntryError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Problem;
use crate::node::Node;

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(reading::list, writing::write))
        .routes(routes!(
            reading::entry,
            writing::replace,
            writing::change,
            writing::delete
        ))
        .routes(routes!(writing::restore))
        .routes(routes!(reading::revisions))
}

/// 404: there is no such entry, or it is another member's, or it is deleted.
fn not_found() -> Problem {
    Problem::from_rejection(&EntryError::NotFound)
}
