//! Words and phrases to be found in a text as whole words, whatever their case, accents and apostrophes.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// The words of `text` in the form in which words compare: lower case, Latin letters without accents,
/// straight apostrophes, no joiners.
pub(super) fn words(text: &str) -> Vec<String> {
    fold(text).unicode_words().map(str::to_owned).collect()
}

/// The words of each clause of `text`, a clause being what stands between two marks of punctuation or
/// line breaks.
pub(super) fn clauses(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.split(|c: char| {
        matches!(
            c,
            '.' | ','
                | ';'
                | ':'
                | '!'
                | '?'
                | '¡'
                | '¿'
                | '।'
                | '॥'
                | '…'
                | '—'
                | '('
                | ')'
                | '\n'
                | '\r'
        )
    })
    .map(words)
    .filter(|words| !words.is_empty())
}

fn fold(text: &str) -> String {
    text.nfkd()
        .filter(|c| !is_accent(*c) && !matches!(c, '\u{200c}' | '\u{200d}'))
        .map(|c| match c {
            '\u{2019}' | '\u{2018}' | '\u{02bc}' => '\'',
            other => other,
        })
        .flat_map(char::to_lowercase)
        .filter(|c| !is_accent(*c))
        .collect()
}

/// Combining marks of European scripts; those of Devanagari are vowels and stay.
fn is_accent(c: char) -> bool {
    ('\u{0300}'..='\u{036f}').contains(&c)
}

/// Phrases of one or more words, each with what it stands for.
#[derive(Debug)]
pub(super) struct Phrases<T> {
    by_first: HashMap<String, Vec<(Vec<String>, T)>>,
}

impl<T> Phrases<T> {
    /// The phrases of `entries`; those without a word are left out.
    pub(super) fn new<S: AsRef<str>>(entries: impl IntoIterator<Item = (S, T)>) -> Self {
        let mut by_first: HashMap<String, Vec<(Vec<String>, T)>> = HashMap::new();
        for (phrase, meaning) in entries {
            let mut words = words(phrase.as_ref()).into_iter();
            if let Some(first) = words.next() {
                by_first
                    .entry(first)
                    .or_default()
                    .push((words.collect(), meaning));
            }
        }
        Self { by_first }
    }

    /// The phrases that begin at the first word of `words`: their length in words and what they stand for.
    pub(super) fn at<'a>(&'a self, words: &'a [String]) -> impl Iterator<Item = (usize, &'a T)> {
        words
            .split_first()
            .and_then(|(first, rest)| Some((self.by_first.get(first)?, rest)))
            .into_iter()
            .flat_map(|(phrases, rest)| {
                phrases
                    .iter()
                    .filter(|(tail, _)| rest.starts_with(tail))
                    .map(|(tail, meaning)| (tail.len() + 1, meaning))
            })
    }

    /// Whether any phrase stands anywhere in `words`.
    pub(super) fn any_in(&self, words: &[String]) -> bool {
        (0..words.len()).any(|start| self.at(&words[start..]).next().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_compare_without_case_accents_and_curly_apostrophes() {
        assert_eq!(
            words("Don’t DEPRESIÓN Ángel"),
            ["don't", "depresion", "angel"]
        );
    }

    #[test]
    fn hindi_words_keep_their_vowels_and_compare_in_either_spelling_of_a_dotted_letter() {
        assert_eq!(words("मैं खुश हूँ").len(), 3);
        assert_eq!(words("रोज\u{93c}"), words("रो\u{95b}"));
        assert_ne!(words("खुश"), words("खश"));
    }

    #[test]
    fn a_phrase_is_found_as_whole_words_only() {
        let phrases = Phrases::new([("worn out", ())]);
        assert!(phrases.any_in(&words("I am WORN\nout today")));
        assert!(!phrases.any_in(&words("I am worn outside")));
        assert!(!phrases.any_in(&words("worn")));
    }
}
