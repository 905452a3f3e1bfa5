//! What is known about every event beside its payload: who caused it, in answer to what.

use std::collections::HashMap;

use uuid::Uuid;

/// Metadata of one command, stamped on each of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Ties together everything that followed from one outside request.
    pub correlation_id: Uuid,
    /// The event that caused this command, for policies.
    pub causation_id: Option<Uuid>,
    /// An account id, `anonymous`, `cli:<os user>`, `policy:<name>` or `job:<name>`.
    pub actor_id: String,
    /// In which role the actor acted: `member`, `moderator`, `auditor`, `admin`, `operator` or `system`.
    pub actor_role: &'static str,
}

impl Metadata {
    /// Metadata of something the installation does by itself.
    pub fn system(actor: impl Into<String>, correlation_id: Uuid) -> Self {
        Self {
            correlation_id,
            causation_id: None,
            actor_id: actor.into(),
            actor_role: "system",
        }
    }

    /// The `metadata` column in the form cqrs-es reads: a map of strings.
    #[must_use]
    pub fn column(&self) -> HashMap<&'static str, &str> {
        HashMap::from([("actor_role", self.actor_role)])
    }
}
