//! What a skip is made of.

use serde::{Deserialize, Serialize};

use crate::rejection::Violation;

/// Why an event is skipped, 10..=500 characters, trimmed. It is read back whatever the rules have become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SkipReason(String);

impl SkipReason {
    /// Characters a reason may have: enough to say something, to whoever asks in a year.
    pub const LENGTH: std::ops::RangeInclusive<usize> = 10..=500;

    /// A reason in an operator's words.
    ///
    /// # Errors
    /// `too_short`, `too_long`, or `bad_characters` for control characters.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let text = text.trim();
        let (min, max) = (*Self::LENGTH.start(), *Self::LENGTH.end());
        let characters = text.chars().count();
        if characters < min {
            return Err(
                Violation::new("too_short", format!("At least {min} characters.")).with("min", min),
            );
        }
        if characters > max {
            return Err(
                Violation::new("too_long", format!("At most {max} characters.")).with("max", max),
            );
        }
        if text.contains(char::is_control) {
            return Err(Violation::new(
                "bad_characters",
                "Control characters are not accepted.",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The reason itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
