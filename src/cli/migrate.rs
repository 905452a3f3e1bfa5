//! `soulsense migrate`: the schemas of the four homes.

use event_log::homes::Homes;

use super::output;
use crate::config::Config;
use crate::node;

/// Makes the schemas or brings them up to date; nodes that do so at the same time take turns.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let homes = Homes::open(&node::target(config)?).await?;
    homes.migrate().await?;
    homes.close().await;
    output::line("the schemas are up to date")?;
    Ok(())
}
