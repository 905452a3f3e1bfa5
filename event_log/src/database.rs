//! One text, two engines: pools, transactions, and statements whose markers are rendered per engine.

use std::borrow::Cow;
use std::sync::OnceLock;

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqlitePool};

use crate::patience::{self, bounded, unhurried};
use crate::pool::{self, Pool};

/// Which engine a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// `PostgreSQL` 15 or later, the production engine.
    Postgres,
    /// The embedded default.
    Sqlite,
}

/// A pool to either engine.
#[derive(Debug, Clone)]
pub enum Database {
    /// A pool of Postgres connections.
    Postgres(Pool),
    /// A pool of connections to one SQLite file.
    Sqlite(SqlitePool),
}

impl Database {
    /// Which engine it is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self {
            Self::Postgres(_) => Engine::Postgres,
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// A connection for several statements, one after the other: giving it back after each would cost the
    /// pool's look at it.
    pub async fn hold(&self) -> Result<Held, sqlx::Error> {
        match self {
            Self::Postgres(pool) => bounded(pool.hold()).await.map(Held::Postgres),
            Self::Sqlite(pool) => pool.acquire().await.map(Held::Sqlite),
        }
    }

    /// A transaction that may write. On SQLite it takes the write lock at once.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        match self {
            Self::Postgres(pool) => begin_postgres(pool, "").await,
            Self::Sqlite(pool) => pool
                .begin_with("BEGIN IMMEDIATE")
                .await
                .map(Transaction::Sqlite),
        }
    }

    /// A transaction for what can be derived again: it may be lost on power failure, never torn.
    pub async fn begin_derived(&self) -> Result<Transaction, sqlx::Error> {
        match self {
            Self::Postgres(pool) => {
                begin_postgres(pool, "SET LOCAL synchronous_commit = off").await
            }
            Self::Sqlite(_) => self.begin().await,
        }
    }

    /// A transaction that makes one index on what can be derived again, with memory to sort in.
    pub async fn begin_index(&self) -> Result<Transaction, sqlx::Error> {
        match self {
            Self::Postgres(pool) => {
                let settings =
                    "SET LOCAL synchronous_commit = off; SET LOCAL maintenance_work_mem = '128MB'";
                unhurried(Box::pin(begin_postgres(pool, settings))).await
            }
            Self::Sqlite(_) => self.begin().await,
        }
    }

    /// Closes the pool and waits for its connections.
    pub async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

async fn begin_postgres(pool: &Pool, settings: &str) -> Result<Transaction, sqlx::Error> {
    let limits = if patience::is_unhurried() {
        patience::NO_LIMITS
    } else if pool.keeps_sessions() {
        // the session has them
        ""
    } else {
        patience::LIMITS
    };
    let parts = ["BEGIN", limits, settings].into_iter();
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let begin = pool.begin_with(parts.join("; "));
    bounded(begin).await.map(Transaction::Postgres)
}

/// A connection of either engine that goes back to its pool when dropped.
#[derive(Debug)]
pub enum Held {
    /// To Postgres.
    Postgres(pool::Held),
    /// To a SQLite file.
    Sqlite(PoolConnection<Sqlite>),
}

impl Held {
    /// Which engine it is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self {
            Self::Postgres(_) => Engine::Postgres,
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// True when its pool was given up: another one is to be had.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        match self {
            Self::Postgres(on) => on.is_given_up(),
            Self::Sqlite(_) => false,
        }
    }

    /// Gives it to the next who wants one: for when its last statement has ended well, outside of any
    /// transaction.
    pub fn keep_warm(self) {
        match self {
            Self::Postgres(on) => on.keep_warm(),
            Self::Sqlite(on) => drop(on),
        }
    }
}

/// A transaction on either engine; rolled back when dropped.
#[derive(Debug)]
pub enum Transaction {
    /// On Postgres.
    Postgres(pool::Transaction),
    /// On SQLite.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
}

impl Transaction {
    /// Which engine it is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self {
            Self::Postgres(_) => Engine::Postgres,
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// Makes the transaction's work durable.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(transaction) => bounded(transaction.commit()).await,
            Self::Sqlite(transaction) => transaction.commit().await,
        }
    }
}

