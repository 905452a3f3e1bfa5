//! Live generations, and old ones that follow for a rollback: each folds by itself what was read for all.
//!
//! One read at a time takes what is new in the log; each generation that has nothing in hand takes all that was
//! read since its last page. So a read is under way while rows are written, a slow generation holds up no other
//! one, and its pages grow when it falls behind. One that is so far behind that what it needs is not kept any
//! more reads for itself until it has caught up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::append::Committed;
use event_log::reader::ReadError;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    Given, LONGEST_PAUSE, Owned, PAGE, POLL, POLL_FOR_NOBODY, Projector, Unread, Which,
    waits_for_database,
};
use crate::fact::Fact;
use crate::generations::Generation;

/// How long a projection that gathers lets events gather, unless there are [`ENOUGH`].
const GATHER: Duration = Duration::from_millis(50);
/// Events that are a page worth writing.
const ENOUGH: i64 = PAGE / 2;

/// What has ended.
enum Ended {
    /// What is new was read, for the generations of this number.
    Read(u64, Result<Vec<Fact>, ReadError>),
    /// A generation has folded what was read for all, or is not this node's any more.
    Folded(Lease, Option<Box<Owned>>),
    /// Generations have folded a page that was read for them alone.
    FoldedAlone(Vec<Lease>, Result<Vec<Owned>, Unread>),
}

/// Name of a projection, number of the copy, epoch of the owner.
type Lease = (&'static str, i64, i64);

fn lease(mine: &Owned) -> Lease {
    let name = mine.given.projection.name();
    (name, mine.generation, mine.epoch)
}

/// A generation that is folding.
struct Folding {
    lease: Lease,
    given: Given,
    /// Where it will be, if it folds what was read for all.
    to: Option<i64>,
}

impl Folding {
    fn new(mine: &Owned, to: Option<i64>) -> Self {
        Self {
            lease: lease(mine),
            given: mine.given.clone(),
            to,
        }
    }
}

/// What the task looks after.
struct Task<'p> {
    projector: &'p Projector,
    /// Those that have nothing in hand, the one that has waited longest first.
    resting: VecDeque<Owned>,
    folding: Vec<Folding>,
    under_way: FuturesUnordered<BoxFuture<'p, Ended>>,
    is_reading: bool,
    /// What this node knows to be committed.
    known: Committed,
    /// There may be more in the log than what is known.
    is_blind: bool,
    /// All of them. Whenever they change the number goes up, and what was read is read again: payloads were
    /// opened for the former ones.
    leases: Vec<Lease>,
    given: Arc<[Given]>,
    number: u64,
    /// What was read after `from` up to `end`.
    facts: VecDeque<Arc<Fact>>,
    from: i64,
    end: i64,
    looked: Option<Instant>,
    pause: Duration,
    not_before: Instant,
}

impl Projector {
    /// Folds what is new until `stop`, woken by `committed`; then gives all leases up.
    pub(super) async fn follow(
        &self,
        mut committed: watch::Receiver<Committed>,
        stop: &CancellationToken,
    ) {
        let mut task = Task::new(self);
        let mut tick = tokio::time::interval(POLL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_told = true;
        while !stop.is_cancelled() {
            if let Err(error) = task.begin().await {
                task.wait(&error);
            }
            tokio::select! {
                Some(ended) = task.under_way.next(), if !task.under_way.is_empty() => task.end(ended),
                told = committed.changed(), if is_told => {
                    is_told = told.is_ok();
                    task.hear(*committed.borrow_and_update());
                }
                _ = tick.tick() => task.is_blind = true,
                () = tokio::time::sleep(GATHER), if task.is_gathering() => {}
                () = stop.cancelled() => {}
            }
        }
        while let Some(ended) = task.under_way.next().await {
            task.end(ended);
        }
        self.give_up(task.resting).await;
    }

    /// What there is after a position, opened where somebody reads it. Unless this is a look at the log, what the
    /// process has just committed itself is not read from there.
    async fn read_new(
        &self,
        after: i64,
        given: &[Given],
        look: bool,
    ) -> Result<Vec<Fact>, ReadError> {
        let reader = &self.parts.reader;
        let page = if look {
            reader.newest_page(after, i64::MAX, PAGE).await?
        } else {
            reader.recent_page(after, i64::MAX, PAGE).await?
        };
        self.parts.open(page, given).await
    }
}

impl<'p> Task<'p> {
    fn new(projector: &'p Projector) -> Self {
        Self {
            projector,
            resting: VecDeque::new(),
            folding: Vec::new(),
            under_way: FuturesUnordered::new(),
            is_reading: false,
            known: Committed::default(),
            is_blind: true,
            leases: Vec::new(),
            given: Arc::default(),
            number: 0,
            facts: VecDeque::new(),
            from: 0,
            end: 0,
            looked: None,
            pause: POLL,
            not_before: Instant::now(),
        }
    }

