//! What fits, what does not, and where it is pointed at.

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
