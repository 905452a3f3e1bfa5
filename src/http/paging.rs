//! The two query parameters of every list: `limit` and `cursor`.

use domain::rejection::Violation;
use projections::page;
use serde::de::DeserializeOwned;

use super::Problem;

/// How many items a page may have: what was asked for, or 20.
pub fn limit(asked: Option<i64>) -> Result<i64, Problem> {
    let limit = asked.unwrap_or(page::DEFAULT);
    if (1..=page::MOST).contains(&limit) {
        return Ok(limit);
    }
    let violation = Violation::new("out_of_range", "A page has 1 to 100 items.")
        .with("min", 1)
        .with("max", page::MOST)
        .at("/limit");
    Err(Problem::invalid(vec![violation]))
}

/// The place that a cursor stands for; `None` without one, where the first page begins.
pub fn place<K: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<K>, Problem> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    page::place(cursor).map(Some).ok_or_else(|| {
        let violation =
            Violation::new("unreadable", "This is no cursor of this list.").at("/cursor");
        Problem::invalid(vec![violation])
    })
}