/// A statement in the dialect both engines understand, from one `.sql` file.
///
/// Markers: `{log.events}` is `log.events` on Postgres and `events` on SQLite; `{now_ms}` is the database
/// clock in milliseconds since 1970; `{bytewise}` after a column's type has its words compared byte by byte,
/// which is fastest and does not change when the system's collations do.
#[derive(Debug)]
pub struct Statement {
    name: &'static str,
    text: &'static str,
    postgres: OnceLock<String>,
    sqlite: OnceLock<String>,
}

impl Statement {
    /// A statement from its file name and text; use [`statement!`](crate::statement!).
    #[must_use]
    pub const fn new(name: &'static str, text: &'static str) -> Self {
        Self {
            name,
            text,
            postgres: OnceLock::new(),
            sqlite: OnceLock::new(),
        }
    }

    /// The file it came from, for slow-query logs.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The text as written, with its markers.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// The text for one engine.
    pub fn on(&self, engine: Engine) -> &str {
        match engine {
            Engine::Postgres => &self.postgres,
            Engine::Sqlite => &self.sqlite,
        }
        .get_or_init(|| render(self.text, engine, |_| None))
    }
}

/// Renders the markers of a statement: `{home.table}`, `{now_ms}` and `{bytewise}` here, any other by `table`.
///
/// A marker that nobody knows stays as it is, so that preparing the statement fails loudly.
pub fn render<'a>(
    text: &str,
    engine: Engine,
    table: impl Fn(&str) -> Option<Cow<'a, str>>,
) -> String {
    let mut rendered = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        rendered.push_str(before);
        let Some(end) = from.find('}') else {
            rest = from;
            break;
        };
        let (marker, after) = (&from[1..end], &from[end + 1..]);
        if let Some(known) = table(marker) {
            rendered.push_str(&known);
        } else if marker == "now_ms" {
            rendered.push_str(match engine {
                Engine::Postgres => "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
                Engine::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            });
        } else if marker == "bytewise" {
            rendered.push_str(match engine {
                Engine::Postgres => "COLLATE \"C\"",
                Engine::Sqlite => "COLLATE BINARY",
            });
        } else if let Some((_, bare)) = marker.split_once('.') {
            rendered.push_str(if engine == Engine::Postgres {
                marker
            } else {
                bare
            });
        } else {
            rendered.push_str(&from[..=end]);
        }
        rest = after;
    }
    rendered.push_str(rest);
    rendered
}

/// A [`Statement`] from a `.sql` file beside the source, by relative path.
#[macro_export]
macro_rules! statement {
    ($path:literal) => {
        $crate::database::Statement::new($path, include_str!($path))
    };
}

/// Runs a statement on whichever engine is open and gives the number of rows it touched:
/// `execute!(database, text, arguments…)`, or `execute!(in transaction, text, arguments…)`.
#[macro_export]
macro_rules! execute {
    (in $transaction:expr, $text:expr $(, $argument:expr)* $(,)?) => {
        match &mut $transaction {
            $crate::database::Transaction::Postgres(on) => {
                let given_up = on.given_up();
                let executed = sqlx::query($text)$(.bind($argument))*.execute(&mut **on);
                $crate::patience::held(given_up, executed).await.map(|done| done.rows_affected())
            }
            $crate::database::Transaction::Sqlite(on) => sqlx::query($text)$(.bind($argument))*.execute(&mut **on).await.map(|done| done.rows_affected()),
        }
    };
    ($database:expr, $text:expr $(, $argument:expr)* $(,)?) => {
        match &$database {
            $crate::database::Database::Postgres(on) => $crate::patience::bounded(sqlx::query($text)$(.bind($argument))*.execute(on)).await.map(|done| done.rows_affected()),
            $crate::database::Database::Sqlite(on) => sqlx::query($text)$(.bind($argument))*.execute(on).await.map(|done| done.rows_affected()),
        }
    };
}

/// All rows of a statement, each as `$row` (anything that derives `FromRow`):
/// `fetch_all!(database, Row, text, arguments…)`, or `fetch_all!(in transaction, …)`.
#[macro_export]
macro_rules! fetch_all {
    (in $transaction:expr, $row:ty, $text:expr $(, $argument:expr)* $(,)?) => {
        $crate::fetch!(in $transaction, fetch_all, $row, $text $(, $argument)*)
    };
    ($database:expr, $row:ty, $text:expr $(, $argument:expr)* $(,)?) => {
        $crate::fetch!($database, fetch_all, $row, $text $(, $argument)*)
    };
}

