//! The looked-up fact behind the rule that the house always has an admin.

use std::time::Duration;

use domain::id::AccountId;
use domain::identity::account::{Account, StaffRole};
use projections::identity::{self, READ};
use projections::projection::ProjectionError;

use crate::node::Node;

/// Longest wait for the read model to know of every admin there is.
const WAIT: Duration = Duration::from_secs(1);

/// Whether the account is an admin and no other account in good standing is.
pub async fn is_last(
    node: &Node,
    id: AccountId,
    account: &Account,
) -> Result<bool, ProjectionError> {
    if !account.staff_roles().contains(&StaffRole::Admin) {
        return Ok(false);
    }
    let head = node.log.reader().head().await?.position;
    node.projector.progress().wait(READ, head, WAIT).await;
    Ok(identity::other_admins(&node.read(), id.0).await? == 0)
}
