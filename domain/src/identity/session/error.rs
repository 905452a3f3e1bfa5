//! Why a session says no.

use crate::rejection::{Kind, Rejection};

/// Why a session says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Absent, or another member's.
    #[error("there is no such session")]
    NotFound,
    /// The id is in use.
    #[error("this session has started already")]
    AlreadyStarted,
    /// The secret was never issued by this session, or the session is over. One answer for all, so that
    /// a guess learns nothing.
    #[error("this refresh token is not accepted")]
    RefreshRefused,
}

impl Rejection for SessionError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "identity.session_not_found",
            Self::AlreadyStarted => "identity.session_already_started",
            Self::RefreshRefused => "identity.refresh_refused",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::AlreadyStarted => Kind::Conflict,
            Self::RefreshRefused => Kind::Unauthenticated,
        }
    }
}