/// The first row of a statement, if there is one; arguments as for [`fetch_all!`].
#[macro_export]
macro_rules! fetch_optional {
    (in $transaction:expr, $row:ty, $text:expr $(, $argument:expr)* $(,)?) => {
        $crate::fetch!(in $transaction, fetch_optional, $row, $text $(, $argument)*)
    };
    ($database:expr, $row:ty, $text:expr $(, $argument:expr)* $(,)?) => {
        $crate::fetch!($database, fetch_optional, $row, $text $(, $argument)*)
    };
}

/// The one row of a statement; arguments as for [`fetch_all!`].
#[macro_export]
macro_rules! fetch_one {
    (in $transaction:expr, $row:ty, $text:expr $(, $argument:expr)* $(,)?) => {
        $crate::fetch!(in $transaction, fetch_one, $row, $text $(, $argument)*)
    };
    ($database:expr, $row:ty, $text:expr $(, $argument:expr)* $(,)?) => {
        $crate::fetch!($database, fetch_one, $row, $text $(, $argument)*)
    };
}

/// What [`fetch_all!`], [`fetch_optional!`] and [`fetch_one!`] have in common.
#[doc(hidden)]
#[macro_export]
macro_rules! fetch {
    (in $transaction:expr, $fetch:ident, $row:ty, $text:expr $(, $argument:expr)*) => {
        match &mut $transaction {
            $crate::database::Transaction::Postgres(on) => {
                let given_up = on.given_up();
                let fetched = sqlx::query_as::<sqlx::Postgres, $row>($text)$(.bind($argument))*.$fetch(&mut **on);
                $crate::patience::held(given_up, fetched).await
            }
            $crate::database::Transaction::Sqlite(on) => sqlx::query_as::<sqlx::Sqlite, $row>($text)$(.bind($argument))*.$fetch(&mut **on).await,
        }
    };
    ($database:expr, $fetch:ident, $row:ty, $text:expr $(, $argument:expr)*) => {
        match &$database {
            $crate::database::Database::Postgres(on) => $crate::patience::bounded(sqlx::query_as::<sqlx::Postgres, $row>($text)$(.bind($argument))*.$fetch(on)).await,
            $crate::database::Database::Sqlite(on) => sqlx::query_as::<sqlx::Sqlite, $row>($text)$(.bind($argument))*.$fetch(on).await,
        }
    };
}

/// Runs a statement over many rows, which stand where its text says `{rows}` (`INSERT INTO t (a) {rows}`,
/// `DELETE FROM t WHERE a IN ({rows})`, `WITH new (a, b) AS ({rows}) UPDATE t …`), and gives how many it
/// touched: `execute_rows!(in transaction, text, rows, |row, item| { row.push_bind(…); … })`.
///
/// `rows` must be a slice or a `Vec`. Each row must bind the same number of values of the same types. On
/// SQLite it may take several statements.
#[macro_export]
macro_rules! execute_rows {
    (in $transaction:expr, $text:expr, $rows:expr, |$row:ident, $item:pat_param| $bind:block) => {
        match &mut $transaction {
            $crate::database::Transaction::Postgres(on) => {
                let mut $row = $crate::rows::PostgresRows::new($text, $rows.len());
                for $item in $rows.iter() {
                    $bind
                    $row.end_row();
                }
                let given_up = on.given_up();
                let executed = $row.execute(on);
                $crate::patience::held(given_up, executed).await
            }
            $crate::database::Transaction::Sqlite(on) => {
                let mut $row = $crate::rows::SqliteRows::new($text, $rows.len());
                let mut outcome: Result<u64, sqlx::Error> = Ok(0);
                for $item in $rows.iter() {
                    $bind
                    if $row.end_row() {
                        let done = $row.execute(&mut **on).await;
                        outcome = outcome.and_then(|sum| Ok(sum + done?));
                        if outcome.is_err() {
                            break;
                        }
                    }
                }
                outcome
            }
        }
    };
}

