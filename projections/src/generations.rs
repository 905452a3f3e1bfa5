//! Generations: physical copies of read models with their checkpoints, leases and states.

use chrono::{DateTime, Utc};
use event_log::database::{Database, Statement, Transaction};
use event_log::reader::Head;
use event_log::{execute, fetch_all, fetch_one, fetch_optional, statement};
use sqlx::{Executor, FromRow};
use uuid::Uuid;

use crate::projection::Projection;
use crate::tables::Tables;

static LIST: Statement = statement!("../sql/generations/list.sql");
static NUMBER: Statement = statement!("../sql/generations/number.sql");
static ADD: Statement = statement!("../sql/generations/add.sql");
static NAME_TABLES: Statement = statement!("../sql/generations/name_tables.sql");
static TAKE: Statement = statement!("../sql/generations/take.sql");
static RENEW: Statement = statement!("../sql/generations/renew.sql");
static ADVANCE: Statement = statement!("../sql/generations/advance.sql");
static FAIL: Statement = statement!("../sql/generations/fail.sql");
static RELEASE: Statement = statement!("../sql/generations/release.sql");
static RETIRE_LIVE: Statement = statement!("../sql/generations/retire_live.sql");
static PROMOTE: Statement = statement!("../sql/generations/promote.sql");
static RETRY: Statement = statement!("../sql/generations/retry.sql");
static LET_GO: Statement = statement!("../sql/generations/let_go.sql");
static REMOVE: Statement = statement!("../sql/generations/remove.sql");

/// How long a node keeps a generation without a sign of life, in milliseconds of the database clock.
pub const LEASE_MS: i64 = 3_000;

/// What a generation is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// To be read once it has caught up.
    Building,
    /// To be read.
    Live,
    /// To be read again if the live one turns out wrong.
    Old,
}

impl State {
    /// The word in its row.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Live => "live",
            Self::Old => "old",
        }
    }
}

impl TryFrom<String> for State {
    type Error = UnknownState;

    fn try_from(word: String) -> Result<Self, UnknownState> {
        [Self::Building, Self::Live, Self::Old]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or(UnknownState(word))
    }
}

/// A generation's row is in a state that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a generation in the unknown state `{0}`")]
pub struct UnknownState(String);

/// One generation as its row says.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Generation {
    /// Name of the projection.
    pub projection: String,
    /// Number of the copy, from 1.
    pub generation: i64,
    /// Version of the projection that writes it.
    pub version: i64,
    /// What it is there for.
    #[sqlx(try_from = "String")]
    pub state: State,
    /// Its tables as they stand in statements, separated by spaces.
    pub tables: String,
    /// The log it was built from.
    pub log_id: Uuid,
    /// Its checkpoint.
    pub position: i64,
    /// The event at the checkpoint.
    pub event_id: Option<Uuid>,
    /// Head of the log when building began.
    pub target: i64,
    /// The node that writes it.
    pub owner: Option<Uuid>,
    /// The owner has given a sign of life lately.
    pub leased: bool,
    /// Milliseconds until the lease runs out, by the database clock; negative since when nobody has it.
    pub lease_left_ms: i64,
    /// Events a second, over a second or more that ended when the checkpoint moved last; over all the time
    /// since then once that is three seconds.
    pub rate: i64,
    /// Milliseconds since it was replaced, by the database clock. Says something of an old one alone.
    pub retired_ms: i64,
    /// Goes up with every owner.
    pub epoch: i64,
    /// Given up after too many failures; an operator retries or rebuilds.
    pub stopped: bool,
    /// Failures in a row.
    pub attempts: i64,
    /// The last failure.
    pub error: Option<String>,
    /// Where it happened.
    pub error_position: Option<i64>,
    /// When it happened.
    pub error_at: Option<DateTime<Utc>>,
    /// When building began.
    pub started_at: DateTime<Utc>,
    /// When the row last changed.
    pub updated_at: DateTime<Utc>,
}

