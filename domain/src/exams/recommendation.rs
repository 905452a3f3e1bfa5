//! What a result suggests to work on: texts by category and band, written beforehand.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::exam::{Band, ExamResult, Priority};
use crate::language::{Language, Translated};

const FILES: &[&str] = &[include_str!("../../data/recommendations/eq.json")];

/// The shipped texts by instrument.
static SHIPPED: LazyLock<BTreeMap<String, Texts>> = LazyLock::new(|| {
    FILES
        .iter()
        .filter_map(|file| serde_json::from_str::<Recommendations>(file).ok())
        .map(|file| (file.instrument, file.texts))
        .collect()
});

/// What every result comes with.
pub const DISCLAIMER: Translated<&str> = Translated {
    en: "Indicative, not a diagnosis.",
    es: "Orientativo, no es un diagnóstico.",
    hi: "यह केवल एक संकेत है, कोई निदान नहीं।",
};

/// Texts by category and band.
pub type Texts = BTreeMap<String, BTreeMap<Band, Translated>>;

/// The data file with one instrument's texts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommendations {
    /// The instrument the texts are about.
    pub instrument: String,
    /// The version of the texts, from 1; theirs alone, not a bank's.
    pub version: u32,
    /// Texts by category and band.
    pub texts: Texts,
}

/// One suggestion for one category of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommendation {
    /// The category's slug.
    pub category: String,
    /// How much the category would gain from attention.
    pub priority: Priority,
    /// What to do, in the language asked for.
    pub message: &'static str,
}

/// The text for `category` of `instrument` in `band`, when there is one.
#[must_use]
pub fn recommendation(
    instrument: &str,
    category: &str,
    band: Band,
    language: Language,
) -> Option<&'static str> {
    let text = SHIPPED.get(instrument)?.get(category)?.get(&band)?;
    Some(text.get(language))
}

/// The suggestions for a result, the most urgent first and then by lowest percentage. A category without a
/// band, for it had too few items, gets none.
#[must_use]
pub fn recommendations(
    result: &ExamResult,
    instrument: &str,
    language: Language,
) -> Vec<Recommendation> {
    let mut categories: Vec<_> = result.categories.iter().collect();
    categories.sort_by_key(|category| category.percentage);
    categories
        .into_iter()
        .filter_map(|category| {
            Some(Recommendation {
                category: category.category.clone(),
                priority: Priority::of(category.percentage),
                message: recommendation(instrument, &category.category, category.band?, language)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exams::question_bank::{Bank, SHIPPED as BANKS};

    #[test]
    fn every_shipped_text_can_be_read() {
        assert_eq!(SHIPPED.len(), FILES.len());
    }

    #[test]
    fn every_category_has_a_text_for_every_band_in_every_language() {
        for bank in BANKS {
            let Ok(bank) = Bank::parse(bank) else {
                panic!("a shipped bank is invalid");
            };
            for category in &bank.categories {
                for band in Band::ALL {
                    for language in Language::ALL {
                        let text = recommendation(&bank.instrument, &category.id, band, language);
                        assert!(
                            text.is_some_and(|text| !text.trim().is_empty()),
                            "{} {band:?} {language:?}",
                            category.id
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn an_unknown_instrument_or_category_has_no_text() {
        assert_eq!(
            recommendation("tarot", "self_awareness", Band::Strong, Language::En),
            None
        );
        assert_eq!(
            recommendation("eq", "charm", Band::Strong, Language::En),
            None
        );
    }
}
