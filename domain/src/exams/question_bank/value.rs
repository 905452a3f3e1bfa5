//! The bank as its data file writes it, and what makes it a valid one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::language::{Language, Translated};
use crate::rejection::Violation;

const SLUG_MAX: usize = 40;
const NAME_MAX: usize = 200;
const TEXT_MAX: usize = 500;
const DESCRIPTION_MAX: usize = 2_000;
const CATEGORIES_MAX: usize = 20;
const ITEMS: std::ops::RangeInclusive<usize> = 5..=500;
const WEIGHT: std::ops::RangeInclusive<u32> = 1..=100;
const AGE_MAX: u8 = 120;

/// One version of a questionnaire. What [`Bank::validate`] finds nothing wrong with can be published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bank {
    /// The questionnaire's slug, for instance `eq`.
    pub instrument: String,
    /// Version, from 1.
    pub version: u32,
    /// Title, at most 200 characters.
    pub title: Translated,
    /// What it is about, at most 2000 characters.
    pub description: Translated,
    /// How answers are given.
    pub scale: Scale,
    /// What the items are about.
    pub categories: Vec<Category>,
    /// What may be asked, 5 to 500 items.
    pub items: Vec<Item>,
}

/// How answers are given: always from 1 to 5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// The lowest answer, 1.
    pub min: u8,
    /// The highest answer, 5.
    pub max: u8,
    /// What each answer is called, from lowest to highest.
    pub labels: Translated<Vec<String>>,
}

/// One side of what a questionnaire measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Category {
    /// Slug, unique within the bank.
    pub id: String,
    /// Name, at most 200 characters.
    pub name: Translated,
}

/// One statement to agree or disagree with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Slug, unique within the bank.
    pub id: String,
    /// The statement, at most 500 characters.
    pub text: Translated,
    /// The slug of its category.
    pub category: String,
    /// Whether agreeing speaks against the category.
    pub reverse_keyed: bool,
    /// How much the item counts within its category, 1 to 100.
    pub weight: u32,
    /// The youngest age in years it is meant for.
    pub min_age: u8,
    /// The oldest age in years it is meant for.
    pub max_age: u8,
    /// An explanation, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tooltip: Option<Translated>,
    /// The slug of the item that asks much the same, which names this one in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
}

impl Item {
    /// Whether it is meant for somebody of `age` years.
    #[must_use]
    pub fn is_fit_for(&self, age: u8) -> bool {
        (self.min_age..=self.max_age).contains(&age)
    }
}

impl Bank {
    /// Reads a data file, and refuses one with an unknown field or one that breaks a rule.
    pub fn parse(json: &str) -> Result<Self, Vec<Violation>> {
        let malformed =
            |error: serde_json::Error| vec![Violation::new("malformed", error.to_string())];
        let written: Value = serde_json::from_str(json).map_err(malformed)?;
        let bank = Self::deserialize(&written).map_err(malformed)?;
        let known = serde_json::to_value(&bank).map_err(malformed)?;
        let mut violations = Vec::new();
        unknown_fields(&written, &known, "", &mut violations);
        violations.extend(bank.validate());
        if violations.is_empty() {
            Ok(bank)
        } else {
            Err(violations)
        }
    }

    /// The id of the stream that holds it, for instance `eq-1`.
    #[must_use]
    pub fn stream_id(&self) -> String {
        format!("{}-{}", self.instrument, self.version)
    }

