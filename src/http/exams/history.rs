//! A member's exams, the newest first.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::exams::exam::Status;
use domain::id::ExamId;
use domain::language::Language;
use projections::exams::attempts::{self, Filter, HistoryItem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::result::OverallBody;
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::Models;
use crate::http::extract::{Json, Query};
use crate::http::paging::{self, Listed};
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// An exam in short.
#[derive(Serialize, ToSchema)]
pub(super) struct HistoryItemBody {
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27", value_type = uuid::Uuid)]
    id: ExamId,
    #[schema(example = "eq")]
    instrument: String,
    #[schema(example = 1)]
    bank_version: u32,
    /// `en`, `es` or `hi`.
    #[schema(example = "en", value_type = String)]
    language: Language,
    /// `in_progress`, `completed`, `abandoned` or `expired`.
    #[schema(example = "completed", value_type = String)]
    status: Status,
    /// Questions with an answer.
    #[schema(example = 20)]
    answered: i64,
    /// Questions altogether.
    #[schema(example = 20)]
    total: i64,
    /// The result over all questions, of a completed exam.
    overall: Option<OverallBody>,
    #[schema(example = "2025-10-11T09:30:00Z")]
    started_at: DateTime<Utc>,
    /// When it was completed.
    #[schema(example = "2025-10-11T09:36:00Z")]
    completed_at: Option<DateTime<Utc>>,
}

impl From<HistoryItem> for HistoryItemBody {
    fn from(item: HistoryItem) -> Self {
        Self {
            id: item.id,
            instrument: item.instrument,
            bank_version: item.bank_version,
            language: item.language,
            status: item.status,
            answered: item.answered,
            total: item.total,
            overall: item.overall.map(|overall| OverallBody {
                percentage: overall.percentage,
                band: overall.band,
            }),
            started_at: item.started_at,
            completed_at: item.completed_at,
        }
    }
}

/// Which exams.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Of this instrument only.
    instrument: Option<String>,
    /// Only those that are `in_progress`, `completed`, `abandoned` or `expired`.
    #[param(value_type = Option<String>)]
    status: Option<Status>,
    /// Items of a page, 1 to 100; 20 when left out.
    limit: Option<i64>,
    /// Where to read on: `next` of the page before.
    cursor: Option<String>,
}

/// One's exams
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/exams/history",
    tag = "exams",
    security(("bearer" = [])),
    params(HistoryQuery),
    responses(
        (status = 200, description = "A page of exams", body = Listed<HistoryItemBody>),
        (status = 400, description = "`request.unknown_field`, `request.nul_character`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn history(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Models(models): Models,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Listed<HistoryItemBody>>, Problem> {
    let (limit, before) = paging::asked(query.limit, query.cursor.as_deref())?;
    let filter = Filter {
        limit,
        before,
        instrument: query.instrument,
        status: query.status,
    };
    let page = attempts::history(&models, caller.account, &filter, node.clock.now()).await?;
    Ok(Json(page.into()))
}
