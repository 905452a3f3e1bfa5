//! Reading entries.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use chrono::NaiveDate;
use cqrs_es::Aggregate;
use domain::id::EntryId;
use domain::journal::entry::{self, EntryEvent, Status};
use domain::rejection::Violation;
use projections::fact::{Event, Fact, read_page};
use projections::journal::queries::{self, Filter, Place};
use projections::page::Page;
use serde::Deserialize;
use utoipa::IntoParams;

use super::not_found;
use super::reply::{self, JournalEntry, Revision};
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::Models;
use crate::http::extract::{ETag, Json, Path, Query};
use crate::http::paging::{self, Listed};
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct ListQuery {
    /// 1 to 100, 20 when absent.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Entries about this day or a later one, `YYYY-MM-DD`.
    #[param(example = "2026-03-01")]
    from: Option<String>,
    /// Entries about this day or an earlier one, `YYYY-MM-DD`.
    #[param(example = "2026-03-31")]
    to: Option<String>,
    /// Entries with at least this mood rating, 1 to 10.
    #[param(minimum = 1, maximum = 10, example = 1)]
    mood_min: Option<i64>,
    /// Entries with at most this mood rating, 1 to 10.
    #[param(minimum = 1, maximum = 10, example = 5)]
    mood_max: Option<i64>,
}

/// Which revisions.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct RevisionsQuery {
    /// 1 to 100, 20 when absent.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<i64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// One's own entries, the newest first
#[utoipa::path(
    get,
    path = "/journal",
    tag = "journal",
    security(("bearer" = [])),
    params(ListQuery),
    responses(
        (status = 200, description = "A page of entries", body = Listed<JournalEntry>),
        (status = 400, description = "`request.unknown_field`, `request.nul_character`, `request.invalid_header`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    caller: Caller,
    Models(models): Models,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let (limit, after, filter) = query.judged().map_err(Problem::invalid)?;
    let page = queries::list(&models, caller.account.0, filter, after, limit).await?;
    reply::listed(&page)
}

/// One entry
#[utoipa::path(
    get,
    path = "/journal/{id}",
    tag = "journal",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The entry")),
    responses(
        (status = 200, description = "The entry", body = JournalEntry, headers(("ETag" = String))),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`journal.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`read_model.behind`, `service.busy`, `service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn entry(
    caller: Caller,
    Models(models): Models,
    Path(id): Path<EntryId>,
) -> Result<impl IntoResponse, Problem> {
    let entry = queries::entry(&models, caller.account.0, id.0)
        .await?
        .ok_or_else(not_found)?;
    let etag = ETag::from(entry.revision.unsigned_abs());
    Ok((etag, reply::kept(&entry)?))
}

/// Every version that an entry has had, the newest first
#[utoipa::path(
    get,
    path = "/journal/{id}/revisions",
    tag = "journal",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The entry"), RevisionsQuery),
    responses(
        (status = 200, description = "A page of revisions", body = Listed<Revision>),
        (status = 400, description = "`request.unknown_field`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`journal.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.unavailable`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn revisions(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<EntryId>,
    Query(query): Query<RevisionsQuery>,
) -> Result<impl IntoResponse, Problem> {
    let (limit, before) = paging::asked::<u32>(query.limit, query.cursor.as_deref())?;
    let facts = facts(&node, id).await?;
    let mut revisions = revisions_of(&caller, &facts)?;
    revisions.retain(|revision| before.is_none_or(|before| revision.revision < before));
    revisions.reverse();
    let page = Page::of(revisions, limit, |revision| revision.revision);
    Ok(Json(Listed::<Revision>::from(page)))
}

/// The stream of an entry. Revisions have no read model: they are what the log keeps anyway, and are seldom
/// asked for.
async fn facts(node: &Node, id: EntryId) -> Result<Vec<Fact>, Problem> {
    let stream = node
        .log
        .reader()
        .stream(entry::Entry::TYPE, &id.to_string())
        .await
        .map_err(crate::http::command::query_failed)?;
    read_page(node.log.keys(), &domain::upcasters::all(), stream, |_| true)
        .await
        .map_err(Problem::unavailable)
}

/// The revisions in the order in which they were written; 404 unless the entry is the caller's, kept
/// and readable.
fn revisions_of(caller: &Caller, facts: &[Fact]) -> Result<Vec<Revision>, Problem> {
    let mut state = entry::Entry::default();
    let mut revisions = Vec::new();
    for fact in facts {
        let event = match &fact.event {
            Ok(Event::Entry(event)) => event,
            Ok(_) => continue,
            Err(error) => return Err(Problem::internal(Arc::clone(error))),
        };
        state.apply(event.clone());
        if let EntryEvent::EntryWritten { .. } | EntryEvent::EntryRevised { .. } = event {
            revisions.extend(
                state
                    .revision()
                    .zip(JournalEntry::of(&state))
                    .map(|(revision, entry)| Revision { revision, entry }),
            );
        }
    }
    let is_theirs = state.account_id() == Some(caller.account);
    if is_theirs && state.status() == Status::Kept && state.body().is_some() {
        Ok(revisions)
    } else {
        Err(not_found())
    }
}

impl ListQuery {
    fn judged(&self) -> Result<(i64, Option<Place>, Filter), Vec<Violation>> {
        let limit = paging::limit(self.limit);
        let after = paging::place(self.cursor.as_deref());
        let days = both(
            day("/from", self.from.as_deref()),
            day("/to", self.to.as_deref()),
        );
        let moods = both(
            mood("/mood_min", self.mood_min),
            mood("/mood_max", self.mood_max),
        );
        match (both(limit, after), days, moods) {
            (Ok((limit, after)), Ok((from, to)), Ok((mood_min, mood_max))) => {
                let filter = Filter {
                    from,
                    to,
                    mood_min,
                    mood_max,
                };
                Ok((limit, after, filter))
            }
            (page, days, moods) => {
                let wrong = [page.err(), days.err(), moods.err()];
                Err(wrong.into_iter().flatten().flatten().collect())
            }
        }
    }
}

/// Two judgements in one, with what is wrong in either.
fn both<T, U>(
    one: Result<T, Violation>,
    other: Result<U, Violation>,
) -> Result<(T, U), Vec<Violation>> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => Err([one.err(), other.err()].into_iter().flatten().collect()),
    }
}

fn day(pointer: &str, text: Option<&str>) -> Result<Option<NaiveDate>, Violation> {
    text.map(|text| {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .filter(|day| text.len() == 10 && day.to_string() == text)
            .ok_or_else(|| {
                Violation::new("invalid_date", "A date is written YYYY-MM-DD.").at(pointer)
            })
    })
    .transpose()
}

fn mood(pointer: &str, rating: Option<i64>) -> Result<Option<i64>, Violation> {
    match rating {
        Some(rating) if !(1..=10).contains(&rating) => {
            Err(Violation::new("out_of_range", "A mood is rated 1 to 10.")
                .with("min", 1)
                .with("max", 10)
                .at(pointer))
        }
        rating => Ok(rating),
    }
}
