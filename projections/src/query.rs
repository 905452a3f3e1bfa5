//! Why a query fails.

use event_log::sealing::SealingError;

/// Why a read model does not answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The read home does not answer, or refuses a statement.
    #[error("the read model cannot be read")]
    Database(#[from] sqlx::Error),
    /// A sealed string does not open.
    #[error("a sealed string of a read model cannot be opened")]
    Sealing(#[from] SealingError),
    /// A column holds what no version of the program writes.
    #[error("a stored value of a read model has an unknown form")]
    Form(#[from] serde_json::Error),
}

impl QueryError {
    /// True when a database is away and the same query may succeed later.
    pub fn is_unavailable(&self) -> bool {
        use event_log::database::is_unavailable;
        use event_log::keys::KeyError;
        match self {
            Self::Database(error) => is_unavailable(error),
            Self::Sealing(SealingError::Key(KeyError::Database(error))) => is_unavailable(error),
            _ => false,
        }
    }
}
