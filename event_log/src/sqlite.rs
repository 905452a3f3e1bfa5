//! The SQLite writer: the same contract as the Postgres append function, from one dedicated connection.
//!
//! The head, which is the last event, is read inside each transaction and never cached: the CLI may write beside
//! the server.

use chrono::{DateTime, SubsecRound, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, FromRow};
use uuid::Uuid;

use crate::append::{Append, ClaimAction, Verdict, WriteError, Written};
use crate::homes::{HomesError, Target};
use crate::rows::SqliteRows;

const LAST_EVENT: &str = "SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1";
/// What a batch's commands are judged by: the stream's last sequence, whether its subject is erased, and what is
/// remembered under the command id.
const STANDINGS: &str = "WITH asked (command, aggregate_type, aggregate_id, subject, key) AS ({rows}) \
     SELECT (SELECT coalesce(max(sequence), 0) FROM events e \
              WHERE e.aggregate_type = a.aggregate_type AND e.aggregate_id = a.aggregate_id) AS last, \
            EXISTS (SELECT 1 FROM claims WHERE scope = 'erased' AND value = a.subject) AS erased, \
            k.key IS NOT NULL AS known, k.request, k.outcome, k.sequence, k.position, k.expires_at \
       FROM asked a LEFT JOIN command_ids k ON k.key = a.key \
      ORDER BY a.command";
const OWN_EVENT: &str =
    "SELECT event_id FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3";
const OWN_POSITION: &str =
    "SELECT position FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3";
const CLAIM: &str =
    "SELECT aggregate_type, aggregate_id, until FROM claims WHERE scope = $1 AND value = $2";
const INSERT_EVENTS: &str = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
     position, event_id, recorded_at, correlation_id, causation_id, actor_id, subject_id, content_hash) {rows}";
const RELEASE_CLAIM: &str = "DELETE FROM claims WHERE scope = $1 AND value = $2 AND aggregate_type = $3 AND aggregate_id = $4";
const RELEASE_CLAIM_AT: &str = "UPDATE claims SET until = $5 WHERE scope = $1 AND value = $2 AND aggregate_type = $3 AND aggregate_id = $4";
const SET_CLAIM: &str = "INSERT INTO claims (scope, value, aggregate_type, aggregate_id) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (scope, value) DO UPDATE SET aggregate_type = excluded.aggregate_type, \
     aggregate_id = excluded.aggregate_id, until = NULL WHERE claims.scope <> 'erased'";
const SET_COMMANDS: &str = "INSERT INTO command_ids (key, request, outcome, sequence, position, expires_at) {rows} \
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
    let mut accepted = Vec::with_capacity(batch.len());
    let mut verdicts = Vec::with_capacity(batch.len());
    let mut position = start;
    // no two commands of a batch name the same stream, command id or claim: none changes how another stands
    for (append, standing) in batch.iter().zip(standings(&mut transaction, batch).await?) {
        let refused = judge(&mut transaction, append, standing, now).await?;
        verdicts.push(refused.unwrap_or_else(|| {
            position += length(append);
            let one = Accepted { append, position };
            let sequence = one.sequence();
            accepted.push(one);
            Verdict::Appended { position, sequence }
        }));
    }
    insert_events(&mut transaction, &accepted, now).await?;
    change_claims(&mut transaction, &accepted).await?;
    remember_commands(&mut transaction, &accepted).await?;
    if position == start {
        transaction.rollback().await?;
    } else {
        transaction.commit().await?;
    }
    let all_appended = accepted.len() == batch.len();
    Ok(Written {
        verdicts,
        recorded_at: all_appended.then_some(now),
    })
}

/// How many events a command has.
fn length(append: &Append) -> i64 {
    i64::try_from(append.events.len()).unwrap_or(i64::MAX)
}

/// The database clock: SQLite has none of its own, so it is this machine's.
#[expect(
    clippy::disallowed_methods,
    reason = "stands in for the database clock, as clock_timestamp() does on Postgres"
)]
fn wall_clock() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// What the log holds against a command, or for it.
#[derive(FromRow)]
struct Standing {
    /// The stream's last sequence.
    last: i64,
    /// Its subject is being erased.
    erased: bool,
    /// The command id is remembered, be its time over or not.
    known: bool,
    request: Option<Vec<u8>>,
    outcome: Option<String>,
    sequence: Option<i64>,
    position: Option<i64>,
    expires_at: Option<DateTime<Utc>>,
}

