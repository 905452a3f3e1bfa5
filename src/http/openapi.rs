//! The description of the API, made from the code, and the page that shows it without any outside request.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::routing::get;
use utoipa::openapi::RefOr;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

use super::problem::{InvalidField, ProblemDocument};

/// Where the description is served.
pub const DOCUMENT_PATH: &str = "/api/v1/openapi.json";

/// What the description says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "SoulSense",
        description = "Emotional-intelligence exams, journaling and well-being, event-sourced and self-hosted.\n\nTimes are RFC 3339 in UTC, ids are UUIDv7. Every error is `application/problem+json` with a stable `code`. A reply to a command carries `Soulsense-Position`; a request may carry `Idempotency-Key`, `Prefer: respond-async` and `X-Request-Id`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(ProblemDocument, InvalidField)),
    modifiers(&Bearer),
    tags(
        (name = "health", description = "Whether the server lives and is ready"),
        (name = "auth", description = "Registering, signing in and out, sessions, the second factor"),
        (name = "users", description = "One's own account and what happened to it"),
        (name = "questions", description = "The question banks that exams are made of"),
        (name = "exams", description = "Sitting an exam and reading its result"),
        (name = "journal", description = "Entries with what was worked out from them"),
        (name = "gamification", description = "Experience points, levels and streaks"),
        (name = "audit", description = "The history, for auditors; nothing sealed is opened"),
        (name = "operations", description = "Read models and background jobs, for admins"),
    )
)]
pub(super) struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The access token of login or refresh."))
            .build();
        document
            .components
            .get_or_insert_default()
            .security_schemes
            .insert("bearer".to_owned(), SecurityScheme::Http(scheme).into());
    }
}

/// Puts its tag before the id of every operation, since handlers of two contexts may be called the same.
pub(super) fn name_operations(document: &mut utoipa::openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            let tag = operation.tags.as_ref().and_then(|tags| tags.first());
            if let (Some(tag), Some(id)) = (tag, &operation.operation_id) {
                operation.operation_id = Some(format!("{tag}_{id}"));
            }
        }
    }
}

/// Says of every write what it answers when the disk is full: beside what 503 means, and looking like it.
pub(super) fn describe_full_disks(document: &mut utoipa::openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        let writes = [
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for write in writes.into_iter().flatten() {
            let responses = &mut write.responses.responses;
            if let Some(RefOr::T(unavailable)) = responses.get("503") {
                let mut full = unavailable.clone();
                "`storage.full`".clone_into(&mut full.description);
                responses.insert("507".to_owned(), full.into());
            }
        }
    }
}

/// Serves the description and its page.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(
    document: &utoipa::openapi::OpenApi,
) -> Result<Router<S>, serde_json::Error> {
    let bytes = Bytes::from(serde_json::to_vec(document)?);
    let config = utoipa_swagger_ui::Config::from(DOCUMENT_PATH)
        // the page would ask a validator on the network otherwise
        .validator_url("none")
        .persist_authorization(false)
        .display_request_duration(true);
    let page = SwaggerUi::new("/docs").config(config);
    let headers = Arc::new([
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]);
    Ok(Router::new()
        .route(
            DOCUMENT_PATH,
            get(move || async move { (headers.as_ref().clone(), bytes) }),
        )
        .merge(page))
}
