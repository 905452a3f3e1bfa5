//! `soulsense serve`: the server, until SIGTERM or SIGINT.

use anyhow::Context;

use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::http::{api, server};
use crate::node::{Node, Purpose};

/// Serves until told to stop, then stops in the order that loses nothing.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let listener = server::listen(config.listen).await?;
    let address = listener
        .local_addr()
        .context("the listening address cannot be read")?;
    let drain = config.drain();
    let node = Node::open(config, Purpose::Serve, Clock::system(), Ids::system()).await?;
    node.start().await?;
    let (router, readiness) = api::application(&node)?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving; docs at http://{address}/docs");
    server::serve(listener, router, readiness, drain, async {
        if let Err(error) = server::stop_signal().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "signals cannot be heard"
            );
        }
    })
    .await;
    node.stop().await;
    tracing::info!("stopped");
    Ok(())
}
