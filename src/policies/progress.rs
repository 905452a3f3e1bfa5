//! Whenever an entry is written or an exam completed, the member's progress records it.

use std::sync::Arc;

use async_trait::async_trait;
use chrono_tz::Tz;
use cqrs_es::Aggregate;
use domain::exams::exam::{Exam, ExamEvent};
use domain::gamification::policy::{on_entry_written, on_exam_completed};
use domain::gamification::progress::ProgressCommand;
use domain::id::AccountId;
use domain::journal::entry::Entry;
use projections::fact::{Event, Fact};

use super::{Policy, Start, request};
use crate::commands::CommandError;
use crate::node::Node;

/// The instrument that is not a deep dive.
const MAIN_INSTRUMENT: &str = "eq";

pub(super) struct AwardProgress;

#[async_trait]
impl Policy for AwardProgress {
    fn name(&self) -> &'static str {
        "progress"
    }

    fn start(&self) -> Start {
        Start::Beginning
    }

    fn handles(&self, aggregate_type: &str, event_type: &str) -> bool {
        aggregate_type == Entry::TYPE && event_type == "entry_written"
            || self.reads(aggregate_type, event_type)
    }

    /// Of an entry only who wrote it matters, and when.
    fn reads(&self, aggregate_type: &str, event_type: &str) -> bool {
        aggregate_type == Exam::TYPE && event_type == "exam_completed"
    }

    async fn react(&self, fact: &Fact, node: &Node) -> anyhow::Result<()> {
        let Some((account, command)) = command(fact)? else {
            return Ok(());
        };
        let id = account.to_string();
        match node
            .progress
            .execute(&id, &command, &request(self, fact, &id))
            .await
        {
            // what is refused now is refused for ever, and an erased member earns nothing
            Ok(_) | Err(CommandError::Rejected(_) | CommandError::SubjectErased) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn command(fact: &Fact) -> anyhow::Result<Option<(AccountId, ProgressCommand)>> {
    let recorded = &fact.recorded;
    let (cause, at) = (recorded.event_id, recorded.recorded_at);
    // until members have settings, every day is a day in UTC
    let zone = Tz::UTC;
    if recorded.aggregate_type == Entry::TYPE {
        let account = recorded.subject_id.map(AccountId);
        return Ok(account.map(|account| (account, on_entry_written(account, cause, at, zone))));
    }
    let event = fact
        .event
        .as_ref()
        .map_err(|error| anyhow::Error::new(Arc::clone(error)))?;
    let Event::Exam(ExamEvent::ExamCompleted {
        account_id,
        instrument,
        result,
        ..
    }) = event
    else {
        return Ok(None);
    };
    let flagged = result.known().map(|result| result.flags.any());
    let deep_dive = instrument != MAIN_INSTRUMENT;
    let command = on_exam_completed(*account_id, cause, at, zone, deep_dive, flagged);
    Ok(command.map(|command| (*account_id, command)))
}
