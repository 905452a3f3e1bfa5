//! What an account is made of. Every value is checked when it is made; none echoes what it refuses.

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::identity::private_text::{credential, private_text};
use crate::rejection::Violation;

private_text! {
    /// The public name of an account in its canonical form: 3..=20 of `a-z`, `0-9` and `_`, starting with
    /// a letter.
    Username,
    /// An e-mail address as it is written to: NFC, the domain in lower case, at most 254 bytes.
    EmailAddress,
    /// A first or last name, 1..=100 characters, NFC and trimmed.
    PersonName,
    /// Why staff did something to an account, 1..=500 characters, trimmed.
    Reason,
}

credential! {
    /// An argon2id hash in PHC form.
    PasswordHash,
    /// The shared secret of a TOTP generator, in Base32.
    TotpSecret,
    /// The hash of one recovery code.
    RecoveryCodeHash,
}

impl Username {
    /// Characters a username may have.
    pub const LENGTH: std::ops::RangeInclusive<usize> = 3..=20;
    /// Names that would pass for the house's own.
    pub const RESERVED: [&str; 6] = [
        "admin",
        "root",
        "support",
        "soulsense",
        "system",
        "official",
    ];

    /// The canonical form of `text`: NFKC, trimmed, lower case.
    ///
    /// # Errors
    /// `too_short`, `too_long`, `bad_characters` or `reserved`.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let folded = text.nfkc().collect::<String>();
        let name = folded.trim().to_lowercase();
        within(&name, *Self::LENGTH.start(), *Self::LENGTH.end())?;
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
        let ends_well = name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !(starts_well && ends_well) {
            return Err(Violation::new(
                "bad_characters",
                "A username starts with a letter and goes on with letters a to z, digits and underscores.",
            ));
        }
        if Self::RESERVED.contains(&name.as_str()) {
            return Err(Violation::new("reserved", "This username is reserved."));
        }
        Ok(Self(name))
    }
}

/// Domains whose mailboxes are thrown away, which say nothing about who registers.
#[derive(Debug, Clone, Default)]
pub struct DisposableDomains(HashSet<String>);

static SHIPPED_DOMAINS: LazyLock<DisposableDomains> = LazyLock::new(|| {
    DisposableDomains::from_lines(include_str!(
        "../../../data/identity/disposable_domains.txt"
    ))
});

impl DisposableDomains {
    /// The list that ships with the program.
    #[must_use]
    pub fn shipped() -> &'static Self {
        &SHIPPED_DOMAINS
    }

    /// A list of one domain a line; blank lines and lines that begin with `#` do not count.
    #[must_use]
    pub fn from_lines(text: &str) -> Self {
        Self(lines(text).map(str::to_lowercase).collect())
    }

    /// Whether `domain`, in lower case, or a domain above it is listed.
    #[must_use]
    pub fn contains(&self, domain: &str) -> bool {
        let mut rest = domain;
        loop {
            if self.0.contains(rest) {
                return true;
            }
            match rest.split_once('.') {
                Some((_, parent)) => rest = parent,
                None => return false,
            }
        }
    }
}

#[cfg(test)]
impl DisposableDomains {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
pub(super) fn common_passwords() -> &'static HashSet<&'static str> {
    &COMMON_PASSWORDS
}

impl EmailAddress {
    /// Bytes an address may have, by RFC 5321's limit on a path.
    pub const MAX_BYTES: usize = 254;

    /// A deliverable-looking address outside the shipped list of disposable domains.
    ///
    /// # Errors
    /// `too_long`, `bad_format` or `disposable`.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        Self::parse_against(text, DisposableDomains::shipped())
    }

