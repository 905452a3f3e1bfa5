//! The languages the house speaks, and texts in all of them.

use serde::{Deserialize, Serialize};

use crate::rejection::Violation;

/// A language that every text is written in, by its ISO 639-1 code.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
    /// Hindi.
    Hi,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 3] = [Self::En, Self::Es, Self::Hi];

    /// The language with this ISO 639-1 code.
    pub fn parse(code: &str) -> Result<Self, Violation> {
        Self::ALL
            .into_iter()
            .find(|language| language.code() == code)
            .ok_or_else(|| Violation::new("unknown_language", "The language is one of en, es, hi."))
    }

    /// The ISO 639-1 code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
            Self::Hi => "hi",
        }
    }
}

/// The same thing in every language. One that is absent from a file reads as empty, so that validation
/// can name its place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Translated<T = String> {
    /// In English.
    pub en: T,
    /// In Spanish.
    pub es: T,
    /// In Hindi.
    pub hi: T,
}

impl<T> Translated<T> {
    /// The one in `language`.
    pub const fn get(&self, language: Language) -> &T {
        match language {
            Language::En => &self.en,
            Language::Es => &self.es,
            Language::Hi => &self.hi,
        }
    }
}
