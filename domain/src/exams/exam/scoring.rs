//! How answers become a result. Whole numbers throughout, so that a result is the same everywhere.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value::{Answer, Answers, AskedItem};
use crate::sentiment::Sentiment;

/// The version of the formulas on this page; results of different versions do not compare.
pub const SCORING_VERSION: u16 = 1;
/// A category with fewer items has no band.
pub const BAND_ITEMS_MIN: u32 = 3;
/// Fewer asked pairs say nothing about consistency.
pub const CONSISTENCY_PAIRS_MIN: usize = 2;
/// Keyed values of a pair that lie so far apart contradict each other.
pub const CONTRADICTION: u8 = 3;
/// Who takes less time per item on average has rushed.
pub const RUSHED_SECONDS_PER_ITEM: i32 = 2;

/// Fewer others say nothing about where somebody stands.
pub const PERCENTILE_OTHERS_MIN: u64 = 20;

const KEYED_MAX: u32 = 5;

/// A share of what was possible, 0.0 to 100.0 in steps of 0.1; JSON shows it as a number with one decimal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentage {
    tenths: u16,
}

impl Percentage {
    /// `part` of `whole`, halves of a tenth rounded up; 0 of nothing. More than the whole is 100.
    #[must_use]
    pub fn of(part: u32, whole: u32) -> Self {
        let (part, whole) = (u64::from(part.min(whole)), u64::from(whole));
        let tenths = (2_000 * part + whole)
            .checked_div(2 * whole)
            .unwrap_or_default();
        Self::from_tenths(u16::try_from(tenths).unwrap_or(u16::MAX))
    }

    /// From tenths of a percent; more than 1000 is 100 percent.
    #[must_use]
    pub const fn from_tenths(tenths: u16) -> Self {
        Self {
            tenths: if tenths > 1_000 { 1_000 } else { tenths },
        }
    }

    /// In tenths of a percent, 0 to 1000.
    #[must_use]
    pub const fn tenths(self) -> u16 {
        self.tenths
    }

    /// In percent, the nearest float to the one decimal.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.tenths) / 10.0
    }
}

impl Serialize for Percentage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl<'de> Deserialize<'de> for Percentage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=1000 and whole"
        )]
        let tenths = (percent * 10.0).round().clamp(0.0, 1_000.0) as u16;
        Ok(Self::from_tenths(tenths))
    }
}

/// What a percentage amounts to, from its one decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    /// Below 40.
    Developing,
    /// Below 60.
    Emerging,
    /// Below 80.
    Proficient,
    /// 80 or more.
    Strong,
}

impl Band {
    /// Every band, from lowest to highest.
    pub const ALL: [Self; 4] = [
        Self::Developing,
        Self::Emerging,
        Self::Proficient,
        Self::Strong,
    ];

    /// The band that `percentage` falls into.
    #[must_use]
    pub const fn of(percentage: Percentage) -> Self {
        match percentage.tenths() {
            0..400 => Self::Developing,
            400..600 => Self::Emerging,
            600..800 => Self::Proficient,
            _ => Self::Strong,
        }
    }
}

/// How much a category would gain from attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Below 60 percent.
    High,
    /// Below 85 percent.
    Medium,
    /// 85 percent or more.
    Low,
}

impl Priority {
    /// The priority of a category with `percentage`.
    #[must_use]
    pub const fn of(percentage: Percentage) -> Self {
        match percentage.tenths() {
            0..600 => Self::High,
            600..850 => Self::Medium,
            _ => Self::Low,
        }
    }
}

/// The result of a completed exam. Personal throughout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExamResult {
    /// Over all items.
    pub overall: Overall,
    /// By category, in the order of their slugs.
    pub categories: Vec<CategoryResult>,
    /// What speaks against the result.
    pub flags: Flags,
    /// What the reflection reads like; `None` without one, or when it is not in English.
    #[serde(default)]
    pub sentiment: Option<Sentiment>,
    /// The analyser that judged the sentiment, with its version.
    #[serde(default)]
    pub analyser: Option<String>,
}

/// The result over all items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overall {
    /// Share of what was possible.
    pub percentage: Percentage,
    /// What it amounts to.
    pub band: Band,
}

/// The result of one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryResult {
    /// The category's slug.
    pub category: String,
    /// How many items were asked.
    pub items: u32,
    /// Sum of weight times keyed value.
    pub score: u32,
    /// The lowest possible score: the sum of weights.
    pub min: u32,
    /// The highest possible score: five times the sum of weights.
    pub max: u32,
    /// (score − min) / (max − min).
    pub percentage: Percentage,
    /// What it amounts to; `None` with fewer than three items.
    pub band: Option<Band>,
}

/// What speaks against a result. Personal, for it is computed from the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// Answered in less than two seconds an item on average.
    pub rushed: bool,
    /// The answers contradict each other or are all the same; `None` when too few pairs were asked to
    /// tell.
    pub inconsistent: Option<bool>,
}

