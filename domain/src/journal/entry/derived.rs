//! What is computed from an entry's words when they are written.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::value::EntryBody;
use crate::journal::patterns::{LEXICON, Pattern, patterns};
use crate::language::Language;
use crate::sentiment::{ANALYSER, Sentiment, analyse};

/// The reading speed behind [`Derived::reading_time_mins`].
pub const WORDS_A_MINUTE: u32 = 200;

/// What is computed from the content of an entry, with the versions of what computed it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Derived {
    /// Words by Unicode's rules (UAX #29); numbers count, punctuation and emoji do not.
    pub word_count: u32,
    /// `word_count / 200`, in minutes, to one decimal, halves rounded up; 0.0 below ten words.
    pub reading_time_mins: f64,
    /// How the content reads; `None` unless the entry is in English, the analyser's only language.
    pub sentiment: Option<Sentiment>,
    /// The analyser behind `sentiment`, `None` with it.
    pub sentiment_analyser: Option<String>,
    /// What the content shows, in the order of [`Pattern::ALL`].
    pub patterns: Vec<Pattern>,
    /// The word lists behind `patterns`.
    pub pattern_lexicon: String,
}

impl Derived {
    /// What follows from `body`.
    #[must_use]
    pub fn of(body: &EntryBody) -> Self {
        let word_count = word_count(&body.content);
        let sentiment = (body.language == Language::En).then(|| analyse(&body.content));
        Self {
            word_count,
            reading_time_mins: reading_time_mins(word_count),
            sentiment,
            sentiment_analyser: sentiment.map(|_| ANALYSER.to_owned()),
            patterns: patterns(&body.content, body.language, sentiment),
            pattern_lexicon: LEXICON.to_owned(),
        }
    }
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derived").finish_non_exhaustive()
    }
}

/// The words of `text` by Unicode's rules (UAX #29).
#[must_use]
pub fn word_count(text: &str) -> u32 {
    u32::try_from(text.unicode_words().count()).unwrap_or(u32::MAX)
}

/// Counts in whole tenths of a minute, so that halves never round by chance.
fn reading_time_mins(word_count: u32) -> f64 {
    let tenths =
        (u64::from(word_count) * 10 + u64::from(WORDS_A_MINUTE) / 2) / u64::from(WORDS_A_MINUTE);
    u32::try_from(tenths).map_or(f64::from(u32::MAX), f64::from) / 10.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_near(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn words_are_counted_in_every_script() {
        assert_eq!(word_count("I don't know: 3.5 days!"), 5);
        assert_eq!(word_count("¿Qué tal el día?"), 4);
        assert_eq!(word_count("आज मैं बहुत खुश हूँ।"), 5);
        assert_eq!(word_count("😀 … —"), 0);
        assert_eq!(word_count(""), 0);
    }

    #[test]
    fn two_hundred_words_take_a_minute_to_read() {
        for (words, minutes) in [
            (0, 0.0),
            (9, 0.0),
            (10, 0.1),
            (29, 0.1),
            (30, 0.2),
            (200, 1.0),
            (250, 1.3),
            (u32::MAX, 21_474_836.5),
        ] {
            assert!(is_near(reading_time_mins(words), minutes), "{words}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_at_most_a_word_for_each_character(text in any::<String>()) {
            prop_assert!(word_count(&text) as usize <= text.chars().count());
        }
    }
}
