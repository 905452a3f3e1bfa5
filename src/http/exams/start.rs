//! Starting an exam, or going on with the one under way.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::exams::exam::{Exam, ExamCommand, ExamError, QuestionCount, Start, Status};
use domain::exams::question_bank::{Bank, QuestionBank};
use domain::id::{AccountId, ExamId};
use domain::language::Language;
use domain::rejection::Violation;
use projections::exams::attempts::{self, Latest};
use projections::exams::question_banks;
use projections::tables::Pinned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::attempt::{ExamBody, not_found};
use super::questions::MAIN_INSTRUMENT;
use crate::commands::{CommandError, Done, Request};
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::{Intent, Models, Position, query_failed};
use crate::http::extract::Json;
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// Tries against one's own other requests.
const TRIES: u32 = 4;
/// Longest wait for the read model that knows when the last exam was completed.
const READ_MODEL_WAIT: Duration = Duration::from_secs(1);

/// Which exam.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct StartBody {
    /// The instrument; `eq` when left out.
    #[schema(example = "eq")]
    instrument: Option<String>,
    /// `en`, `es` or `hi`; `en` when left out.
    #[schema(example = "en", value_type = Option<String>)]
    language: Option<Language>,
    /// How many questions, 5 to 50; 20 when left out. An instrument with fewer asks all it has.
    #[schema(example = 20)]
    question_count: Option<i64>,
}

