//! The languages that banks and recommendations are written in.

use serde::{Deserialize, Serialize};

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
