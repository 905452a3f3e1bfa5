//! What an exam is made of.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exams::question_bank::Item;
use crate::rejection::Violation;

const ANSWER_MIN: u8 = 1;
const ANSWER_MAX: u8 = 5;
const COUNT_MIN: u8 = 5;
const COUNT_MAX: u8 = 50;
const REFLECTION_MAX: usize = 5_000;

/// How many items a member wants to be asked, 5 to 50.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuestionCount(u8);

impl QuestionCount {
    /// `count` when it is in range, else `out_of_range`.
    pub fn try_new(count: i64) -> Result<Self, Violation> {
        in_range(count, COUNT_MIN, COUNT_MAX)
            .map(Self)
            .ok_or_else(|| {
                Violation::new("out_of_range", "an exam asks 5 to 50 questions")
                    .with("min", COUNT_MIN)
                    .with("max", COUNT_MAX)
            })
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for QuestionCount {
    fn default() -> Self {
        Self(20)
    }
}

/// An answer, from 1 (never) to 5 (always). Personal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answer(u8);

impl Answer {
    /// `value` when it is on the scale, else `out_of_range`.
    pub fn try_new(value: i64) -> Result<Self, Violation> {
        in_range(value, ANSWER_MIN, ANSWER_MAX)
            .map(Self)
            .ok_or_else(|| {
                Violation::new("out_of_range", "an answer is 1 to 5")
                    .with("min", ANSWER_MIN)
                    .with("max", ANSWER_MAX)
            })
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// What it says for the category: the answer, or 6 less the answer when `reverse_keyed`.
    #[must_use]
    pub const fn keyed(self, reverse_keyed: bool) -> u8 {
        if reverse_keyed {
            (ANSWER_MIN + ANSWER_MAX).saturating_sub(self.0)
        } else {
            self.0
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(…)")
    }
}

/// Answers by item id.
pub type Answers = BTreeMap<String, Answer>;

fn in_range(value: i64, min: u8, max: u8) -> Option<u8> {
    u8::try_from(value)
        .ok()
        .filter(|value| (min..=max).contains(value))
}

/// A member's own words about an exam, at most 5000 characters, kept as given; empty words take back
/// earlier ones. Personal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reflection(String);

impl Reflection {
    /// The words as given, or `too_long`.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        if text.chars().count() > REFLECTION_MAX {
            return Err(
                Violation::new("too_long", "a reflection has at most 5000 characters")
                    .with("max", REFLECTION_MAX),
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The words themselves.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Debug for Reflection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reflection(…)")
    }
}

/// An item picked for an exam, with all that scoring needs. Its text stays in the bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedItem {
    /// The item's slug.
    pub id: String,
    /// The slug of its category.
    pub category: String,
    /// Whether agreeing speaks against the category.
    pub reverse_keyed: bool,
    /// How much it counts.
    pub weight: u32,
    /// The slug of its partner, when that is asked too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
}

impl From<&Item> for AskedItem {
    fn from(item: &Item) -> Self {
        Self {
            id: item.id.clone(),
            category: item.category.clone(),
            reverse_keyed: item.reverse_keyed,
            weight: item.weight,
            pair: item.pair.clone(),
        }
    }
}
