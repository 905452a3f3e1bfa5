//! What a session is made of.

use unicode_normalization::UnicodeNormalization;

use crate::identity::private_text::{credential, private_text};
use crate::rejection::Violation;

private_text! {
    /// What a member calls a device, 1..=100 characters, NFC and trimmed.
    DeviceLabel,
    /// What a client says it is, clipped to 400 characters.
    UserAgent,
}

credential! {
    /// SHA-256 of a refresh secret, in lower-case hex.
    RefreshHash,
}

impl DeviceLabel {
    /// Characters a label may have.
    pub const LENGTH: std::ops::RangeInclusive<usize> = 1..=100;

    /// A label as it is to be shown.
    ///
    /// # Errors
    /// `too_short`, `too_long`, or `bad_characters` for control characters.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let label = text.trim().nfc().collect::<String>();
        let (min, max) = (*Self::LENGTH.start(), *Self::LENGTH.end());
        let characters = label.chars().count();
        if characters < min {
            return Err(
                Violation::new("too_short", format!("At least {min} character.")).with("min", min),
            );
        }
        if characters > max {
            return Err(
                Violation::new("too_long", format!("At most {max} characters.")).with("max", max),
            );
        }
        if label.contains(char::is_control) {
            return Err(Violation::new(
                "bad_characters",
                "Control characters are not accepted.",
            ));
        }
        Ok(Self(label))
    }
}

impl UserAgent {
    /// Characters kept of a header.
    pub const MAX_LENGTH: usize = 400;

    /// What is kept of a `User-Agent` header: no control characters, and no more than
    /// [`UserAgent::MAX_LENGTH`] others.
    #[must_use]
    pub fn clip(header: &str) -> Self {
        Self(
            header
                .chars()
                .filter(|c| !c.is_control())
                .take(Self::MAX_LENGTH)
                .collect(),
        )
    }
}
