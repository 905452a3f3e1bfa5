//! The SQLite writer: the same contract as the Postgres append function, from one dedicated connection.
//!
//! The head, which is the last event, is read inside each transaction and never cached: the CLI may write beside
//! the server.

use chrono::{DateTime, SubsecRound, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use uuid::Uuid;

use crate::append::{Append, ClaimAction, Verdict, WriteError, Written};
use crate::homes::{HomesError, Target};

const LAST_EVENT: &str = "SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1";
const LAST_SEQUENCE: &str =
    "SELECT coalesce(max(sequence), 0) FROM events WHERE aggregate_type = $1 AND aggregate_id = $2";
const OWN_EVENT: &str =
    "SELECT event_id FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3";
const OWN_POSITION: &str =
    "SELECT position FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3";
const KNOWN_COMMAND: &str = "SELECT request, outcome, sequence, position FROM command_ids WHERE key = $1 AND (expires_at IS NULL OR expires_at > $2)";
const CLAIM: &str =
    "SELECT aggregate_type, aggregate_id, until FROM claims WHERE scope = $1 AND value = $2";
const INSERT_EVENT: &str = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
     position, event_id, recorded_at, correlation_id, causation_id, actor_id, subject_id, content_hash) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
const RELEASE_CLAIM: &str = "DELETE FROM claims WHERE scope = $1 AND value = $2 AND aggregate_type = $3 AND aggregate_id = $4";
const RELEASE_CLAIM_AT: &str = "UPDATE claims SET until = $5 WHERE scope = $1 AND value = $2 AND aggregate_type = $3 AND aggregate_id = $4";
const SET_CLAIM: &str = "INSERT INTO claims (scope, value, aggregate_type, aggregate_id) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (scope, value) DO UPDATE SET aggregate_type = excluded.aggregate_type, \
     aggregate_id = excluded.aggregate_id, until = NULL WHERE claims.scope <> 'erased'";
const SET_COMMAND: &str = "INSERT INTO command_ids (key, request, outcome, sequence, position, expires_at) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (key) DO UPDATE SET request = excluded.request, outcome = excluded.outcome, \
     sequence = excluded.sequence, position = excluded.position, expires_at = excluded.expires_at";

pub(crate) struct SqliteWriter {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
}

impl SqliteWriter {
    pub(crate) async fn open(target: &Target) -> Result<Self, HomesError> {
        let options = target.sqlite_options("events.db", SqliteSynchronous::Full)?;
        let connection = Some(options.connect().await.map_err(HomesError::Unreachable)?);
        Ok(Self {
            options,
            connection,
        })
    }

    pub(crate) async fn write(&mut self, batch: &[&Append]) -> Result<Written, WriteError> {
        // taken out while in use: a connection whose transaction was given up is never used again
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let outcome = transact(&mut connection, batch)
            .await
            .map_err(WriteError::from);
        if matches!(outcome, Ok(_) | Err(WriteError::Data(_))) {
            self.connection = Some(connection);
        }
        outcome
    }
}

async fn transact(
    connection: &mut SqliteConnection,
    batch: &[&Append],
) -> Result<Written, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let last: Option<(i64, DateTime<Utc>)> = sqlx::query_as(LAST_EVENT)
        .fetch_optional(&mut *transaction)
        .await?;
    let (start, last) = last.unwrap_or_default();
    let now = wall_clock().max(last);
    let mut position = start;
    let mut verdicts = Vec::with_capacity(batch.len());
    for append in batch {
        let verdict = match judge(&mut transaction, append, now).await? {
            Some(verdict) => verdict,
            None => insert(&mut transaction, append, now, &mut position).await?,
        };
        verdicts.push(verdict);
    }
    if position == start {
        transaction.rollback().await?;
    } else {
        transaction.commit().await?;
    }
    let events: usize = batch.iter().map(|append| append.events.len()).sum();
    let all_appended = i64::try_from(events) == Ok(position - start);
    Ok(Written {
        verdicts,
        recorded_at: all_appended.then_some(now),
    })
}

