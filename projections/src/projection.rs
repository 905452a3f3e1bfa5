//! What a projection is, and what it is given to write with.

use std::fmt;

use async_trait::async_trait;
use event_log::database::{Database, Statement, Transaction};
use event_log::reader::ReadError;
use event_log::sealing::SealingError;

use crate::fact::Fact;
use crate::gate::{Gate, Turn};
use crate::tables::Tables;

/// Code that folds events into a read model.
///
/// It is given pages in order and each event exactly once per generation, since its rows and its
/// checkpoint are one transaction. It folds in memory first and writes rows by the page. It causes no
/// effects, and deletes a subject's rows when it reaches an erasure event.
#[async_trait]
pub trait Projection: fmt::Debug + Send + Sync {
    /// Names the projection for ever.
    fn name(&self) -> &'static str;

    /// Goes up when the tables or what is written in them change: a start with a newer version builds a
    /// new generation.
    fn version(&self) -> i64;

    /// `CREATE TABLE {marker} (…); CREATE INDEX {#marker}_by_x ON {marker} (…);` — the markers name the
    /// tables, and a rendered marker the tables of one generation. Of indexes only those that
    /// [`project`](Self::project) itself searches by.
    fn schema(&self) -> &'static str;

    /// `CREATE INDEX IF NOT EXISTS {#marker}_by_x ON {marker} (…);` — what queries search by. Made after the
    /// bulk of a rebuild, which is quicker than row by row, and before the generation goes live.
    fn indexes(&self) -> &'static str {
        ""
    }

    /// True for streams whose events it is to be given.
    fn handles(&self, aggregate_type: &str, event_type: &str) -> bool;

    /// False when it is content with the clear columns, so that an event that does not open or has no known
    /// shape is no trouble to it.
    fn reads_payloads(&self) -> bool {
        true
    }

    /// True when no command of a member waits for its rows: while there is much to do, events gather for a moment
    /// before they are folded, since a long page costs less by the event. What comes alone is folded at once.
    fn gathers(&self) -> bool {
        false
    }

    /// Folds a page of events it handles, in order, and writes what follows.
    async fn project(&self, page: &[&Fact], writer: &mut Writer<'_>)
    -> Result<(), ProjectionError>;
}

/// Why a page cannot be projected.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The read home does not answer, or refuses a statement.
    #[error("the read model cannot be written")]
    Database(#[from] sqlx::Error),
    /// An event does not open or has no known shape.
    #[error("the event at position {position} cannot be read")]
    Unreadable {
        /// Where it stands in the log.
        position: i64,
        /// The cause.
        #[source]
        source: std::sync::Arc<ReadError>,
    },
    /// A personal string cannot be sealed.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The log or its keys cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Writes the rows of one page. The transaction begins when it is first asked for, after the fold.
#[derive(Debug)]
pub struct Writer<'a> {
    database: &'a Database,
    tables: &'a Tables,
    /// The gate to pass before writing, and whether as a rebuild.
    gate: Option<(&'a Gate, bool)>,
    writing: Option<Writing>,
}

/// The transaction of a page, and the turn that it has.
#[derive(Debug)]
pub struct Writing {
    /// The transaction, still open.
    pub transaction: Transaction,
    _turn: Option<Turn>,
}

impl<'a> Writer<'a> {
    /// A writer into the tables of one generation.
    pub fn new(database: &'a Database, tables: &'a Tables) -> Self {
        Self {
            database,
            tables,
            gate: None,
            writing: None,
        }
    }

    /// The same, one among those that write at the same time.
    pub(crate) fn behind(self, gate: &'a Gate, rebuild: bool) -> Self {
        Self {
            gate: Some((gate, rebuild)),
            ..self
        }
    }

    /// The transaction of this page, for `execute!(in …)`, `fetch_all!(in …)` and `execute_rows!(in …)`.
    pub async fn transaction(&mut self) -> Result<&mut Transaction, sqlx::Error> {
        if self.writing.is_none() {
            let turn = match self.gate {
                Some((gate, rebuild)) => Some(gate.enter(rebuild).await),
                None => None,
            };
            self.writing = Some(Writing {
                transaction: self.database.begin_derived().await?,
                _turn: turn,
            });
        }
        self.writing
            .as_mut()
            .map(|writing| &mut writing.transaction)
            .ok_or(sqlx::Error::BeginFailed)
    }

    /// A statement's text for the generation being written.
    pub fn sql(&self, statement: &'static Statement) -> std::sync::Arc<str> {
        self.tables.sql(statement)
    }

    /// What was begun, to be committed with the checkpoint; `None` when the page left no rows.
    pub fn into_writing(self) -> Option<Writing> {
        self.writing
    }
}

impl Writing {
    /// Makes the page's rows durable, and lets the next one write.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}
