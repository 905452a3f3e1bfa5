//! The Postgres writer: one call of the append function a batch, on a connection of its own.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Executor, FromRow, PgPool};
use uuid::Uuid;

use crate::append::{Append, Verdict, WriteError};
use crate::database::{Engine, Statement};
use crate::homes::HomesError;
use crate::patience;
use crate::pool::Pool;

static APPEND: Statement = crate::statement!("../sql/append.sql");

/// Longer than any sane wait for the head row, shorter than the appender's patience.
const SESSION: &str =
    "SET lock_timeout = '4s'; SET statement_timeout = '6s'; SET synchronous_commit = on";

pub(crate) struct PostgresWriter {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    /// Beside which pool the connection was made: when that one was given up, so is the connection.
    beside: Option<PgPool>,
    pool: Option<Pool>,
}

#[derive(FromRow)]
struct Row {
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

    pub(crate) async fn write(&mut self, batch: &[&Append]) -> Result<Vec<Verdict>, WriteError> {
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

    async fn try_to_write(&mut self, batch: &[&Append]) -> Result<Vec<Verdict>, WriteError> {
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
    c_count: Vec<i64>,
    c_first_event: Vec<Option<Uuid>>,
    c_claims: Vec<i64>,
    c_key: Vec<Option<&'a [u8]>>,
    c_request: Vec<Option<&'a [u8]>>,
    c_outcome: Vec<Option<&'a str>>,
    c_expires: Vec<Option<DateTime<Utc>>>,
    e_command: Vec<i32>,
    e_aggregate_type: Vec<&'a str>,
    e_aggregate_id: Vec<&'a str>,
    e_sequence: Vec<i64>,
    e_type: Vec<&'a str>,
    e_version: Vec<&'a str>,
    e_payload: Vec<&'a str>,
    e_metadata: Vec<&'a str>,
    e_id: Vec<Uuid>,
    e_correlation: Vec<Uuid>,
    e_causation: Vec<Option<Uuid>>,
    e_actor: Vec<&'a str>,
    e_subject: Vec<Option<Uuid>>,
    e_hash: Vec<&'a [u8]>,
    k_command: Vec<i32>,
    k_scope: Vec<&'a str>,
    k_value: Vec<&'a [u8]>,
    k_change: Vec<i16>,
    k_until: Vec<Option<DateTime<Utc>>>,
}

impl<'a> Columns<'a> {
    fn of(batch: &[&'a Append]) -> Self {
        let mut columns = Self::default();
        for (command, append) in (1_i32..).zip(batch) {
            columns.push_command(append);
            for (sequence, event) in (append.expected + 1..).zip(&append.events) {
                columns.e_command.push(command);
                columns.e_aggregate_type.push(append.aggregate_type);
                columns.e_aggregate_id.push(&append.aggregate_id);
                columns.e_sequence.push(sequence);
                columns.e_type.push(&event.event_type);
                columns.e_version.push(&event.event_version);
                columns.e_payload.push(&event.payload);
                columns.e_metadata.push(&event.metadata);
                columns.e_id.push(event.event_id);
                columns.e_correlation.push(append.correlation_id);
                columns.e_causation.push(append.causation_id);
                columns.e_actor.push(&append.actor_id);
                columns.e_subject.push(append.subject_id);
                columns.e_hash.push(&event.content_hash);
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
        self.c_count
            .push(i64::try_from(append.events.len()).unwrap_or(i64::MAX));
        self.c_first_event
            .push(append.events.first().map(|event| event.event_id));
        self.c_claims
            .push(i64::try_from(append.claims.len()).unwrap_or(i64::MAX));
        let command = append.command.as_ref();
        self.c_key
            .push(command.map(|command| command.key.as_slice()));
        self.c_request
            .push(command.map(|command| command.request.as_slice()));
        self.c_outcome
            .push(command.map(|command| command.outcome.as_str()));
        self.c_expires
            .push(command.and_then(|command| command.expires_at));
    }
}

async fn call(
    connection: &mut PgConnection,
    batch: &[&Append],
) -> Result<Vec<Verdict>, sqlx::Error> {
    let columns = Columns::of(batch);
    let rows: Vec<Row> = sqlx::query_as(APPEND.on(Engine::Postgres))
        .bind(columns.c_type)
        .bind(columns.c_id)
        .bind(columns.c_expected)
        .bind(columns.c_subject)
        .bind(columns.c_erasing)
        .bind(columns.c_count)
        .bind(columns.c_first_event)
        .bind(columns.c_claims)
        .bind(columns.c_key)
        .bind(columns.c_request)
        .bind(columns.c_outcome)
        .bind(columns.c_expires)
        .bind(columns.e_command)
        .bind(columns.e_aggregate_type)
        .bind(columns.e_aggregate_id)
        .bind(columns.e_sequence)
        .bind(columns.e_type)
        .bind(columns.e_version)
        .bind(columns.e_payload)
        .bind(columns.e_metadata)
        .bind(columns.e_id)
        .bind(columns.e_correlation)
        .bind(columns.e_causation)
        .bind(columns.e_actor)
        .bind(columns.e_subject)
        .bind(columns.e_hash)
        .bind(columns.k_command)
        .bind(columns.k_scope)
        .bind(columns.k_value)
        .bind(columns.k_change)
        .bind(columns.k_until)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(verdict).collect()
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
