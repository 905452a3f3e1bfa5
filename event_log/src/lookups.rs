//! What commands look up in the log before they are decided; those that come at the same time share a
//! statement.

use std::collections::{HashMap, HashSet};

use crate::database::{Held, Statement};
use crate::together::Kind;
use crate::{fetch_rows, statement};

static REMEMBERED: Statement = statement!("../sql/remembered_commands.sql");
static SEQUENCES: Statement = statement!("../sql/sequences.sql");

/// Whether anything is remembered under a hashed command id, be its time over or not.
pub(crate) struct Remembered;

impl Kind for Remembered {
    type Question = Vec<u8>;
    type Answer = bool;
    const MOST: usize = 64;

    async fn ask(&self, on: &mut Held, asked: &[Vec<u8>]) -> Result<Vec<bool>, sqlx::Error> {
        let sql = REMEMBERED.on(on.engine());
        let found: Vec<(Vec<u8>,)> = fetch_rows!(on, (Vec<u8>,), sql, asked, |row, key| {
            row.push_bind(key.as_slice());
        })?;
        let found: HashSet<Vec<u8>> = found.into_iter().map(|(key,)| key).collect();
        Ok(asked.iter().map(|key| found.contains(key)).collect())
    }
}

/// The sequence of a stream's last event, 0 when there is none.
pub(crate) struct Sequences;

impl Kind for Sequences {
    /// Kind of stream, and which.
    type Question = (&'static str, String);
    type Answer = i64;
    const MOST: usize = 64;

    async fn ask(
        &self,
        on: &mut Held,
        asked: &[(&'static str, String)],
    ) -> Result<Vec<i64>, sqlx::Error> {
        let sql = SEQUENCES.on(on.engine());
        let found: Vec<(String, String, i64)> =
            fetch_rows!(on, (String, String, i64), sql, asked, |row, stream| {
                row.push_bind(stream.0).push_bind(stream.1.as_str());
            })?;
        let found: HashMap<(&str, &str), i64> = found
            .iter()
            .map(|(kind, id, sequence)| ((kind.as_str(), id.as_str()), *sequence))
            .collect();
        let sequences = asked
            .iter()
            .map(|(kind, id)| found.get(&(*kind, id.as_str())));
        Ok(sequences
            .map(|found| found.copied().unwrap_or_default())
            .collect())
    }
}
