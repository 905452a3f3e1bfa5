//! What an entry is made of, and what makes it valid.

use std::collections::HashSet;
use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

use crate::language::Language;
use crate::rejection::Violation;

const TITLE_MAX: usize = 200;
const CONTENT_MIN: usize = 10;
const CONTENT_MAX: usize = 50_000;
const TAGS_MAX: usize = 20;
const TAG_MAX: usize = 50;
const RATING: (i64, i64) = (1, 10);
const SCREEN_TIME_MINS: (i64, i64) = (0, 1_440);
const STRESS_TRIGGERS_MAX: usize = 500;
const DAILY_SCHEDULE_MAX: usize = 1_000;
const FIRST_YEAR: i32 = 1_900;

/// Hours of a day, 0 to 24, to the hundredth: a JSON number outside, whole hundredths inside, so that
/// equal hours are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hours(u16);

impl Hours {
    const MAX: f64 = 24.0;

    /// Rounds to the nearest hundredth of an hour.
    pub fn try_new(hours: f64) -> Result<Self, Violation> {
        if (0.0..=Self::MAX).contains(&hours) {
            Ok(Self::rounded(hours))
        } else {
            Err(out_of_range(0, 24))
        }
    }

    /// As a number of hours.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what a u16 holds"
    )]
    fn rounded(hours: f64) -> Self {
        Self((hours * 100.0).round().clamp(0.0, f64::from(u16::MAX)) as u16)
    }
}

impl Serialize for Hours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.get())
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::rounded)
    }
}

/// What a member sends to write an entry, before it is judged. An absent field is `None` or empty.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Draft {
    /// At most 200 characters; blank is as good as absent.
    pub title: Option<String>,
    /// Required: 10 characters (white space around them not counted) to 50,000 (all counted).
    pub content: Option<String>,
    /// At most 20 different ones of 1 to 50 characters, once trimmed and lower-cased.
    pub tags: Vec<String>,
    /// 1 to 10.
    pub mood_rating: Option<i64>,
    /// 1 to 10.
    pub energy_level: Option<i64>,
    /// 1 to 10.
    pub stress_level: Option<i64>,
    /// 1 to 10.
    pub sleep_quality: Option<i64>,
    /// Hours, 0 to 24, rounded to the hundredth.
    pub sleep_hours: Option<f64>,
    /// Hours, 0 to 24, rounded to the hundredth.
    pub work_hours: Option<f64>,
    /// Minutes, 0 to 1,440.
    pub screen_time_mins: Option<i64>,
    /// At most 500 characters; blank is as good as absent.
    pub stress_triggers: Option<String>,
    /// At most 1,000 characters; blank is as good as absent.
    pub daily_schedule: Option<String>,
    /// `en`, `es` or `hi`; English when absent: whoever knows the member's settings fills it in.
    pub language: Option<String>,
    /// `YYYY-MM-DD`, from 1900-01-01 to the member's today; today when absent.
    pub entry_date: Option<String>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").finish_non_exhaustive()
    }
}

/// What a member sends to change single fields of an entry (JSON merge patch, RFC 7396): an absent field
/// (`None`) stays, `null` (`Some(None)`) clears, a value (`Some(Some(_))`) replaces. A cleared language or
/// entry date takes its default; the content cannot be cleared.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of Draft")]
pub struct Patch {
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub title: Option<Option<String>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub content: Option<Option<String>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub tags: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub mood_rating: Option<Option<i64>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub energy_level: Option<Option<i64>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub stress_level: Option<Option<i64>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub sleep_quality: Option<Option<i64>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub sleep_hours: Option<Option<f64>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub work_hours: Option<Option<f64>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub screen_time_mins: Option<Option<i64>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub stress_triggers: Option<Option<String>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub daily_schedule: Option<Option<String>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub language: Option<Option<String>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub entry_date: Option<Option<String>>,
}

#[expect(clippy::option_option, reason = "see Patch")]
fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patch").finish_non_exhaustive()
    }
}

