//! Having an exam scored, and reading the result.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use domain::exams::exam::scoring::percentile;
use domain::exams::exam::{
    Band, CategoryResult, Exam, ExamCommand, ExamError, Flags, Percentage, Priority,
};
use domain::exams::recommendation::{DISCLAIMER, Recommendation, recommendations};
use domain::id::{AccountId, ExamId};
use domain::sentiment::{Sentiment, SentimentLabel};
use projections::exams::attempts::{self, Scored};
use projections::tables::Pinned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::attempt::not_found;
use super::responses::reflection;
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::{Intent, Models, Position};
use crate::http::extract::{Json, Path};
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// The result of a completed exam.
#[derive(Serialize, ToSchema)]
pub(super) struct ResultBody {
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27", value_type = uuid::Uuid)]
    exam_id: ExamId,
    #[schema(example = "eq")]
    instrument: String,
    #[schema(example = 1)]
    bank_version: u32,
    /// The formulas it was scored by.
    #[schema(example = 1)]
    scoring_version: u16,
    overall: OverallBody,
    /// By category, in the order of their slugs.
    categories: Vec<CategoryResultBody>,
    /// What to work on, the most urgent first.
    recommendations: Vec<RecommendationBody>,
    flags: FlagsBody,
    /// What the reflection reads like; `null` without one, or when it is not in English.
    sentiment: Option<SentimentBody>,
    /// The share of the other members' latest sound results that are lower, 0 to 100; `null` with fewer
    /// than 20 of them.
    #[schema(example = 63)]
    percentile: Option<u8>,
    /// What it is and is not.
    #[schema(example = "Indicative, not a diagnosis.")]
    disclaimer: &'static str,
    #[schema(example = "2025-10-11T09:30:00Z")]
    started_at: DateTime<Utc>,
    #[schema(example = "2025-10-11T09:36:00Z")]
    completed_at: DateTime<Utc>,
}

/// The result over all questions.
#[derive(Serialize, ToSchema)]
pub(super) struct OverallBody {
    /// 0 to 100, to one decimal.
    #[schema(example = 62.5, value_type = f64)]
    pub(super) percentage: Percentage,
    /// `developing`, `emerging`, `proficient` or `strong`.
    #[schema(example = "proficient", value_type = String)]
    pub(super) band: Band,
}

/// The result of one category.
#[derive(Serialize, ToSchema)]
struct CategoryResultBody {
    #[schema(example = "self_awareness")]
    category: String,
    /// How many of its questions were asked.
    #[schema(example = 5)]
    items: u32,
    /// Sum of weight times keyed answer.
    #[schema(example = 18)]
    score: u32,
    /// The lowest possible score.
    #[schema(example = 5)]
    min: u32,
    /// The highest possible score.
    #[schema(example = 25)]
    max: u32,
    /// 0 to 100, to one decimal.
    #[schema(example = 65.0, value_type = f64)]
    percentage: Percentage,
    /// `developing`, `emerging`, `proficient` or `strong`; `null` with fewer than three questions.
    #[schema(example = "proficient", value_type = Option<String>)]
    band: Option<Band>,
}

/// Something to work on.
#[derive(Serialize, ToSchema)]
struct RecommendationBody {
    #[schema(example = "self_management")]
    category: String,
    /// `high`, `medium` or `low`.
    #[schema(example = "high", value_type = String)]
    priority: Priority,
    /// In the language of the exam.
    #[schema(example = "Before you answer something that stirs you up, take three slow breaths.")]
    message: &'static str,
}

/// What speaks against the result.
#[derive(Serialize, ToSchema)]
struct FlagsBody {
    /// Answered in less than two seconds a question on average.
    #[schema(example = false)]
    rushed: bool,
    /// The answers contradict each other; `null` when too little was asked to tell.
    #[schema(example = false)]
    inconsistent: Option<bool>,
}

/// What a text reads like.
#[derive(Serialize, ToSchema)]
struct SentimentBody {
    /// -1 to 1.
    #[schema(example = 0.6249)]
    compound: f64,
    /// 0 to 100.
    #[schema(example = 81.25)]
    score: f64,
    /// `positive`, `neutral` or `negative`.
    #[schema(example = "positive", value_type = String)]
    label: SentimentLabel,
}

impl From<CategoryResult> for CategoryResultBody {
    fn from(result: CategoryResult) -> Self {
        Self {
            category: result.category,
            items: result.items,
            score: result.score,
            min: result.min,
            max: result.max,
            percentage: result.percentage,
            band: result.band,
        }
    }
}

