//! Leaving out an event that a projection cannot fold: for good, in every generation, and for a reason that
//! stands in the log.

use domain::operations::skips::{SkipReason, Skips, SkipsCommand, SkipsError};
use event_log::reader::ReadError;
use projections::projection::Projection;

use crate::commands::{CommandError, Done, Request};
use crate::node::Node;

/// Why an event is not skipped.
#[derive(Debug, thiserror::Error)]
pub enum SkippingError {
    /// It was not recorded.
    #[error(transparent)]
    Command(#[from] CommandError<SkipsError>),
    /// The log or the read home does not answer. Where the skip was recorded already, skipping again
    /// carries it out.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Records that a projection leaves out the event at `position`, then lets it go on. Only an event at which
/// a generation has stopped is skipped; one that is skipped already changes nothing.
pub async fn skip(
    node: &Node,
    projection: &dyn Projection,
    position: i64,
    reason: SkipReason,
    request: &Request,
) -> Result<Done<Skips>, SkippingError> {
    let stopped_at = node
        .projector
        .stopped_at(projection)
        .await
        .map_err(ReadError::from)?;
    let command = SkipsCommand::Skip {
        projection: projection.name().to_owned(),
        position,
        stopped_at,
        reason,
        now: node.clock.now(),
    };
    let done = node
        .skips
        .execute(projection.name(), &command, request)
        .await?;
    // in this order: a generation that is taken from now on is taken with the skip
    node.projector.skip(projection, position).await?;
    Ok(done)
}
