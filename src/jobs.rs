//! Background jobs: what happens by itself at the start and then every so often, on one node at a time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::node::Node;
use crate::purge::Purge;
use crate::state::leases::Leases;

/// How often a job looks whether it is due.
const LOOK: Duration = Duration::from_secs(30);

/// Something done at intervals.
#[async_trait]
pub trait Job: Send + Sync {
    /// Names the job's lease.
    fn name(&self) -> &'static str;

    /// Time between two runs.
    fn every(&self) -> Duration;

    /// One run; idempotent, since a node may die in the middle of it.
    async fn run(&self, node: &Arc<Node>) -> anyhow::Result<()>;
}

/// Every job of the program.
pub fn all() -> Vec<Arc<dyn Job>> {
    vec![Arc::new(Forget), Arc::new(Purge)]
}

/// Runs one job at the start and whenever it is due, until stopped.
pub async fn run(job: Arc<dyn Job>, node: Arc<Node>, stop: CancellationToken) {
    let leases = Leases::new(node.homes.state.clone(), node.id);
    let mut first = true;
    while !stop.is_cancelled() {
        let outcome = match once(job.as_ref(), &node, &leases, first).await {
            // a node that died in the middle of a run may hold the lease for some minutes more
            Ok(None) => Ok(()),
            Ok(Some(outcome)) => {
                first = false;
                outcome
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = outcome {
            tracing::error!(
                error = format!("{error:#}"),
                job = job.name(),
                "a job failed"
            );
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK.min(job.every())) => {}
        }
    }
}

/// Runs the job if it is due; `None` when it is not, or another node runs it.
async fn once(
    job: &dyn Job,
    node: &Arc<Node>,
    leases: &Leases,
    first: bool,
) -> Result<Option<anyhow::Result<()>>, sqlx::Error> {
    let now = node.clock.now();
    let every = if first { Duration::ZERO } else { job.every() };
    if !leases.take(job.name(), every, now).await? {
        return Ok(None);
    }
    let outcome = job.run(node).await;
    let error = outcome.as_ref().err().map(|error| format!("{error:#}"));
    leases
        .finish(job.name(), error.as_deref(), node.clock.now())
        .await?;
    Ok(Some(outcome))
}

/// Forgets what has expired: command ids, failed attempts, challenges, used codes.
struct Forget;

#[async_trait]
impl Job for Forget {
    fn name(&self) -> &'static str {
        "forget"
    }

    fn every(&self) -> Duration {
        Duration::from_hours(1)
    }

    async fn run(&self, node: &Arc<Node>) -> anyhow::Result<()> {
        let now = node.clock.now();
        node.log.forget_commands(now).await?;
        node.ladder.forget(now).await?;
        node.challenges.forget(now).await?;
        node.totp_steps.forget(now).await?;
        Ok(())
    }
}