impl Standing {
    /// The verdict for a command whose id is remembered.
    fn repeated(self, request: &[u8], now: DateTime<Utc>) -> Option<Verdict> {
        if !self.known || self.expires_at.is_some_and(|until| until <= now) {
            return None;
        }
        if self.request.as_deref() != Some(request) {
            return Some(Verdict::OtherRequest);
        }
        Some(Verdict::Repeated {
            position: self.position?,
            sequence: self.sequence?,
            outcome: self.outcome?,
        })
    }
}

/// How each command of a batch stands, in their order.
async fn standings(
    transaction: &mut SqliteConnection,
    batch: &[&Append],
) -> Result<Vec<Standing>, sqlx::Error> {
    let mut standings = Vec::with_capacity(batch.len());
    let mut rows = SqliteRows::new(STANDINGS, batch.len());
    for (command, append) in (0_i64..).zip(batch) {
        let subject = append.subject_id.filter(|_| !append.erasing);
        rows.push_bind(command)
            .push_bind(append.aggregate_type)
            .push_bind(append.aggregate_id.as_str())
            .push_bind(subject)
            .push_bind(
                append
                    .command
                    .as_ref()
                    .map(|command| command.key.as_slice()),
            );
        if rows.end_row() {
            standings.extend(rows.fetch(&mut *transaction).await?);
        }
    }
    Ok(standings)
}

/// The verdict for a command that must not be appended, or `None` when it may.
async fn judge(
    transaction: &mut SqliteConnection,
    append: &Append,
    standing: Standing,
    now: DateTime<Utc>,
) -> Result<Option<Verdict>, sqlx::Error> {
    let (last, erased) = (standing.last, standing.erased);
    if last > append.expected
        && let Some(verdict) = appended_before(transaction, append).await?
    {
        return Ok(Some(verdict));
    }
    if let Some(command) = &append.command
        && let Some(verdict) = standing.repeated(&command.request, now)
    {
        return Ok(Some(verdict));
    }
    if erased {
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
    let sequence = append.expected + length(append);
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

/// A command that is appended, and where its last event stands.
struct Accepted<'a> {
    append: &'a Append,
    position: i64,
}

impl Accepted<'_> {
    fn sequence(&self) -> i64 {
        self.append.expected + length(self.append)
    }
}

async fn insert_events(
    transaction: &mut SqliteConnection,
    accepted: &[Accepted<'_>],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let events = accepted.iter().map(|one| one.append.events.len()).sum();
    let mut rows = SqliteRows::new(INSERT_EVENTS, events);
    for Accepted { append, position } in accepted {
        let first = position + 1 - length(append);
        let places = (append.expected + 1..).zip(first..);
        for (event, (sequence, position)) in append.events.iter().zip(places) {
            rows.push_bind(append.aggregate_type)
                .push_bind(append.aggregate_id.as_str())
                .push_bind(sequence)
                .push_bind(event.event_type.as_str())
                .push_bind(event.event_version.as_str())
                .push_bind(event.payload.as_str())
                .push_bind(event.metadata.as_str())
                .push_bind(position)
                .push_bind(event.event_id)
                .push_bind(now)
                .push_bind(append.correlation_id)
                .push_bind(append.causation_id)
                .push_bind(append.actor_id.as_str())
                .push_bind(append.subject_id)
                .push_bind(event.content_hash.as_slice());
            if rows.end_row() {
                rows.execute(&mut *transaction).await?;
            }
        }
    }
    Ok(())
}

async fn change_claims(
    transaction: &mut SqliteConnection,
    accepted: &[Accepted<'_>],
) -> Result<(), sqlx::Error> {
    for Accepted { append, .. } in accepted {
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
    }
    Ok(())
}

async fn remember_commands(
    transaction: &mut SqliteConnection,
    accepted: &[Accepted<'_>],
) -> Result<(), sqlx::Error> {
    let remembered = accepted
        .iter()
        .filter_map(|one| Some((one, one.append.command.as_ref()?)));
    let mut rows = SqliteRows::new(SET_COMMANDS, remembered.clone().count());
    for (one, command) in remembered {
        rows.push_bind(command.key.as_slice())
            .push_bind(command.request.as_slice())
            .push_bind(command.outcome.as_str())
            .push_bind(one.sequence())
            .push_bind(one.position)
            .push_bind(command.expires_at);
        if rows.end_row() {
            rows.execute(&mut *transaction).await?;
        }
    }
    Ok(())
}
