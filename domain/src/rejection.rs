//! The domain's no: a stable code, what kind of no it is, and which fields it is about.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

/// What kind of no a rejection is. The HTTP layer has the only table from kind to status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Understood, but a value is out of range or a rule about the input is broken.
    Invalid,
    /// The credentials do not prove who asks.
    Unauthenticated,
    /// Known, but not allowed.
    Forbidden,
    /// Absent, or another member's.
    NotFound,
    /// At odds with the present state.
    Conflict,
    /// The state moved since the client read it.
    Stale,
    /// Allowed again later.
    TooMany,
}

/// One thing wrong with one input field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Violation {
    /// JSON Pointer to the field, for instance `/responses/3/value`; empty for the whole body.
    pub pointer: Cow<'static, str>,
    /// Stable code, for instance `too_short`.
    pub code: &'static str,
    /// Figures a client can put into its own message, for instance `{"min": 3}`. Never the value itself.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// One sentence in English.
    pub detail: Cow<'static, str>,
}

impl Violation {
    /// A violation of the value as a whole; [`Violation::at`] says where it stands.
    pub fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            pointer: Cow::Borrowed(""),
            code,
            params: Map::new(),
            detail: detail.into(),
        }
    }

    /// The same violation at `pointer`, which goes before any pointer it has already.
    #[must_use]
    pub fn at(mut self, pointer: &str) -> Self {
        self.pointer = Cow::Owned(format!("{pointer}{}", self.pointer));
        self
    }

    /// The same violation with a figure.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }
}

/// What an aggregate's error type answers.
pub trait Rejection: std::error::Error + Send + Sync + 'static {
    /// Stable `<context>.<snake_case>` code.
    fn code(&self) -> &'static str;

    /// What kind of no it is.
    fn kind(&self) -> Kind;

    /// Field by field what is wrong; empty unless the kind is [`Kind::Invalid`].
    fn violations(&self) -> Vec<Violation> {
        Vec::new()
    }

    /// Further members of the problem, for instance `purge_after`. Never a private word.
    fn extensions(&self) -> Map<String, Value> {
        Map::new()
    }

    /// For [`Kind::TooMany`]: whole seconds until it makes sense to ask again.
    fn retry_after(&self) -> Option<u64> {
        None
    }
}
