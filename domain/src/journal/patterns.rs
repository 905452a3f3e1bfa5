//! Feelings that an entry names, found by our own word lists in three languages.
//!
//! `data/journal/patterns.json` holds, for each language, the words of each pattern (single words or
//! phrases, inflections written out), the words that negate and how far they reach before and behind
//! themselves, the conjunctions that end their reach, and the phrases that look like a negation and are
//! none ("can't stop"). A word counts when it stands there as a whole word and is not negated: "not happy"
//! is no positivity. It is not sadness either: a negated word says what is absent, not what is there.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::lexicon::{Phrases, clauses};
use crate::language::Language;
use crate::sentiment::Sentiment;

/// The version of the word lists, to be kept with every finding.
pub const LEXICON: &str = "patterns/1";

/// A sentiment score of at least this is [`Pattern::HighPositive`].
pub const HIGH_POSITIVE: f64 = 70.0;
/// A sentiment score of at most this is [`Pattern::HighNegative`].
pub const HIGH_NEGATIVE: f64 = 30.0;

const DATA: &str = include_str!("../../data/journal/patterns.json");

/// Something an entry's words show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Joy, contentment, pride.
    Positivity,
    /// Sorrow, loneliness, grief.
    Sadness,
    /// Worry, fear, tension.
    Anxiety,
    /// Anger, annoyance, being stuck.
    Frustration,
    /// Tiredness, exhaustion, lack of sleep.
    Fatigue,
    /// Confidence in what comes.
    Hope,
    /// Thankfulness.
    Gratitude,
    /// The sentiment score is 70 or more.
    HighPositive,
    /// The sentiment score is 30 or less.
    HighNegative,
}

impl Pattern {
    /// Every pattern, in the order in which they are listed.
    pub const ALL: [Self; 9] = [
        Self::Positivity,
        Self::Sadness,
        Self::Anxiety,
        Self::Frustration,
        Self::Fatigue,
        Self::Hope,
        Self::Gratitude,
        Self::HighPositive,
        Self::HighNegative,
    ];

    /// The name in events and over HTTP.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Positivity => "positivity",
            Self::Sadness => "sadness",
            Self::Anxiety => "anxiety",
            Self::Frustration => "frustration",
            Self::Fatigue => "fatigue",
            Self::Hope => "hope",
            Self::Gratitude => "gratitude",
            Self::HighPositive => "high_positive",
            Self::HighNegative => "high_negative",
        }
    }
}

