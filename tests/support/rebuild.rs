//! Builds every read model of a running application anew.

use std::time::{Duration, Instant};

use projections::generations::State;

use super::app::App;
use super::engines::Outcome;

/// Longest wait for all of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Rebuilds every projection and waits until the new generations are what this application reads.
pub async fn rebuild_all(app: &App) -> Outcome {
    let projector = &app.node.projector;
    let head = app.node.log.reader().head().await?;
    let mut wanted = Vec::new();
    for projection in projector.projections() {
        let added = projector.rebuild(projection.as_ref(), head).await?;
        wanted.push((
            projection.name(),
            added.ok_or("a rebuild was under way already")?,
        ));
    }
    let began = Instant::now();
    loop {
        let live = projector.progress().now();
        let all = wanted.iter().all(|(name, generation)| {
            live.get(name)
                .is_some_and(|at| at.generation == *generation && at.position >= head.position)
        });
        if all {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let rows = projector.generations().list().await?;
            let stuck: Vec<_> = rows
                .iter()
                .filter(|row| row.state == State::Building)
                .collect();
            return Err(format!("these are still being built: {stuck:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
