//! All routes under `/api/v1`, and what must be well before they are served.

use std::sync::Arc;

use async_trait::async_trait;
use event_log::presence::{SILENCE, Sight};
use projections::generations::Generation;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;

use super::health::{Health, HealthCheck, Readiness};
use super::{Frame, FrameSettings, audit, exams, gamification, identity, journal, operations};
use crate::node::Node;

/// The routes of every context.
pub fn routes() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new()
        .merge(identity::routes())
        .merge(exams::routes())
        .merge(journal::routes())
        .merge(gamification::routes())
        .merge(audit::routes())
        .merge(operations::routes())
}

/// The whole application over a started node.
pub fn application(node: &Arc<Node>) -> Result<(axum::Router, Arc<Readiness>), serde_json::Error> {
    let readiness = Arc::new(Readiness::new(vec![
        Arc::new(DatabaseCheck(Arc::clone(node))),
        Arc::new(ProjectionsCheck(Arc::clone(node))),
    ]));
    let frame = Frame {
        settings: FrameSettings::from(&node.config),
        ids: node.ids.clone(),
        readiness: Arc::clone(&readiness),
        tokens: Arc::clone(&node.tokens),
    };
    Ok((super::router(routes(), Arc::clone(node), frame)?, readiness))
}

/// The log's database is there. Asks nobody: what a watcher saw last is told, so that the answer comes at
/// once whatever the database does.
struct DatabaseCheck(Arc<Node>);

#[async_trait]
impl HealthCheck for DatabaseCheck {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn check(&self) -> Health {
        match self.0.presence.now() {
            Sight::Seen { position, at } if at.elapsed() < SILENCE => {
                let milliseconds = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
                Health::Well(json!({ "position": position, "seen_ms_ago": milliseconds }))
            }
            Sight::Seen { at: since, .. } | Sight::Away { since } => Health::Failed(format!(
                "the event log has not answered for {} s",
                since.elapsed().as_secs()
            )),
            Sight::Unseen => Health::Failed("the event log was not seen yet".to_owned()),
        }
    }
}

/// Every projection is live and running. Asks nobody either: it tells what this node saw last.
struct ProjectionsCheck(Arc<Node>);

#[async_trait]
impl HealthCheck for ProjectionsCheck {
    fn name(&self) -> &'static str {
        "projections"
    }

    async fn check(&self) -> Health {
        let projector = &self.0.projector;
        let live = projector.progress().now();
        let is_live = projector.is_live();
        if is_live && live.values().all(|at| !at.stopped) {
            let states = live.iter().map(|(name, at)| {
                let state = json!({ "position": at.position, "stopped": at.stopped });
                ((*name).to_owned(), state)
            });
            return Health::Well(states.collect::<serde_json::Map<_, _>>().into());
        }
        let rows = projector.seen();
        if is_live {
            let states = rows
                .iter()
                .filter(|row| {
                    live.get(row.projection.as_str())
                        .is_some_and(|at| at.generation == row.generation)
                })
                .map(|row| {
                    let state = json!({
                        "position": row.position, "stopped": row.stopped, "error": row.error,
                        "error_position": row.error_position,
                    });
                    (row.projection.clone(), state)
                });
            return Health::Impaired(states.collect::<serde_json::Map<_, _>>().into());
        }
        let missing = rows
            .iter()
            .filter(|row| !live.contains_key(row.projection.as_str()))
            .map(|row| format!("{} {}", row.projection, how(row)));
        let missing: Vec<String> = missing.collect();
        Health::Failed(format!(
            "built for the first time: {}",
            if missing.is_empty() {
                "not begun".to_owned()
            } else {
                missing.join("; ")
            }
        ))
    }
}

/// How a generation is that readers wait for.
fn how(row: &Generation) -> String {
    if row.stopped {
        let (position, error) = row.trouble();
        format!("has stopped at position {position}: {error}")
    } else {
        format!("is at position {}", row.position)
    }
}
