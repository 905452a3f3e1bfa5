//! The frame every route stands in.
//!
//! A context gives its routes as an `OpenApiRouter` with paths relative to `/api/v1`; [`router`] puts them under
//! that prefix and adds health, keys, documentation, limits, security headers and the form of errors. Handlers
//! take what they need through [`extract`] and answer `Result<impl IntoResponse, Problem>`.

mod admission;
pub mod api;
pub mod audit;
pub mod caller;
pub mod command;
pub mod exams;
pub mod extract;
pub mod gamification;
pub mod health;
pub mod identity;
pub mod input;
pub mod journal;
mod layers;
pub mod openapi;
pub mod operations;
pub mod paging;
pub mod problem;
pub mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::layers::FrameSettings;
pub use self::problem::Problem;

use self::admission::Room;
use self::health::Readiness;
use self::openapi::{DOCUMENT_PATH, Description};
use crate::clock::Ids;
use crate::tokens::TokenIssuer;

/// What the frame needs to stand.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Limits, origins, proxies.
    pub settings: FrameSettings,
    /// Makes request ids.
    pub ids: Ids,
    /// What must be well before requests come.
    pub readiness: Arc<Readiness>,
    /// Whose public keys are shown.
    pub tokens: Arc<TokenIssuer>,
}

/// The whole application: `api` under `/api/v1` with its state, in the frame.
pub fn router<S: Clone + Send + Sync + 'static>(
    api: OpenApiRouter<S>,
    state: S,
    frame: Frame,
) -> Result<Router, serde_json::Error> {
    let document = document(api.clone());
    let router = Router::from(root().with_state(frame.tokens))
        .merge(health::routes().with_state(frame.readiness))
        .merge(openapi::routes(&document)?)
        .nest("/api/v1", admitted(api.into()))
        .fallback(|| async { Problem::not_found() })
        .with_state(state);
    Ok(layers::framed(router, &frame.settings, frame.ids))
}

/// The description of the whole application, without running it.
#[must_use]
pub fn document<S: Clone + Send + Sync + 'static>(
    api: OpenApiRouter<S>,
) -> utoipa::openapi::OpenApi {
    let mut document = Description::openapi();
    document.merge(root().into_openapi());
    document.merge(health::routes().into_openapi());
    let mut document = OpenApiRouter::with_openapi(document)
        .nest("/api/v1", api)
        .into_openapi();
    openapi::name_operations(&mut document);
    openapi::describe_full_disks(&mut document);
    document
}

/// Health and documentation are answered whatever is under way; the rest when there is room for it.
fn admitted<S: Clone + Send + Sync + 'static>(api: Router<S>) -> Router<S> {
    api.layer(from_fn_with_state(Room::default(), admission::admit))
}

fn root() -> OpenApiRouter<Arc<TokenIssuer>> {
    OpenApiRouter::new()
        .routes(routes!(about))
        .routes(routes!(key_set))
}

/// What this server is.
#[derive(Debug, Serialize, ToSchema)]
struct About {
    #[schema(example = "soulsense")]
    name: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
    links: Links,
}

/// Where to go from here.
#[derive(Debug, Serialize, ToSchema)]
struct Links {
    #[schema(example = "/api/v1")]
    api: &'static str,
    #[schema(example = "/api/v1/openapi.json")]
    openapi: &'static str,
    #[schema(example = "/docs")]
    docs: &'static str,
    #[schema(example = "/readyz")]
    readiness: &'static str,
    #[schema(example = "/.well-known/jwks.json")]
    keys: &'static str,
}

/// Name, version and links
#[utoipa::path(
    get,
    path = "/",
    tag = "health",
    responses((status = 200, description = "What this server is", body = About))
)]
async fn about() -> impl IntoResponse {
    extract::Json(About {
        name: "soulsense",
        version: env!("CARGO_PKG_VERSION"),
        links: Links {
            api: "/api/v1",
            openapi: DOCUMENT_PATH,
            docs: "/docs",
            readiness: "/readyz",
            keys: "/.well-known/jwks.json",
        },
    })
}

/// The public keys that access tokens are signed with
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "health",
    responses((
        status = 200,
        description = "A JSON Web Key Set (RFC 7517)",
        body = Object,
        example = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})
    ))
)]
async fn key_set(State(tokens): State<Arc<TokenIssuer>>) -> impl IntoResponse {
    let cache = [(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    )];
    let keys: Value = tokens.key_set();
    (cache, extract::Json(keys))
}
