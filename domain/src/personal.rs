//! [`Personal<T>`]: a value that belongs to a data subject and that erasure takes away.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The member that marks a known personal value in a serialised event; sealing takes it from there.
pub const KNOWN: &str = "$personal";
/// The member that marks a value whose key was destroyed.
pub const ERASED: &str = "$erased";

/// A personal value: known, or erased for ever with its key.
///
/// Whoever reads one must say what erasure means to them. `Debug` never shows the value.
#[derive(Clone, PartialEq, Eq)]
pub enum Personal<T> {
    /// The value as it was given.
    Known(T),
    /// The key is destroyed; nobody can read it again.
    Erased,
}

impl<T> Personal<T> {
    /// The value, or `None` when it was erased.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }

    /// The value itself, or `None` when it was erased.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }

    /// The same state of knowledge about what `change` makes of the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Personal<U> {
        match self {
            Self::Known(value) => Personal::Known(change(value)),
            Self::Erased => Personal::Erased,
        }
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "Personal(known)",
            Self::Erased => "Personal(erased)",
        })
    }
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Known(value) => map.serialize_entry(KNOWN, value)?,
            Self::Erased => map.serialize_entry(ERASED, &true)?,
        }
        map.end()
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut map = serde_json::Map::deserialize(deserializer)?;
        if let Some(value) = map.remove(KNOWN) {
            return serde_json::from_value(value)
                .map(Self::Known)
                .map_err(|_| D::Error::custom("a personal value has an unexpected shape"));
        }
        if map.contains_key(ERASED) {
            return Ok(Self::Erased);
        }
        Err(D::Error::custom(
            "neither a known nor an erased personal value",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_value_survives_the_round_trip() -> Result<(), serde_json::Error> {
        let text = serde_json::to_string(&Personal::Known("word".to_owned()))?;
        assert_eq!(text, r#"{"$personal":"word"}"#);
        let back: Personal<String> = serde_json::from_str(&text)?;
        assert_eq!(back, Personal::Known("word".to_owned()));
        Ok(())
    }

    #[test]
    fn an_erased_value_stays_erased() -> Result<(), serde_json::Error> {
        let back: Personal<String> = serde_json::from_str(r#"{"$erased":true}"#)?;
        assert_eq!(back, Personal::Erased);
        Ok(())
    }

    #[test]
    fn debug_never_shows_the_value() {
        assert!(!format!("{:?}", Personal::Known("secret")).contains("secret"));
    }

    #[test]
    fn a_value_of_the_wrong_shape_is_refused_without_showing_it() {
        let error = serde_json::from_str::<Personal<u8>>(r#"{"$personal":"secret"}"#).err();
        assert!(error.is_some_and(|e| !e.to_string().contains("secret")));
    }
}
