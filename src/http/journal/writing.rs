//! Writing, changing, deleting and restoring entries.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use domain::id::EntryId;
use domain::journal::entry::{
    Change, Draft, Entry, EntryBody, EntryCommand, EntryError, Patch, Status,
};

use super::body::{EntryDraft, EntryReplacement};
use super::not_found;
use super::reply::{WrittenEntry, etag, written};
use crate::http::Problem;
use crate::http::caller::Caller;
use crate::http::command::{Intent, Position};
use crate::http::extract::{IfMatch, Json, Path};
use crate::http::problem::ProblemDocument;
use crate::node::Node;

/// Write an entry
#[utoipa::path(
    post,
    path = "/journal",
    tag = "journal",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body count once, for 24 hours")),
    request_body = EntryDraft,
    responses(
        (status = 201, description = "Written", body = WrittenEntry, headers(("Location" = String), ("ETag" = String), ("Soulsense-Position" = i64))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`, `request.invalid_header`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`journal.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`request.idempotency_key_in_flight`, `identity.erasure_started`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "`request.too_large`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "`request.unsupported_media_type`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`journal.invalid`, `request.invalid`, `request.idempotency_key_reused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`, `request.timeout`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn write(
    caller: Caller,
    State(node): State<Arc<Node>>,
    intent: Intent,
    Json(draft): Json<EntryDraft>,
) -> Result<Response, Problem> {
    let draft = Draft::from(draft);
    let entry_id = EntryId(node.ids.next());
    let request = intent.by(&caller, &node, 201, &entry_id.to_string(), &draft)?;
    let command = EntryCommand::Write {
        entry_id,
        account_id: caller.account,
        body: Box::new(judged(draft, today(&node))?),
        now: node.clock.now(),
    };
    let done = node
        .entries
        .begin(&entry_id.to_string(), &command, &request)
        .await?;
    written(StatusCode::CREATED, &done)
}

/// Replace what an entry says
#[utoipa::path(
    put,
    path = "/journal/{id}",
    tag = "journal",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The entry"), ("If-Match" = String, Header, description = "The ETag that was read, or `*`")),
    request_body = EntryReplacement,
    responses(
        (status = 200, description = "As it stands now", body = WrittenEntry, headers(("ETag" = String), ("Soulsense-Position" = i64))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`, `request.invalid_header`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`journal.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, description = "`request.if_match_failed`, `journal.stale`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "`request.too_large`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "`request.unsupported_media_type`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`journal.invalid`, `request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 428, description = "`request.if_match_required`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`, `request.timeout`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn replace(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<EntryId>,
    if_match: IfMatch,
    intent: Intent,
    Json(replacement): Json<EntryReplacement>,
) -> Result<Response, Problem> {
    let entry = theirs(&caller, &node, id).await?;
    let kept = Kept::of(&entry).ok_or_else(not_found)?;
    if_match.require(&etag(kept.revision))?;
    let body = judged(replacement.into(), today(&node).max(kept.entry_date))?;
    let change = Change::Replace(Box::new(body));
    revise(&caller, &node, intent, kept.expected(&if_match), id, change).await
}

/// Change single fields of an entry
///
/// A JSON merge patch (RFC 7396): an absent field stays, null clears it.
#[utoipa::path(
    patch,
    path = "/journal/{id}",
    tag = "journal",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The entry"), ("If-Match" = String, Header, description = "The ETag that was read, or `*`")),
    request_body(content(
        (EntryDraft = "application/merge-patch+json", example = json!({"mood_rating": 9, "title": null})),
        (EntryDraft = "application/json", example = json!({"mood_rating": 9, "title": null})),
    )),
    responses(
        (status = 200, description = "As it stands now", body = WrittenEntry, headers(("ETag" = String), ("Soulsense-Position" = i64))),
        (status = 400, description = "`request.malformed_json`, `request.unknown_field`, `request.nul_character`, `request.invalid_header`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`journal.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, description = "`request.if_match_failed`, `journal.stale`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "`request.too_large`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "`request.unsupported_media_type`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`journal.invalid`, `request.invalid`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 428, description = "`request.if_match_required`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`, `request.timeout`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn change(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<EntryId>,
    if_match: IfMatch,
    intent: Intent,
    Json(patch): Json<Patch>,
) -> Result<Response, Problem> {
    let entry = theirs(&caller, &node, id).await?;
    let kept = Kept::of(&entry).ok_or_else(not_found)?;
    if_match.require(&etag(kept.revision))?;
    let change = Change::Merge(Box::new(patch));
    revise(&caller, &node, intent, kept.expected(&if_match), id, change).await
}

/// Delete an entry
///
/// It can be restored for 30 days. Deleting it again changes nothing.
#[utoipa::path(
    delete,
    path = "/journal/{id}",
    tag = "journal",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The entry"), ("If-Match" = Option<String>, Header, description = "The ETag that was read, or `*`")),
    responses(
        (status = 204, description = "Deleted", headers(("Soulsense-Position" = i64))),
        (status = 400, description = "`request.invalid_header`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`journal.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, description = "`request.if_match_failed`, `journal.stale`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`, `request.timeout`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<EntryId>,
    if_match: IfMatch,
    intent: Intent,
) -> Result<impl IntoResponse, Problem> {
    let entry = theirs(&caller, &node, id).await?;
    let expected = match Kept::of(&entry) {
        Some(kept) => {
            if_match.check(&etag(kept.revision))?;
            kept.expected(&if_match)
        }
        None => None,
    };
    let command = EntryCommand::Delete {
        account_id: caller.account,
        expected,
        now: node.clock.now(),
    };
    let id = id.to_string();
    let request = intent.by(&caller, &node, 204, &id, &())?;
    let done = node.entries.execute(&id, &command, &request).await?;
    Ok((StatusCode::NO_CONTENT, Position(done.position), ()))
}

/// Take a deletion back
///
/// Within 30 days. An entry that is not deleted stays as it is.
#[utoipa::path(
    post,
    path = "/journal/{id}/restore",
    tag = "journal",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The entry")),
    responses(
        (status = 200, description = "As it stands now", body = WrittenEntry, headers(("ETag" = String), ("Soulsense-Position" = i64))),
        (status = 400, description = "`request.invalid_header`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`auth.token_missing`, `auth.token_invalid`, `auth.token_expired`, `auth.token_revoked`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`journal.not_found`, `request.not_found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`request.idempotency_key_in_flight`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "`request.idempotency_key_reused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`service.busy`, `service.unavailable`, `request.timeout`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn restore(
    caller: Caller,
    State(node): State<Arc<Node>>,
    Path(id): Path<EntryId>,
    intent: Intent,
) -> Result<Response, Problem> {
    let command = EntryCommand::Restore {
        account_id: caller.account,
        now: node.clock.now(),
    };
    let id = id.to_string();
    let request = intent.by(&caller, &node, 200, &id, &())?;
    let done = node.entries.execute(&id, &command, &request).await?;
    written(StatusCode::OK, &done)
}

/// The entry as the log has it; 404 when it is not the caller's.
async fn theirs(caller: &Caller, node: &Node, id: EntryId) -> Result<Entry, Problem> {
    let entry = node.entries.load(&id.to_string()).await?.state;
    if entry.account_id() == Some(caller.account) {
        Ok(entry)
    } else {
        Err(not_found())
    }
}

/// What is known of an entry that can be changed.
struct Kept {
    revision: u32,
    entry_date: NaiveDate,
}

impl Kept {
    fn of(entry: &Entry) -> Option<Self> {
        match (entry.status(), entry.revision(), entry.body()) {
            (Status::Kept, Some(revision), Some(body)) => Some(Self {
                revision,
                entry_date: body.entry_date,
            }),
            _ => None,
        }
    }

    /// The revision that must not have moved on when the command is decided.
    fn expected(&self, if_match: &IfMatch) -> Option<u32> {
        matches!(if_match, IfMatch::OneOf(_)).then_some(self.revision)
    }
}

async fn revise(
    caller: &Caller,
    node: &Node,
    intent: Intent,
    expected: Option<u32>,
    id: EntryId,
    change: Change,
) -> Result<Response, Problem> {
    let command = EntryCommand::Revise {
        account_id: caller.account,
        expected,
        change,
        today: today(node),
        now: node.clock.now(),
    };
    let id = id.to_string();
    let request = intent.by(caller, node, 200, &id, &())?;
    let done = node.entries.execute(&id, &command, &request).await?;
    written(StatusCode::OK, &done)
}

/// The member's day: in UTC until members have settings.
fn today(node: &Node) -> NaiveDate {
    node.clock.now().date_naive()
}

fn judged(draft: Draft, today: NaiveDate) -> Result<EntryBody, Problem> {
    EntryBody::try_new(draft, today)
        .map_err(|violations| Problem::from_rejection(&EntryError::from(violations)))
}
