//! The rules of a session.

use std::collections::HashSet;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::command::SessionCommand;
use super::error::SessionError;
use super::event::{RefreshCredentials, Revocation, SessionEvent};
use super::value::RefreshHash;
use crate::aggregate::{Aggregate, KeyScope};
use crate::id::{AccountId, SessionId};
use crate::personal::Personal;

/// Days for which an unused secret is good.
pub const IDLE_DAYS: i64 = 7;
/// Days after which a family ends, however often it is refreshed.
pub const FAMILY_DAYS: i64 = 90;
/// Seconds for which a spent secret yields the same successor again.
pub const REPLAY_WINDOW_SECONDS: i64 = 60;

/// One signed-in device, as its session's events tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Session {
    /// No event yet.
    #[default]
    Unstarted,
    /// Signed in, unless time has run out.
    Live(Family),
    /// Over.
    Revoked {
        /// The stream's own id.
        session_id: SessionId,
        /// Whose it was.
        account_id: AccountId,
        /// Why it is over.
        reason: Revocation,
    },
    /// Nothing is left but a tombstone.
    Erased {
        /// The stream's own id.
        session_id: SessionId,
        /// Whose it was.
        account_id: AccountId,
    },
}

/// The secrets of a live session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Family {
    session_id: SessionId,
    account_id: AccountId,
    account_sequence: u64,
    expires_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    current: Option<RefreshHash>,
    last_spent: Option<(RefreshHash, DateTime<Utc>)>,
    spent_before: HashSet<RefreshHash>,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStatus {
    /// No event yet.
    Unstarted,
    /// Signed in.
    Live,
    /// Time has run out.
    Expired,
    /// Ended before its time.
    Revoked(Revocation),
    /// The account is erased.
    Erased,
}

/// What a presented secret is to a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presented {
    Current,
    LastSpent { at: DateTime<Utc> },
    SpentBefore,
    Unknown,
}

impl Family {
    fn know(&self, hash: &RefreshHash) -> Presented {
        if self.current.as_ref() == Some(hash) {
            return Presented::Current;
        }
        match &self.last_spent {
            Some((spent, at)) if spent == hash => Presented::LastSpent { at: *at },
            _ if self.spent_before.contains(hash) => Presented::SpentBefore,
            _ => Presented::Unknown,
        }
    }

    fn is_over(&self, now: DateTime<Utc>) -> bool {
        now >= self.expires_at || now >= self.ends_at
    }

    fn rotate(&mut self, successor: Option<RefreshHash>, at: DateTime<Utc>) {
        if let Some((spent, _)) = self.last_spent.take() {
            self.spent_before.insert(spent);
        }
        self.last_spent = self.current.take().map(|spent| (spent, at));
        self.current = successor;
    }
}

impl Session {
    /// Where the session stands at `now`.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> SessionStatus {
        match self {
            Self::Unstarted => SessionStatus::Unstarted,
            Self::Live(family) if family.is_over(now) => SessionStatus::Expired,
            Self::Live(_) => SessionStatus::Live,
            Self::Revoked { reason, .. } => SessionStatus::Revoked(*reason),
            Self::Erased { .. } => SessionStatus::Erased,
        }
    }

    /// The stream's own id, from the first event on.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        match self {
            Self::Unstarted => None,
            Self::Live(family) => Some(family.session_id),
            Self::Revoked { session_id, .. } | Self::Erased { session_id, .. } => Some(*session_id),
        }
    }

    /// Whose session it is, from the first event on.
    #[must_use]
    pub fn account_id(&self) -> Option<AccountId> {
        match self {
            Self::Unstarted => None,
            Self::Live(family) => Some(family.account_id),
            Self::Revoked { account_id, .. } | Self::Erased { account_id, .. } => Some(*account_id),
        }
    }

    /// The hash of the secret in force, while the session lives.
    #[must_use]
    pub fn current_hash(&self) -> Option<&RefreshHash> {
        match self {
            Self::Live(family) => family.current.as_ref(),
            _ => None,
        }
    }

    /// Until when the secret in force is good, while the session lives.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Live(family) => Some(family.expires_at),
            _ => None,
        }
    }

    fn fold(&mut self, event: SessionEvent) {
        match (std::mem::take(self), event) {
            (
                _,
                SessionEvent::SessionStarted {
                    session_id,
                    account_id,
                    account_sequence,
                    started_at: _,
                    expires_at,
                    family_expires_at,
                    device: _,
                    credentials,
                },
            ) => {
                *self = Self::Live(Family {
                    session_id,
                    account_id,
                    account_sequence,
                    expires_at,
                    ends_at: family_expires_at,
                    current: secret_hash(credentials),
                    last_spent: None,
                    spent_before: HashSet::new(),
                });
            }
            (
                Self::Live(mut family),
                SessionEvent::SessionRefreshed {
                    refreshed_at,
                    expires_at,
                    credentials,
                },
            ) => {
                family.rotate(secret_hash(credentials), refreshed_at);
                family.expires_at = expires_at;
                *self = Self::Live(family);
            }
            (Self::Live(family), SessionEvent::SessionRevoked { reason, .. }) => {
                *self = Self::Revoked {
                    session_id: family.session_id,
                    account_id: family.account_id,
                    reason,
                };
            }
            (
                _,
                SessionEvent::SessionErased {
                    session_id,
                    account_id,
                    ..
                },
            ) => {
                *self = Self::Erased {
                    session_id,
                    account_id,
                };
            }
            (
                before,
                SessionEvent::SessionRefreshed { .. } | SessionEvent::SessionRevoked { .. },
            ) => *self = before,
        }
    }
}

