//! What an entry shows: all that a revision says of it, as one piece of JSON that is written once and sealed,
//! opened and replied as a whole. Whoever lists entries neither takes them apart nor puts them together.

use chrono::NaiveDate;
use domain::journal::entry::{Derived, EntryBody, Hours};
use domain::journal::patterns::Pattern;
use domain::sentiment;
use serde::Serialize;

/// The members of an entry in a reply that change with its revisions, in their order there. A change of them
/// is a new version of the projection.
#[derive(Serialize)]
struct Shown<'a> {
    title: Option<&'a str>,
    content: &'a str,
    tags: &'a [String],
    mood_rating: Option<u8>,
    energy_level: Option<u8>,
    stress_level: Option<u8>,
    sleep_quality: Option<u8>,
    sleep_hours: Option<f64>,
    work_hours: Option<f64>,
    screen_time_mins: Option<u16>,
    stress_triggers: Option<&'a str>,
    daily_schedule: Option<&'a str>,
    language: &'static str,
    entry_date: NaiveDate,
    sentiment: Option<Sentiment>,
    patterns: Vec<&'static str>,
    word_count: u32,
    reading_time_mins: f64,
}

#[derive(Serialize)]
struct Sentiment {
    compound: f64,
    score: f64,
    label: &'static str,
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

/// The members of a JSON object, without its braces.
pub(super) fn members(body: &EntryBody, derived: &Derived) -> Result<String, serde_json::Error> {
    let shown = Shown {
        title: body.title.as_deref(),
        content: &body.content,
        tags: &body.tags,
        mood_rating: body.mood_rating,
        energy_level: body.energy_level,
        stress_level: body.stress_level,
        sleep_quality: body.sleep_quality,
        sleep_hours: body.sleep_hours.map(Hours::get),
        work_hours: body.work_hours.map(Hours::get),
        screen_time_mins: body.screen_time_mins,
        stress_triggers: body.stress_triggers.as_deref(),
        daily_schedule: body.daily_schedule.as_deref(),
        language: body.language.code(),
        entry_date: body.entry_date,
        sentiment: derived.sentiment.map(Sentiment::from),
        patterns: derived
            .patterns
            .iter()
            .copied()
            .map(Pattern::slug)
            .collect(),
        word_count: derived.word_count,
        reading_time_mins: derived.reading_time_mins,
    };
    let text = serde_json::to_string(&shown)?;
    let members = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    Ok(members.unwrap_or_default().to_owned())
}
