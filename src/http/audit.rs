//! Routes of audit: the history, for auditors and for the member it is about.

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use crate::node::Node;

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
}