/// The database clock: SQLite has none of its own, so it is this machine's.
#[expect(
    clippy::disallowed_methods,
    reason = "stands in for the database clock, as clock_timestamp() does on Postgres"
)]
fn wall_clock() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// The verdict for a command that must not be appended, or `None` when it may.
async fn judge(
    transaction: &mut SqliteConnection,
    append: &Append,
    now: DateTime<Utc>,
) -> Result<Option<Verdict>, sqlx::Error> {
    let (last,): (i64,) = sqlx::query_as(LAST_SEQUENCE)
        .bind(append.aggregate_type)
        .bind(&append.aggregate_id)
        .fetch_one(&mut *transaction)
        .await?;
    if last > append.expected
        && let Some(verdict) = appended_before(transaction, append).await?
    {
        return Ok(Some(verdict));
    }
    if let Some(command) = &append.command {
        let known: Option<(Vec<u8>, String, i64, i64)> = sqlx::query_as(KNOWN_COMMAND)
            .bind(&command.key)
            .bind(now)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some((request, outcome, sequence, position)) = known {
            return Ok(Some(if request == command.request {
                Verdict::Repeated {
                    position,
                    sequence,
                    outcome,
                }
            } else {
                Verdict::OtherRequest
            }));
        }
    }
    if let (Some(subject), false) = (append.subject_id, append.erasing)
        && holder(transaction, "erased", subject.as_bytes())
            .await?
            .is_some()
    {
        return Ok(Some(Verdict::SubjectErased));
    }
    if last != append.expected {
        return Ok(Some(Verdict::Conflict));
    }
    for claim in append
        .claims
        .iter()
        .filter(|claim| claim.change == ClaimAction::Take)
    {
        if let Some((kind, id, until)) = holder(transaction, claim.scope, &claim.value).await? {
            let own = kind == append.aggregate_type && id == append.aggregate_id;
            if !own && until.is_none_or(|until| until > now) {
                return Ok(Some(Verdict::ClaimTaken {
                    scope: claim.scope.to_owned(),
                    holder: id,
                }));
            }
        }
    }
    Ok(None)
}

/// An earlier try of the same batch may have been committed although its answer was lost.
async fn appended_before(
    transaction: &mut SqliteConnection,
    append: &Append,
) -> Result<Option<Verdict>, sqlx::Error> {
    let at_expected: Option<(Uuid,)> = sqlx::query_as(OWN_EVENT)
        .bind(append.aggregate_type)
        .bind(&append.aggregate_id)
        .bind(append.expected + 1)
        .fetch_optional(&mut *transaction)
        .await?;
    if at_expected.map(|(id,)| id) != append.events.first().map(|event| event.event_id) {
        return Ok(None);
    }
    let sequence = append.expected + i64::try_from(append.events.len()).unwrap_or(i64::MAX);
    let (position,): (i64,) = sqlx::query_as(OWN_POSITION)
        .bind(append.aggregate_type)
        .bind(&append.aggregate_id)
        .bind(sequence)
        .fetch_one(&mut *transaction)
        .await?;
    Ok(Some(Verdict::Appended { position, sequence }))
}

type Holder = (String, String, Option<DateTime<Utc>>);

async fn holder(
    transaction: &mut SqliteConnection,
    scope: &str,
    value: &[u8],
) -> Result<Option<Holder>, sqlx::Error> {
    sqlx::query_as(CLAIM)
        .bind(scope)
        .bind(value)
        .fetch_optional(&mut *transaction)
        .await
}

async fn insert(
    transaction: &mut SqliteConnection,
    append: &Append,
    now: DateTime<Utc>,
    position: &mut i64,
) -> Result<Verdict, sqlx::Error> {
    let mut sequence = append.expected;
    for event in &append.events {
        sequence += 1;
        *position += 1;
        sqlx::query(INSERT_EVENT)
            .bind(append.aggregate_type)
            .bind(&append.aggregate_id)
            .bind(sequence)
            .bind(&event.event_type)
            .bind(&event.event_version)
            .bind(&event.payload)
            .bind(&event.metadata)
            .bind(*position)
            .bind(event.event_id)
            .bind(now)
            .bind(append.correlation_id)
            .bind(append.causation_id)
            .bind(&append.actor_id)
            .bind(append.subject_id)
            .bind(event.content_hash.as_slice())
            .execute(&mut *transaction)
            .await?;
    }
    for claim in &append.claims {
        let (change, until) = match claim.change {
            ClaimAction::Take | ClaimAction::Erase => (SET_CLAIM, None),
            ClaimAction::Release => (RELEASE_CLAIM, None),
            ClaimAction::ReleaseAt(until) => (RELEASE_CLAIM_AT, Some(until)),
        };
        let mut query = sqlx::query(change)
            .bind(claim.scope)
            .bind(&claim.value)
            .bind(append.aggregate_type)
            .bind(&append.aggregate_id);
        if until.is_some() {
            query = query.bind(until);
        }
        query.execute(&mut *transaction).await?;
    }
    if let Some(command) = &append.command {
        sqlx::query(SET_COMMAND)
            .bind(&command.key)
            .bind(&command.request)
            .bind(&command.outcome)
            .bind(sequence)
            .bind(*position)
            .bind(command.expires_at)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(Verdict::Appended {
        position: *position,
        sequence,
    })
}