fn secret_hash(credentials: Personal<RefreshCredentials>) -> Option<RefreshHash> {
    credentials.into_known().map(|known| known.secret_hash)
}

crate::aggregate!(
    Session,
    "session",
    SessionCommand,
    SessionEvent,
    SessionError
);

impl Aggregate for Session {
    const KEY_SCOPE: KeyScope = KeyScope::Subject;

    #[expect(
        clippy::too_many_lines,
        reason = "one match holds all the rules, so that they are read on one page"
    )]
    fn decide(&self, command: &SessionCommand) -> Result<Vec<SessionEvent>, SessionError> {
        let event = match (self, command) {
            (
                Self::Unstarted,
                SessionCommand::Start {
                    session_id,
                    account_id,
                    account_sequence,
                    secret_hash,
                    device,
                    now,
                },
            ) => SessionEvent::SessionStarted {
                session_id: *session_id,
                account_id: *account_id,
                account_sequence: *account_sequence,
                started_at: *now,
                expires_at: *now + Duration::days(IDLE_DAYS),
                family_expires_at: *now + Duration::days(FAMILY_DAYS),
                device: Personal::Known(device.clone()),
                credentials: Personal::Known(RefreshCredentials {
                    secret_hash: secret_hash.clone(),
                }),
            },
            (_, SessionCommand::Start { .. }) => return Err(SessionError::AlreadyStarted),

            (
                Self::Live(family),
                SessionCommand::Refresh {
                    presented_hash,
                    successor_hash,
                    session_floor,
                    now,
                },
            ) => {
                if family.is_over(*now) || family.account_sequence < *session_floor {
                    return Err(SessionError::RefreshRefused);
                }
                match family.know(presented_hash) {
                    Presented::Current => SessionEvent::SessionRefreshed {
                        refreshed_at: *now,
                        expires_at: family.ends_at.min(*now + Duration::days(IDLE_DAYS)),
                        credentials: Personal::Known(RefreshCredentials {
                            secret_hash: successor_hash.clone(),
                        }),
                    },
                    Presented::LastSpent { at }
                        if *now - at <= Duration::seconds(REPLAY_WINDOW_SECONDS) =>
                    {
                        // the key that successors are derived with may have changed in between
                        return if family.current.as_ref() == Some(successor_hash) {
                            Ok(Vec::new())
                        } else {
                            Err(SessionError::RefreshRefused)
                        };
                    }
                    Presented::LastSpent { .. } | Presented::SpentBefore => {
                        SessionEvent::SessionRevoked {
                            revoked_at: *now,
                            reason: Revocation::Replayed,
                        }
                    }
                    Presented::Unknown => return Err(SessionError::RefreshRefused),
                }
            }
            (
                Self::Live(family),
                SessionCommand::LogOut {
                    presented_hash,
                    now,
                },
            ) if family.know(presented_hash) != Presented::Unknown => {
                SessionEvent::SessionRevoked {
                    revoked_at: *now,
                    reason: Revocation::Logout,
                }
            }
            (_, SessionCommand::Refresh { .. } | SessionCommand::LogOut { .. }) => {
                return Err(SessionError::RefreshRefused);
            }

            (
                Self::Live(family),
                SessionCommand::Revoke {
                    account_id,
                    reason,
                    now,
                },
            ) if family.account_id == *account_id => SessionEvent::SessionRevoked {
                revoked_at: *now,
                reason: *reason,
            },
            (Self::Revoked { account_id, .. }, SessionCommand::Revoke { account_id: by, .. })
                if account_id == by =>
            {
                return Ok(Vec::new());
            }
            (_, SessionCommand::Revoke { .. })
            | (Self::Unstarted, SessionCommand::Erase { .. }) => {
                return Err(SessionError::NotFound);
            }

            (Self::Erased { .. }, SessionCommand::Erase { .. }) => return Ok(Vec::new()),
            (
                Self::Live(Family {
                    session_id,
                    account_id,
                    ..
                })
                | Self::Revoked {
                    session_id,
                    account_id,
                    ..
                },
                SessionCommand::Erase { now },
            ) => SessionEvent::SessionErased {
                session_id: *session_id,
                account_id: *account_id,
                erased_at: *now,
            },
        };
        Ok(vec![event])
    }

    fn subject(&self) -> Option<AccountId> {
        self.account_id()
    }

    fn erases(event: &SessionEvent) -> bool {
        matches!(event, SessionEvent::SessionErased { .. })
    }
}