impl Flags {
    /// Whether anything speaks against the result: it then earns nothing and counts in no comparison.
    #[must_use]
    pub fn any(self) -> bool {
        self.rushed || self.inconsistent == Some(true)
    }
}

/// An item with its answer.
#[derive(Debug, Clone, Copy)]
pub struct AnsweredItem<'a> {
    /// The item.
    pub item: &'a AskedItem,
    /// The answer to it.
    pub answer: Answer,
}

impl AnsweredItem<'_> {
    fn keyed(&self) -> u8 {
        self.answer.keyed(self.item.reverse_keyed)
    }
}

/// Every item with its answer, or the ids of the unanswered ones in the order they are asked.
pub fn answered<'a>(
    items: &'a [AskedItem],
    answers: &Answers,
) -> Result<Vec<AnsweredItem<'a>>, Vec<String>> {
    let missing: Vec<String> = items
        .iter()
        .filter(|item| !answers.contains_key(&item.id))
        .map(|item| item.id.clone())
        .collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    Ok(items
        .iter()
        .filter_map(|item| {
            let answer = *answers.get(&item.id)?;
            Some(AnsweredItem { item, answer })
        })
        .collect())
}

/// The scores over all items and by category; the order of the items makes no difference.
#[must_use]
pub fn score(sheet: &[AnsweredItem<'_>]) -> (Overall, Vec<CategoryResult>) {
    let mut total = Sums::default();
    let mut by_category: BTreeMap<&str, Sums> = BTreeMap::new();
    for answered in sheet {
        total.add(answered);
        by_category
            .entry(&answered.item.category)
            .or_default()
            .add(answered);
    }
    let categories = by_category
        .into_iter()
        .map(|(category, sums)| {
            let percentage = sums.percentage();
            CategoryResult {
                category: category.to_owned(),
                items: sums.items,
                score: sums.score,
                min: sums.weights,
                max: sums.max(),
                percentage,
                band: (sums.items >= BAND_ITEMS_MIN).then(|| Band::of(percentage)),
            }
        })
        .collect();
    let percentage = total.percentage();
    let overall = Overall {
        percentage,
        band: Band::of(percentage),
    };
    (overall, categories)
}

/// What speaks against answers whose last one came `time_taken` after the start.
#[must_use]
pub fn flags(sheet: &[AnsweredItem<'_>], time_taken: TimeDelta) -> Flags {
    let items = i32::try_from(sheet.len()).unwrap_or(i32::MAX);
    let rushed = time_taken < TimeDelta::seconds(i64::from(RUSHED_SECONDS_PER_ITEM)) * items;
    Flags {
        rushed,
        inconsistent: inconsistent(sheet),
    }
}

/// More than a third of the pairs contradict each other, or every answer is the same before keying.
fn inconsistent(sheet: &[AnsweredItem<'_>]) -> Option<bool> {
    let raw: BTreeSet<Answer> = sheet.iter().map(|answered| answered.answer).collect();
    if sheet.len() > 1 && raw.len() == 1 {
        return Some(true);
    }
    let keyed: BTreeMap<&str, u8> = sheet
        .iter()
        .map(|answered| (answered.item.id.as_str(), answered.keyed()))
        .collect();
    let distances: Vec<u8> = sheet
        .iter()
        .filter_map(|answered| {
            let partner = answered.item.pair.as_deref()?;
            let is_first = answered.item.id.as_str() < partner;
            let other = keyed.get(partner).filter(|_| is_first)?;
            Some(answered.keyed().abs_diff(*other))
        })
        .collect();
    if distances.len() < CONSISTENCY_PAIRS_MIN {
        return None;
    }
    let contradicting = distances
        .iter()
        .filter(|distance| **distance >= CONTRADICTION)
        .count();
    Some(contradicting * 3 > distances.len())
}

/// Where a result stands among `others` results, `below` of them lower and `equal` of them the same, from
/// 0 to 100: (below + ½ equal) / others, halves rounded up. `None` among fewer than twenty.
#[must_use]
pub fn percentile(below: u64, equal: u64, others: u64) -> Option<u8> {
    if others < PERCENTILE_OTHERS_MIN {
        return None;
    }
    let halves = (2 * below + equal).min(2 * others);
    u8::try_from((halves * 100 + others) / (2 * others)).ok()
}

#[derive(Default)]
struct Sums {
    items: u32,
    score: u32,
    weights: u32,
}

impl Sums {
    fn add(&mut self, answered: &AnsweredItem<'_>) {
        self.items += 1;
        self.score += answered.item.weight * u32::from(answered.keyed());
        self.weights += answered.item.weight;
    }

    const fn max(&self) -> u32 {
        self.weights * KEYED_MAX
    }

    fn percentage(&self) -> Percentage {
        Percentage::of(
            self.score.saturating_sub(self.weights),
            self.max() - self.weights,
        )
    }
}
