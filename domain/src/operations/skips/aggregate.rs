//! The rules of skipping.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::command::SkipsCommand as Command;
use super::error::SkipsError as Error;
use super::event::SkipsEvent as Event;
use crate::aggregate;
use crate::aggregate::{Aggregate, KeyScope};
use crate::id::AccountId;

/// What a projection leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Skips {
    /// Every event is folded.
    #[default]
    None,
    /// All but these.
    Some {
        /// Where they stand in the log.
        positions: BTreeSet<i64>,
    },
}

impl Skips {
    /// Where the events stand that are left out.
    #[must_use]
    pub fn positions(&self) -> BTreeSet<i64> {
        match self {
            Self::None => BTreeSet::new(),
            Self::Some { positions } => positions.clone(),
        }
    }

    fn skips(&self, position: i64) -> bool {
        matches!(self, Self::Some { positions } if positions.contains(&position))
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "every aggregate takes its events like this"
    )]
    fn fold(&mut self, event: Event) {
        let Event::EventSkipped { position, .. } = event;
        let mut positions = self.positions();
        positions.insert(position);
        *self = Self::Some { positions };
    }
}

impl Aggregate for Skips {
    const KEY_SCOPE: KeyScope = KeyScope::Clear;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (skips, Command::Skip { position, .. }) if skips.skips(*position) => Ok(Vec::new()),
            (
                _,
                Command::Skip {
                    projection,
                    position,
                    stopped_at,
                    reason,
                    now,
                },
            ) if stopped_at.contains(position) => Ok(vec![Event::EventSkipped {
                projection: projection.clone(),
                position: *position,
                reason: reason.clone(),
                skipped_at: *now,
            }]),
            (_, Command::Skip { .. }) => Err(Error::NotStoppedThere),
        }
    }

    fn subject(&self) -> Option<AccountId> {
        None
    }
}

aggregate!(Skips, "skips", Command, Event, Error);
