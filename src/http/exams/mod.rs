//! Routes of exams: question banks and attempts at exams.

mod attempt;
mod history;
mod publishing;
mod questions;
mod responses;
mod result;
mod start;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Problem, paging as pages};
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

/// How many items a page may have, and where it begins; or all that is wrong with what was asked.
fn paging<K: DeserializeOwned>(
    limit: Option<i64>,
    cursor: Option<&str>,
) -> Result<(i64, Option<K>), Problem> {
    match (pages::limit(limit), pages::place(cursor)) {
        (Ok(limit), Ok(place)) => Ok((limit, place)),
        (limit, place) => {
            let violations = limit.err().into_iter().chain(place.err());
            Err(Problem::invalid(violations.collect()))
        }
    }
}
