//! Routes of exams: question banks and attempts at exams.

mod attempt;
mod history;
mod publishing;
mod questions;
mod responses;
mod result;
mod start;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::node::Node;

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(questions::list))
        .routes(routes!(questions::categories))
        .routes(routes!(questions::banks, publishing::publish))
        .routes(routes!(questions::bank))
        .routes(routes!(questions::item))
        .routes(routes!(publishing::retire))
        .routes(routes!(start::start))
        .routes(routes!(attempt::current))
        .routes(routes!(history::history))
        .routes(routes!(attempt::exam))
        .routes(routes!(responses::save))
        .routes(routes!(responses::reflect))
        .routes(routes!(result::complete))
        .routes(routes!(attempt::abandon))
        .routes(routes!(result::results))
}
