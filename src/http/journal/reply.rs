//! How entries are shown.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use domain::journal::entry::{self, Derived, EntryBody, Hours, Status};
use domain::journal::patterns::Pattern;
use domain::journal::support::{self, support_for};
use domain::sentiment;
use projections::journal::queries;
use projections::page::Page;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::not_found;
use crate::commands::Done;
use crate::http::Problem;
use crate::http::command::Position;
use crate::http::extract::{ETag, Json, JsonText};

/// At most so many bytes of a reply are around the members of an entry, or around its page.
const AROUND: usize = 192;

/// A journal entry.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JournalEntry {
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    id: Uuid,
    #[schema(example = "A quiet Sunday")]
    title: Option<String>,
    #[schema(example = "I slept well and walked by the river. I feel happy and calm.")]
    content: String,
    #[schema(example = json!(["walk", "rest"]))]
    tags: Vec<String>,
    #[schema(example = 8)]
    mood_rating: Option<i64>,
    #[schema(example = 7)]
    energy_level: Option<i64>,
    #[schema(example = 2)]
    stress_level: Option<i64>,
    #[schema(example = 8)]
    sleep_quality: Option<i64>,
    #[schema(example = 7.5)]
    sleep_hours: Option<f64>,
    #[schema(example = 0.0)]
    work_hours: Option<f64>,
    #[schema(example = 90)]
    screen_time_mins: Option<i64>,
    #[schema(example = "None today")]
    stress_triggers: Option<String>,
    #[schema(example = "Breakfast, river, books")]
    daily_schedule: Option<String>,
    #[schema(example = "en")]
    language: &'static str,
    /// The day the entry is about.
    #[schema(example = "2026-03-01")]
    entry_date: NaiveDate,
    /// How the content reads; null unless it is in English.
    sentiment: Option<Sentiment>,
    /// What the content shows.
    #[schema(example = json!(["positivity", "high_positive"]))]
    patterns: Vec<&'static str>,
    #[schema(example = 13)]
    word_count: i64,
    /// At 200 words a minute, to one decimal.
    #[schema(example = 0.1)]
    reading_time_mins: f64,
    #[schema(example = "2026-03-01T18:04:05.123456Z")]
    created_at: DateTime<Utc>,
    #[schema(example = "2026-03-01T18:04:05.123456Z")]
    updated_at: DateTime<Utc>,
}

/// How a text reads.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sentiment {
    /// -1 (most negative) to 1 (most positive).
    #[schema(example = 0.8225)]
    compound: f64,
    /// The same on a scale from 0 to 100.
    #[schema(example = 91.13)]
    score: f64,
    /// `positive`, `neutral` or `negative`.
    #[schema(example = "positive")]
    label: &'static str,
}

/// An entry just written.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WrittenEntry {
    #[serde(flatten)]
    entry: JournalEntry,
    /// Where to find help, when the words name self-harm. It is stored nowhere.
    support: Option<Support>,
}

/// Where to find help.
#[derive(Debug, Serialize, ToSchema)]
struct Support {
    #[schema(example = "What you are going through sounds heavy. You need not carry it alone.")]
    message: String,
    resources: Vec<Resource>,
}

/// Somewhere to turn to.
#[derive(Debug, Serialize, ToSchema)]
struct Resource {
    #[schema(example = "Find A Helpline")]
    name: String,
    #[schema(example = "988")]
    phone: Option<String>,
    #[schema(example = "https://findahelpline.com")]
    url: String,
    /// ISO 3166-1 code of a country, or `international`.
    #[schema(example = "international")]
    region: String,
}

/// One of the versions that an entry has had.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Revision {
    /// 1 for what was written first.
    #[schema(example = 1)]
    pub(super) revision: u32,
    #[serde(flatten)]
    pub(super) entry: JournalEntry,
}

/// The version of an entry that clients name in `If-Match`.
pub(super) fn etag(revision: u32) -> ETag {
    ETag::from(u64::from(revision))
}