    /// The same with an operator's own list.
    ///
    /// # Errors
    /// `too_long`, `bad_format` or `disposable`.
    pub fn parse_against(text: &str, disposable: &DisposableDomains) -> Result<Self, Violation> {
        let bad_format = || Violation::new("bad_format", "This is not an e-mail address.");
        let composed = text.trim().nfc().collect::<String>();
        let (local, domain) = composed.rsplit_once('@').ok_or_else(bad_format)?;
        let domain = domain.to_lowercase().nfc().collect::<String>();
        let address = format!("{local}@{domain}");
        if address.len() > Self::MAX_BYTES {
            return Err(too_long(Self::MAX_BYTES));
        }
        // a quoted local part is legal, and nobody's mailbox; it mostly serves to smuggle header text
        let smuggles = |c: char| c.is_whitespace() || c.is_control() || c == '"';
        let options = email_address::Options::default()
            .with_required_tld()
            .without_domain_literal()
            .without_display_text();
        if address.contains(smuggles)
            || email_address::EmailAddress::parse_with_options(&address, options).is_err()
        {
            return Err(bad_format());
        }
        if disposable.contains(&domain) {
            return Err(Violation::new(
                "disposable",
                "Addresses of throw-away mailboxes are not accepted.",
            ));
        }
        Ok(Self(address))
    }

    /// What stands after the `@`, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

static COMMON_PASSWORDS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| lines(include_str!("../../../data/identity/common_passwords.txt")).collect());

/// A password in NFKC, which is what is hashed. It has no serialised form.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Characters a new password may have.
    pub const LENGTH: std::ops::RangeInclusive<usize> = 8..=256;

    /// A new password. `own_words` are the member's username, address and names, which make it easier to
    /// guess; they are taken whole, in their parts, run together and with their neighbour.
    ///
    /// This estimates guesses and takes milliseconds.
    ///
    /// # Errors
    /// `too_short`, `too_long`, `too_common` when it is on the shipped list, `too_guessable` when zxcvbn
    /// scores it below 3.
    pub fn parse(text: &str, own_words: &[&str]) -> Result<Self, Violation> {
        let password = text.nfkc().collect::<String>();
        within(&password, *Self::LENGTH.start(), *Self::LENGTH.end())?;
        if COMMON_PASSWORDS.contains(password.to_lowercase().as_str()) {
            return Err(Violation::new(
                "too_common",
                "This password is on lists of common passwords.",
            ));
        }
        let own_words = guessable(own_words);
        let own_words = own_words.iter().map(String::as_str).collect::<Vec<_>>();
        if zxcvbn::zxcvbn(&password, &own_words).score() < zxcvbn::Score::Three {
            return Err(Violation::new(
                "too_guessable",
                "This password is too easy to guess; a longer one, or a few unrelated words, will do.",
            )
            .with("min_score", 3));
        }
        Ok(Self(password))
    }

    /// A password as somebody presents it, to be compared with a hash: no rules but the greatest length.
    ///
    /// # Errors
    /// `too_long`, when it cannot be anybody's.
    pub fn presented(text: &str) -> Result<Self, Violation> {
        let password = text.nfkc().collect::<String>();
        within(&password, 0, *Self::LENGTH.end())?;
        Ok(Self(password))
    }

    /// The text to hash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl PersonName {
    /// Characters a name may have.
    pub const LENGTH: std::ops::RangeInclusive<usize> = 1..=100;

    /// A name as it is to be shown.
    ///
    /// # Errors
    /// `too_short`, `too_long`, or `bad_characters` for control characters.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        plain(text, *Self::LENGTH.start(), *Self::LENGTH.end()).map(Self)
    }
}

impl Reason {
    /// Characters a reason may have.
    pub const LENGTH: std::ops::RangeInclusive<usize> = 1..=500;

    /// A reason in the words of who acts.
    ///
    /// # Errors
    /// `too_short`, `too_long`, or `bad_characters` for control characters.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        plain(text, *Self::LENGTH.start(), *Self::LENGTH.end()).map(Self)
    }
}

/// A member's age in whole years, 13..=120.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Age(u8);

impl Age {
    /// Years a member may have.
    pub const RANGE: std::ops::RangeInclusive<i64> = 13..=120;

    /// # Errors
    /// `out_of_range`.
    pub fn try_new(years: i64) -> Result<Self, Violation> {
        u8::try_from(years)
            .ok()
            .filter(|_| Self::RANGE.contains(&years))
            .map(Self)
            .ok_or_else(|| {
                Violation::new("out_of_range", "An age is 13 to 120 years.")
                    .with("min", *Self::RANGE.start())
                    .with("max", *Self::RANGE.end())
            })
    }

    /// The calendar year in which somebody of this age now was born, give or take one.
    #[must_use]
    pub fn birth_year(self, now: DateTime<Utc>) -> i32 {
        now.year() - i32::from(self.0)
    }
}

