//! Durable subscribers: how far each policy has come and which node runs it. Kept in the log's home, so
//! that a restored log and its policies agree.

use sqlx::FromRow;
use uuid::Uuid;

use crate::database::{Database, Statement};
use crate::{execute, fetch_all, fetch_optional, statement};

static ADD: Statement = statement!("../sql/add_subscription.sql");
static TAKE: Statement = statement!("../sql/take_subscription.sql");
static ADVANCE: Statement = statement!("../sql/advance_subscription.sql");
static FAIL: Statement = statement!("../sql/fail_subscription.sql");
static RELEASE: Statement = statement!("../sql/release_subscription.sql");
static LIST: Statement = statement!("../sql/subscriptions.sql");

/// How long a node keeps a subscription without a sign of life, in milliseconds.
const LEASE_MS: i64 = 3_000;

/// The right to run one policy, good until another node has taken it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Lease {
    /// Everything up to here is done.
    pub position: i64,
    /// Goes up with every new owner.
    pub epoch: i64,
}

/// One row of [`Subscriptions::list`].
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Subscription {
    /// Name of the policy.
    pub policy: String,
    /// Everything up to here is done.
    pub position: i64,
    /// Failed tries of the next event.
    pub attempts: i64,
    /// The last failure.
    pub error: Option<String>,
    /// The node that runs it.
    pub owner: Option<Uuid>,
}

/// The subscriptions of a log home, as one node sees them.
#[derive(Debug, Clone)]
pub struct Subscriptions {
    database: Database,
    node: Uuid,
}

impl Subscriptions {
    /// For the node of the given id.
    #[must_use]
    pub fn new(database: Database, node: Uuid) -> Self {
        Self { database, node }
    }

    /// Makes the subscription with its start; one that exists is left alone.
    pub async fn add(&self, policy: &str, start: i64) -> Result<(), sqlx::Error> {
        execute!(self.database, ADD.on(self.database.engine()), policy, start).map(|_| ())
    }

    /// Takes or renews the lease; `None` while another node holds it.
    pub async fn take(&self, policy: &str) -> Result<Option<Lease>, sqlx::Error> {
        fetch_optional!(
            self.database,
            Lease,
            TAKE.on(self.database.engine()),
            policy,
            self.node,
            LEASE_MS
        )
    }

    /// Moves the checkpoint; false when the lease was lost meanwhile.
    pub async fn advance(
        &self,
        policy: &str,
        lease: Lease,
        position: i64,
    ) -> Result<bool, sqlx::Error> {
        execute!(
            self.database,
            ADVANCE.on(self.database.engine()),
            policy,
            self.node,
            lease.epoch,
            position,
            LEASE_MS
        )
        .map(|rows| rows == 1)
    }

    /// Notes a failure; `error` must not hold anybody's words.
    pub async fn fail(&self, policy: &str, lease: Lease, error: &str) -> Result<(), sqlx::Error> {
        execute!(
            self.database,
            FAIL.on(self.database.engine()),
            policy,
            self.node,
            lease.epoch,
            error
        )
        .map(|_| ())
    }

    /// Gives the lease up, so that another node need not wait for it.
    pub async fn release(&self, policy: &str) -> Result<(), sqlx::Error> {
        execute!(
            self.database,
            RELEASE.on(self.database.engine()),
            policy,
            self.node
        )
        .map(|_| ())
    }

    /// All subscriptions by name.
    pub async fn list(&self) -> Result<Vec<Subscription>, sqlx::Error> {
        fetch_all!(self.database, Subscription, LIST.on(self.database.engine()))
    }
}
