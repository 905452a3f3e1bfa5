//! How positive or negative an English text reads: VADER, a lexicon of rated words, emoticons and emoji
//! with rules for negation, degree, emphasis and "but".
//!
//! Hutto, C.J. & Gilbert, E.E. (2014). *VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
//! Social Media Text.* ICWSM-14. The reference is the Python package `vaderSentiment` 3.3.2. The algorithm
//! and the lexicon come from the `vader-parity` crate; `data/vader/corpus.json` holds our own sentences
//! with the reference's scores (written by `corpus.py` beside it), and the tests below hold us to them.
//!
//! The reference's limits are ours too: a curly apostrophe hides a negation ("don’t" is not "don't"), and
//! a text in another language mostly reads as neutral.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use vader_parity::SentimentIntensityAnalyzer;

/// The analyser's name and version, to be kept with every score: scores of different analysers do not
/// compare.
pub const ANALYSER: &str = "vader-3.3.2/1";

const LABEL_THRESHOLD: f64 = 0.05;

static VADER: LazyLock<SentimentIntensityAnalyzer> = LazyLock::new(SentimentIntensityAnalyzer::new);

/// What one text reads like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sentiment {
    /// VADER's compound score, from -1 (most negative) to 1 (most positive), to 4 decimals.
    pub compound: f64,
    /// The compound score on a scale from 0 to 100, to 2 decimals, halves rounded up.
    pub score: f64,
    /// The side of the conventional thresholds the compound score is on.
    pub label: SentimentLabel,
}

/// The sign of a text, by the thresholds VADER's authors recommend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SentimentLabel {
    /// A compound score of 0.05 or more.
    Positive,
    /// A compound score between the two thresholds.
    Neutral,
    /// A compound score of -0.05 or less.
    Negative,
}

impl SentimentLabel {
    /// Every label.
    pub const ALL: [Self; 3] = [Self::Positive, Self::Neutral, Self::Negative];

    /// The name in events and over HTTP.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Neutral => "neutral",
            Self::Negative => "negative",
        }
    }
}

/// Scores an English text of any length. A text with nothing to score, the empty one too, is neutral.
#[must_use]
pub fn analyse(text: &str) -> Sentiment {
    // a sum just below zero rounds to -0.0; adding zero drops the sign, which JSON would show
    let compound = VADER.polarity_scores(text).compound + 0.0;
    Sentiment {
        compound,
        score: score(compound),
        label: label(compound),
    }
}

/// Counts in whole ten-thousandths, where `(compound + 1.0) * 50.0` would round halves by chance.
fn score(compound: f64) -> f64 {
    let ten_thousandths = (compound * 10_000.0).round() + 10_000.0;
    (ten_thousandths / 2.0).round() / 100.0
}

