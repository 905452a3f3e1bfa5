//! An attempt at an exam as its member sees it, and giving it up.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use domain::exams::exam::{self, Exam, ExamCommand, ExamError, Status};
use domain::exams::question_bank::Bank;
use domain::id::ExamId;
use domain::language::Language;
use projections::exams::{attempts, question_banks};
use projections::tables::Pinned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::questions::{ScaleBody, in_language};
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::{Intent, Models, Position};
use crate::http::extract::{Json, Path, Query};
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// One attempt at an exam.
#[derive(Serialize, ToSchema)]
pub(super) struct ExamBody {
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27", value_type = uuid::Uuid)]
    pub(super) id: ExamId,
    #[schema(example = "eq")]
    instrument: String,
    #[schema(example = 1)]
    bank_version: u32,
    /// `en`, `es` or `hi`.
    #[schema(example = "en", value_type = String)]
    language: Language,
    /// `in_progress`, `completed`, `abandoned` or `expired`.
    #[schema(example = "in_progress", value_type = String)]
    status: Status,
    /// What is asked, in order.
    questions: Vec<AskedBody>,
    /// What the member said about it.
    #[schema(example = "I was tired today.")]
    reflection: Option<String>,
    #[schema(example = "2025-10-11T09:30:00Z")]
    started_at: DateTime<Utc>,
    /// When it expires if nothing more happens; `null` once it takes no more answers.
    #[schema(example = "2025-10-11T10:30:00Z")]
    expires_at: Option<DateTime<Utc>>,
    /// When it was completed.
    completed_at: Option<DateTime<Utc>>,
}

/// A question with the answer so far.
#[derive(Serialize, ToSchema)]
struct AskedBody {
    #[schema(example = "sa_01")]
    id: String,
    /// The statement, in the language of the exam.
    #[schema(example = "When my mood changes, I can name the feeling.")]
    text: String,
    /// An explanation, if there is one.
    tooltip: Option<String>,
    /// The slug of its category.
    #[schema(example = "self_awareness")]
    category: String,
    scale: ScaleBody,
    /// The answer, 1 to 5.
    #[schema(example = 4)]
    response: Option<u8>,
}

impl ExamBody {
    /// From the state that a command left and the bank it asks from; `None` when nothing is left of it.
    pub(super) fn of_state(exam: &Exam, bank: &Bank, now: DateTime<Utc>) -> Option<Self> {
        let attempt = exam.attempt()?;
        let status = match exam.status()? {
            Status::InProgress if attempt.is_idle(now) => Status::Expired,
            status => status,
        };
        let scale = ScaleBody::new(&bank.scale, attempt.language);
        let questions = attempt.questions().filter_map(|(asked, answer)| {
            let item = bank.item(&asked.id)?;
            let tooltip = item.tooltip.as_ref();
            Some(AskedBody {
                id: item.id.clone(),
                text: in_language(&item.text, attempt.language),
                tooltip: tooltip.map(|tooltip| in_language(tooltip, attempt.language)),
                category: item.category.clone(),
                scale: scale.clone(),
                response: answer.map(exam::Answer::get),
            })
        });
        let reflection = attempt.reflection.as_ref();
        Some(Self {
            id: attempt.exam_id,
            instrument: attempt.instrument.clone(),
            bank_version: attempt.bank_version,
            language: attempt.language,
            status,
            questions: questions.collect(),
            reflection: reflection
                .filter(|words| !words.is_blank())
                .map(|words| words.as_str().to_owned()),
            started_at: attempt.started_at,
            expires_at: (status == Status::InProgress).then(|| attempt.expires_at()),
            completed_at: exam.result().map(|(_, completed_at)| completed_at),
        })
    }

    /// From the read models, in a fixed number of statements.
    async fn of_models(models: &Pinned, attempt: attempts::Attempt) -> Result<Self, Problem> {
        let (instrument, version) = (attempt.instrument.as_str(), attempt.bank_version);
        let bank = question_banks::bank(models, instrument, version)
            .await?
            .ok_or_else(Problem::read_model_behind)?;
        let questions = question_banks::questions_of(models, instrument, version).await?;
        let scale = ScaleBody::new(&bank.scale, attempt.language);
        let mut questions: BTreeMap<String, question_banks::Question> = questions
            .into_iter()
            .map(|question| (question.id.clone(), question))
            .collect();
        let asked = attempt.items.iter().filter_map(|id| {
            let question = questions.remove(id)?;
            let tooltip = question.tooltip.as_ref();
            Some(AskedBody {
                text: in_language(&question.text, attempt.language),
                tooltip: tooltip.map(|tooltip| in_language(tooltip, attempt.language)),
                id: question.id,
                category: question.category,
                scale: scale.clone(),
                response: attempt.answers.get(id).copied(),
            })
        });
        Ok(Self {
            id: attempt.id,
            bank_version: attempt.bank_version,
            language: attempt.language,
            status: attempt.status,
            questions: asked.collect(),
            started_at: attempt.started_at,
            expires_at: (attempt.status == Status::InProgress).then_some(attempt.expires_at),
            completed_at: attempt.completed_at,
            instrument: attempt.instrument,
            reflection: attempt.reflection,
        })
    }
}

/// Which exam under way.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CurrentQuery {
    /// Of this instrument only.
    instrument: Option<String>,
}

/// The exam under way
///
/// The one started last of those that still take answers.
#[utoipa::path(
    get,
    path = "/exams/current",
    tag = "exams",
    security(("bearer" = [])),
    params(CurrentQuery),
    responses(
        (status = 200, description = "The exam with its answers so far", body = ExamBody),
        (status = 400, description = "`request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.not_found`: none is under way", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn current(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Models(models): Models,
    Query(query): Query<CurrentQuery>,
) -> Result<Json<ExamBody>, Problem> {
    let instrument = query.instrument.as_deref();
    let now = node.clock.now();
    let attempt = attempts::current(&models, caller.account, instrument, now)
        .await?
        .ok_or_else(not_found)?;
    ExamBody::of_models(&models, attempt).await.map(Json)
}

/// An exam
#[utoipa::path(
    get,
    path = "/exams/{id}",
    tag = "exams",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The exam")),
    responses(
        (status = 200, description = "The exam with its answers so far", body = ExamBody),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn exam(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<ExamId>,
    Models(models): Models,
) -> Result<Json<ExamBody>, Problem> {
    let attempt = attempts::exam(&models, id, caller.account, node.clock.now())
        .await?
        .ok_or_else(not_found)?;
    ExamBody::of_models(&models, attempt).await.map(Json)
}

/// Give an exam up
///
/// It takes no more answers and has no result. Giving it up again changes nothing.
#[utoipa::path(
    post,
    path = "/exams/{id}/abandon",
    tag = "exams",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The exam")),
    responses(
        (status = 204, description = "It is given up", headers(("Soulsense-Position" = i64))),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`exams.already_completed`, `exams.expired`, `request.idempotency_key_in_flight`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn abandon(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<ExamId>,
    intent: Intent,
) -> Result<impl IntoResponse, Problem> {
    let id = id.to_string();
    let request = intent.by(&caller, &node, 204, &id, &())?;
    let command = ExamCommand::Abandon {
        account_id: caller.account,
        now: node.clock.now(),
    };
    let done = node.exams.execute(&id, &command, &request).await?;
    Ok((Position(done.position), StatusCode::NO_CONTENT))
}

/// 404: no such exam, or another member's.
pub(super) fn not_found() -> Problem {
    Problem::from_rejection(&ExamError::NotFound)
}
