//! People with a staff role, as the command line and a second factor would make them.

use std::error::Error;

use domain::id::{AccountId, SessionId};
use domain::identity::account::{AccountCommand, Actor, Reason, Role, StaffRole};
use event_log::Metadata;
use soulsense::commands::Request;
use soulsense::tokens::AccessGrant;

use super::app::{App, Member};

/// Registers somebody and gives them a role in force.
pub async fn staff<'a>(
    app: &'a App,
    username: &str,
    role: StaffRole,
) -> Result<Member<'a>, Box<dyn Error>> {
    let member = app.member(username).await?;
    let node = &app.node;
    let command = AccountCommand::GrantRole {
        role,
        actor: Actor::Operator,
        reason: Reason::parse("They look after the house.").map_err(|fault| fault.detail)?,
        now: node.clock.now(),
    };
    let metadata = Metadata {
        correlation_id: node.ids.next(),
        causation_id: None,
        actor_id: "cli:tester".to_owned(),
        actor_role: "operator",
    };
    let request = Request {
        metadata,
        remember: None,
        respond_async: false,
    };
    let granted = node
        .accounts
        .execute(&member.id, &command, &request)
        .await?;
    let account: AccountId = member.id.parse()?;
    let token = node.tokens.issue(
        AccessGrant {
            account,
            session: SessionId(node.ids.next()),
            token_id: node.ids.next(),
            epoch: granted.state.epoch(),
            roles: vec![Role::Member, role.into()],
        },
        node.clock.now(),
    )?;
    Ok(Member { token, ..member })
}
