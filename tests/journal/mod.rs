//! Stories of journal.

mod beginning;
mod lists;
mod privacy;
mod refusals;
mod remembering;
mod story;

use std::error::Error;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::support::app::{Member, Reply};

/// An entry with every field.
pub fn full() -> Value {
    json!({
        "title": "A quiet Sunday",
        "content": "I slept well and walked by the river. I feel happy and calm.",
        "tags": [" Walk ", "rest", "walk"],
        "mood_rating": 8,
        "energy_level": 7,
        "stress_level": 2,
        "sleep_quality": 9,
        "sleep_hours": 7.5,
        "work_hours": 0,
        "screen_time_mins": 90,
        "stress_triggers": "A letter",
        "daily_schedule": "Breakfast, river, books",
        "language": "en",
        "entry_date": "2024-02-29",
    })
}

/// The full entry with some fields changed.
pub fn with(changes: &Value) -> Value {
    let mut body = full();
    for (name, value) in changes.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

/// An entry that says no more than it must.
pub fn plain(content: &str) -> Value {
    json!({ "content": content })
}

pub fn without_support(written: &Reply) -> Value {
    let mut entry = written.body.clone();
    if let Some(members) = entry.as_object_mut() {
        members.remove("support");
    }
    entry
}

pub async fn written(member: &Member<'_>, body: Value) -> Result<Reply, Box<dyn Error>> {
    let reply = member.post("/journal", body).await?;
    reply.is(StatusCode::CREATED)?;
    Ok(reply)
}

pub fn path_of(entry: &Reply) -> String {
    format!("/journal/{}", entry.text("/id"))
}

pub async fn put(
    member: &Member<'_>,
    path: &str,
    etag: &str,
    body: Value,
) -> Result<Reply, Box<dyn Error>> {
    let call = member.request("PUT", path).header("if-match", etag);
    call.json(body).send().await
}

pub async fn patch(
    member: &Member<'_>,
    path: &str,
    etag: &str,
    body: Value,
) -> Result<Reply, Box<dyn Error>> {
    let call = member.request("PATCH", path).header("if-match", etag);
    call.bytes("application/merge-patch+json", body.to_string().as_bytes())
        .send()
        .await
}

pub async fn delete(member: &Member<'_>, path: &str) -> Result<Reply, Box<dyn Error>> {
    member.request("DELETE", path).send().await
}
