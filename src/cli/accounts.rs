//! `soulsense accounts`: who there is, and who looks after the house.

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use domain::id::AccountId;
use domain::identity::account::{
    Account, AccountCommand, Actor, Reason, StaffRole, Status, USERNAME_SCOPE, Username,
};
use event_log::Metadata;
use projections::identity::{self, AccountView, Place};
use projections::page;
use serde::Serialize;

use super::output::{self, Format};
use super::projections::caught_up;
use crate::admins;
use crate::commands::Request;
use crate::config::Config;
use crate::node::Node;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all accounts in the order of registration.
    List {
        /// In which form.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Give an account a staff role. It works while the member's second factor is on.
    Grant(Change),
    /// Take a staff role away.
    Revoke(Change),
}

/// Which role of whom.
#[derive(Debug, Args)]
pub struct Change {
    /// moderator, auditor or admin.
    #[arg(value_parser = role)]
    role: StaffRole,
    /// The username.
    name: String,
    /// Why, for the audit trail; 1 to 500 characters.
    #[arg(long, default_value = "Decided by the operator.", value_parser = reason)]
    reason: Reason,
}

fn role(text: &str) -> Result<StaffRole, String> {
    StaffRole::parse(text).map_err(|fault| fault.detail.into_owned())
}

fn reason(text: &str) -> Result<Reason, String> {
    Reason::parse(text).map_err(|fault| fault.detail.into_owned())
}

/// Runs it, with or without a server beside it.
pub async fn run(config: Config, command: Command) -> anyhow::Result<()> {
    let node = super::tool(config).await?;
    let outcome = match command {
        Command::List { format } => list(&node, format).await,
        Command::Grant(change) => grant(&node, change).await,
        Command::Revoke(change) => revoke(&node, change).await,
    };
    node.stop().await;
    outcome
}

/// A line of the list.
#[derive(Serialize)]
struct Listed {
    id: uuid::Uuid,
    username: Option<String>,
    status: &'static str,
    staff_roles: Vec<StaffRole>,
    two_factor: bool,
    registered_at: chrono::DateTime<chrono::Utc>,
}

impl From<AccountView> for Listed {
    fn from(view: AccountView) -> Self {
        Self {
            id: view.id,
            username: view.username,
            status: match view.status {
                Status::Active => "active",
                Status::Suspended => "suspended",
                Status::DeletionRequested => "deletion requested",
                Status::Erasing => "being erased",
                Status::Unregistered | Status::Erased => "",
            },
            staff_roles: view.staff_roles,
            two_factor: view.two_factor,
            registered_at: view.registered_at,
        }
    }
}

async fn list(node: &Node, format: Format) -> anyhow::Result<()> {
    caught_up(node, identity::READ).await?;
    let (models, mut after, mut items) = (node.read(), None::<Place>, Vec::new());
    loop {
        let page = identity::accounts(&models, after, page::MOST).await?;
        items.extend(page.items.into_iter().map(Listed::from));
        after = page.next.as_deref().and_then(page::place);
        if after.is_none() {
            break;
        }
    }
    let header = [
        "USERNAME",
        "STATUS",
        "ROLES",
        "TWO FACTORS",
        "REGISTERED",
        "ID",
    ];
    output::list(format, &items, header, |item| {
        let roles: Vec<&str> = item.staff_roles.iter().map(|role| role.as_str()).collect();
        [
            item.username.clone().unwrap_or_default(),
            item.status.to_owned(),
            roles.join(", "),
            if item.two_factor { "on" } else { "off" }.to_owned(),
            output::time(item.registered_at),
            item.id.to_string(),
        ]
    })
}

async fn grant(node: &Node, change: Change) -> anyhow::Result<()> {
    let (id, _) = find(node, &change.name).await?;
    let command = AccountCommand::GrantRole {
        role: change.role,
        actor: Actor::Operator,
        reason: change.reason,
        now: node.clock.now(),
    };
    let done = node
        .accounts
        .execute(&id.to_string(), &command, &request(node))
        .await?;
    let (name, role) = (change.name, change.role.as_str());
    output::line(&if done.position.is_some() {
        format!("{name} has the role {role}")
    } else {
        format!("{name} had the role {role} already")
    })?;
    if !done.state.two_factor_is_on() {
        output::remark(&format!(
            "the role works once {name} has turned the second factor on"
        ))?;
    }
    Ok(())
}

async fn revoke(node: &Node, change: Change) -> anyhow::Result<()> {
    caught_up(node, identity::READ).await?;
    let (id, account) = find(node, &change.name).await?;
    let command = AccountCommand::RevokeRole {
        role: change.role,
        actor: Actor::Operator,
        reason: change.reason,
        is_last_admin: admins::is_last(node, id, &account).await?,
        now: node.clock.now(),
    };
    let done = node
        .accounts
        .execute(&id.to_string(), &command, &request(node))
        .await?;
    let (name, role) = (change.name, change.role.as_str());
    output::line(&if done.position.is_some() {
        format!("{name} has the role {role} no more")
    } else {
        format!("{name} does not have the role {role}")
    })?;
    Ok(())
}

async fn find(node: &Node, name: &str) -> anyhow::Result<(AccountId, Account)> {
    let nobody = || anyhow!("nobody has the username {name}");
    let username = Username::parse(name).map_err(|_| nobody())?;
    let holder = node
        .log
        .claim_holder(USERNAME_SCOPE, username.as_str(), node.clock.now())
        .await?
        .ok_or_else(nobody)?;
    let id = holder.parse().context("a claim names no account")?;
    Ok((id, node.accounts.load(&holder).await?.state))
}

fn request(node: &Node) -> Request {
    Request::system(Metadata {
        correlation_id: node.ids.next(),
        causation_id: None,
        actor_id: super::actor(),
        actor_role: "operator",
    })
}