/// What a statement over many rows answers with, each as `Row`, on a connection that somebody
/// holds: `fetch_rows!(held, Row, text, rows, |row, item| { row.push_bind(…); … })`. Otherwise as
/// [`execute_rows!`].
#[macro_export]
macro_rules! fetch_rows {
    ($held:expr, $kind:ty, $text:expr, $rows:expr, |$row:ident, $item:pat_param| $bind:block) => {
        match $held {
            $crate::database::Held::Postgres(on) => {
                let mut $row = $crate::rows::PostgresRows::new($text, $rows.len());
                for $item in $rows.iter() {
                    $bind
                    $row.end_row();
                }
                let given_up = on.given_up();
                $crate::patience::held(given_up, $row.fetch::<$kind>(on)).await
            }
            $crate::database::Held::Sqlite(on) => {
                let mut $row = $crate::rows::SqliteRows::new($text, $rows.len());
                let mut outcome: Result<Vec<$kind>, sqlx::Error> = Ok(Vec::new());
                for $item in $rows.iter() {
                    $bind
                    if $row.end_row() {
                        let piece = $row.fetch::<$kind>(&mut **on).await;
                        outcome = outcome.and_then(|mut all| {
                            all.extend(piece?);
                            Ok(all)
                        });
                        if outcome.is_err() {
                            break;
                        }
                    }
                }
                outcome
            }
        }
    };
}

/// True when the disk that an error came from is full.
#[must_use]
pub fn is_storage_full(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(cause) = error else {
        return false;
    };
    let code = cause.code().unwrap_or_default();
    let postgres = cause.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
    // SQLITE_FULL, of which there is no extended form; disk_full
    code == if postgres.is_some() { "53100" } else { "13" }
}

/// True when an error, or what caused it, is that a disk is full.
#[must_use]
pub fn is_from_full_storage(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|cause| {
        let shared = cause.downcast_ref::<std::sync::Arc<sqlx::Error>>();
        let plain = cause.downcast_ref::<sqlx::Error>();
        plain
            .or(shared.map(AsRef::as_ref))
            .is_some_and(is_storage_full)
    })
}

/// True when the database, not the statement, is the trouble: gone, starved, locked, full or read-only.
/// The same statement may succeed later.
#[must_use]
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(cause) => {
            let code = cause.code().unwrap_or_default();
            if cause
                .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                .is_some()
            {
                matches!(code.get(..2), Some("08" | "53" | "57" | "58" | "40" | "25"))
                    || code == "55P03"
            } else {
                // the primary SQLite result code is the low byte of the extended one
                code.parse::<u32>()
                    .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14 | 23))
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_home_is_a_schema_on_postgres_and_a_file_on_sqlite() {
        let text = "SELECT 1 FROM {log.events} e WHERE e.at < {now_ms}";
        assert!(render(text, Engine::Postgres, |_| None).starts_with("SELECT 1 FROM log.events e"));
        assert!(render(text, Engine::Sqlite, |_| None).starts_with("SELECT 1 FROM events e"));
    }

    #[test]
    fn an_unknown_marker_stays_and_a_lone_brace_is_kept() {
        assert_eq!(render("a {b} c {d", Engine::Sqlite, |_| None), "a {b} c {d");
    }

    #[test]
    fn a_table_of_a_generation_is_named_by_whoever_knows_it() {
        let text = "SELECT * FROM {exam_results} JOIN {log.head}";
        let rendered = render(text, Engine::Sqlite, |marker| {
            (marker == "exam_results").then(|| "exam_results_g7".into())
        });
        assert_eq!(rendered, "SELECT * FROM exam_results_g7 JOIN head");
    }

    proptest! {
        #[test]
        fn text_without_markers_is_left_alone(text in "[^{]*") {
            prop_assert_eq!(render(&text, Engine::Sqlite, |_| Some("x".into())), text);
        }

        #[test]
        fn any_text_is_rendered_and_unknown_markers_stay(text in "[a-z{} ]*") {
            prop_assert_eq!(render(&text, Engine::Postgres, |_| None), text);
        }

        #[test]
        fn every_marker_is_rendered(parts in prop::collection::vec(("[a-z ]*", "[a-z_]+"), 0..6)) {
            let around = |open: &str, close: &str| {
                let pieces = parts.iter().flat_map(|(text, name)| [text, open, name, close]);
                pieces.collect::<String>()
            };
            let (text, expected) = (around("{", "}"), around("<", ">"));
            let rendered = render(&text, Engine::Sqlite, |name| Some(format!("<{name}>").into()));
            prop_assert_eq!(rendered, expected);
        }
    }
}
