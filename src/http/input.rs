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
mod tests {
    use chrono::{DateTime, NaiveDate, Utc};
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mood {
        Calm,
        Tense { level: u8 },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Entry {
        id: Uuid,
        title: Option<String>,
        day: NaiveDate,
        at: DateTime<Utc>,
        hours: f64,
        change: i16,
        moods: Vec<Mood>,
        #[serde(default)]
        answers: Vec<Answer>,
        #[serde(default)]
        created_at: ReadOnly,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Answer {
        value: u8,
    }

    fn entry() -> Value {
        serde_json::json!({
            "id": "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27",
            "day": "2026-02-03",
            "at": "2026-02-03T04:05:06Z",
            "hours": 7.5,
            "change": -3,
            "moods": ["calm", {"tense": {"level": 3}}],
            "answers": [{"value": 1}, {"value": 5}],
        })
    }

    fn refused(change: impl FnOnce(&mut Value)) -> (u16, String, String, &'static str) {
        let mut document = entry();
        change(&mut document);
        let Err(problem) = read_json::<Entry>(document.to_string().as_bytes()) else {
            panic!("accepted");
        };
        let error = &problem.errors()[0];
        (
            problem.status().as_u16(),
            problem.code().to_owned(),
            error.pointer.to_string(),
            error.code,
        )
    }

    #[test]
    fn a_document_that_fits_is_read() -> Result<(), Box<dyn std::error::Error>> {
        let mut document = entry();
        document["created_at"] = "whatever".into();
        document["title"] = Value::Null;
        let Ok(read) = read_json::<Entry>(document.to_string().as_bytes()) else {
            panic!("refused");
        };
        assert_eq!(read.moods, [Mood::Calm, Mood::Tense { level: 3 }]);
        assert_eq!(read.answers, [Answer { value: 1 }, Answer { value: 5 }]);
        assert_eq!((read.title, read.change), (None, -3));
        assert_eq!(read.day, NaiveDate::parse_from_str("2026-02-03", "%F")?);
        Ok(())
    }

    #[test]
    fn a_field_that_does_not_fit_is_pointed_at() {
        let invalid =
            |pointer: &str, code| (422, "request.invalid".to_owned(), pointer.to_owned(), code);
        assert_eq!(
            refused(|d| d["hours"] = "long".into()),
            invalid("/hours", "wrong_type")
        );
        assert_eq!(
            refused(|d| d["change"] = 40_000.into()),
            invalid("/change", "wrong_value")
        );
        assert_eq!(
            refused(|d| d["id"] = "x".into()),
            invalid("/id", "unreadable")
        );
        assert_eq!(
            refused(|d| d["day"] = "2026-02-30".into()),
            invalid("/day", "unreadable")
        );
        assert_eq!(
            refused(|d| d["moods"][0] = "merry".into()),
            invalid("/moods/0", "not_one_of")
        );
        assert_eq!(
            refused(|d| d["moods"][0] = 1.into()),
            invalid("/moods/0", "wrong_type")
        );
        assert_eq!(
            refused(|d| d["answers"][1]["value"] = Value::Null),
            invalid("/answers/1/value", "wrong_type")
        );
        assert_eq!(
            refused(|d| d["answers"][1] = serde_json::json!({})),
            invalid("/answers/1/value", "missing")
        );
    }

    #[test]
    fn an_unknown_field_is_refused_whatever_the_type_says() {
        let unknown = |pointer: &str| {
            (
                400,
                "request.unknown_field".to_owned(),
                pointer.to_owned(),
                "unknown_field",
            )
        };
        assert_eq!(
            refused(|d| d["is_admin"] = true.into()),
            unknown("/is_admin")
        );
        assert_eq!(refused(|d| d["a/b"] = true.into()), unknown("/a~1b"));
        assert_eq!(
            refused(|d| d["answers"][0]["x"] = 1.into()),
            unknown("/answers/0/x")
        );
    }

    #[test]
    fn the_character_nul_is_refused_wherever_it_stands() {
        let nul = |pointer: &str| {
            (
                400,
                "request.nul_character".to_owned(),
                pointer.to_owned(),
                "nul_character",
            )
        };
        assert_eq!(refused(|d| d["title"] = "a\0b".into()), nul("/title"));
        assert_eq!(
            refused(|d| d["moods"][1]["tense"]["\0"] = 1.into()),
            nul("/moods/1/tense")
        );
        assert_eq!(
            refused(|d| d["created_at"] = "\0".into()),
            nul("/created_at")
        );
    }

    #[test]
    fn text_that_is_not_json_is_malformed() {
        for text in [
            "",
            "{",
            r#"{"id": "#,
            "{'id': 1}",
            "[1,]",
            "{} {}",
            "nope",
            "\"\\ud800\"",
            "\u{feff}{}",
        ] {
            let Err(problem) = read_json::<Entry>(text.as_bytes()) else {
                panic!("{text} was accepted");
            };
            assert_eq!(problem.code(), "request.malformed_json", "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(read_json::<Value>(deep.as_bytes()).is_err());
        assert!(read_json::<Entry>(&[b'"', 0xff, b'"']).is_err());
    }

    #[test]
    fn a_document_of_another_type_is_not_valid() {
        for text in ["[]", "1", "null", "\"secret\""] {
            let Err(problem) = read_json::<Answer>(text.as_bytes()) else {
                panic!("{text} was accepted");
            };
            assert_eq!(problem.code(), "request.invalid", "{text}");
            assert_eq!(problem.errors()[0].pointer, "");
        }
    }

    #[test]
    fn no_error_repeats_what_was_sent() {
        let text = r#"{"value": "my secret"}"#;
        let Err(problem) = read_json::<Answer>(text.as_bytes()) else {
            panic!("accepted");
        };
        assert!(!format!("{problem:?}").contains("my secret"));
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Filter {
        limit: Option<u8>,
        active: Option<bool>,
        #[serde(default)]
        tag: Vec<String>,
        from: Option<NaiveDate>,
        mood: Option<Mood>,
    }

    fn query(pairs: &[(&str, &str)]) -> Result<Filter, (String, String, &'static str)> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        read_query(pairs).map_err(|problem| {
            let error = &problem.errors()[0];
            (
                problem.code().to_owned(),
                error.pointer.to_string(),
                error.code,
            )
        })
    }

    #[test]
    fn a_query_is_read_by_the_types_of_its_fields() {
        assert_eq!(
            query(&[
                ("limit", "20"),
                ("tag", "a"),
                ("active", "true"),
                ("tag", "b"),
                ("mood", "calm")
            ]),
            Ok(Filter {
                limit: Some(20),
                active: Some(true),
                tag: vec!["a".to_owned(), "b".to_owned()],
                from: None,
                mood: Some(Mood::Calm),
            })
        );
    }

    #[test]
    fn a_query_that_does_not_fit_is_refused_by_name() {
        let invalid =
            |pointer: &str, code| Err(("request.invalid".to_owned(), pointer.to_owned(), code));
        assert_eq!(query(&[("limit", "many")]), invalid("/limit", "wrong_type"));
        assert_eq!(query(&[("limit", "300")]), invalid("/limit", "wrong_value"));
        assert_eq!(
            query(&[("limit", "1"), ("limit", "2")]),
            invalid("/limit", "repeated")
        );
        assert_eq!(
            query(&[("from", "yesterday")]),
            invalid("/from", "unreadable")
        );
        assert_eq!(query(&[("mood", "merry")]), invalid("/mood", "not_one_of"));
        assert_eq!(
            query(&[("limti", "1")]),
            Err((
                "request.unknown_field".to_owned(),
                "/limti".to_owned(),
                "unknown_field"
            ))
        );
        assert_eq!(
            query(&[("tag", "\0")]),
            Err((
                "request.nul_character".to_owned(),
                "/tag".to_owned(),
                "nul_character"
            ))
        );
    }
}
