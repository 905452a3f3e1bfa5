//! Stories of exams: asking, answering, scoring, and looking back.

mod publishing;
mod questions;
mod refusals;
mod results;
mod starting;
mod story;

use std::collections::BTreeMap;
use std::error::Error;

use axum::http::StatusCode;
use chrono::TimeDelta;
use domain::exams::question_bank::{Bank, Item, SHIPPED};
use serde_json::{Value, json};

use crate::support::app::{App, Member, PASSWORD, Reply};

/// Long enough for 50 answers.
const CALMLY: TimeDelta = TimeDelta::minutes(3);

/// The items of the bank that comes with the program.
fn shipped_items() -> Result<BTreeMap<String, Item>, Box<dyn Error>> {
    let bank = Bank::parse(SHIPPED[0]).map_err(|faults| format!("{faults:?}"))?;
    let items = bank.items.into_iter();
    Ok(items.map(|item| (item.id.clone(), item)).collect())
}

/// Starts an exam that must be a new one.
async fn start(member: &Member<'_>, body: Value) -> Result<Reply, Box<dyn Error>> {
    let started = member.post("/exams/start", body).await?;
    started.is(StatusCode::CREATED)?;
    Ok(started)
}

/// The ids of what an exam asks.
fn asked(exam: &Reply) -> Vec<String> {
    let questions = exam.at("/questions");
    let questions = questions.as_array().cloned().unwrap_or_default();
    let ids = questions
        .iter()
        .filter_map(|question| question["id"].as_str());
    ids.map(str::to_owned).collect()
}

/// Answers to everything an exam asks that each count `keyed` for their category.
fn counting(exam: &Reply, keyed: i64) -> Result<Value, Box<dyn Error>> {
    let items = shipped_items()?;
    let responses = asked(exam).into_iter().map(|id| {
        let reverse_keyed = items.get(&id).is_some_and(|item| item.reverse_keyed);
        let value = if reverse_keyed { 6 - keyed } else { keyed };
        json!({"question_id": id, "value": value})
    });
    Ok(json!({ "responses": responses.collect::<Vec<_>>() }))
}

/// Answers everything calmly and completes the exam.
async fn finish(
    member: &Member<'_>,
    exam: &Reply,
    keyed: i64,
    body: Value,
) -> Result<Reply, Box<dyn Error>> {
    let id = exam.text("/id");
    member.app.later(CALMLY);
    let saved = member
        .post(&format!("/exams/{id}/responses"), counting(exam, keyed)?)
        .await?;
    saved.is(StatusCode::OK)?;
    let completed = member.post(&format!("/exams/{id}/complete"), body).await?;
    completed.is(StatusCode::OK)?;
    Ok(completed)
}

/// The same member after so long, which is longer than an access token lasts.
async fn later<'a>(
    app: &'a App,
    member: &Member<'_>,
    by: TimeDelta,
) -> Result<Member<'a>, Box<dyn Error>> {
    app.later(by);
    app.login(&member.username, PASSWORD).await
}
