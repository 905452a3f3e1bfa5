//! What stands between this process and Postgres: nothing, a pooler that keeps sessions, or one that hands
//! every transaction another session.
//!
//! sqlx prepares statements by name. A pooler in transaction mode must know about that, or statements fail
//! at random, under load only; so it is found out at the start instead.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::homes::{HomesError, Target};
use crate::patience::bounded;

/// How often it is tried: other clients of the pooler may hide what it does.
const TRIES: usize = 3;
/// What the server says of a prepared statement that is not its session's, or is there already.
const NOT_PREPARED: &[&str] = &["26000", "42P05", "08P01"];

/// Who has the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// A connection keeps its session.
    Kept,
    /// Every transaction may get another session; prepared statements follow.
    Shared,
    /// Every transaction may get another session, and prepared statements do not follow.
    Unprepared,
}

/// Refuses addresses that cannot work, before anything depends on them. SQLite has none.
pub async fn check(target: &Target) -> Result<(), HomesError> {
    let Target::Postgres { direct_url, .. } = target else {
        return Ok(());
    };
    let pooled = sessions(&target.postgres_options()?)
        .await
        .map_err(HomesError::Unreachable)?;
    if pooled == Sessions::Unprepared {
        return Err(HomesError::Unprepared);
    }
    if direct_url.is_none() {
        return match pooled {
            Sessions::Kept => Ok(()),
            _ => Err(HomesError::NotDirect {
                name: "DATABASE_URL",
            }),
        };
    }
    let direct = sessions(&target.direct_options()?)
        .await
        .map_err(HomesError::Unreachable)?;
    if direct != Sessions::Kept {
        return Err(HomesError::NotDirect {
            name: "SOULSENSE_DATABASE_DIRECT_URL",
        });
    }
    same_database(target).await
}

/// Finds out whether connections keep their sessions.
pub async fn sessions(options: &PgConnectOptions) -> Result<Sessions, sqlx::Error> {
    let mut first = bounded(options.connect()).await?;
    let mut found = Sessions::Kept;
    for _ in 0..TRIES {
        let mut second = bounded(options.connect()).await?;
        let seen = compared(&mut first, &mut second).await;
        let _unneeded = second.close_hard().await;
        found = match seen {
            Ok(Sessions::Kept) => found,
            Ok(other) => other,
            Err(error) if is_unprepared(&error) => return Ok(Sessions::Unprepared),
            Err(error) => return Err(error),
        };
    }
    let _unneeded = first.close().await;
    Ok(found)
}

/// The first prepares a statement and lets its session go; the second takes a session and keeps it while
/// the first asks again. Both name their first prepared statement alike.
async fn compared(
    first: &mut PgConnection,
    second: &mut PgConnection,
) -> Result<Sessions, sqlx::Error> {
    let before = session_of(first, "SELECT pg_backend_pid() FROM (VALUES ($1)) one").await?;
    bounded(second.execute("BEGIN")).await?;
    let other = session_of(second, "SELECT pg_backend_pid() FROM (VALUES ($1)) two").await?;
    if other == before {
        return Ok(Sessions::Shared);
    }
    let after = session_of(first, "SELECT pg_backend_pid() FROM (VALUES ($1)) one").await?;
    Ok(if before == after {
        Sessions::Kept
    } else {
        Sessions::Shared
    })
}

async fn session_of(connection: &mut PgConnection, prepared: &str) -> Result<i32, sqlx::Error> {
    bounded(
        sqlx::query_scalar(prepared)
            .bind(1_i32)
            .fetch_one(connection),
    )
    .await
}

fn is_unprepared(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(cause)
        if cause.code().is_some_and(|code| NOT_PREPARED.contains(&&*code)))
}

/// Two addresses are of one database when the second finds the lock that the first has just taken.
async fn same_database(target: &Target) -> Result<(), HomesError> {
    let mut direct = connected(&target.direct_options()?).await?;
    let mut pooled = connected(&target.postgres_options()?).await?;
    if finds_its_lock(&mut direct, &mut pooled)
        .await
        .map_err(HomesError::Unreachable)?
    {
        Ok(())
    } else {
        Err(HomesError::Elsewhere)
    }
}

async fn connected(options: &PgConnectOptions) -> Result<PgConnection, HomesError> {
    bounded(options.connect())
        .await
        .map_err(HomesError::Unreachable)
}

async fn finds_its_lock(
    one: &mut PgConnection,
    other: &mut PgConnection,
) -> Result<bool, sqlx::Error> {
    let name: i64 = bounded(
        sqlx::query_scalar("SELECT (random() * 1000000000000000)::bigint").fetch_one(&mut *one),
    )
    .await?;
    let mut holding = bounded(one.begin()).await?;
    let mut taken: Vec<bool> = Vec::new();
    for connection in [&mut *holding, other] {
        let take = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(name);
        taken.push(bounded(take.fetch_one(connection)).await?);
    }
    Ok(taken == [true, false])
}