/// The reply to a command that an entry stands after.
pub(super) fn written(status: StatusCode, done: &Done<entry::Entry>) -> Result<Response, Problem> {
    let (Some(id), Some(revision), Some(body), Status::Kept) = (
        done.state.entry_id(),
        done.state.revision(),
        done.state.body(),
        done.state.status(),
    ) else {
        return Err(not_found());
    };
    let entry = JournalEntry::of(&done.state).ok_or_else(not_found)?;
    let support = support_for(body).map(Support::from);
    let location = HeaderValue::try_from(format!("/api/v1/journal/{id}"));
    let location: Option<(HeaderName, HeaderValue)> = (status == StatusCode::CREATED)
        .then(|| location.map(|value| (header::LOCATION, value)))
        .transpose()
        .map_err(Problem::internal)?;
    Ok((
        status,
        Position(done.position),
        etag(revision),
        axum::http::HeaderMap::from_iter(location),
        Json(WrittenEntry { entry, support }),
    )
        .into_response())
}

impl JournalEntry {
    /// As an aggregate knows it; `None` when its words are gone.
    pub(super) fn of(state: &entry::Entry) -> Option<Self> {
        let (body, derived): (&EntryBody, &Derived) = (state.body()?, state.derived()?);
        Some(Self {
            id: state.entry_id()?.0,
            title: body.title.clone(),
            content: body.content.clone(),
            tags: body.tags.clone(),
            mood_rating: body.mood_rating.map(i64::from),
            energy_level: body.energy_level.map(i64::from),
            stress_level: body.stress_level.map(i64::from),
            sleep_quality: body.sleep_quality.map(i64::from),
            sleep_hours: body.sleep_hours.map(Hours::get),
            work_hours: body.work_hours.map(Hours::get),
            screen_time_mins: body.screen_time_mins.map(i64::from),
            stress_triggers: body.stress_triggers.clone(),
            daily_schedule: body.daily_schedule.clone(),
            language: body.language.code(),
            entry_date: body.entry_date,
            sentiment: derived.sentiment.map(Sentiment::from),
            patterns: slugs(&derived.patterns),
            word_count: i64::from(derived.word_count),
            reading_time_mins: derived.reading_time_mins,
            created_at: state.created_at()?,
            updated_at: state.updated_at()?,
        })
    }
}

/// An entry as its read model keeps it: a [`JournalEntry`] whose members stand there as JSON already.
pub(super) fn kept(entry: &queries::Entry) -> Result<JsonText, Problem> {
    let mut text = Vec::with_capacity(entry.members.len() + AROUND);
    write(entry, &mut text).map_err(Problem::internal)?;
    Ok(JsonText(text))
}

/// A page of them: a [`Listed<JournalEntry>`](crate::http::paging::Listed).
pub(super) fn listed(page: &Page<queries::Entry>) -> Result<JsonText, Problem> {
    let sizes = page.items.iter().map(|entry| entry.members.len() + AROUND);
    let mut text = Vec::with_capacity(sizes.sum::<usize>() + AROUND);
    write_page(page, &mut text).map_err(Problem::internal)?;
    Ok(JsonText(text))
}

fn write_page(page: &Page<queries::Entry>, text: &mut Vec<u8>) -> serde_json::Result<()> {
    text.extend_from_slice(br#"{"items":["#);
    for (at, entry) in page.items.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        write(entry, text)?;
    }
    text.extend_from_slice(br#"],"next":"#);
    serde_json::to_writer(&mut *text, &page.next)?;
    text.push(b'}');
    Ok(())
}

fn write(entry: &queries::Entry, text: &mut Vec<u8>) -> serde_json::Result<()> {
    text.extend_from_slice(br#"{"id":"#);
    serde_json::to_writer(&mut *text, &entry.id)?;
    text.push(b',');
    text.extend_from_slice(entry.members.as_bytes());
    text.extend_from_slice(br#","created_at":"#);
    serde_json::to_writer(&mut *text, &entry.created_at)?;
    text.extend_from_slice(br#","updated_at":"#);
    serde_json::to_writer(&mut *text, &entry.updated_at)?;
    text.push(b'}');
    Ok(())
}

fn slugs(patterns: &[Pattern]) -> Vec<&'static str> {
    patterns.iter().map(|pattern| pattern.slug()).collect()
}

impl From<sentiment::Sentiment> for Sentiment {
    fn from(sentiment: sentiment::Sentiment) -> Self {
        Self {
            compound: sentiment.compound,
            score: sentiment.score,
            label: sentiment.label.slug(),
        }
    }
}

impl From<support::Support> for Support {
    fn from(support: support::Support) -> Self {
        let resource = |resource: support::Resource| Resource {
            name: resource.name,
            phone: resource.phone,
            url: resource.url,
            region: resource.region,
        };
        Self {
            message: support.message,
            resources: support.resources.into_iter().map(resource).collect(),
        }
    }
}