    /// Begins what can be begun now; looks at the generations when it is time to.
    async fn begin(&mut self) -> Result<(), ReadError> {
        if Instant::now() < self.not_before {
            return Ok(());
        }
        if self.looked.is_none_or(|at| at.elapsed() >= POLL_FOR_NOBODY) {
            self.look_beside().await?;
            self.looked = Some(Instant::now());
        }
        self.fold();
        self.read();
        Ok(())
    }

    /// Looks while what is under way goes on: on SQLite a page that is being written keeps everybody else from
    /// writing, and a look may write.
    async fn look_beside(&mut self) -> Result<(), ReadError> {
        let mut under_way = std::mem::take(&mut self.under_way);
        let mut ended = Vec::new();
        let looked = {
            let mut look = std::pin::pin!(self.look());
            loop {
                tokio::select! {
                    looked = &mut look => break looked,
                    Some(one) = under_way.next(), if !under_way.is_empty() => ended.push(one),
                }
            }
        };
        self.under_way = under_way;
        for one in ended {
            self.end(one);
        }
        looked
    }

    /// Takes what is free, drops what is gone, and saves the checkpoints that ran ahead of their rows.
    async fn look(&mut self) -> Result<(), ReadError> {
        let mut resting: Vec<Owned> = self.resting.drain(..).collect();
        let is_folding = |row: &Generation| {
            let mut folding = self.folding.iter().map(|one| one.lease);
            folding
                .any(|(name, generation, _)| row.projection == name && row.generation == generation)
        };
        let assigned = self
            .projector
            .assign(Which::Following, &mut resting, is_folding)
            .await;
        self.resting = resting.into();
        self.changed();
        assigned?;
        for mine in &mut self.resting {
            if self.projector.save(mine, false).await? {
                mine.saved = mine.position;
                mine.saved_at = Instant::now();
            }
        }
        Ok(())
    }

    /// Begins anew with what is read, if others are looked after than before.
    fn changed(&mut self) {
        let folding = self.folding.iter().map(|one| one.lease);
        let mut leases: Vec<Lease> = self.resting.iter().map(lease).chain(folding).collect();
        leases.sort_unstable();
        if leases == self.leases {
            return;
        }
        self.leases = leases;
        self.number += 1;
        let folding = self.folding.iter().map(|one| &one.given);
        let resting = self.resting.iter().map(|mine| &mine.given);
        self.given = resting.chain(folding).cloned().collect();
        let resting = self.resting.iter().map(|mine| mine.position);
        let folding = self.folding.iter().filter_map(|one| one.to);
        self.end = resting.chain(folding).max().unwrap_or(self.end);
        self.from = self.end;
        self.facts.clear();
        self.is_blind = true;
    }

    /// Lets every generation fold what it has not folded yet, as many of them at a time as may be.
    fn fold(&mut self) {
        let now = Instant::now();
        let mut alone: BTreeMap<(i64, i64), Vec<Owned>> = BTreeMap::new();
        for _ in 0..self.resting.len() {
            if self.folding.len() >= self.projector.parallel() {
                break;
            }
            let Some(mine) = self.resting.pop_front() else {
                break;
            };
            if mine.position >= self.end || mine.not_before > now || self.gathers(&mine) {
                self.resting.push_back(mine);
            } else if mine.position >= self.from && mine.limit() == PAGE {
                self.fold_next(mine);
            } else {
                self.folding.push(Folding::new(&mine, None));
                let place = (mine.position, mine.limit());
                alone.entry(place).or_default().push(mine);
            }
        }
        for ((after, limit), cluster) in alone {
            let (projector, range) = (self.projector, (after, self.end));
            self.under_way.push(Box::pin(async move {
                let leases = cluster.iter().map(lease).collect();
                let folded = projector.fold_alone(cluster, range, limit).await;
                Ended::FoldedAlone(leases, folded)
            }));
        }
    }

    fn is_gathering(&self) -> bool {
        self.resting.iter().any(|mine| self.gathers(mine))
    }

