//! From a request to a command and back: metadata, command id, position header, and the one way a failed
//! command becomes a problem.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponseParts, ResponseParts};
use chrono::TimeDelta;
use domain::Rejection;
use event_log::Metadata;
use event_log::command_ids::{Outcome, Remember};
use projections::projection::Projection;
use projections::query::QueryError;
use projections::tables::Pinned;
use serde::Serialize;
use uuid::Uuid;

use super::Problem;
use super::caller::Caller;
use super::extract::{IdempotencyKey, MinPosition, POSITION, Prefer, RequestId};
use crate::commands::{CommandError, Request};
use crate::node::Node;

/// How long a command id that came over HTTP is remembered.
const REMEMBERED: TimeDelta = TimeDelta::hours(24);
/// Longest wait for the position that a GET asks for.
const MIN_POSITION_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// What a request says about the command in it, beside its body.
#[derive(Debug, Clone)]
pub struct Intent {
    /// Derived from the request id.
    pub correlation_id: Uuid,
    route: String,
    key: Option<String>,
    respond_async: bool,
}

impl FromRequestParts<Arc<Node>> for Intent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        let RequestId(request_id) = RequestId::from_request_parts(parts, node).await?;
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(parts, node).await?;
        let key = key.filter(|_| parts.method == Method::POST);
        let Prefer { respond_async } = Prefer::from_request_parts(parts, node).await?;
        let correlation_id = Uuid::parse_str(&request_id)
            .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_URL, request_id.as_bytes()));
        let route = format!("{} {}", parts.method, parts.uri.path());
        Ok(Self {
            correlation_id,
            route,
            key,
            respond_async,
        })
    }
}

impl Intent {
    /// The command of a signed-in member. `status` and `id` are what a repetition is answered with;
    /// `body` tells a repetition from another request under the same `Idempotency-Key`, which counts on
    /// `POST` alone: the other methods repeat safely as they are.
    pub fn by(
        self,
        caller: &Caller,
        node: &Node,
        status: u16,
        id: &str,
        body: &impl Serialize,
    ) -> Result<Request, Problem> {
        let remember = match self.key {
            None => None,
            Some(key) => Some(Remember {
                scope: format!("http:{}:{}", caller.account, self.route),
                key,
                request: serde_json::to_vec(body).map_err(Problem::internal)?,
                outcome: Outcome {
                    status,
                    aggregate_id: id.to_owned(),
                },
                expires_at: Some(node.clock.now() + REMEMBERED),
                cause: None,
            }),
        };
        Ok(Request {
            metadata: Metadata {
                correlation_id: self.correlation_id,
                causation_id: None,
                actor_id: caller.account.to_string(),
                actor_role: caller.role(),
            },
            remember,
            respond_async: self.respond_async,
        })
    }

    /// A command whose sender proves who they are in the command itself (register, login, refresh); its
    /// `Idempotency-Key` is ignored.
    pub fn unproven(self, actor_id: String) -> Request {
        Request {
            metadata: Metadata {
                correlation_id: self.correlation_id,
                causation_id: None,
                actor_id,
                actor_role: "member",
            },
            remember: None,
            respond_async: self.respond_async,
        }
    }
}

/// `Soulsense-Position` of a reply: where the log stood after the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(pub Option<i64>);

impl IntoResponseParts for Position {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        if let Some(position) = self.0 {
            parts
                .headers_mut()
                .insert(POSITION, HeaderValue::from(position));
        }
        Ok(parts)
    }
}

impl<E: Rejection> From<CommandError<E>> for Problem {
    fn from(error: CommandError<E>) -> Self {
        match error {
            CommandError::Rejected(rejection) => Self::from_rejection(&rejection),
            CommandError::OtherRequest => Self::idempotency_key_reused(),
            CommandError::InFlight => Self::idempotency_key_in_flight(),
            CommandError::SubjectErased => Self::subject_erased(),
            CommandError::Busy => Self::busy(),
            CommandError::Unknown => Self::unavailable(error),
            CommandError::Internal(error) if error.is_unavailable() => Self::unavailable(error),
            CommandError::Internal(error) => Self::internal(error),
        }
    }
}

/// A failed query: the database is away, or something is wrong inside.
pub fn query_failed(error: sqlx::Error) -> Problem {
    if event_log::database::is_unavailable(&error) {
        Problem::unavailable(error)
    } else {
        Problem::internal(error)
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        if error.is_unavailable() {
            Self::unavailable(error)
        } else {
            Self::internal(error)
        }
    }
}

/// The read models a GET reads: pinned, after they have reached the position the client asks for. Those that
/// gather are not waited for: nobody who reads others should wait for them.
#[derive(Debug, Clone)]
pub struct Models(pub Pinned);

impl FromRequestParts<Arc<Node>> for Models {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        pinned(parts, node, |projection| !projection.gathers())
            .await
            .map(Self)
    }
}

/// The same for a GET that reads those that gather: these, too, have reached the position.
#[derive(Debug, Clone)]
pub struct AllModels(pub Pinned);

impl FromRequestParts<Arc<Node>> for AllModels {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        pinned(parts, node, |_| true).await.map(Self)
    }
}

async fn pinned(
    parts: &mut Parts,
    node: &Arc<Node>,
    waits_for: impl Fn(&dyn Projection) -> bool,
) -> Result<Pinned, Problem> {
    let MinPosition(wanted) = MinPosition::from_request_parts(parts, node).await?;
    if let Some(position) = wanted {
        let projections = node.projector.projections().iter();
        let names: Vec<&str> = projections
            .filter(|projection| waits_for(projection.as_ref()))
            .map(|projection| projection.name())
            .collect();
        let progress = node.projector.progress();
        if !progress.wait(&names, position, MIN_POSITION_WAIT).await {
            return Err(Problem::read_model_behind());
        }
    }
    if !node.projector.is_live() {
        return Err(Problem::read_model_behind());
    }
    Ok(node.read())
}
