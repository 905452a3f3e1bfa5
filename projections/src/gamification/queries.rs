//! What can be asked of an account's progress.

use chrono::{DateTime, NaiveDate, Utc};
use domain::gamification::progress::{Streak, StreakKind};
use event_log::database::Statement;
use event_log::{fetch_all, statement};
use sqlx::FromRow;
use uuid::Uuid;

use crate::page::Page;
use crate::query::QueryError;
use crate::tables::Pinned;
use crate::together;

static TOTAL: Statement = statement!("../../sql/gamification/total.sql");
static STREAKS: Statement = statement!("../../sql/gamification/streaks.sql");
static HISTORY: Statement = statement!("../../sql/gamification/history.sql");

/// One award of XP.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Award {
    /// Position of the award in the log, by which awards are listed.
    pub position: i64,
    /// How many XP.
    pub amount: i64,
    /// Slug of what for.
    pub reason: String,
    /// Id of the event or request behind it.
    pub cause: Uuid,
    /// When the cause was recorded.
    pub awarded_at: DateTime<Utc>,
}

/// All XP of an account; 0 for one that has earned none.
pub async fn total_xp(models: &Pinned, account_id: Uuid) -> Result<u64, QueryError> {
    let rows: Vec<TotalRow> = models.rows_of(&TOTAL, account_id).await?;
    Ok(rows
        .first()
        .map_or(0, |row| u64::try_from(row.total_xp).unwrap_or(0)))
}

/// The three streaks of an account after their last counted days, in the order in which they are shown.
pub async fn streaks(
    models: &Pinned,
    account_id: Uuid,
) -> Result<[(StreakKind, Streak); 3], QueryError> {
    let rows: Vec<StreakRow> = models.rows_of(&STREAKS, account_id).await?;
    Ok(StreakKind::ALL.map(|kind| {
        let row = rows.iter().find(|row| row.activity == kind.slug());
        (kind, row.map(StreakRow::streak).unwrap_or_default())
    }))
}

/// The account's awards before a position, newest first.
pub async fn history(
    models: &Pinned,
    account_id: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Page<Award>, QueryError> {
    let sql = models.sql(&HISTORY);
    let before = before.unwrap_or(i64::MAX);
    let rows = fetch_all!(models.database, Award, &sql, account_id, before, limit + 1)?;
    Ok(Page::of(rows, limit, |award| award.position))
}

#[derive(Clone, FromRow)]
struct TotalRow {
    account_id: Uuid,
    total_xp: i64,
}

impl together::Row for TotalRow {
    fn id(&self) -> Uuid {
        self.account_id
    }
}

#[derive(Clone, FromRow)]
struct StreakRow {
    account_id: Uuid,
    activity: String,
    days: i64,
    longest: i64,
    freezes: i64,
    last_day: NaiveDate,
}

impl together::Row for StreakRow {
    fn id(&self) -> Uuid {
        self.account_id
    }
}

impl StreakRow {
    fn streak(&self) -> Streak {
        Streak {
            current: u32::try_from(self.days).unwrap_or_default(),
            longest: u32::try_from(self.longest).unwrap_or_default(),
            freezes: u8::try_from(self.freezes).unwrap_or_default(),
            last_day: Some(self.last_day),
        }
    }
}
