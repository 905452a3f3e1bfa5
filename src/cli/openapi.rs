//! `soulsense openapi`: the description of the HTTP API.

use super::output;
use crate::http::{api, document};

/// The document as it stands in `docs/openapi.json`, without a line break at its end.
pub fn text() -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&document(api::routes()))
}

/// Prints it.
pub fn run() -> anyhow::Result<()> {
    output::line(&text()?)?;
    Ok(())
}
