//! Pages of lists: how many items a client asks for, and where the last page ended.

use domain::rejection::Violation;
use projections::page;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::Problem;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listed<T> {
    /// The items, at most as many as were asked for.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null at the end.
    #[schema(example = "WyIxOTk5LTAxLTAxIiwiMDE5OSJd")]
    pub next: Option<String>,
}

impl<T, U: Into<T>> From<page::Page<U>> for Listed<T> {
    fn from(page: page::Page<U>) -> Self {
        Self {
            items: page.items.into_iter().map(Into::into).collect(),
            next: page.next,
        }
    }
}

/// How many items were asked for: 1 to 100, 20 when nobody says.
pub fn limit(asked: Option<i64>) -> Result<i64, Violation> {
    let limit = asked.unwrap_or(page::DEFAULT);
    if (1..=page::MOST).contains(&limit) {
        return Ok(limit);
    }
    Err(Violation::new("out_of_range", "A page has 1 to 100 items.")
        .with("min", 1)
        .with("max", page::MOST)
        .at("/limit"))
}

/// The place that a cursor leads to; `None` for the first page.
pub fn place<K: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<K>, Violation> {
    cursor
        .map(|cursor| {
            page::place(cursor).ok_or_else(|| {
                Violation::new("unknown_cursor", "No list of ours has this cursor.").at("/cursor")
            })
        })
        .transpose()
}

/// How many items were asked for and from which place on, or all that is wrong with either.
pub fn asked<K: DeserializeOwned>(
    many: Option<i64>,
    cursor: Option<&str>,
) -> Result<(i64, Option<K>), Problem> {
    match (limit(many), place(cursor)) {
        (Ok(limit), Ok(place)) => Ok((limit, place)),
        (limit, place) => {
            let violations = limit.err().into_iter().chain(place.err());
            Err(Problem::invalid(violations.collect()))
        }
    }
}