impl Generation {
    /// Where its last failure was, and what: of one that has stopped.
    #[must_use]
    pub fn trouble(&self) -> (i64, &str) {
        (
            self.error_position.unwrap_or(self.position + 1),
            self.error.as_deref().unwrap_or("no reason is known"),
        )
    }
}

/// The right to write one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Lease {
    /// The checkpoint when it was taken.
    pub position: i64,
    /// Goes up with every owner.
    pub epoch: i64,
}

/// The checkpoint move of one page.
#[derive(Debug, Clone, Copy)]
pub struct Advance<'a> {
    /// Name of the projection.
    pub projection: &'a str,
    /// Number of the copy.
    pub generation: i64,
    /// The owner's epoch.
    pub epoch: i64,
    /// The checkpoint before.
    pub from: i64,
    /// The checkpoint after.
    pub to: i64,
    /// The event at the new checkpoint.
    pub event_id: Uuid,
    /// Now.
    pub now: DateTime<Utc>,
}

/// The generations of a read home.
#[derive(Debug, Clone)]
pub struct Generations {
    database: Database,
}

impl Generations {
    /// Of the read home.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    fn sql(&self, statement: &'static Statement) -> &'static str {
        statement.on(self.database.engine())
    }

    /// All of them, by name and number.
    pub async fn list(&self) -> Result<Vec<Generation>, sqlx::Error> {
        fetch_all!(self.database, Generation, self.sql(&LIST))
    }

    /// Starts a new generation at position 0 and makes its tables; `None` when one of this version is
    /// being built already.
    pub async fn add(
        &self,
        projection: &dyn Projection,
        head: Head,
        now: DateTime<Utc>,
    ) -> Result<Option<i64>, sqlx::Error> {
        let engine = self.database.engine();
        let mut transaction = self.database.begin().await?;
        // who adds another meanwhile waits here
        let (generation,): (i64,) = fetch_one!(
            in transaction,
            (i64,),
            self.sql(&NUMBER),
            projection.name()
        )?;
        let added = execute!(
            in transaction,
            self.sql(&ADD),
            projection.name(),
            generation,
            projection.version(),
            head.log_id,
            head.position,
            now
        )?;
        if added == 0 {
            return Ok(None);
        }
        let tables = Tables::of(engine, [(projection, generation)]);
        execute!(
            in transaction,
            self.sql(&NAME_TABLES),
            projection.name(),
            generation,
            tables.physical().join(" ")
        )?;
        let schema = tables.render(projection.schema());
        run_script(&mut transaction, &schema).await?;
        transaction.commit().await?;
        Ok(Some(generation))
    }

    /// Makes one index that queries need; nothing when it is there.
    pub async fn index(&self, statement: &str) -> Result<(), sqlx::Error> {
        let mut transaction = self.database.begin_index().await?;
        run_script(&mut transaction, statement).await?;
        transaction.commit().await
    }

    /// Takes the lease; `None` while another node has it or the generation has stopped.
    pub async fn take(
        &self,
        projection: &str,
        generation: i64,
        node: Uuid,
    ) -> Result<Option<Lease>, sqlx::Error> {
        fetch_optional!(
            self.database,
            Lease,
            self.sql(&TAKE),
            projection,
            generation,
            node,
            LEASE_MS
        )
    }

    /// Renews all leases of a node.
    pub async fn renew(&self, node: Uuid) -> Result<(), sqlx::Error> {
        execute!(self.database, self.sql(&RENEW), node, LEASE_MS).map(|_| ())
    }

    /// Gives a lease up.
    pub async fn release(
        &self,
        projection: &str,
        generation: i64,
        node: Uuid,
    ) -> Result<(), sqlx::Error> {
        execute!(
            self.database,
            self.sql(&RELEASE),
            node,
            projection,
            generation
        )
        .map(|_| ())
    }

    /// Moves a checkpoint inside the transaction that holds its rows; false when the lease is lost.
    pub async fn advance_in(
        &self,
        transaction: &mut Transaction,
        advance: Advance<'_>,
    ) -> Result<bool, sqlx::Error> {
        execute!(
            in *transaction,
            self.sql(&ADVANCE),
            advance.projection,
            advance.generation,
            advance.epoch,
            advance.from,
            advance.to,
            advance.event_id,
            LEASE_MS,
            advance.now
        )
        .map(|rows| rows == 1)
    }

    /// Moves a checkpoint over events that left no rows; false when the lease is lost.
    pub async fn advance(&self, advance: Advance<'_>) -> Result<bool, sqlx::Error> {
        let mut transaction = self.database.begin_derived().await?;
        let moved = self.advance_in(&mut transaction, advance).await?;
        transaction.commit().await?;
        Ok(moved)
    }

    /// Notes a failure; false when the lease is lost. `error` must not hold anybody's words.
    #[expect(clippy::too_many_arguments, reason = "one column each")]
    pub async fn fail(
        &self,
        projection: &str,
        generation: i64,
        epoch: i64,
        attempts: i64,
        error: &str,
        position: Option<i64>,
        stopped: bool,
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        execute!(
            self.database,
            self.sql(&FAIL),
            projection,
            generation,
            epoch,
            attempts,
            error,
            position,
            stopped,
            now
        )
        .map(|rows| rows == 1)
    }

    /// Lets a stopped projection try again.
    pub async fn retry(&self, projection: &str, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
        execute!(self.database, self.sql(&RETRY), projection, now)
    }

    /// Takes every generation of a projection from its owner, so that what its next owner leaves out is read
    /// anew, and lets those go on that have stopped at `position`.
    pub async fn let_go(
        &self,
        projection: &str,
        position: i64,
        now: DateTime<Utc>,
    ) -> Result<(), sqlx::Error> {
        execute!(self.database, self.sql(&LET_GO), projection, position, now).map(|_| ())
    }

    /// Makes a generation the live one of its version, in one short transaction. False, changing
    /// nothing, when the present live one is further.
    pub async fn cut_over(
        &self,
        projection: &str,
        version: i64,
        generation: i64,
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        let mut transaction = self.database.begin().await?;
        let retired: Option<(i64, i64)> = fetch_optional!(
            in transaction,
            (i64, i64),
            self.sql(&RETIRE_LIVE),
            projection,
            version,
            now
        )?;
        let promoted: Option<Lease> = fetch_optional!(
            in transaction,
            Lease,
            self.sql(&PROMOTE),
            projection,
            generation,
            now
        )?;
        match (promoted, retired) {
            (Some(new), Some((_, old))) if new.position < old => Ok(false),
            (Some(_), _) => transaction.commit().await.map(|()| true),
            (None, _) => Ok(false),
        }
    }

    /// Drops a generation with its tables; false when it has changed its state meanwhile.
    ///
    /// The tables go first: who is folding a page into them is waited for, and finds its row gone next time.
    pub async fn remove(&self, row: &Generation) -> Result<bool, sqlx::Error> {
        let mut transaction = self.database.begin().await?;
        for table in row.tables.split_whitespace() {
            run_script(&mut transaction, &format!("DROP TABLE IF EXISTS {table}")).await?;
        }
        let removed = execute!(
            in transaction,
            self.sql(&REMOVE),
            &row.projection,
            row.generation,
            row.state.as_str()
        )?;
        if removed == 0 {
            return Ok(false);
        }
        transaction.commit().await.map(|()| true)
    }
}

async fn run_script(transaction: &mut Transaction, script: &str) -> Result<(), sqlx::Error> {
    match transaction {
        Transaction::Postgres(on) => on.execute(script).await.map(|_| ()),
        Transaction::Sqlite(on) => on.execute(script).await.map(|_| ()),
    }
}