impl Patch {
    /// The draft that `draft` becomes.
    #[must_use]
    pub fn merge(self, draft: Draft) -> Draft {
        Draft {
            title: self.title.unwrap_or(draft.title),
            content: self.content.unwrap_or(draft.content),
            tags: self.tags.map_or(draft.tags, Option::unwrap_or_default),
            mood_rating: self.mood_rating.unwrap_or(draft.mood_rating),
            energy_level: self.energy_level.unwrap_or(draft.energy_level),
            stress_level: self.stress_level.unwrap_or(draft.stress_level),
            sleep_quality: self.sleep_quality.unwrap_or(draft.sleep_quality),
            sleep_hours: self.sleep_hours.unwrap_or(draft.sleep_hours),
            work_hours: self.work_hours.unwrap_or(draft.work_hours),
            screen_time_mins: self.screen_time_mins.unwrap_or(draft.screen_time_mins),
            stress_triggers: self.stress_triggers.unwrap_or(draft.stress_triggers),
            daily_schedule: self.daily_schedule.unwrap_or(draft.daily_schedule),
            language: self.language.unwrap_or(draft.language),
            entry_date: self.entry_date.unwrap_or(draft.entry_date),
        }
    }
}

/// A valid entry. Outside this crate it is made by [`EntryBody::try_new`] alone, or read from an event.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntryBody {
    /// Never blank.
    pub title: Option<String>,
    /// As the member wrote it.
    pub content: String,
    /// Trimmed, lower case, NFC, without repetition, in the member's order.
    pub tags: Vec<String>,
    /// 1 to 10.
    pub mood_rating: Option<u8>,
    /// 1 to 10.
    pub energy_level: Option<u8>,
    /// 1 to 10.
    pub stress_level: Option<u8>,
    /// 1 to 10.
    pub sleep_quality: Option<u8>,
    /// Hours slept.
    pub sleep_hours: Option<Hours>,
    /// Hours worked.
    pub work_hours: Option<Hours>,
    /// Minutes, 0 to 1,440.
    pub screen_time_mins: Option<u16>,
    /// Never blank.
    pub stress_triggers: Option<String>,
    /// Never blank.
    pub daily_schedule: Option<String>,
    /// The language of the content.
    pub language: Language,
    /// The member's day the entry is about.
    pub entry_date: NaiveDate,
}

impl fmt::Debug for EntryBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryBody").finish_non_exhaustive()
    }
}

impl EntryBody {
    /// Judges every field of `draft`; `today` is the date in the member's time zone. What is wrong is
    /// named all at once, each with a JSON Pointer. Characters are Unicode scalar values.
    pub fn try_new(draft: Draft, today: NaiveDate) -> Result<Self, Vec<Violation>> {
        let mut judge = Judge::default();
        let body = Self {
            title: judge.text("/title", draft.title, TITLE_MAX),
            content: judge.keep("/content", content(draft.content)),
            tags: judge.tags(draft.tags),
            mood_rating: judge.whole("/mood_rating", draft.mood_rating, RATING),
            energy_level: judge.whole("/energy_level", draft.energy_level, RATING),
            stress_level: judge.whole("/stress_level", draft.stress_level, RATING),
            sleep_quality: judge.whole("/sleep_quality", draft.sleep_quality, RATING),
            sleep_hours: judge.hours("/sleep_hours", draft.sleep_hours),
            work_hours: judge.hours("/work_hours", draft.work_hours),
            screen_time_mins: judge.whole(
                "/screen_time_mins",
                draft.screen_time_mins,
                SCREEN_TIME_MINS,
            ),
            stress_triggers: judge.text(
                "/stress_triggers",
                draft.stress_triggers,
                STRESS_TRIGGERS_MAX,
            ),
            daily_schedule: judge.text("/daily_schedule", draft.daily_schedule, DAILY_SCHEDULE_MAX),
            language: judge.keep(
                "/language",
                draft
                    .language
                    .as_deref()
                    .map_or(Ok(Language::default()), Language::parse),
            ),
            entry_date: judge.keep(
                "/entry_date",
                draft
                    .entry_date
                    .as_deref()
                    .map_or(Ok(today), |text| entry_date(text, today)),
            ),
        };
        if judge.violations.is_empty() {
            Ok(body)
        } else {
            Err(judge.violations)
        }
    }

