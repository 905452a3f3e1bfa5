//! `soulsense purge`: erases accounts whose grace is over.

use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use domain::id::AccountId;
use projections::{audit, identity};

use super::output;
use super::projections::caught_up;
use crate::config::Config;
use crate::node::Node;
use crate::purge;

/// How to purge.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Say what would be erased, and erase nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs it, with or without a server beside it.
pub async fn run(config: Config, arguments: &Arguments) -> anyhow::Result<()> {
    let node = super::tool(config).await?;
    let outcome = with_read_models(&node, arguments).await;
    node.stop().await;
    outcome
}

async fn with_read_models(node: &Arc<Node>, arguments: &Arguments) -> anyhow::Result<()> {
    let names: Vec<&str> = [identity::READ, audit::READ].concat();
    caught_up(node, &names).await?;
    node.start_projections().await?;
    if arguments.dry_run {
        return tell(node).await;
    }
    let purged = purge::all(node, &super::actor(), "operator").await?;
    for account in &purged.erased {
        output::line(&format!("{account} is erased"))?;
    }
    if purged.erased.is_empty() && purged.failed.is_empty() {
        output::line("nothing is due")?;
    }
    for (account, error) in &purged.failed {
        output::remark(&format!("{account}: {error}"))?;
    }
    if !purged.failed.is_empty() {
        bail!("{} accounts could not be erased", purged.failed.len());
    }
    Ok(())
}

async fn tell(node: &Node) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for due in purge::due(node).await? {
        let streams = purge::subject_streams(node, AccountId(due.id)).await?;
        let counts: Vec<String> = purge::count_by_kind(&streams)
            .into_iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        rows.push([
            due.id.to_string(),
            output::time(due.purge_after),
            if due.erasing { "started" } else { "due" }.to_owned(),
            counts.join(", "),
        ]);
    }
    if rows.is_empty() {
        output::line("nothing is due")?;
    } else {
        output::table(["ACCOUNT", "DUE SINCE", "ERASURE", "STREAMS"], rows)?;
    }
    Ok(())
}
