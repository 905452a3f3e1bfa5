//! What is done to generations beside folding into them: making what is missing, rebuilding, going back,
//! dropping, and saying how they are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
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
    /// How much of the log it has folded, 0 to 100.
    pub percent: i64,
    /// Seconds until it has come to the head, at the rate it has now; `None` while it stands still, 0 at the
    /// head.
    pub seconds_left: Option<i64>,
    /// Where the events stand that its projection leaves out.
    pub skipped: BTreeSet<i64>,
}

impl Status {
    fn new(
        generation: Generation,
        head: Head,
        current: bool,
        lag_seconds: i64,
        skipped: BTreeSet<i64>,
    ) -> Self {
        let (position, rate) = (generation.position, generation.rate);
        let lag = (head.position - position).max(0);
        Self {
            generation,
            current,
            lag,
            lag_seconds,
            percent: if lag == 0 {
                100
            } else {
                position.saturating_mul(100) / head.position
            },
            seconds_left: if lag == 0 {
                Some(0)
            } else {
                (rate > 0).then(|| (lag + rate - 1) / rate)
            },
            skipped,
        }
    }
}

/// A generation that is being built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Number of the copy.
    pub generation: i64,
    /// True when it was being built before anybody asked now.
    pub already: bool,
}

/// What became of the generations that nobody needs any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Numbers of those that are gone.
    pub gone: Vec<i64>,
    /// How long to wait until the others can go too: a request may still be reading them.
    pub wait: Option<Duration>,
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

    /// As [`Projector::rebuild`], and says which generation is being built, also when it was before.
    pub async fn begin(
        &self,
        projection: &dyn Projection,
        head: Head,
    ) -> Result<Begun, sqlx::Error> {
        loop {
            if let Some(generation) = self.rebuild(projection, head).await? {
                return Ok(Begun {
                    generation,
                    already: false,
                });
            }
            let rows = self.generations().list().await?;
            let building = rows
                .iter()
                .find(|row| is_of(row, projection) && row.state == State::Building);
            if let Some(row) = building {
                return Ok(Begun {
                    generation: row.generation,
                    already: true,
                });
            }
            // it went live between the two looks: nothing stands in the way of another any more
        }
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

    /// Where generations of a projection have stopped because of an event.
    pub async fn stopped_at(&self, projection: &dyn Projection) -> Result<Vec<i64>, sqlx::Error> {
        let rows = self.generations().list().await?;
        Ok(rows
            .into_iter()
            .filter(|row| is_of(row, projection) && row.stopped)
            .filter_map(|row| row.error_position)
            .collect())
    }

    /// Has every generation of a projection leave out the event at `position`, which was recorded as skipped
    /// before. One that is being built and has folded it is begun anew, so that it ends like the live one.
    pub async fn skip(&self, projection: &dyn Projection, position: i64) -> Result<(), ReadError> {
        let name = projection.name();
        self.generations()
            .let_go(name, position, self.now())
            .await?;
        let mut again = false;
        for row in self.generations().list().await? {
            if is_of(&row, projection) && row.state == State::Building && row.position >= position {
                again |= self.generations().remove(&row).await?;
            }
        }
        if again {
            let head = self.reader().head().await?;
            self.rebuild(projection, head).await?;
        }
        Ok(())
    }

    /// Drops the generations of a projection that nobody needs: those that were replaced, and once one of
    /// this version is live, those of an older version that no node runs any more. Spares those that were
    /// still read within `grace`, the longest that a request can hold on to what was live when it began.
    pub async fn drop_old(
        &self,
        projection: &dyn Projection,
        grace: Duration,
    ) -> Result<Dropped, sqlx::Error> {
        let rows = self.generations().list().await?;
        let live = |row: &Generation| is_of(row, projection) && row.state == State::Live;
        let is_live = rows.iter().any(live);
        let mut dropped = Dropped::default();
        for row in rows
            .iter()
            .filter(|row| row.projection == projection.name())
        {
            let replaced = row.version == projection.version() && row.state == State::Old;
            let outgrown = row.version < projection.version() && is_live && !row.leased;
            let unread = match (replaced, outgrown) {
                (true, _) => row.retired_ms,
                (_, true) => -row.lease_left_ms,
                (false, false) => continue,
            };
            let unread = Duration::from_millis(u64::try_from(unread).unwrap_or_default());
            if let Some(left) = grace.checked_sub(unread).filter(|left| !left.is_zero()) {
                dropped.wait = dropped.wait.max(Some(left));
            } else if self.generations().remove(row).await? {
                dropped.gone.push(row.generation);
            }
        }
        Ok(dropped)
    }

    /// How every generation is, by name and number.
    pub async fn status(&self) -> Result<Vec<Status>, ReadError> {
        let head = self.reader().head().await?;
        let now = self.now();
        let skipped = self.skipped().await?;
        let mut statuses = Vec::new();
        let mut ages = BTreeMap::new();
        for generation in self.generations().list().await? {
            let position = generation.position;
            let age = match ages.get(&position) {
                Some(age) => *age,
                None => self.age_of_next(position, head, now).await?,
            };
            ages.insert(position, age);
            let current = self.runs(&generation);
            let skipped = skipped
                .get(&generation.projection)
                .cloned()
                .unwrap_or_default();
            statuses.push(Status::new(generation, head, current, age, skipped));
        }
        Ok(statuses)
    }

    /// Seconds since the first event after a position was recorded; 0 when there is none.
    async fn age_of_next(
        &self,
        position: i64,
        head: Head,
        now: DateTime<Utc>,
    ) -> Result<i64, ReadError> {
        if position >= head.position {
            return Ok(0);
        }
        let next = self.reader().page(position, head.position, 1).await?;
        Ok(next
            .first()
            .map_or(0, |event| (now - event.recorded_at).num_seconds().max(0)))
    }

    /// True for a generation that this program reads and writes: its projection exists here in the same
    /// version.
    pub fn runs(&self, row: &Generation) -> bool {
        self.projections()
            .iter()
            .any(|projection| is_of(row, projection.as_ref()))
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
