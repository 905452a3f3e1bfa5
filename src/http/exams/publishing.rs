//! Publishing and retiring question banks.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use domain::exams::question_bank::{Bank, QuestionBankCommand, QuestionBankError};
use domain::identity::account::Role;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::{Intent, Position};
use crate::http::extract::{Json, Path};
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// A bank that was published.
#[derive(Serialize, ToSchema)]
pub(super) struct PublishedBody {
    #[schema(example = "eq")]
    instrument: String,
    #[schema(example = 2)]
    version: u32,
    /// How many questions it has.
    #[schema(example = 64)]
    question_count: usize,
}

/// Publish a question bank
///
/// In the format of the data files that come with the program. Published banks never change: the same bank
/// again changes nothing, other content needs another version. New exams ask the newest version.
#[utoipa::path(
    post,
    path = "/questions/banks",
    tag = "questions",
    security(("bearer" = [])),
    request_body(content = Object, description = "The bank", example = json!({
        "instrument": "eq",
        "version": 2,
        "title": {"en": "…", "es": "…", "hi": "…"},
        "description": {"en": "…", "es": "…", "hi": "…"},
        "scale": {"min": 1, "max": 5, "labels": {"en": ["Never", "Rarely", "Sometimes", "Often", "Always"], "es": ["…"], "hi": ["…"]}},
        "categories": [{"id": "self_awareness", "name": {"en": "…", "es": "…", "hi": "…"}}],
        "items": [{"id": "sa_01", "text": {"en": "…", "es": "…", "hi": "…"}, "category": "self_awareness", "reverse_keyed": false, "weight": 1, "min_age": 13, "max_age": 120, "pair": "sa_05"}],
    })),
    responses(
        (status = 201, description = "It is published", body = PublishedBody,
            headers(("Location" = String), ("Soulsense-Position" = i64))),
        (status = 200, description = "It was published before", body = PublishedBody, headers(("Location" = String))),
        (status = 400, description = "`request.malformed_json`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`auth.role_required`: admin", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`exams.bank_already_published`, `request.idempotency_key_in_flight`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`exams.bank_invalid`, `request.idempotency_key_reused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn publish(
    caller: Caller,
    State(node): State<Arc<Node>>,
    intent: Intent,
    Json(body): Json<Value>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Admin)?;
    let bank = Bank::parse(&body.to_string())
        .map_err(|faults| Problem::from_rejection(&QuestionBankError::Invalid(faults)))?;
    let id = bank.stream_id();
    let location = format!(
        "/api/v1/questions/banks/{}/{}",
        bank.instrument, bank.version
    );
    let published = PublishedBody {
        instrument: bank.instrument.clone(),
        version: bank.version,
        question_count: bank.items.len(),
    };
    let request = intent.by(&caller, &node, 201, &id, &body)?;
    let command = QuestionBankCommand::Publish {
        bank: Box::new(bank),
        now: node.clock.now(),
    };
    let done = node.banks.execute(&id, &command, &request).await?;
    let status = match done.position {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    Ok((
        status,
        Position(done.position),
        [(header::LOCATION, location)],
        Json(published),
    ))
}

/// Retire a question bank
///
/// No exam starts from it any more; those under way are finished with it. Retiring it again changes nothing.
#[utoipa::path(
    post,
    path = "/questions/banks/{instrument}/{version}/retire",
    tag = "questions",
    security(("bearer" = [])),
    params(
        ("instrument" = String, Path, description = "The instrument", example = "eq"),
        ("version" = u32, Path, description = "The version of its bank", example = 1),
    ),
    responses(
        (status = 204, description = "It is retired", headers(("Soulsense-Position" = i64))),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`auth.role_required`: admin", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.bank_not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`request.idempotency_key_in_flight`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn retire(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path((instrument, version)): Path<(String, u32)>,
    intent: Intent,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Admin)?;
    let id = format!("{instrument}-{version}");
    let request = intent.by(&caller, &node, 204, &id, &())?;
    let command = QuestionBankCommand::Retire {
        now: node.clock.now(),
    };
    let done = node.banks.execute(&id, &command, &request).await?;
    Ok((Position(done.position), StatusCode::NO_CONTENT))
}