impl From<Recommendation> for RecommendationBody {
    fn from(recommendation: Recommendation) -> Self {
        Self {
            category: recommendation.category,
            priority: recommendation.priority,
            message: recommendation.message,
        }
    }
}

impl From<Flags> for FlagsBody {
    fn from(flags: Flags) -> Self {
        Self {
            rushed: flags.rushed,
            inconsistent: flags.inconsistent,
        }
    }
}

impl From<Sentiment> for SentimentBody {
    fn from(sentiment: Sentiment) -> Self {
        Self {
            compound: sentiment.compound,
            score: sentiment.score,
            label: sentiment.label,
        }
    }
}

impl ResultBody {
    /// A result with what suits it: recommendations, and where it stands at present.
    async fn new(
        models: &Pinned,
        id: ExamId,
        account: AccountId,
        scored: Scored,
    ) -> Result<Self, Problem> {
        let Scored { result, .. } = scored;
        let standing = attempts::standing(
            models,
            account,
            &scored.instrument,
            scored.bank_version,
            scored.scoring_version,
            result.overall.percentage,
        )
        .await?;
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let recommendations = recommendations(&result, &scored.instrument, scored.language);
        Ok(Self {
            exam_id: id,
            instrument: scored.instrument,
            bank_version: scored.bank_version,
            scoring_version: scored.scoring_version,
            overall: OverallBody {
                percentage: result.overall.percentage,
                band: result.overall.band,
            },
            categories: result.categories.into_iter().map(Into::into).collect(),
            recommendations: recommendations.into_iter().map(Into::into).collect(),
            flags: result.flags.into(),
            sentiment: result.sentiment.map(Into::into),
            percentile: percentile(
                count(standing.below),
                count(standing.equal),
                count(standing.others),
            ),
            disclaimer: DISCLAIMER.get(scored.language),
            started_at: scored.started_at,
            completed_at: scored.completed_at,
        })
    }
}

/// What comes with the completion.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct CompleteBody {
    /// Words in place of what was said before, at most 5000 characters.
    #[schema(example = "I was tired today, and still calmer than last time.")]
    reflection: Option<String>,
}

/// Complete an exam
///
/// Every question needs an answer. The server scores. Completing again gives the same result.
#[utoipa::path(
    post,
    path = "/exams/{id}/complete",
    tag = "exams",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The exam")),
    request_body = CompleteBody,
    responses(
        (status = 200, description = "The result", body = ResultBody, headers(("Soulsense-Position" = i64))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`exams.abandoned`, `exams.expired`, `request.idempotency_key_in_flight`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`exams.incomplete` with `missing`, `request.invalid`, `request.idempotency_key_reused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn complete(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<ExamId>,
    intent: Intent,
    Models(models): Models,
    Json(body): Json<CompleteBody>,
) -> Result<impl IntoResponse, Problem> {
    let request = intent.by(&caller, &node, 200, &id.to_string(), &body)?;
    let command = ExamCommand::Complete {
        account_id: caller.account,
        reflection: body.reflection.as_deref().map(reflection).transpose()?,
        now: node.clock.now(),
    };
    let done = node
        .exams
        .execute(&id.to_string(), &command, &request)
        .await?;
    let scored = scored(&done.state).ok_or_else(not_found)?;
    let result = ResultBody::new(&models, id, caller.account, scored).await?;
    Ok((Position(done.position), Json(result)))
}

/// The result in a completed exam; `None` when it is erased.
fn scored(exam: &Exam) -> Option<Scored> {
    let (result, completed_at) = exam.result()?;
    let attempt = exam.attempt()?;
    Some(Scored {
        instrument: attempt.instrument.clone(),
        bank_version: attempt.bank_version,
        scoring_version: attempt.scoring_version,
        language: attempt.language,
        started_at: attempt.started_at,
        completed_at,
        result: result.known()?.clone(),
    })
}

/// The result of an exam
#[utoipa::path(
    get,
    path = "/exams/{id}/results",
    tag = "exams",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The exam")),
    responses(
        (status = 200, description = "The result", body = ResultBody),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`exams.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`exams.not_completed`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn results(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<ExamId>,
    Models(models): Models,
) -> Result<Json<ResultBody>, Problem> {
    let Some(scored) = attempts::result(&models, id, caller.account).await? else {
        let now = node.clock.now();
        let exam = attempts::exam(&models, id, caller.account, now).await?;
        let rejection = exam.map_or(ExamError::NotFound, |_| ExamError::NotCompleted);
        return Err(Problem::from_rejection(&rejection));
    };
    let result = ResultBody::new(&models, id, caller.account, scored).await?;
    Ok(Json(result))
}
