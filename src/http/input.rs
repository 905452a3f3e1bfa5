//! Reads JSON documents and query strings strictly: unknown fields are refused whatever the type says, and no
//! error repeats what was sent.

use std::fmt::{self, Display};

use domain::rejection::Violation;
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, Deserializer, Error as _, Expected, IntoDeserializer, Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::problem::Problem;

/// Reads a whole JSON document.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let document: Value = serde_json::from_slice(bytes).map_err(|error| {
        Problem::malformed_json(if error.is_eof() {
            "The body ends before the JSON does.".to_owned()
        } else {
            format!(
                "The body is not JSON at line {}, column {}.",
                error.line(),
                error.column()
            )
        })
    })?;
    if let Some(pointer) = nul_in(&document) {
        return Err(Problem::nul_character(&pointer));
    }
    read(Node(document))
}

/// Reads the pairs of a query string; a name that stands there several times is a list.
pub fn read_query<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, Problem> {
    let mut groups: Vec<(String, Values)> = Vec::new();
    for (name, value) in pairs {
        if name.contains('\0') || value.contains('\0') {
            return Err(Problem::nul_character(&pointer_step(
                &name.replace('\0', ""),
            )));
        }
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.0.push(value),
            None => groups.push((name, Values(vec![value]))),
        }
    }
    read(MapDeserializer::new(groups.into_iter()))
}

fn read<'de, T: Deserialize<'de>>(
    deserializer: impl Deserializer<'de, Error = Mismatch>,
) -> Result<T, Problem> {
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        error.into_inner().into_problem(&pointer)
    })
}

fn pointer(path: &Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(pointer_step(key)),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn pointer_step(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn nul_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(format!("/{index}{}", nul_in(item)?))),
        Value::Object(members) => members.iter().find_map(|(key, member)| {
            if key.contains('\0') {
                return Some(String::new());
            }
            Some(format!("{}{}", pointer_step(key), nul_in(member)?))
        }),
        _ => None,
    }
}

/// A member that a client may send back as it read it, and that is not looked at. (A member that is not
/// declared at all is refused.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOnly;

impl<'de> Deserialize<'de> for ReadOnly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|_| Self)
    }
}

/// What is wrong with one field. It never holds the value.
#[derive(Debug)]
enum Mismatch {
    Unknown,
    Missing(&'static str),
    Repeated,
    /// Of another JSON type.
    WrongType(String),
    /// Of the right type, but out of its range.
    WrongValue,
    NoneOf(&'static [&'static str]),
    /// Refused by the type that it becomes, which says no more.
    Unreadable,
}

impl Mismatch {
    fn into_problem(self, pointer: &str) -> Problem {
        let violation = match self {
            Self::Unknown => return Problem::unknown_field(pointer),
            Self::Missing(name) => {
                Violation::new("missing", "This field is needed.").at(&pointer_step(name))
            }
            Self::Repeated => Violation::new("repeated", "This field may stand here once."),
            Self::WrongType(expected) => {
                Violation::new("wrong_type", format!("Expected {expected}."))
            }
            Self::WrongValue => Violation::new("wrong_value", "This value is out of range."),
            Self::NoneOf(allowed) => Violation::new(
                "not_one_of",
                format!("Expected one of: {}.", allowed.join(", ")),
            )
            .with("allowed", allowed),
            Self::Unreadable => Violation::new(
                "unreadable",
                "This is not in the form that is expected here.",
            ),
        };
        Problem::invalid(vec![violation.at(pointer)])
    }
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the input does not fit")
    }
}

impl std::error::Error for Mismatch {}

impl serde::de::Error for Mismatch {
    fn custom<T: Display>(_: T) -> Self {
        Self::Unreadable
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::WrongType(in_terms_of_json(expected.to_string()))
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::WrongValue
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self::WrongValue
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::NoneOf(expected)
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::Repeated
    }
}

/// Says what serde expected without naming a type of ours.
fn in_terms_of_json(expected: String) -> String {
    match expected.as_str() {
        "i8" | "i16" | "i32" | "i64" | "i128" | "u8" | "u16" | "u32" | "u64" | "u128" => {
            "a whole number".to_owned()
        }
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        text if text.starts_with("struct ") || text == "a map" => "an object".to_owned(),
        text if text.contains("enum ") => "one of the allowed values".to_owned(),
        _ => expected,
    }
}

/// A JSON value being read.
struct Node(Value);

impl IntoDeserializer<'_, Mismatch> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (None, Some(value), _) => visitor.visit_i64(value),
                (None, None, Some(value)) => visitor.visit_f64(value),
                (None, None, None) => Err(Mismatch::Unreadable),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Node));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Object(members) => {
                let members = members.into_iter().map(|(key, member)| (key, Node(member)));
                let mut members = MapDeserializer::new(members);
                let value = visitor.visit_map(&mut members)?;
                members.end()?;
                Ok(value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(variant.into_deserializer()),
            Value::Object(members) => {
                let members = members.into_iter().map(|(key, member)| (key, Node(member)));
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(members)))
            }
            _ => Err(Mismatch::invalid_type(Unexpected::Other("value"), &visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    /// What a derived type does with a field it does not have.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(Mismatch::Unknown)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier
    }
}

/// All values of one query parameter.
struct Values(Vec<String>);

impl Values {
    fn single(mut self) -> Result<String, Mismatch> {
        match (self.0.pop(), self.0.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => Err(Mismatch::Repeated),
        }
    }
}

impl IntoDeserializer<'_, Mismatch> for Values {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            match self.single()?.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Mismatch::invalid_type(Unexpected::Other("text"), &visitor)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Values {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_string(self.single()?)
    }

    parsed! {
        deserialize_bool visit_bool,
        deserialize_i8 visit_i64,
        deserialize_i16 visit_i64,
        deserialize_i32 visit_i64,
        deserialize_i64 visit_i64,
        deserialize_u8 visit_u64,
        deserialize_u16 visit_u64,
        deserialize_u32 visit_u64,
        deserialize_u64 visit_u64,
        deserialize_f32 visit_f64,
        deserialize_f64 visit_f64,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let values = self.0.into_iter().map(|value| Self(vec![value]));
        visitor.visit_seq(SeqDeserializer::new(values))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_enum(self.single()?.into_deserializer())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(Mismatch::Unknown)
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
    }
}

#[cfg(test)]
mod tests;
