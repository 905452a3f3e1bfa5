//! Where to find help, for a member whose words name self-harm.
//!
//! `data/journal/support.json` holds, for each language, the phrases, a message and the resources. It is
//! found out for the reply to a write alone and stored nowhere, neither in an event nor in a read model:
//! it is an offer, never a judgement about the member. Phrases of every language are looked for whatever
//! language the text says it is in, and negation is not heeded: "I don't want to kill myself" names it too.
//! Figures of speech ("this exam is killing me") are not in the list.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::entry::EntryBody;
use super::lexicon::{Phrases, words};
use crate::language::Language;

const DATA: &str = include_str!("../../data/journal/support.json");

/// What is offered to the member, in the member's language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Support {
    /// A few sentences to the member.
    pub message: String,
    /// Where someone can be reached, the nearest in language first.
    pub resources: Vec<Resource>,
}

/// Somewhere to turn to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The name under which it is known.
    pub name: String,
    /// The number to call, as it is dialled in its region; `None` when it is reached over the web only.
    pub phone: Option<String>,
    /// Its web page.
    pub url: String,
    /// Upper-case ISO 3166-1 alpha-2 code of the country it serves, or `international`.
    pub region: String,
}

/// The offer in `language` when `text` names self-harm.
#[must_use]
pub fn support(text: &str, language: Language) -> Option<Support> {
    let words = words(text);
    PHRASES
        .any_in(&words)
        .then(|| OFFERS.get(&language).cloned())
        .flatten()
}

/// The offer for an entry when any of the member's words in it name self-harm.
#[must_use]
pub fn support_for(body: &EntryBody) -> Option<Support> {
    let texts = [
        body.title.as_deref(),
        Some(body.content.as_str()),
        body.stress_triggers.as_deref(),
        body.daily_schedule.as_deref(),
    ];
    texts
        .into_iter()
        .flatten()
        .chain(body.tags.iter().map(String::as_str))
        .find_map(|text| support(text, body.language))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Offer {
    message: String,
    resources: Vec<Resource>,
    phrases: Vec<String>,
}

static PHRASES: LazyLock<Phrases<()>> = LazyLock::new(|| {
    Phrases::new(
        read()
            .unwrap_or_default()
            .into_values()
            .flat_map(|offer| offer.phrases)
            .map(|phrase| (phrase, ())),
    )
});

static OFFERS: LazyLock<HashMap<Language, Support>> = LazyLock::new(|| {
    read()
        .unwrap_or_default()
        .into_iter()
        .map(|(language, offer)| {
            let Offer {
                message, resources, ..
            } = offer;
            (language, Support { message, resources })
        })
        .collect()
});

/// The data file is part of the program; a test holds it to its shape.
fn read() -> Result<HashMap<Language, Offer>, serde_json::Error> {
    serde_json::from_str(DATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_a_message_resources_and_phrases() -> Result<(), serde_json::Error> {
        let offers = read()?;
        for language in Language::ALL {
            let Some(offer) = offers.get(&language) else {
                panic!("no offer in {language:?}");
            };
            assert!(offer.message.chars().count() > 40);
            assert!(offer.resources.len() >= 2);
            assert!(
                offer.phrases.len() >= 20,
                "{language:?} {}",
                offer.phrases.len()
            );
            for resource in &offer.resources {
                assert!(resource.url.starts_with("https://"), "{}", resource.url);
                assert!(!resource.name.is_empty());
                assert!(resource.region == "international" || resource.region.len() == 2);
            }
            assert!(
                offer
                    .resources
                    .iter()
                    .any(|resource| resource.phone.is_some())
            );
        }
        Ok(())
    }

    #[test]
    fn every_listed_phrase_is_answered_in_every_language() -> Result<(), serde_json::Error> {
        for offer in read()?.into_values() {
            for phrase in offer.phrases {
                for language in Language::ALL {
                    assert!(support(&phrase, language).is_some(), "{phrase}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn words_of_self_harm_are_answered_in_the_language_of_the_entry() {
        let english = support("Some days I want to die.", Language::En);
        let spanish = support("A veces pienso que quiero morirme", Language::Es);
        let hindi = support("कभी कभी लगता है कि मैं मरना चाहता हूँ", Language::Hi);
        assert!(english.is_some() && spanish.is_some() && hindi.is_some());
        assert_ne!(english, spanish);
        assert_ne!(spanish, hindi);
    }

    #[test]
    fn a_hyphen_a_curly_apostrophe_and_capitals_do_not_hide_them() {
        assert!(support("Thoughts of SELF-HARM again", Language::En).is_some());
        assert!(support("I don’t want to live", Language::En).is_some());
    }

    #[test]
    fn figures_of_speech_and_everyday_harm_are_not_answered() {
        for text in [
            "This exam is killing me",
            "I nearly died laughing",
            "I would die for that cake",
            "I cut myself shaving this morning",
            "The deadline is a killer",
            "I hurt my knee playing football",
        ] {
            assert!(support(text, Language::En).is_none(), "{text}");
        }
        assert!(support("Me muero de risa", Language::Es).is_none());
        assert!(support("हँसते हँसते मर गया", Language::Hi).is_none());
    }
}
