//! What is done to generations beside folding into them: making what is missing, rebuilding, going back,
//! dropping, and saying how they are.

use event_log::reader::{Head, ReadError};

use crate::generations::{Generation, State};
use crate::projection::Projection;
use crate::projector::Projector;

/// How one generation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its row.
    pub generation: Generation,
    /// True when this program reads and writes it: its projection exists here in the same version.
    pub current: bool,
    /// Events behind the head of the log.
    pub lag: i64,
    /// Seconds since the first event it lacks was recorded; 0 when it lacks none.
    pub lag_seconds: i64,
}

/// Why a generation cannot take over.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// The read home does not answer.
    #[error("the read models cannot be read")]
    Database(#[from] sqlx::Error),
    /// No older generation of this version is kept.
    #[error("no older generation of {0} is kept")]
    Nothing(&'static str),
    /// It has not reached what readers have seen already.
    #[error(
        "generation {generation} of {projection} is behind the live one, at position {position}"
    )]
    Behind {
        /// Name of the projection.
        projection: &'static str,
        /// Number of the copy.
        generation: i64,
        /// Its checkpoint.
        position: i64,
    },
}

impl Projector {
    /// Starts building what is missing: a projection without a live generation of its version, or whose
    /// checkpoint belongs to another log than this one. What follows another log is dropped.
    pub async fn prepare(&self) -> Result<(), ReadError> {
        let head = self.reader().head().await?;
        let present = self.generations().list().await?;
        for projection in self.projections() {
            let projection = projection.as_ref();
            let (mut live, mut foreign) = (false, Vec::new());
            for row in present.iter().filter(|row| is_of(row, projection)) {
                if !self.belongs(row, head).await? {
                    foreign.push(row);
                } else if row.state == State::Live {
                    live = true;
                }
            }
            // one that is being built stands in the way of another, one that is live keeps its number
            for row in foreign.iter().filter(|row| row.state != State::Live) {
                self.generations().remove(row).await?;
            }
            if !live {
                self.rebuild(projection, head).await?;
            }
            for row in foreign.iter().filter(|row| row.state == State::Live) {
                tracing::warn!(
                    projection = row.projection,
                    generation = row.generation,
                    position = row.position,
                    "a read model follows another log and is dropped"
                );
                self.generations().remove(row).await?;
            }
        }
        self.look(&self.generations().list().await?);
        Ok(())
    }

    /// A checkpoint belongs to this log when the log has the same event at its position.
    async fn belongs(&self, row: &Generation, head: Head) -> Result<bool, ReadError> {
        if row.log_id != head.log_id || row.position > head.position {
            return Ok(false);
        }
        if row.position == 0 {
            return Ok(true);
        }
        Ok(self.reader().event_at(row.position).await? == row.event_id)
    }

    /// Starts a new generation beside the live one; whoever runs builds it. `None` when one is being built
    /// already. One that was given up is begun anew.
    pub async fn rebuild(
        &self,
        projection: &dyn Projection,
        head: Head,
    ) -> Result<Option<i64>, sqlx::Error> {
        for row in self.generations().list().await? {
            if is_of(&row, projection) && row.state == State::Building && row.stopped {
                self.generations().remove(&row).await?;
            }
        }
        self.generations().add(projection, head, self.now()).await
    }

    /// Makes the newest older generation live again; gives its number. Readers never go back in time.
    pub async fn roll_back(&self, projection: &dyn Projection) -> Result<i64, RollbackError> {
        let rows = self.generations().list().await?;
        let older = rows
            .iter()
            .rfind(|row| is_of(row, projection) && row.state == State::Old)
            .ok_or(RollbackError::Nothing(projection.name()))?;
        let live = self
            .generations()
            .cut_over(
                projection.name(),
                projection.version(),
                older.generation,
                self.now(),
            )
            .await?;
        if live {
            self.look(&self.generations().list().await?);
            return Ok(older.generation);
        }
        Err(RollbackError::Behind {
            projection: projection.name(),
            generation: older.generation,
            position: older.position,
        })
    }

    /// Drops the generations of a projection that nobody reads: those that were replaced, and those of an
    /// older version that no node runs any more. Gives their numbers.
    pub async fn drop_old(&self, projection: &dyn Projection) -> Result<Vec<i64>, sqlx::Error> {
        let mut dropped = Vec::new();
        for row in self.generations().list().await? {
            let replaced = row.version == projection.version() && row.state == State::Old;
            let outgrown = row.version < projection.version() && !row.leased;
            if row.projection == projection.name()
                && (replaced || outgrown)
                && self.generations().remove(&row).await?
            {
                dropped.push(row.generation);
            }
        }
        Ok(dropped)
    }

    /// How every generation is, by name and number.
    pub async fn status(&self) -> Result<Vec<Status>, ReadError> {
        let head = self.reader().head().await?;
        let now = self.now();
        let mut statuses = Vec::new();
        for generation in self.generations().list().await? {
            let lag = (head.position - generation.position).max(0);
            let lag_seconds = if lag == 0 {
                0
            } else {
                let next = self
                    .reader()
                    .page(generation.position, head.position, 1)
                    .await?;
                next.first()
                    .map_or(0, |event| (now - event.recorded_at).num_seconds().max(0))
            };
            let current = self
                .projections()
                .iter()
                .any(|projection| is_of(&generation, projection.as_ref()));
            statuses.push(Status {
                generation,
                current,
                lag,
                lag_seconds,
            });
        }
        Ok(statuses)
    }

    /// The projection of a name.
    pub fn named(&self, name: &str) -> Option<&dyn Projection> {
        self.projections()
            .iter()
            .find(|projection| projection.name() == name)
            .map(AsRef::as_ref)
    }
}

fn is_of(row: &Generation, projection: &dyn Projection) -> bool {
    row.projection == projection.name() && row.version == projection.version()
}
