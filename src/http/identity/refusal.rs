//! Why somebody is not let in: what no aggregate can say, because it is about proofs.

use domain::rejection::{Kind, Rejection};

use crate::http::Problem;
use crate::http::command::query_failed;
use crate::state::ladder::NotNow;

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No such name, or another password: one answer for both.
    #[error("the identifier or the password is wrong")]
    Credentials,
    /// Not the code of the moment, or used before; no recovery code either.
    #[error("this code is not accepted")]
    Code,
    /// Not a token of ours, or spent, or too old.
    #[error("this token is not accepted; log in again")]
    Challenge,
    /// No refresh token of a session that lives.
    #[error("this refresh token is not accepted")]
    Refresh,
    /// A web page that may not use the refresh cookie.
    #[error("this origin may not use the refresh cookie")]
    Origin,
    /// Too many failures; the next attempt counts later.
    #[error("too many failed attempts")]
    Waiting { seconds: u64 },
}

impl Rejection for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Credentials => "identity.credentials_refused",
            Self::Code => "identity.code_refused",
            Self::Challenge => "identity.challenge_refused",
            Self::Refresh => "identity.refresh_refused",
            Self::Origin => "identity.origin_refused",
            Self::Waiting { .. } => "identity.too_many_attempts",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Credentials | Self::Code | Self::Challenge | Self::Refresh => {
                Kind::Unauthenticated
            }
            Self::Origin => Kind::Forbidden,
            Self::Waiting { .. } => Kind::TooMany,
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Waiting { seconds } => Some(*seconds),
            _ => None,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::from_rejection(&refusal)
    }
}

impl From<NotNow> for Problem {
    fn from(not_now: NotNow) -> Self {
        match not_now {
            NotNow::Waiting { seconds } => Refusal::Waiting { seconds }.into(),
            NotNow::Busy => Self::busy(),
            NotNow::Database(error) => query_failed(error),
        }
    }
}
