//! Small aggregates of each key scope, with claims and erasure, for the conformance suite.

use std::convert::Infallible;

use chrono::{DateTime, Utc};
use domain::id::AccountId;
use domain::{Aggregate, Claim, ClaimChange, KeyScope, Kind, Personal, Rejection};
use serde::{Deserialize, Serialize};

/// What the events of a toy say; a toy's command is the event it wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    Opened {
        owner: AccountId,
        name: Personal<String>,
    },
    Noted {
        number: i64,
        words: Personal<Words>,
    },
    Counted {
        by: i64,
    },
    Took {
        name: String,
    },
    Gave {
        name: String,
    },
    GaveAt {
        name: String,
        at: DateTime<Utc>,
    },
    ErasureStarted {
        owner: AccountId,
    },
    Erased {},
}

/// What somebody entered, and what was made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Words {
    pub text: String,
    pub mood: Option<u8>,
}

domain::event_types!(Event {
    Opened: "opened" 1,
    Noted: "noted" 1,
    Counted: "counted" 1,
    Took: "took" 1,
    Gave: "gave" 1,
    GaveAt: "gave_at" 1,
    ErasureStarted: "erasure_started" 1,
    Erased: "erased" 1,
});

/// A toy never says no.
#[derive(Debug, thiserror::Error)]
#[error("never")]
pub struct Never(Infallible);

impl Rejection for Never {
    fn code(&self) -> &'static str {
        match self.0 {}
    }

    fn kind(&self) -> Kind {
        match self.0 {}
    }
}

macro_rules! toys {
    ($($(#[$doc:meta])* $toy:ident $kind:literal $scope:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            pub struct $toy {
                pub owner: Option<AccountId>,
                pub name: Option<Personal<String>>,
                pub notes: Vec<Personal<Words>>,
                pub count: i64,
            }

            domain::aggregate!($toy, $kind, Event, Event, Never);

            impl $toy {
                fn fold(&mut self, event: Event) {
                    match event {
                        Event::Opened { owner, name } => {
                            self.owner = Some(owner);
                            self.name = Some(name);
                        }
                        Event::Noted { words, .. } => self.notes.push(words),
                        Event::Counted { by } => self.count += by,
                        Event::ErasureStarted { owner } => self.owner = Some(owner),
                        Event::Took { .. } | Event::Gave { .. } | Event::GaveAt { .. } | Event::Erased {} => {}
                    }
                }
            }

            impl Aggregate for $toy {
                const KEY_SCOPE: KeyScope = KeyScope::$scope;

                fn decide(&self, command: &Event) -> Result<Vec<Event>, Never> {
                    Ok(vec![command.clone()])
                }

                fn subject(&self) -> Option<AccountId> {
                    self.owner
                }

                fn claims(&self, event: &Event) -> Vec<ClaimChange> {
                    let claim = |name: &String| Claim::new("toy.name", name.clone());
                    match event {
                        Event::Took { name } => vec![ClaimChange::Take(claim(name))],
                        Event::Gave { name } => vec![ClaimChange::Release(claim(name))],
                        Event::GaveAt { name, at } => vec![ClaimChange::ReleaseAt(claim(name), *at)],
                        Event::ErasureStarted { owner } => vec![ClaimChange::Erase(*owner)],
                        _ => Vec::new(),
                    }
                }

                fn erases(event: &Event) -> bool {
                    matches!(event, Event::ErasureStarted { .. } | Event::Erased {})
                }
            }
        )+
    };
}

toys! {
    /// Sealed by its owner's key.
    Card "card" Subject,
    /// Sealed by a key of its own.
    Diary "diary" Stream,
    /// Nothing personal in it.
    Tally "tally" Clear,
}
