//! Routes of identity: registration, login, sessions, second factor, one's own account.

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use crate::node::Node;

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
}
