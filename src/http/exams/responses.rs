//! Answering questions, and saying something about the exam in one's own words.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use domain::exams::exam::{ExamCommand, ExamError, Reflection, Response};
use domain::id::ExamId;
use domain::rejection::Violation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::attempt::not_found;
use crate::commands::CommandError;
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::{Intent, Position};
use crate::http::extract::{Json, Path};
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// Most answers in one request: no exam asks more.
const RESPONSES_MAX: usize = 50;
/// Where the domain finds a single answer wrong.
const SINGLE: &str = "/responses/0";

/// One answer, or many in `responses`.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct ResponsesBody {
    /// The question, for one answer.
    #[schema(example = "sa_01")]
    question_id: Option<String>,
    /// The answer to it, 1 to 5.
    #[schema(example = 4)]
    value: Option<i64>,
    /// Many answers, 1 to 50: all of them are saved, or none.
    responses: Option<Vec<ResponseBody>>,
}

/// One answer.
#[derive(Serialize, Deserialize, ToSchema)]
struct ResponseBody {
    #[schema(example = "sa_01")]
    question_id: String,
    /// 1 to 5.
    #[schema(example = 4)]
    value: i64,
}

/// How far the exam is answered.
#[derive(Serialize, ToSchema)]
pub(super) struct Answered {
    /// Questions with an answer.
    #[schema(example = 1)]
    answered: usize,
    /// Questions altogether.
    #[schema(example = 20)]
    total: usize,
}

/// Save answers
///
/// One or many, all or none. Answers may change until the exam is completed.
#[utoipa::path(
    post,
    path = "/exams/{id}/responses",
    tag = "exams",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The exam")),
    request_body(content = ResponsesBody, examples(
        ("one" = (value = json!({"question_id": "sa_01", "value": 4}))),
        ("many" = (value = json!({"responses": [{"question_id": "sa_01", "value": 4}, {"question_id": "sm_02", "value": 2}]}))),
    )),
    responses(
        (status = 200, description = "They are saved", body = Answered, headers(("Soulsense-Position" = i64))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`exams.already_completed`, `exams.abandoned`, `exams.expired`, `request.idempotency_key_in_flight`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`exams.invalid_responses`, `request.invalid`, `request.idempotency_key_reused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn save(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<ExamId>,
    intent: Intent,
    Json(body): Json<ResponsesBody>,
) -> Result<impl IntoResponse, Problem> {
    let id = id.to_string();
    let request = intent.by(&caller, &node, 200, &id, &body)?;
    let is_single = body.responses.is_none();
    let command = ExamCommand::SaveResponses {
        account_id: caller.account,
        responses: body.into_responses()?,
        now: node.clock.now(),
    };
    let done = match node.exams.execute(&id, &command, &request).await {
        Err(CommandError::Rejected(ExamError::Invalid(violations))) if is_single => {
            let violations = violations.into_iter().map(without_list).collect();
            return Err(Problem::from_rejection(&ExamError::Invalid(violations)));
        }
        outcome => outcome?,
    };
    let attempt = done.state.attempt().ok_or_else(not_found)?;
    let answered = Answered {
        answered: attempt.answered(),
        total: attempt.total(),
    };
    Ok((Position(done.position), Json(answered)))
}

impl ResponsesBody {
    /// The answers in either form.
    fn into_responses(self) -> Result<Vec<Response>, Problem> {
        let invalid = |violation: Violation| Problem::invalid(vec![violation]);
        let missing =
            |pointer: &str| invalid(Violation::new("missing", "This field is needed.").at(pointer));
        let Some(responses) = self.responses else {
            return Ok(vec![Response {
                question_id: self.question_id.ok_or_else(|| missing("/question_id"))?,
                value: self.value.ok_or_else(|| missing("/value"))?,
            }]);
        };
        for (given, pointer) in [
            (self.question_id.is_some(), "/question_id"),
            (self.value.is_some(), "/value"),
        ] {
            if given {
                let violation = Violation::new("ambiguous", "Send one answer or a list, not both.");
                return Err(invalid(violation.at(pointer)));
            }
        }
        if responses.len() > RESPONSES_MAX {
            let violation = Violation::new("too_long", "An exam asks at most 50 questions.")
                .with("max", RESPONSES_MAX);
            return Err(invalid(violation.at("/responses")));
        }
        let responses = responses.into_iter().map(|response| Response {
            question_id: response.question_id,
            value: response.value,
        });
        Ok(responses.collect())
    }
}

/// The same violation of a body that holds one answer and no list.
fn without_list(mut violation: Violation) -> Violation {
    if let Some(rest) = violation.pointer.strip_prefix(SINGLE) {
        violation.pointer = rest.to_owned().into();
    }
    violation
}

/// One's own words about an exam.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct ReflectionBody {
    /// At most 5000 characters; empty words take earlier ones back.
    #[schema(example = "I was tired today, and still calmer than last time.")]
    reflection: String,
}

/// Write a reflection
///
/// In place of what was said before.
#[utoipa::path(
    put,
    path = "/exams/{id}/reflection",
    tag = "exams",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The exam")),
    request_body = ReflectionBody,
    responses(
        (status = 204, description = "It is kept", headers(("Soulsense-Position" = i64))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`exams.already_completed`, `exams.abandoned`, `exams.expired`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn reflect(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<ExamId>,
    intent: Intent,
    Json(body): Json<ReflectionBody>,
) -> Result<impl IntoResponse, Problem> {
    let id = id.to_string();
    let request = intent.by(&caller, &node, 204, &id, &body)?;
    let command = ExamCommand::WriteReflection {
        account_id: caller.account,
        reflection: reflection(&body.reflection)?,
        now: node.clock.now(),
    };
    let done = node.exams.execute(&id, &command, &request).await?;
    Ok((Position(done.position), StatusCode::NO_CONTENT))
}

/// A reflection in the field of that name.
pub(super) fn reflection(words: &str) -> Result<Reflection, Problem> {
    Reflection::parse(words)
        .map_err(|violation| Problem::invalid(vec![violation.at("/reflection")]))
}
