//! A log of everything that members do, for read models to be built from.

use std::error::Error;
use std::sync::Arc;

use chrono::TimeDelta;
use domain::exams::exam::{ExamCommand, QuestionCount, Response, Start};
use domain::exams::question_bank::{Bank, SHIPPED};
use domain::id::{AccountId, EntryId, ExamId};
use domain::journal::entry::{Draft, EntryBody, EntryCommand};
use domain::language::Language;
use event_log::Metadata;
use futures::StreamExt;
use soulsense::commands::Request;
use soulsense::node::Node;

use crate::support::engines::Outcome;
use crate::support::raw;

/// Entries of a member: one more than earn points in a day.
const ENTRIES: u8 = 6;
/// Questions of an exam.
const QUESTIONS: i64 = 12;
/// Members who are active at the same time.
const SIDE_BY_SIDE: usize = 32;

/// Members who each write entries and sit an exam, and events that mean nothing to most.
pub async fn write(node: &Arc<Node>, members: usize, padding: usize) -> Outcome {
    let bank = Bank::parse(SHIPPED[0]).map_err(|faults| format!("{faults:?}"))?;
    let bank = Arc::new(bank);
    let mut lives = futures::stream::iter(0..members)
        .map(|_| life(node, Arc::clone(&bank)))
        .buffer_unordered(SIDE_BY_SIDE);
    while let Some(lived) = lives.next().await {
        lived?;
    }
    raw::padding(&node.log, padding).await
}

async fn life(node: &Arc<Node>, bank: Arc<Bank>) -> Result<(), Box<dyn Error>> {
    let (now, account) = (node.clock.now(), AccountId(node.ids.next()));
    let keys = node.log.keys();
    keys.create_subject(account.0, node.ids.next(), now).await?;
    let request = Request::system(Metadata::system(account.to_string(), node.ids.next()));
    for number in 1..=ENTRIES {
        let draft = Draft {
            content: Some(format!("Entry {number}: a walk by the river made me calm.")),
            mood_rating: Some(i64::from(number)),
            ..Draft::default()
        };
        let body =
            EntryBody::try_new(draft, now.date_naive()).map_err(|faults| format!("{faults:?}"))?;
        let entry_id = EntryId(node.ids.next());
        let command = EntryCommand::Write {
            entry_id,
            account_id: account,
            body: Box::new(body),
            now,
        };
        let id = entry_id.to_string();
        node.entries.execute(&id, &command, &request).await?;
    }
    exam(node, account, bank, &request).await
}

async fn exam(
    node: &Arc<Node>,
    account: AccountId,
    bank: Arc<Bank>,
    request: &Request,
) -> Result<(), Box<dyn Error>> {
    let (now, exam_id) = (node.clock.now(), ExamId(node.ids.next()));
    let id = exam_id.to_string();
    let question_count = QuestionCount::try_new(QUESTIONS).map_err(|fault| format!("{fault:?}"))?;
    let start = ExamCommand::Start(Start {
        exam_id,
        account_id: account,
        bank,
        question_count,
        age: None,
        language: Language::En,
        idle_timeout: TimeDelta::hours(1),
        last_completed_at: None,
        cooldown: TimeDelta::zero(),
        now,
    });
    let started = node.exams.execute(&id, &start, request).await?;
    let attempt = started.state.attempt_of(account)?;
    let responses = attempt
        .questions()
        .map(|(item, _)| Response {
            question_id: item.id.clone(),
            value: 4,
        })
        .collect();
    let save = ExamCommand::SaveResponses {
        account_id: account,
        responses,
        now: now + TimeDelta::seconds(90),
    };
    node.exams.execute(&id, &save, request).await?;
    let complete = ExamCommand::Complete {
        account_id: account,
        reflection: None,
        now: now + TimeDelta::minutes(5),
    };
    node.exams.execute(&id, &complete, request).await?;
    Ok(())
}