    /// The draft that would make this body again.
    #[must_use]
    pub fn to_draft(&self) -> Draft {
        Draft {
            title: self.title.clone(),
            content: Some(self.content.clone()),
            tags: self.tags.clone(),
            mood_rating: self.mood_rating.map(i64::from),
            energy_level: self.energy_level.map(i64::from),
            stress_level: self.stress_level.map(i64::from),
            sleep_quality: self.sleep_quality.map(i64::from),
            sleep_hours: self.sleep_hours.map(Hours::get),
            work_hours: self.work_hours.map(Hours::get),
            screen_time_mins: self.screen_time_mins.map(i64::from),
            stress_triggers: self.stress_triggers.clone(),
            daily_schedule: self.daily_schedule.clone(),
            language: Some(self.language.code().to_owned()),
            entry_date: Some(self.entry_date.to_string()),
        }
    }
}

/// Collects violations; what stands in for a refused value is thrown away with the body.
#[derive(Default)]
struct Judge {
    violations: Vec<Violation>,
}

impl Judge {
    fn keep<T: Default>(&mut self, pointer: &str, judged: Result<T, Violation>) -> T {
        judged.unwrap_or_else(|violation| {
            self.violations.push(violation.at(pointer));
            T::default()
        })
    }

    fn text(&mut self, pointer: &str, text: Option<String>, max: usize) -> Option<String> {
        let text = text.filter(|text| !text.trim().is_empty())?;
        self.keep(pointer, not_longer(text, max).map(Some))
    }

    fn whole<T: TryFrom<i64> + Default>(
        &mut self,
        pointer: &str,
        number: Option<i64>,
        (min, max): (i64, i64),
    ) -> Option<T> {
        let number = number?;
        let judged = Some(number)
            .filter(|number| (min..=max).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| out_of_range(min, max));
        Some(self.keep(pointer, judged))
    }

    fn hours(&mut self, pointer: &str, hours: Option<f64>) -> Option<Hours> {
        let hours = hours?;
        self.keep(pointer, Hours::try_new(hours).map(Some))
    }

    fn tags(&mut self, tags: Vec<String>) -> Vec<String> {
        let mut seen = HashSet::new();
        let tags: Vec<(usize, String)> = tags
            .into_iter()
            .map(|tag| tag.trim().to_lowercase().nfc().collect::<String>())
            .enumerate()
            .filter(|(_, tag)| tag.is_empty() || seen.insert(tag.clone()))
            .collect();
        if tags.len() > TAGS_MAX {
            let violation = Violation::new("too_many", "There are too many tags.")
                .with("max", TAGS_MAX)
                .at("/tags");
            self.violations.push(violation);
            return Vec::new();
        }
        tags.into_iter()
            .map(|(place, tag)| {
                let judged = if tag.is_empty() {
                    Err(Violation::new("too_short", "A tag is not blank.").with("min", 1))
                } else {
                    not_longer(tag, TAG_MAX)
                };
                self.keep(&format!("/tags/{place}"), judged)
            })
            .collect()
    }
}

fn content(content: Option<String>) -> Result<String, Violation> {
    let content = content.ok_or_else(|| Violation::new("required", "An entry has content."))?;
    if content.trim().chars().count() < CONTENT_MIN {
        return Err(
            Violation::new("too_short", "The content is too short.").with("min", CONTENT_MIN)
        );
    }
    not_longer(content, CONTENT_MAX)
}

fn entry_date(text: &str, today: NaiveDate) -> Result<NaiveDate, Violation> {
    use chrono::Datelike;
    let date = Some(text)
        .filter(|text| text.len() == "YYYY-MM-DD".len())
        .and_then(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
        .filter(|date| date.to_string() == text)
        .ok_or_else(|| Violation::new("invalid_date", "A date is written YYYY-MM-DD."))?;
    if date > today {
        return Err(
            Violation::new("in_the_future", "The entry date is not in the future.")
                .with("max", today.to_string()),
        );
    }
    if date.year() < FIRST_YEAR {
        return Err(
            Violation::new("too_early", "The entry date is too long ago.")
                .with("min", format!("{FIRST_YEAR}-01-01")),
        );
    }
    Ok(date)
}

fn not_longer(text: String, max: usize) -> Result<String, Violation> {
    if text.chars().count() > max {
        Err(Violation::new("too_long", "The text is too long.").with("max", max))
    } else {
        Ok(text)
    }
}

fn out_of_range(min: i64, max: i64) -> Violation {
    Violation::new("out_of_range", "The number is out of range.")
        .with("min", min)
        .with("max", max)
}