fn label(compound: f64) -> SentimentLabel {
    if compound >= LABEL_THRESHOLD {
        SentimentLabel::Positive
    } else if compound <= -LABEL_THRESHOLD {
        SentimentLabel::Negative
    } else {
        SentimentLabel::Neutral
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const CORPUS: &str = include_str!("../data/vader/corpus.json");
    const SMALLEST_DIFFERENCE: f64 = 0.000_05;
    const LONGEST_TEXT: usize = 50_000;

    #[derive(Deserialize)]
    struct Reference {
        text: String,
        compound: f64,
    }

    fn is_near(left: f64, right: f64) -> bool {
        (left - right).abs() < SMALLEST_DIFFERENCE
    }

    fn is_sound(sentiment: Sentiment) -> bool {
        (-1.0..=1.0).contains(&sentiment.compound)
            && (0.0..=100.0).contains(&sentiment.score)
            && sentiment.label == label(sentiment.compound)
    }

    /// The words VADER has rules for, among rated and unrated ones.
    fn ruled_text() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "good", "BAD", "happy", "sad", "but", "BUT", "not", "never", "so", "this", "no", "nor",
            "or", "least", "at", "very", "kind", "of", "without", "doubt", "don't", "the", "shit",
            "bomb", "bus", "stop", "yeah", "right", "just", "enough", ":)", ":(", "!", "??", "❤️",
            "😀", "walk", "\n",
        ]);
        prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
    }

    #[test]
    fn every_sentence_of_the_corpus_scores_as_the_reference_does() -> Result<(), serde_json::Error>
    {
        let corpus: Vec<Reference> = serde_json::from_str(CORPUS)?;
        assert!(corpus.len() >= 150, "only {} sentences", corpus.len());

        let wrong: Vec<String> = corpus
            .iter()
            .map(|reference| (reference, analyse(&reference.text).compound))
            .filter(|(reference, compound)| !is_near(reference.compound, *compound))
            .map(|(Reference { text, compound }, ours)| {
                format!("{text:?}: {compound}, ours {ours}")
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }

    #[test]
    fn the_score_is_the_compound_on_a_scale_of_a_hundred_with_halves_rounded_up() {
        for (compound, expected) in [
            (-1.0, 0.0),
            (-0.9999, 0.01),
            (0.0, 50.0),
            (0.0001, 50.01),
            (0.4404, 72.02),
            (0.8317, 91.59),
            (1.0, 100.0),
        ] {
            let ours = score(compound);
            assert!(
                is_near(ours, expected),
                "{compound}: {expected}, ours {ours}"
            );
        }
    }

    #[test]
    fn the_thresholds_belong_to_the_outer_labels() {
        assert_eq!(label(0.05), SentimentLabel::Positive);
        assert_eq!(label(0.0499), SentimentLabel::Neutral);
        assert_eq!(label(-0.0499), SentimentLabel::Neutral);
        assert_eq!(label(-0.05), SentimentLabel::Negative);
    }

    #[test]
    fn a_sentiment_is_written_and_read_as_json() -> Result<(), serde_json::Error> {
        let good = analyse("good");
        let written = serde_json::to_value(good)?;
        assert_eq!(
            written,
            json!({ "compound": 0.4404, "score": 72.02, "label": "positive" })
        );
        assert_eq!(serde_json::from_value::<Sentiment>(written)?, good);
        Ok(())
    }

    #[test]
    fn a_sum_just_below_zero_is_written_without_a_sign() -> Result<(), serde_json::Error> {
        let cancelling = analyse("joy, lonely, lost");
        assert!(serde_json::to_string(&cancelling)?.contains(r#""compound":0.0"#));
        Ok(())
    }

    #[test]
    fn the_longest_texts_are_scored() {
        for part in [
            "good bad but ",
            "not good ",
            "I am sad, but I love you! ",
            "a",
            "!",
            "ΑΣ",
            "😀",
        ] {
            let text: String = part.chars().cycle().take(LONGEST_TEXT).collect();
            assert!(is_sound(analyse(&text)), "{part:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gets_a_sound_sentiment(text in any::<String>()) {
            prop_assert!(is_sound(analyse(&text)));
        }

        #[test]
        fn any_mix_of_ruled_words_gets_a_sound_sentiment(text in ruled_text()) {
            let sentiment = analyse(&text);
            prop_assert!(is_sound(sentiment));
            prop_assert!(sentiment.compound != 0.0 || sentiment.compound.is_sign_positive());
        }

        #[test]
        fn the_same_text_always_scores_the_same_whatever_space_surrounds_it(
            text in ruled_text(),
            space in "[ \t\r\n]{0,5}",
        ) {
            prop_assert_eq!(analyse(&format!("{space}{text}{space}")), analyse(&text));
        }

        #[test]
        fn exclamation_marks_never_weaken_a_text(text in "(so|very|not)? (good|bad|happy|sad)", marks in 0usize..8) {
            let compound = |marks| analyse(&format!("{text}{}", "!".repeat(marks))).compound.abs();
            prop_assert!(compound(marks + 1) >= compound(marks));
        }
    }
}