    /// True while more is to come before it is worth a page.
    fn gathers(&self, mine: &Owned) -> bool {
        mine.given.projection.gathers()
            && mine.saved_at.elapsed() < GATHER
            && (1..ENOUGH).contains(&(self.end - mine.position))
    }

    /// All that was read and that one generation has not folded, up to a page.
    fn fold_next(&mut self, mine: Owned) {
        let known = |fact: &Arc<Fact>| fact.recorded.position <= mine.position;
        let begin = self.facts.partition_point(known);
        let page: Vec<Arc<Fact>> = self
            .facts
            .range(begin..)
            .take(usize::try_from(PAGE).unwrap_or_default())
            .cloned()
            .collect();
        let to = page.last().map_or(self.end, |last| last.recorded.position);
        self.folding.push(Folding::new(&mine, Some(to)));
        let (projector, lease) = (self.projector, lease(&mine));
        self.under_way.push(Box::pin(async move {
            let mine = projector.settle(mine, &page, false).await;
            Ended::Folded(lease, mine.map(Box::new))
        }));
    }

    /// Reads on, unless a read is under way, there is nothing new, or there is enough to do: while two
    /// generations have not taken what was read, the next page may grow.
    fn read(&mut self) {
        let foremost = self.positions().max().unwrap_or(self.end);
        let busy = self
            .positions()
            .filter(|at| (self.from..self.end).contains(at));
        let gathering = self.resting.iter().filter(|mine| self.gathers(mine));
        if self.is_reading
            || !(self.is_blind || self.known.position > self.end)
            || self.given.is_empty()
            || self.end - foremost >= PAGE
            || busy.count() > 1 + gathering.count()
        {
            return;
        }
        self.is_reading = true;
        let (projector, number, end) = (self.projector, self.number, self.end);
        let given = Arc::clone(&self.given);
        let look = std::mem::take(&mut self.is_blind);
        self.under_way.push(Box::pin(async move {
            let page = projector.read_new(end, &given, look).await;
            Ended::Read(number, page)
        }));
    }

    /// Takes what was told for known. The places of other nodes' events nobody has told.
    fn hear(&mut self, committed: Committed) {
        self.is_blind |= committed.calls != self.known.calls;
        self.known = committed;
    }

    /// Where those stand, or will stand soon, that fold what was read for all.
    fn positions(&self) -> impl Iterator<Item = i64> {
        let now = Instant::now();
        let resting = self
            .resting
            .iter()
            .filter(move |mine| mine.limit() == PAGE && mine.not_before <= now)
            .map(|mine| mine.position);
        let folding = self.folding.iter().filter_map(|one| one.to);
        folding.chain(resting)
    }

    fn end(&mut self, ended: Ended) {
        match ended {
            Ended::Read(number, page) => {
                self.is_reading = false;
                match page {
                    Ok(page) if number == self.number => {
                        self.pause = POLL;
                        self.is_blind |= i64::try_from(page.len()) == Ok(PAGE);
                        match page.last() {
                            Some(last) => self.end = last.recorded.position,
                            // the log does not have what was told
                            None => self.known.position = self.end,
                        }
                        self.facts.extend(page.into_iter().map(Arc::new));
                    }
                    Ok(_) => self.is_blind = true,
                    Err(error) => self.wait(&error),
                }
            }
            Ended::Folded(lease, mine) => {
                self.folding.retain(|one| one.lease != lease);
                self.resting.extend(mine.map(|mine| *mine));
            }
            Ended::FoldedAlone(leases, folded) => {
                self.folding.retain(|one| !leases.contains(&one.lease));
                match folded {
                    Ok(cluster) => self.resting.extend(cluster),
                    Err((cluster, error)) => {
                        self.resting.extend(cluster);
                        self.wait(&error);
                    }
                }
            }
        }
        self.forget();
    }

    /// Drops what everybody has folded, and of what the slow ones have not the oldest.
    fn forget(&mut self) {
        let folded = self.positions().min().unwrap_or(self.end);
        while let Some(first) = self.facts.front()
            && (first.recorded.position <= folded || self.end - self.from > 2 * PAGE)
        {
            self.from = first.recorded.position;
            self.facts.pop_front();
        }
    }

    /// Begins nothing for a while: the database is away.
    fn wait(&mut self, error: &ReadError) {
        self.is_blind = true;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.not_before = Instant::now() + self.pause;
        waits_for_database(error);
    }
}