/// Start an exam
///
/// While one of the same instrument is under way, that one is given back instead, with 200. After one is
/// completed the next can start when the cooldown is over.
#[utoipa::path(
    post,
    path = "/exams/start",
    tag = "exams",
    security(("bearer" = [])),
    request_body = StartBody,
    responses(
        (status = 201, description = "A new exam", body = ExamBody,
            headers(("Location" = String), ("Soulsense-Position" = i64))),
        (status = 200, description = "The exam that is under way", body = ExamBody, headers(("Location" = String))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`exams.cooldown` with `available_at`, `exams.nothing_to_ask`, `request.conflict`, `request.idempotency_key_in_flight`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`, `request.idempotency_key_reused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn start(
    caller: Caller,
    State(node): State<Arc<Node>>,
    intent: Intent,
    Models(models): Models,
    Json(body): Json<StartBody>,
) -> Result<Response, Problem> {
    let (bank, question_count) = body.check(&node, &models).await?;
    let id = ExamId(node.ids.next());
    let request = intent.by(&caller, &node, 201, &id.to_string(), &body)?;
    for _ in 0..TRIES {
        let latest = latest(&node, caller.account, &bank.instrument).await?;
        let exam_id = match latest {
            Some(Latest::UnderWay(exam_id)) if !is_known(&node, &request).await? => exam_id,
            _ => {
                let start = Start {
                    exam_id: id,
                    account_id: caller.account,
                    bank: Arc::clone(&bank),
                    question_count,
                    // until members have profiles
                    age: None,
                    language: body.language.unwrap_or_default(),
                    idle_timeout: node.config.exam_idle(),
                    last_completed_at: latest.and_then(Latest::completed_at),
                    cooldown: node.config.exam_cooldown(),
                    now: node.clock.now(),
                };
                let start = ExamCommand::Start(start);
                match node.exams.execute(&id.to_string(), &start, &request).await {
                    Ok(done) => return started(&node, &done).await,
                    Err(CommandError::Rejected(ExamError::AlreadyInProgress { exam_id })) => {
                        exam_id
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        if let Some(exam) = under_way(&node, &caller, exam_id, &request).await? {
            return reply(&node, StatusCode::OK, Position(None), &exam).await;
        }
    }
    Err(Problem::conflict())
}

impl StartBody {
    /// The bank and the number of questions that are asked for, or all that is wrong.
    async fn check(
        &self,
        node: &Node,
        models: &Pinned,
    ) -> Result<(Arc<Bank>, QuestionCount), Problem> {
        let instrument = self.instrument.as_deref().unwrap_or(MAIN_INSTRUMENT);
        let mut violations = Vec::new();
        let count = self.question_count.map(QuestionCount::try_new);
        let count = count.transpose().unwrap_or_else(|violation| {
            violations.push(violation.at("/question_count"));
            None
        });
        let bank = match question_banks::current_bank(models, instrument).await? {
            Some(bank) => published(node, &bank.instrument, bank.version).await?,
            None => None,
        };
        match bank {
            Some(bank) if violations.is_empty() => Ok((bank, count.unwrap_or_default())),
            Some(_) => Err(Problem::invalid(violations)),
            None => {
                let violation =
                    Violation::new("unknown_instrument", "There is no such instrument.");
                violations.push(violation.at("/instrument"));
                Err(Problem::invalid(violations))
            }
        }
    }
}

/// A bank that exams start from.
async fn published(
    node: &Node,
    instrument: &str,
    version: u32,
) -> Result<Option<Arc<Bank>>, Problem> {
    let loaded = node.banks.load(&format!("{instrument}-{version}")).await?;
    Ok(match loaded.state {
        QuestionBank::Published { bank } => Some(Arc::new(*bank)),
        QuestionBank::Unpublished | QuestionBank::Retired { .. } => None,
    })
}

/// What the next exam depends on, by a read model that has everything the log had when it was asked.
///
/// That serves for the cooldown as the log itself would: an exam under way at that moment is given back
/// instead, and one that another request starts meanwhile holds the claim. It would have to be completed
/// as well, between this look and the append, for its completion to be missed.
async fn latest(
    node: &Node,
    account: AccountId,
    instrument: &str,
) -> Result<Option<Latest>, Problem> {
    let head = node.log.reader().head().await.map_err(query_failed)?;
    let progress = node.projector.progress();
    if !progress
        .wait(&["exams"], head.position, READ_MODEL_WAIT)
        .await
    {
        return Err(Problem::read_model_behind());
    }
    Ok(attempts::latest(&node.read(), account, instrument).await?)
}

/// Whether this very request was carried out before, which decides what it is answered with.
async fn is_known(node: &Node, request: &Request) -> Result<bool, Problem> {
    let Some(remember) = &request.remember else {
        return Ok(false);
    };
    let known = node.log.known(remember, node.clock.now()).await;
    Ok(known.map_err(CommandError::<ExamError>::from)?.is_some())
}

/// A new exam, or the one that the same request has started before.
async fn started(node: &Node, done: &Done<Exam>) -> Result<Response, Problem> {
    let status = match &done.repeated {
        None => StatusCode::CREATED,
        Some(first) => StatusCode::from_u16(first.status).map_err(Problem::internal)?,
    };
    reply(node, status, Position(done.position), &done.state).await
}

/// The exam that is under way, when it still is: one that was left alone for too long is expired.
async fn under_way(
    node: &Node,
    caller: &Caller,
    id: ExamId,
    request: &Request,
) -> Result<Option<Exam>, Problem> {
    let now = node.clock.now();
    let exam = node.exams.load(&id.to_string()).await?.state;
    let is_idle = exam
        .attempt_of(caller.account)
        .map(|attempt| attempt.is_idle(now));
    match (exam.status(), is_idle) {
        (Some(Status::InProgress), Ok(false)) => Ok(Some(exam)),
        (Some(Status::InProgress), Ok(true)) => {
            let request = Request {
                remember: None,
                ..request.clone()
            };
            let expire = ExamCommand::Expire { now };
            match node.exams.execute(&id.to_string(), &expire, &request).await {
                // an answer came in between: it is under way after all
                Ok(_) | Err(CommandError::Rejected(ExamError::StillActive)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
        // it ended in between
        _ => Ok(None),
    }
}

async fn reply(
    node: &Node,
    status: StatusCode,
    position: Position,
    exam: &Exam,
) -> Result<Response, Problem> {
    let attempt = exam.attempt().ok_or_else(not_found)?;
    let bank = format!("{}-{}", attempt.instrument, attempt.bank_version);
    let bank = node.banks.load(&bank).await?.state;
    let body = bank
        .bank()
        .and_then(|bank| ExamBody::of_state(exam, bank, node.clock.now()))
        .ok_or_else(not_found)?;
    let location = format!("/api/v1/exams/{}", body.id);
    Ok((status, position, [(header::LOCATION, location)], Json(body)).into_response())
}
