//! Routes of gamification: experience points, levels and streaks.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use chrono::{DateTime, NaiveDate, Utc};
use domain::gamification::level::level;
use domain::gamification::progress::{Streak, StreakKind};
use projections::gamification::queries;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Problem;
use super::caller::Caller;
use super::command::Models;
use super::extract::{Json, Query};
use super::paging::{self, Listed};
use super::problem::ProblemDocument;
use crate::node::Node;

/// The routes, relative to `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .routes(routes!(summary))
        .routes(routes!(xp))
        .routes(routes!(history))
        .routes(routes!(streaks))
}

/// What a member has earned.
#[derive(Debug, Serialize, ToSchema)]
struct Summary {
    xp: Xp,
    /// Journal, exam and any, in this order.
    streaks: Vec<DayStreak>,
    /// Achievements unlocked lately.
    #[schema(value_type = Vec<Object>)]
    recent_achievements: [(); 0],
    /// Challenges under way.
    #[schema(value_type = Vec<Object>)]
    active_challenges: [(); 0],
}

/// Experience points and the level they carry to.
#[derive(Debug, Serialize, ToSchema)]
struct Xp {
    #[schema(example = 550)]
    total: u64,
    /// From 1.
    #[schema(example = 2)]
    level: u32,
    /// The total at which the next level begins.
    #[schema(example = 600)]
    next_level_at: u64,
    /// The part of this level that is done, 0 to 1.
    #[schema(example = 0.5)]
    level_progress: f64,
}

/// Days in a row, as they stand today.
#[derive(Debug, Serialize, ToSchema)]
struct DayStreak {
    /// `journal`, `exam` or `any`.
    #[schema(example = "journal")]
    activity: &'static str,
    /// Days of the run that still goes on, 0 when it is over.
    #[schema(example = 3)]
    current: u32,
    /// Days of the longest run there was.
    #[schema(example = 12)]
    longest: u32,
    /// Today has counted already.
    #[schema(example = true)]
    active_today: bool,
    /// Missed days that can still be covered.
    #[schema(example = 0)]
    freezes: u8,
}

/// One award of experience points.
#[derive(Debug, Serialize, ToSchema)]
struct Award {
    #[schema(example = 50)]
    amount: i64,
    /// `journal_entry`, `exam_completed`, `deep_dive_completed`, `journal_streak`, `exam_streak` or
    /// `admin_award`.
    #[schema(example = "journal_entry")]
    reason: String,
    /// The event behind it.
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    cause: Uuid,
    #[schema(example = "2026-03-01T18:04:05.123456Z")]
    awarded_at: DateTime<Utc>,
}

/// Which awards.
#[derive(Debug, Deserialize, IntoParams)]
struct HistoryQuery {
    /// 1 to 100, 20 when absent.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Level, streaks and what is new
#[utoipa::path(
    get,
    path = "/gamification/summary",
    tag = "gamification",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "What the caller has earned", body = Summary),
        (status = 400, description = "`request.invalid_header`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn summary(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Models(models): Models,
) -> Result<impl IntoResponse, Problem> {
    let account = caller.account.0;
    let (total, streaks) = tokio::try_join!(
        queries::total_xp(&models, account),
        queries::streaks(&models, account)
    )?;
    Ok(Json(Summary {
        xp: Xp::of(total),
        streaks: DayStreak::all(streaks, today(&node)),
        recent_achievements: [],
        active_challenges: [],
    }))
}

/// Experience points and level
#[utoipa::path(
    get,
    path = "/gamification/xp",
    tag = "gamification",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The caller's total and level", body = Xp),
        (status = 400, description = "`request.invalid_header`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn xp(caller: Caller, Models(models): Models) -> Result<impl IntoResponse, Problem> {
    let total = queries::total_xp(&models, caller.account.0).await?;
    Ok(Json(Xp::of(total)))
}

/// Every award, the newest first
#[utoipa::path(
    get,
    path = "/gamification/xp/history",
    tag = "gamification",
    security(("bearer" = [])),
    params(HistoryQuery),
    responses(
        (status = 200, description = "A page of awards", body = Listed<Award>),
        (status = 400, description = "`request.unknown_field`, `request.invalid_header`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn history(
    caller: Caller,
    Models(models): Models,
    Query(query): Query<HistoryQuery>,
) -> Result<impl IntoResponse, Problem> {
    let limit = paging::limit(query.limit).map_err(|wrong| Problem::invalid(vec![wrong]))?;
    let before = paging::place(query.cursor.as_deref());
    let before = before.map_err(|wrong| Problem::invalid(vec![wrong]))?;
    let page = queries::history(&models, caller.account.0, before, limit).await?;
    Ok(Json(Listed::<Award>::from(page)))
}

/// Days in a row
#[utoipa::path(
    get,
    path = "/gamification/streaks",
    tag = "gamification",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Journal, exam and any, in this order", body = Listed<DayStreak>),
        (status = 400, description = "`request.invalid_header`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
async fn streaks(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Models(models): Models,
) -> Result<impl IntoResponse, Problem> {
    let streaks = queries::streaks(&models, caller.account.0).await?;
    Ok(Json(Listed {
        items: DayStreak::all(streaks, today(&node)),
        next: None,
    }))
}

/// The member's day: in UTC until members have settings.
fn today(node: &Node) -> NaiveDate {
    node.clock.now().date_naive()
}

impl Xp {
    fn of(total: u64) -> Self {
        let level = level(total);
        Self {
            total,
            level: level.level,
            next_level_at: level.next_level_at,
            level_progress: level.progress,
        }
    }
}

impl DayStreak {
    fn all(streaks: [(StreakKind, Streak); 3], today: NaiveDate) -> Vec<Self> {
        let shown = |(kind, streak): (StreakKind, Streak)| {
            let stands = streak.as_of(today);
            Self {
                activity: kind.slug(),
                current: stands.current,
                longest: stands.longest,
                active_today: stands.active_today,
                freezes: stands.freezes,
            }
        };
        streaks.map(shown).into()
    }
}

impl From<queries::Award> for Award {
    fn from(award: queries::Award) -> Self {
        Self {
            amount: award.amount,
            reason: award.reason,
            cause: award.cause,
            awarded_at: award.awarded_at,
        }
    }
}