impl fmt::Debug for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Age(…)")
    }
}

/// A member's gender, from a closed list so that figures can be grouped by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gender {
    /// `female`
    Female,
    /// `male`
    Male,
    /// `non_binary`
    NonBinary,
    /// `other`
    Other,
    /// `undisclosed`: asked, and not told.
    Undisclosed,
}

impl Gender {
    /// The names of all, as they are written.
    pub const NAMES: [&str; 5] = ["female", "male", "non_binary", "other", "undisclosed"];

    /// Reads a name in any case; hyphens and spaces pass for underscores.
    ///
    /// # Errors
    /// `unknown_value`, with the allowed ones.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        match text.trim().to_lowercase().replace(['-', ' '], "_").as_str() {
            "female" => Ok(Self::Female),
            "male" => Ok(Self::Male),
            "non_binary" => Ok(Self::NonBinary),
            "other" => Ok(Self::Other),
            "undisclosed" => Ok(Self::Undisclosed),
            _ => Err(unknown_value(&Self::NAMES)),
        }
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Female => "female",
            Self::Male => "male",
            Self::NonBinary => "non_binary",
            Self::Other => "other",
            Self::Undisclosed => "undisclosed",
        }
    }
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everybody who has an account.
    Member,
    /// Looks after the community.
    Moderator,
    /// Reads the audit trail.
    Auditor,
    /// Runs the house.
    Admin,
}

impl Role {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

impl From<StaffRole> for Role {
    fn from(role: StaffRole) -> Self {
        match role {
            StaffRole::Moderator => Self::Moderator,
            StaffRole::Auditor => Self::Auditor,
            StaffRole::Admin => Self::Admin,
        }
    }
}

/// A role that is granted and revoked. It works only while the second factor is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaffRole {
    /// `moderator`
    Moderator,
    /// `auditor`
    Auditor,
    /// `admin`
    Admin,
}

impl StaffRole {
    /// The names of all, as they are written.
    pub const NAMES: [&str; 3] = ["moderator", "auditor", "admin"];

    /// Reads a name as it is written.
    ///
    /// # Errors
    /// `unknown_value`, with the allowed ones.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        match text {
            "moderator" => Ok(Self::Moderator),
            "auditor" => Ok(Self::Auditor),
            "admin" => Ok(Self::Admin),
            _ => Err(unknown_value(&Self::NAMES)),
        }
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Role::from(self).as_str()
    }
}

/// What somebody would try first who knows these words of a member's own.
fn guessable(own_words: &[&str]) -> Vec<String> {
    let separates = |c: char| !c.is_alphanumeric();
    let together = |words: &[&str]| words.concat().replace(separates, "");
    let mut guesses = vec!["soulsense".to_owned()];
    for word in own_words {
        let parts = word.split(separates);
        guesses.push((*word).to_owned());
        guesses.push(together(&[word]));
        guesses.extend(
            parts
                .filter(|part| part.chars().count() >= 3)
                .map(str::to_owned),
        );
    }
    guesses.extend(own_words.windows(2).map(together));
    guesses
}

fn lines(text: &'_ str) -> impl Iterator<Item = &'_ str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn plain(text: &str, min: usize, max: usize) -> Result<String, Violation> {
    let text = text.trim().nfc().collect::<String>();
    within(&text, min, max)?;
    if text.contains(char::is_control) {
        return Err(Violation::new(
            "bad_characters",
            "Control characters are not accepted.",
        ));
    }
    Ok(text)
}

fn within(text: &str, min: usize, max: usize) -> Result<(), Violation> {
    let characters = text.chars().count();
    if characters < min {
        return Err(
            Violation::new("too_short", format!("At least {min} characters.")).with("min", min),
        );
    }
    if characters > max {
        return Err(too_long(max));
    }
    Ok(())
}

fn too_long(max: usize) -> Violation {
    Violation::new("too_long", format!("At most {max} characters.")).with("max", max)
}

fn unknown_value(allowed: &[&str]) -> Violation {
    Violation::new("unknown_value", format!("One of {}.", allowed.join(", ")))
        .with("allowed", allowed.to_vec())
}
