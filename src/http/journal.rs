//! Routes of journal: a member's entries.

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use crate::node::Node;

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
}
