//! The description of the API is complete, and the one that is committed.
//!
//! `UPDATE_OPENAPI=1 cargo test --test main openapi::` writes `docs/openapi.json` anew: look at the
//! difference before you commit it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use soulsense::cli;

use super::support::engines::Outcome;

/// The variable that makes the test write instead of compare.
const UPDATE: &str = "UPDATE_OPENAPI";
const METHODS: &[&str] = &["get", "post", "put", "patch", "delete"];
const PROBLEM: &str = "application/problem+json";

fn described() -> Result<Value, serde_json::Error> {
    serde_json::from_str(&cli::openapi::text()?)
}

/// `GET /path` and what is said of it, for every operation.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object();
    let all = paths.into_iter().flatten().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| {
            let operation = item.get(*method)?;
            Some((format!("{} {path}", method.to_uppercase()), operation))
        })
    });
    all.collect()
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

/// Statuses with what is said of them.
fn responses(operation: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let responses = operation["responses"].as_object();
    responses
        .into_iter()
        .flatten()
        .map(|(status, response)| (status.as_str(), response))
}

/// What an operation leaves unsaid.
fn omissions(name: &str, operation: &Value) -> Vec<String> {
    let under_api = name.contains(" /api/v1/");
    let writes = under_api && !name.starts_with("GET ");
    let mut omissions = Vec::new();
    if text(operation, "operationId").is_empty() {
        omissions.push("has no operationId".to_owned());
    }
    if text(operation, "summary").is_empty() {
        omissions.push("has no summary".to_owned());
    }
    if operation["tags"].as_array().is_none_or(Vec::is_empty) {
        omissions.push("has no tag".to_owned());
    }
    if !responses(operation).any(|(status, _)| status.starts_with('2')) {
        omissions.push("has no success".to_owned());
    }
    for (status, response) in responses(operation) {
        if text(response, "description").is_empty() {
            omissions.push(format!("does not say what {status} means"));
        }
        let content = response["content"].as_object();
        for (kind, body) in content.into_iter().flatten() {
            if body["schema"].is_null() && body["example"].is_null() {
                omissions.push(format!("shows no {kind} for {status}"));
            }
        }
        let failed = status.starts_with('4') || (status.starts_with('5') && under_api);
        if failed && content.is_none_or(|content| !content.contains_key(PROBLEM)) {
            omissions.push(format!("answers {status} without a problem"));
        }
    }
    let says = |wanted: &str| responses(operation).any(|(status, _)| status == wanted);
    if !operation["security"].is_null() && !says("401") {
        omissions.push("takes a token and does not say 401".to_owned());
    }
    let refuses = says("400") && says("422");
    if !operation["requestBody"].is_null() && !refuses {
        omissions.push("takes a body and does not say 400 and 422".to_owned());
    }
    if under_api && !says("503") {
        omissions.push("does not say 503".to_owned());
    }
    if writes && !says("507") {
        omissions.push("writes and does not say 507".to_owned());
    }
    omissions
}

#[test]
#[expect(clippy::disallowed_methods, reason = "no runtime runs here")]
fn the_description_is_the_committed_one() -> Outcome {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let now = cli::openapi::text()? + "\n";
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &now)?;
    }
    let committed = std::fs::read_to_string(&path)?;
    let difference = committed
        .lines()
        .zip(now.lines())
        .enumerate()
        .find(|(_, (old, new))| old != new);
    assert!(
        committed == now,
        "docs/openapi.json is not what the code says, first at {difference:?}: look at it with {UPDATE}=1"
    );
    Ok(())
}

#[test]
fn every_operation_says_all_there_is_to_say() -> Outcome {
    let document = described()?;
    let operations = operations(&document);
    assert!(operations.len() > 10, "the operations were not found");
    let offences: Vec<String> = operations
        .iter()
        .flat_map(|(name, operation)| {
            omissions(name, operation)
                .into_iter()
                .map(move |omission| format!("{name} {omission}"))
        })
        .collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    Ok(())
}

#[test]
fn every_operation_has_an_id_of_its_own() -> Outcome {
    let document = described()?;
    let mut seen = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = text(operation, "operationId");
        assert!(seen.insert(id), "{name}: {id} is another's");
    }
    Ok(())
}

#[test]
fn every_tag_is_described() -> Outcome {
    let document = described()?;
    let tags = document["tags"].as_array();
    let described: BTreeSet<&str> = tags
        .into_iter()
        .flatten()
        .filter(|tag| !text(tag, "description").is_empty())
        .map(|tag| text(tag, "name"))
        .collect();
    for (name, operation) in operations(&document) {
        for tag in operation["tags"].as_array().into_iter().flatten() {
            let tag = tag.as_str().unwrap_or_default();
            assert!(described.contains(tag), "{name}: nothing is said of {tag}");
        }
    }
    Ok(())
}

#[test]
fn every_reference_leads_somewhere() -> Outcome {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(to)) = members.get("$ref") {
                    found.push(to);
                }
                members
                    .values()
                    .for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = described()?;
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    Ok(())
}

#[test]
fn an_operation_that_says_too_little_is_found() {
    let said = serde_json::json!({
        "operationId": "shelve", "summary": "Puts a toy away", "tags": ["toys"],
        "security": [{}], "requestBody": {},
        "responses": {
            "201": {"description": "Away", "content": {"application/json": {"schema": {}}}},
            "400": {"description": "x", "content": {PROBLEM: {"schema": {}}}},
            "401": {"description": "x", "content": {PROBLEM: {"schema": {}}}},
            "422": {"description": "x", "content": {PROBLEM: {"schema": {}}}},
            "503": {"description": "x", "content": {PROBLEM: {"schema": {}}}},
            "507": {"description": "x", "content": {PROBLEM: {"schema": {}}}},
        },
    });
    let name = "POST /api/v1/toys";
    assert_eq!(omissions(name, &said), [] as [&str; 0]);
    for member in ["operationId", "summary", "tags"] {
        let mut silent = said.clone();
        silent[member] = Value::Null;
        assert_eq!(omissions(name, &silent).len(), 1, "{member}");
    }
    for status in ["201", "400", "401", "422", "503", "507"] {
        let mut silent = said.clone();
        if let Some(responses) = silent["responses"].as_object_mut() {
            responses.remove(status);
        }
        assert_eq!(omissions(name, &silent).len(), 1, "{status}");
    }
    let mut bare = said.clone();
    bare["responses"]["422"]["content"] = Value::Null;
    assert_eq!(omissions(name, &bare), ["answers 422 without a problem"]);
}
