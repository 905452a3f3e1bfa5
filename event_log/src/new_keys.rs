//! Data keys on their way into the keys home: those that are made at the same time share a statement, and so
//! a commit and its wait for the disk.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::database::{Held, Statement};
use crate::together::Kind;
use crate::{fetch_rows, statement};

static INSERT: Statement = statement!("../sql/insert_data_keys.sql");

/// A data key, wrapped already.
#[derive(Clone)]
pub(crate) struct NewKey {
    pub key_id: Uuid,
    pub subject_id: Uuid,
    /// The stream it is for; absent for a subject's key.
    pub stream: Option<(&'static str, String)>,
    pub master_version: i64,
    pub wrapped: Vec<u8>,
    pub created_at: DateTime<Utc>,
}

impl NewKey {
    /// What no other key may be for.
    fn unique(&self) -> (Option<&(&'static str, String)>, Uuid) {
        (self.stream.as_ref(), self.subject_id)
    }
}

/// Inserts new keys. The answer is true when the key is committed now, false when there was one of its id, its
/// subject or its stream before.
pub(crate) struct NewKeys;

impl Kind for NewKeys {
    type Question = NewKey;
    type Answer = bool;
    const MOST: usize = 64;

    async fn ask(&self, on: &mut Held, keys: &[NewKey]) -> Result<Vec<bool>, sqlx::Error> {
        let sql = INSERT.on(on.engine());
        // in the same order on every node: two that make keys for the same streams wait for each other one way
        let mut ordered: Vec<&NewKey> = keys.iter().collect();
        ordered.sort_unstable_by(|one, other| one.unique().cmp(&other.unique()));
        let made: Vec<(Uuid,)> = fetch_rows!(on, (Uuid,), sql, ordered, |row, key| {
            let stream = key.stream.as_ref();
            row.push_bind(key.key_id)
                .push_bind(if stream.is_some() {
                    "stream"
                } else {
                    "subject"
                })
                .push_bind(key.subject_id)
                .push_bind(stream.map(|(aggregate_type, _)| *aggregate_type))
                .push_bind(stream.map(|(_, aggregate_id)| aggregate_id.as_str()))
                .push_bind(key.master_version)
                .push_bind(key.wrapped.as_slice())
                .push_bind(key.created_at);
        })?;
        let made: HashSet<Uuid> = made.into_iter().map(|(key_id,)| key_id).collect();
        Ok(keys.iter().map(|key| made.contains(&key.key_id)).collect())
    }
}
