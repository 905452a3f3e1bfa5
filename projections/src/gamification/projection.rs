//! Folds progress into totals, streaks and awards.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use cqrs_es::Aggregate;
use domain::gamification::progress::{self, ProgressEvent, Reason, StreakKind};
use domain::identity::account::{Account, AccountEvent};
use event_log::database::Statement;
use event_log::{execute_rows, statement};
use uuid::Uuid;

use crate::fact::{Event, Fact};
use crate::projection::{Projection, ProjectionError, Writer};

pub(super) const NAME: &str = "progress";

static ADD_XP: Statement = statement!("../../sql/gamification/add_xp.sql");
static SET_STREAKS: Statement = statement!("../../sql/gamification/set_streaks.sql");
static ADD_AWARDS: Statement = statement!("../../sql/gamification/add_awards.sql");
static ERASE: [Statement; 3] = [
    statement!("../../sql/gamification/erase_xp.sql"),
    statement!("../../sql/gamification/erase_streaks.sql"),
    statement!("../../sql/gamification/erase_awards.sql"),
];

/// The projection of progress.
#[derive(Debug)]
pub struct Progress;

#[async_trait]
impl Projection for Progress {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i64 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("../../sql/gamification/schema.sql")
    }

    fn handles(&self, aggregate_type: &str, event_type: &str) -> bool {
        match aggregate_type {
            progress::Progress::TYPE => true,
            Account::TYPE => event_type == "account_erased",
            _ => false,
        }
    }

    async fn project(
        &self,
        page: &[&Fact],
        writer: &mut Writer<'_>,
    ) -> Result<(), ProjectionError> {
        let mut folded = Folded::default();
        for fact in page {
            folded.fold(fact);
        }
        folded.write(writer).await
    }
}

/// What a page of events makes of the accounts in it.
#[derive(Default)]
struct Folded {
    xp: BTreeMap<Uuid, i64>,
    streaks: BTreeMap<(Uuid, StreakKind), Days>,
    awards: Vec<Award>,
    erased: Vec<Uuid>,
}

struct Days {
    current: u32,
    longest: u32,
    freezes: u8,
    last: NaiveDate,
}

struct Award {
    position: i64,
    account_id: Uuid,
    amount: u32,
    reason: Reason,
    cause: Uuid,
    at: DateTime<Utc>,
}

impl Folded {
    fn fold(&mut self, fact: &Fact) {
        match &fact.event {
            Ok(Event::Progress(ProgressEvent::XpAwarded {
                account_id,
                amount,
                reason,
                cause,
                at,
            })) => {
                let total = self.xp.entry(account_id.0).or_default();
                *total = total.saturating_add(i64::from(*amount));
                self.awards.push(Award {
                    position: fact.recorded.position,
                    account_id: account_id.0,
                    amount: *amount,
                    reason: *reason,
                    cause: *cause,
                    at: *at,
                });
            }
            Ok(Event::Progress(ProgressEvent::StreakExtended {
                account_id,
                activity,
                day,
                current,
                longest,
                freezes,
                ..
            })) => {
                let days = Days {
                    current: *current,
                    longest: *longest,
                    freezes: *freezes,
                    last: *day,
                };
                self.streaks.insert((account_id.0, *activity), days);
            }
            Ok(Event::Progress(ProgressEvent::ProgressErased { .. })) => {
                if let Ok(account_id) = Uuid::parse_str(&fact.recorded.aggregate_id) {
                    self.erase(account_id);
                }
            }
            Ok(Event::Account(AccountEvent::AccountErased { account_id, .. })) => {
                self.erase(account_id.0);
            }
            _ => {}
        }
    }

    fn erase(&mut self, account_id: Uuid) {
        self.xp.remove(&account_id);
        self.streaks.retain(|(owner, _), _| *owner != account_id);
        self.awards.retain(|award| award.account_id != account_id);
        self.erased.push(account_id);
    }

    async fn write(self, writer: &mut Writer<'_>) -> Result<(), ProjectionError> {
        let (add_xp, set_streaks) = (writer.sql(&ADD_XP), writer.sql(&SET_STREAKS));
        let add_awards = writer.sql(&ADD_AWARDS);
        let erase = ERASE.each_ref().map(|statement| writer.sql(statement));
        let totals: Vec<(Uuid, i64)> = self.xp.into_iter().collect();
        let streaks: Vec<_> = self.streaks.into_iter().collect();
        let transaction = writer.transaction().await?;
        for sql in &erase {
            execute_rows!(in *transaction, sql, self.erased, |row, account_id| {
                row.push_bind(*account_id);
            })?;
        }
        execute_rows!(in *transaction, &add_xp, totals, |row, item| {
            row.push_bind(item.0).push_bind(item.1);
        })?;
        execute_rows!(in *transaction, &set_streaks, streaks, |row, item| {
            let ((account_id, activity), days) = item;
            row.push_bind(*account_id)
                .push_bind(activity.slug())
                .push_bind(i64::from(days.current))
                .push_bind(i64::from(days.longest))
                .push_bind(i64::from(days.freezes))
                .push_bind(days.last);
        })?;
        execute_rows!(in *transaction, &add_awards, self.awards, |row, award| {
            row.push_bind(award.position)
                .push_bind(award.account_id)
                .push_bind(i64::from(award.amount))
                .push_bind(award.reason.slug())
                .push_bind(award.cause)
                .push_bind(award.at);
        })?;
        Ok(())
    }
}
