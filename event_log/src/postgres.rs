//! The Postgres writer: one call of the append function a batch, on a connection of its own.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Executor, FromRow, PgPool};
use uuid::Uuid;

use crate::append::{Append, Verdict, WriteError, Written};
use crate::database::{Engine, Statement};
use crate::homes::HomesError;
use crate::patience;
use crate::pool::Pool;

static APPEND: Statement = crate::statement!("../sql/append.sql");

/// Longer than any sane wait for the turn, shorter than the appender's patience. A snapshot older than the turn
/// would show an old head, so that the server's default isolation does not count.
const SESSION: &str = "SET lock_timeout = '4s'; SET statement_timeout = '6s'; \
     SET default_transaction_isolation = 'read committed'";

pub(crate) struct PostgresWriter {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    /// Beside which pool the connection was made: when that one was given up, so is the connection.
    beside: Option<PgPool>,
    pool: Option<Pool>,
}

#[derive(FromRow)]
struct Row {
    command: i32,
    verdict: i16,
    last_position: Option<i64>,
    last_sequence: Option<i64>,
    detail: Option<String>,
    holder: Option<String>,
}

impl PostgresWriter {
    pub(crate) async fn open(
        options: PgConnectOptions,
        pool: Option<Pool>,
    ) -> Result<Self, HomesError> {
        let options = options.application_name("soulsense appender");
        let connection = Some(connect(&options).await.map_err(HomesError::Unreachable)?);
        Ok(Self {
            options,
            connection,
            beside: pool.as_ref().map(Pool::current),
            pool,
        })
    }

    pub(crate) async fn write(&mut self, batch: &[&Append]) -> Result<Written, WriteError> {
        let Some(pool) = &self.pool else {
            return self.try_to_write(batch).await;
        };
        let current = pool.current();
        if self.beside.as_ref().is_some_and(PgPool::is_closed) {
            self.connection = None;
        }
        let mut given_up = current.close_event();
        self.beside = Some(current);
        given_up.do_until(self.try_to_write(batch)).await?
    }

    async fn try_to_write(&mut self, batch: &[&Append]) -> Result<Written, WriteError> {
        // taken out while in use: a connection whose statement was given up is never used again
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.options).await?,
        };
        let outcome = call(&mut connection, batch).await.map_err(WriteError::from);
        if matches!(outcome, Ok(_) | Err(WriteError::Data(_))) {
            self.connection = Some(connection);
        }
        outcome
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    connection.execute(patience::SESSION).await?;
    connection.execute(SESSION).await?;
    Ok(connection)
}

#[derive(Default)]
struct Columns<'a> {
    c_type: Vec<&'a str>,
    c_id: Vec<&'a str>,
    c_expected: Vec<i64>,
    c_subject: Vec<Option<Uuid>>,
    c_erasing: Vec<bool>,
    c_first: Vec<i32>,
    c_count: Vec<i32>,
    c_correlation: Vec<Uuid>,
    c_causation: Vec<Option<Uuid>>,
    c_actor: Vec<&'a str>,
    e_command: Vec<i32>,
    e_sequence: Vec<i64>,
    e_type: Vec<&'a str>,
    e_version: Vec<&'a str>,
    e_payload: Vec<&'a str>,
    e_metadata: Vec<&'a str>,
    e_id: Vec<Uuid>,
    e_hash: Vec<&'a [u8]>,
    i_command: Vec<i32>,
    i_key: Vec<&'a [u8]>,
    i_request: Vec<&'a [u8]>,
    i_outcome: Vec<&'a str>,
    i_expires: Vec<Option<DateTime<Utc>>>,
    k_command: Vec<i32>,
    k_scope: Vec<&'a str>,
    k_value: Vec<&'a [u8]>,
    k_change: Vec<i16>,
    k_until: Vec<Option<DateTime<Utc>>>,
}