/// The patterns in `text`, each once, in the order of [`Pattern::ALL`].
#[must_use]
pub fn patterns(text: &str, language: Language, sentiment: Option<Sentiment>) -> Vec<Pattern> {
    let mut found = LEXICONS
        .get(&language)
        .map(|lexicon| lexicon.patterns(text))
        .unwrap_or_default();
    if let Some(Sentiment { score, .. }) = sentiment {
        if score >= HIGH_POSITIVE {
            found.insert(Pattern::HighPositive);
        }
        if score <= HIGH_NEGATIVE {
            found.insert(Pattern::HighNegative);
        }
    }
    found.into_iter().collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    patterns: HashMap<Pattern, Vec<String>>,
    negations: Negations,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Negations {
    words: Vec<String>,
    reach_forward: usize,
    reach_back: usize,
    ends: Vec<String>,
    exceptions: Vec<String>,
}

struct Lexicon {
    patterns: Phrases<Pattern>,
    negations: Phrases<()>,
    ends: Phrases<()>,
    exceptions: Phrases<()>,
    reach_forward: usize,
    reach_back: usize,
}

static LEXICONS: LazyLock<HashMap<Language, Lexicon>> = LazyLock::new(|| {
    read()
        .unwrap_or_default()
        .into_iter()
        .map(|(language, words)| (language, Lexicon::new(words)))
        .collect()
});

/// The data file is part of the program; a test holds it to its shape.
fn read() -> Result<HashMap<Language, Words>, serde_json::Error> {
    serde_json::from_str(DATA)
}

impl Lexicon {
    fn new(words: Words) -> Self {
        let patterns = words.patterns.into_iter().flat_map(|(pattern, phrases)| {
            phrases.into_iter().map(move |phrase| (phrase, pattern))
        });
        let plain = |phrases: Vec<String>| Phrases::new(phrases.into_iter().map(|p| (p, ())));
        Self {
            patterns: Phrases::new(patterns),
            negations: plain(words.negations.words),
            ends: plain(words.negations.ends),
            exceptions: plain(words.negations.exceptions),
            reach_forward: words.negations.reach_forward,
            reach_back: words.negations.reach_back,
        }
    }

    fn patterns(&self, text: &str) -> BTreeSet<Pattern> {
        let mut found = BTreeSet::new();
        for words in clauses(text) {
            for part in self.parts(&words) {
                let negators = self.negators(part);
                for start in 0..part.len() {
                    for (length, pattern) in self.patterns.at(&part[start..]) {
                        if !self.is_negated(&negators, start, start + length) {
                            found.insert(*pattern);
                        }
                    }
                }
            }
        }
        found
    }

    /// A clause, cut where a conjunction ends the reach of a negation.
    fn parts<'a>(&self, words: &'a [String]) -> Vec<&'a [String]> {
        let mut parts = Vec::new();
        let mut begin = 0;
        for place in 0..words.len() {
            if self.ends.at(&words[place..]).next().is_some() {
                parts.push(&words[begin..place]);
                begin = place;
            }
        }
        parts.push(&words[begin..]);
        parts
    }

    /// Where the negations stand: first word and the place after the last.
    fn negators(&self, words: &[String]) -> Vec<(usize, usize)> {
        let mut negators = Vec::new();
        let mut place = 0;
        while place < words.len() {
            if let Some((length, ())) = self.exceptions.at(&words[place..]).next() {
                place += length;
                continue;
            }
            if let Some((length, ())) = self.negations.at(&words[place..]).next() {
                negators.push((place, place + length));
            }
            place += 1;
        }
        negators
    }

    /// Whether the phrase in `start..end` is in reach of a negation outside it.
    fn is_negated(&self, negators: &[(usize, usize)], start: usize, end: usize) -> bool {
        negators.iter().any(|&(first, after)| {
            (after <= start && start - after < self.reach_forward)
                || (first >= end && first - end < self.reach_back)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sentiment::SentimentLabel;

    const NAMED: [Pattern; 7] = [
        Pattern::Positivity,
        Pattern::Sadness,
        Pattern::Anxiety,
        Pattern::Frustration,
        Pattern::Fatigue,
        Pattern::Hope,
        Pattern::Gratitude,
    ];

    fn named(text: &str, language: Language) -> Vec<Pattern> {
        patterns(text, language, None)
    }

    fn scored(score: f64) -> Vec<Pattern> {
        let sentiment = Sentiment {
            compound: score / 50.0 - 1.0,
            score,
            label: SentimentLabel::Neutral,
        };
        patterns("", Language::En, Some(sentiment))
    }

    #[test]
    fn every_language_has_at_least_25_words_for_every_pattern() -> Result<(), serde_json::Error> {
        let languages = read()?;
        for language in Language::ALL {
            let Some(words) = languages.get(&language) else {
                panic!("no words in {language:?}");
            };
            assert!(!words.negations.words.is_empty());
            for pattern in NAMED {
                let listed = words.patterns.get(&pattern).map_or(&[][..], Vec::as_slice);
                let distinct: BTreeSet<_> = listed
                    .iter()
                    .map(|p| super::super::lexicon::words(p))
                    .collect();
                assert_eq!(
                    listed.len(),
                    distinct.len(),
                    "{language:?} {pattern:?} twice"
                );
                assert!(
                    listed.len() >= 25,
                    "{language:?} {pattern:?} {}",
                    listed.len()
                );
            }
        }
        Ok(())
    }

    #[test]
    fn no_word_stands_for_two_patterns() -> Result<(), serde_json::Error> {
        for (language, words) in read()? {
            let mut seen = HashMap::new();
            for (pattern, phrases) in words.patterns {
                for phrase in phrases {
                    let key = super::super::lexicon::words(&phrase);
                    if let Some(other) = seen.insert(key, pattern) {
                        panic!("{language:?}: {phrase} is {pattern:?} and {other:?}");
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn every_listed_word_alone_shows_its_pattern() -> Result<(), serde_json::Error> {
        for (language, words) in read()? {
            for (pattern, phrases) in words.patterns {
                for phrase in phrases {
                    assert!(
                        named(&phrase, language).contains(&pattern),
                        "{language:?} {pattern:?} {phrase}"
                    );
                }
            }
        }
        Ok(())
    }

    #[test]
    fn english_feelings_are_found() {
        let text = "I was so worried and EXHAUSTED, but I’m grateful for my friends. Looking forward to spring!";
        assert_eq!(
            named(text, Language::En),
            [
                Pattern::Anxiety,
                Pattern::Fatigue,
                Pattern::Hope,
                Pattern::Gratitude
            ]
        );
    }

    #[test]
    fn spanish_feelings_are_found_with_and_without_accents() {
        assert_eq!(
            named("Estoy agotada y me siento sola", Language::Es),
            [Pattern::Sadness, Pattern::Fatigue]
        );
        assert_eq!(
            named("tengo depresión", Language::Es),
            named("tengo depresion", Language::Es)
        );
    }

    #[test]
    fn hindi_feelings_are_found() {
        assert_eq!(
            named("आज मैं बहुत खुश हूँ। कल की चिंता भी है", Language::Hi),
            [Pattern::Positivity, Pattern::Anxiety]
        );
    }

    #[test]
    fn a_negated_feeling_is_not_found() {
        assert!(named("I am not happy at all", Language::En).is_empty());
        assert!(named("I don’t feel very sad today", Language::En).is_empty());
        assert!(named("No estoy nada triste", Language::Es).is_empty());
        assert!(named("मैं खुश नहीं हूँ", Language::Hi).is_empty());
    }

    #[test]
    fn a_negation_ends_with_its_clause_or_a_conjunction() {
        assert_eq!(named("No, I am happy", Language::En), [Pattern::Positivity]);
        assert_eq!(
            named("not sad but anxious", Language::En),
            [Pattern::Anxiety]
        );
        assert_eq!(
            named("no estoy triste sino cansado", Language::Es),
            [Pattern::Fatigue]
        );
        assert_eq!(
            named("दुखी नहीं लेकिन परेशान", Language::Hi),
            [Pattern::Frustration]
        );
    }

    #[test]
    fn what_only_looks_like_a_negation_is_none() {
        assert_eq!(
            named("I can't stop worrying", Language::En),
            [Pattern::Anxiety]
        );
        assert_eq!(named("not only happy", Language::En), [Pattern::Positivity]);
    }

    #[test]
    fn a_part_of_a_word_is_not_found() {
        assert!(
            named("The sadhu bought a hopeless hopscotch", Language::En)
                .iter()
                .all(|pattern| *pattern != Pattern::Hope)
        );
        assert!(named("Crossing the saddle", Language::En).is_empty());
    }

    #[test]
    fn a_score_of_70_is_high_and_one_of_30_is_low() {
        assert_eq!(scored(70.0), [Pattern::HighPositive]);
        assert!(scored(69.99).is_empty());
        assert!(scored(30.01).is_empty());
        assert_eq!(scored(30.0), [Pattern::HighNegative]);
    }

    #[test]
    fn a_slug_is_the_name_in_json() -> Result<(), serde_json::Error> {
        for pattern in Pattern::ALL {
            assert_eq!(serde_json::to_value(pattern)?, pattern.slug());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_text_gets_sorted_patterns_without_repetition(text in any::<String>(), language in prop::sample::select(Language::ALL.to_vec())) {
            let found = named(&text, language);
            prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
        }

        #[test]
        fn case_makes_no_difference(words in prop::collection::vec(prop::sample::select(vec!["happy", "not", "worried", "but", "tired", "never", "hope", "can't", "stop", ".", "thank", "you"]), 0..20)) {
            let text = words.join(" ");
            prop_assert_eq!(named(&text, Language::En), named(&text.to_uppercase(), Language::En));
        }
    }
}