    /// The item called `id`.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    /// Every rule that the bank breaks, by the place in the data file; none when it is valid.
    #[must_use]
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let found = &mut violations;
        slug(&self.instrument, "/instrument", found);
        if self.version == 0 {
            found.push(Violation::new("too_small", "versions start at 1").at("/version"));
        }
        text(&self.title, NAME_MAX, "/title", found);
        text(&self.description, DESCRIPTION_MAX, "/description", found);
        self.validate_scale(found);
        self.validate_categories(found);
        self.validate_items(found);
        violations
    }

    fn validate_scale(&self, found: &mut Vec<Violation>) {
        if (self.scale.min, self.scale.max) != (1, 5) {
            found.push(Violation::new("out_of_range", "the scale is 1 to 5").at("/scale"));
        }
        for language in Language::ALL {
            let labels = self.scale.labels.get(language);
            let pointer = format!("/scale/labels/{}", language.code());
            if labels.len() != 5 || labels.iter().any(|label| label.trim().is_empty()) {
                found
                    .push(Violation::new("missing_label", "every answer has a label").at(&pointer));
            }
        }
    }

    fn validate_categories(&self, found: &mut Vec<Violation>) {
        if self.categories.is_empty() || self.categories.len() > CATEGORIES_MAX {
            found.push(
                Violation::new("out_of_range", "there are 1 to 20 categories")
                    .with("min", 1)
                    .with("max", CATEGORIES_MAX)
                    .at("/categories"),
            );
        }
        let mut seen = BTreeSet::new();
        for (i, category) in self.categories.iter().enumerate() {
            let pointer = format!("/categories/{i}");
            slug(&category.id, &format!("{pointer}/id"), found);
            if !seen.insert(&category.id) {
                found.push(
                    Violation::new("duplicate", "a category's id is unique")
                        .at(&format!("{pointer}/id")),
                );
            }
            text(&category.name, NAME_MAX, &format!("{pointer}/name"), found);
            for (reverse_keyed, code) in [(false, "no_forward_item"), (true, "no_reversed_item")] {
                let is_present = self.items.iter().any(|item| {
                    item.category == category.id && item.reverse_keyed == reverse_keyed
                });
                if !is_present {
                    found.push(
                        Violation::new(code, "every category has items of both keyings")
                            .at(&pointer),
                    );
                }
            }
        }
    }

    fn validate_items(&self, found: &mut Vec<Violation>) {
        if !ITEMS.contains(&self.items.len()) {
            found.push(
                Violation::new("out_of_range", "there are 5 to 500 items")
                    .with("min", *ITEMS.start())
                    .with("max", *ITEMS.end())
                    .at("/items"),
            );
        }
        let mut by_id: BTreeMap<&str, &Item> = BTreeMap::new();
        for (i, item) in self.items.iter().enumerate() {
            if by_id.insert(&item.id, item).is_some() {
                found.push(
                    Violation::new("duplicate", "an item's id is unique")
                        .at(&format!("/items/{i}/id")),
                );
            }
        }
        for (i, item) in self.items.iter().enumerate() {
            let pointer = format!("/items/{i}");
            slug(&item.id, &format!("{pointer}/id"), found);
            text(&item.text, TEXT_MAX, &format!("{pointer}/text"), found);
            if let Some(tooltip) = &item.tooltip {
                text(tooltip, TEXT_MAX, &format!("{pointer}/tooltip"), found);
            }
            if !self
                .categories
                .iter()
                .any(|category| category.id == item.category)
            {
                found.push(
                    Violation::new("unknown_category", "the category is not in the bank")
                        .at(&format!("{pointer}/category")),
                );
            }
            if !WEIGHT.contains(&item.weight) {
                found.push(
                    Violation::new("out_of_range", "the weight is 1 to 100")
                        .with("min", *WEIGHT.start())
                        .with("max", *WEIGHT.end())
                        .at(&format!("{pointer}/weight")),
                );
            }
            if item.min_age > item.max_age || item.max_age > AGE_MAX {
                found.push(
                    Violation::new("out_of_range", "the ages are a range up to 120")
                        .with("max", AGE_MAX)
                        .at(&format!("{pointer}/max_age")),
                );
            }
            if let Some(pair) = &item.pair
                && let Some(violation) = broken_pair(item, by_id.get(pair.as_str()).copied())
            {
                found.push(violation.at(&format!("{pointer}/pair")));
            }
        }
    }
}

fn broken_pair(item: &Item, partner: Option<&Item>) -> Option<Violation> {
    let Some(partner) = partner else {
        return Some(Violation::new(
            "unknown_item",
            "the other item is not in the bank",
        ));
    };
    if partner.id == item.id || partner.pair.as_ref() != Some(&item.id) {
        return Some(Violation::new(
            "one_sided_pair",
            "paired items name each other",
        ));
    }
    if partner.category != item.category {
        return Some(Violation::new(
            "split_pair",
            "paired items share a category",
        ));
    }
    None
}

fn slug(slug: &str, pointer: &str, found: &mut Vec<Violation>) {
    let is_slug = slug.starts_with(|c: char| c.is_ascii_lowercase())
        && slug.len() <= SLUG_MAX
        && slug
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !is_slug {
        found.push(
            Violation::new(
                "not_a_slug",
                "a lower-case letter, then letters, digits and _",
            )
            .with("max", SLUG_MAX)
            .at(pointer),
        );
    }
}

fn text(text: &Translated, max: usize, pointer: &str, found: &mut Vec<Violation>) {
    for language in Language::ALL {
        let text = text.get(language);
        let violation = if text.trim().is_empty() {
            Violation::new(
                "missing_translation",
                "the text is needed in every language",
            )
        } else if text.chars().count() > max {
            Violation::new("too_long", "the text is too long").with("max", max)
        } else {
            continue;
        };
        found.push(violation.at(&format!("{pointer}/{}", language.code())));
    }
}

/// Finds what was written but means nothing: a misspelt optional field must not get lost.
fn unknown_fields(written: &Value, known: &Value, pointer: &str, found: &mut Vec<Violation>) {
    match (written, known) {
        (Value::Object(written), Value::Object(known)) => {
            for (name, value) in written {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                let pointer = format!("{pointer}/{escaped}");
                match known.get(name) {
                    Some(known) => unknown_fields(value, known, &pointer, found),
                    None if value.is_null() => {}
                    None => {
                        found.push(Violation::new("unknown_field", "no such field").at(&pointer));
                    }
                }
            }
        }
        (Value::Array(written), Value::Array(known)) => {
            for (i, (written, known)) in written.iter().zip(known).enumerate() {
                unknown_fields(written, known, &format!("{pointer}/{i}"), found);
            }
        }
        _ => {}
    }
}