impl<'a> Columns<'a> {
    fn of(batch: &[&'a Append]) -> Self {
        let mut columns = Self::default();
        let mut first = 1;
        for (command, append) in (1_i32..).zip(batch) {
            let count = i32::try_from(append.events.len()).unwrap_or(i32::MAX);
            columns.c_first.push(first);
            columns.c_count.push(count);
            first = first.saturating_add(count);
            columns.push_command(append);
            for (sequence, event) in (append.expected + 1..).zip(&append.events) {
                columns.e_command.push(command);
                columns.e_sequence.push(sequence);
                columns.e_type.push(&event.event_type);
                columns.e_version.push(&event.event_version);
                columns.e_payload.push(&event.payload);
                columns.e_metadata.push(&event.metadata);
                columns.e_id.push(event.event_id);
                columns.e_hash.push(&event.content_hash);
            }
            if let Some(remembered) = &append.command {
                columns.i_command.push(command);
                columns.i_key.push(&remembered.key);
                columns.i_request.push(&remembered.request);
                columns.i_outcome.push(&remembered.outcome);
                columns.i_expires.push(remembered.expires_at);
            }
            for claim in &append.claims {
                let (change, until) = claim.change.stored();
                columns.k_command.push(command);
                columns.k_scope.push(claim.scope);
                columns.k_value.push(&claim.value);
                columns.k_change.push(change);
                columns.k_until.push(until);
            }
        }
        columns
    }

    fn push_command(&mut self, append: &'a Append) {
        self.c_type.push(append.aggregate_type);
        self.c_id.push(&append.aggregate_id);
        self.c_expected.push(append.expected);
        self.c_subject.push(append.subject_id);
        self.c_erasing.push(append.erasing);
        self.c_correlation.push(append.correlation_id);
        self.c_causation.push(append.causation_id);
        self.c_actor.push(&append.actor_id);
    }
}

async fn call(connection: &mut PgConnection, batch: &[&Append]) -> Result<Written, sqlx::Error> {
    let columns = Columns::of(batch);
    let rows: Vec<Row> = sqlx::query_as(APPEND.on(Engine::Postgres))
        .bind(columns.c_type)
        .bind(columns.c_id)
        .bind(columns.c_expected)
        .bind(columns.c_subject)
        .bind(columns.c_erasing)
        .bind(columns.c_first)
        .bind(columns.c_count)
        .bind(columns.c_correlation)
        .bind(columns.c_causation)
        .bind(columns.c_actor)
        .bind(columns.e_command)
        .bind(columns.e_sequence)
        .bind(columns.e_type)
        .bind(columns.e_version)
        .bind(columns.e_payload)
        .bind(columns.e_metadata)
        .bind(columns.e_id)
        .bind(columns.e_hash)
        .bind(columns.i_command)
        .bind(columns.i_key)
        .bind(columns.i_request)
        .bind(columns.i_outcome)
        .bind(columns.i_expires)
        .bind(columns.k_command)
        .bind(columns.k_scope)
        .bind(columns.k_value)
        .bind(columns.k_change)
        .bind(columns.k_until)
        .fetch_all(connection)
        .await?;
    if let [
        Row {
            command: 0,
            last_position: Some(before),
            last_sequence: at,
            ..
        },
    ] = rows.as_slice()
    {
        return Ok(Written {
            verdicts: all_appended(batch, *before),
            recorded_at: at.and_then(DateTime::from_timestamp_micros),
        });
    }
    let verdicts = rows.into_iter().map(verdict).collect::<Result<_, _>>()?;
    Ok(Written {
        verdicts,
        recorded_at: None,
    })
}

/// The verdicts where every command is appended, after the given position.
fn all_appended(batch: &[&Append], before: i64) -> Vec<Verdict> {
    let mut position = before;
    let appended = batch.iter().map(|append| {
        let count = i64::try_from(append.events.len()).unwrap_or(i64::MAX);
        position += count;
        Verdict::Appended {
            position,
            sequence: append.expected + count,
        }
    });
    appended.collect()
}

fn verdict(row: Row) -> Result<Verdict, sqlx::Error> {
    let missing = || sqlx::Error::Protocol("a verdict lacks its place".into());
    Ok(match row.verdict {
        0 | 1 => Verdict::Appended {
            position: row.last_position.ok_or_else(missing)?,
            sequence: row.last_sequence.ok_or_else(missing)?,
        },
        2 => Verdict::Repeated {
            position: row.last_position.ok_or_else(missing)?,
            sequence: row.last_sequence.ok_or_else(missing)?,
            outcome: row.detail.unwrap_or_default(),
        },
        3 => Verdict::OtherRequest,
        4 => Verdict::SubjectErased,
        6 => Verdict::ClaimTaken {
            scope: row.detail.unwrap_or_default(),
            holder: row.holder.unwrap_or_default(),
        },
        _ => Verdict::Conflict,
    })
}
