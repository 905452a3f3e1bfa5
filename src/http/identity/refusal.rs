//! Why somebody is not let in: what no aggregate can say, because it is about proofs.

use domain::rejection::{Kind, Rejection};

use crate::http::Problem;

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No such name, or another password: one answer for both.
    #[error("the identifier or the password is wrong")]
    Credentials,
}

impl Rejection for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Credentials => "identity.credentials_refused",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Credentials => Kind::Unauthenticated,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::from_rejection(&refusal)
    }
}
