//! Whether the process lives and whether it should be sent requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Query};

/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How one part of the server is.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    /// As it should be. The value is shown with `?verbose`.
    Well(Value),
    /// Not as it should be, yet requests can be answered. The value is shown with `?verbose`.
    Impaired(Value),
    /// No request can be answered; the text says why, without secrets.
    Failed(String),
}

/// One part of the server that can be asked how it is.
#[async_trait]
pub trait HealthCheck: Send + Sync {
    /// What the part is called, for instance `database`.
    fn name(&self) -> &'static str;

    /// How it is now. Is given two seconds.
    async fn check(&self) -> Health;
}

/// Everything that must be well before the server is sent requests.
pub struct Readiness {
    checks: Vec<Arc<dyn HealthCheck>>,
    stopping: AtomicBool,
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.checks.iter().map(|check| check.name()).collect();
        f.debug_struct("Readiness")
            .field("checks", &names)
            .finish_non_exhaustive()
    }
}

impl Readiness {
    /// Ready when all `checks` are.
    #[must_use]
    pub fn new(checks: Vec<Arc<dyn HealthCheck>>) -> Self {
        Self {
            checks,
            stopping: AtomicBool::new(false),
        }
    }

    /// From now on the server is not ready: it is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Asks every part at once.
    pub async fn report(&self) -> Report {
        let mut healths = join_all(self.checks.iter().map(|check| async {
            let health = tokio::time::timeout(CHECK_TIMEOUT, check.check())
                .await
                .unwrap_or_else(|_| Health::Failed("does not answer".to_owned()));
            (check.name(), health)
        }))
        .await;
        if self.stopping.load(Ordering::SeqCst) {
            healths.push(("server", Health::Failed("is stopping".to_owned())));
        }
        let checks = healths.into_iter().map(|(name, health)| {
            let check = match health {
                Health::Well(detail) => CheckReport::new("well", None, detail),
                Health::Impaired(detail) => CheckReport::new("impaired", None, detail),
                Health::Failed(reason) => CheckReport::new("failed", Some(reason), Value::Null),
            };
            (name.to_owned(), check)
        });
        let checks: Vec<(String, CheckReport)> = checks.collect();
        Report {
            ready: checks.iter().all(|(_, check)| check.status != "failed"),
            checks,
        }
    }
}

/// What every part answered.
#[derive(Debug)]
pub struct Report {
    /// Whether the server should be sent requests.
    pub ready: bool,
    /// Part by part.
    pub checks: Vec<(String, CheckReport)>,
}

/// What one part answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckReport {
    /// `well`, `impaired` or `failed`.
    #[schema(example = "well")]
    pub status: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Figures.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

impl CheckReport {
    const fn new(status: &'static str, reason: Option<String>, detail: Value) -> Self {
        Self {
            status,
            reason,
            detail,
        }
    }
}

/// Whether the server is ready.
#[derive(Debug, Serialize, ToSchema)]
struct ReadyReply {
    /// `ready` or `unready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// The parts that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<String>,
    /// With `?verbose`, every part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    checks: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReadyQuery {
    /// Show every part; the value does not matter.
    verbose: Option<String>,
}

/// The process is alive
#[utoipa::path(
    get,
    path = "/livez",
    tag = "health",
    responses((status = 200, description = "Alive", body = String, content_type = "text/plain", example = "alive"))
)]
async fn livez() -> &'static str {
    "alive"
}

/// The server is ready for requests
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    params(ReadyQuery),
    responses(
        (status = 200, description = "Ready", body = ReadyReply, example = json!({"status": "ready"})),
        (status = 503, description = "Not ready", body = ReadyReply, example = json!({"status": "unready", "failed": ["database"]})),
    )
)]
async fn readyz(
    State(readiness): State<Arc<Readiness>>,
    Query(query): Query<ReadyQuery>,
) -> Response {
    let report = readiness.report().await;
    let failed = report
        .checks
        .iter()
        .filter(|(_, check)| check.status == "failed")
        .map(|(name, _)| name.clone())
        .collect();
    let checks = query.verbose.map(|_| {
        let described = report.checks.into_iter();
        described
            .map(|(name, check)| (name, serde_json::to_value(check).unwrap_or_default()))
            .collect()
    });
    let reply = Json(ReadyReply {
        status: if report.ready { "ready" } else { "unready" },
        failed,
        checks,
    });
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    if report.ready {
        (no_store, reply).into_response()
    } else {
        let retry_after = [(header::RETRY_AFTER, HeaderValue::from_static("2"))];
        (
            StatusCode::SERVICE_UNAVAILABLE,
            no_store,
            retry_after,
            reply,
        )
            .into_response()
    }
}

/// The routes that say how the server is.
pub(super) fn routes() -> OpenApiRouter<Arc<Readiness>> {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
}
