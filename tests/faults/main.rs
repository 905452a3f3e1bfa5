//! Faults: what the server does when it is killed, when its database goes away or falls silent, when disk,
//! queues and pools are full. Clients keep a ledger of what was acknowledged; afterwards nothing of it may
//! be lost, doubled or out of order.
//!
//! `tests/run --test faults` runs a short form, `FAULTS=long tests/run --test faults -- --nocapture` a long
//! one: the same code with the counts that [`Form`] names. Each prints what it counted.

mod client;
mod cluster;
mod disk;
mod flood;
mod health;
mod killing;
mod ledger;
mod outages;
mod soak;
mod starving;
#[allow(dead_code, reason = "each test program uses its part of it")]
#[path = "../support/mod.rs"]
mod support;

use std::io::Write;
use std::time::Duration;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Kills of the server, on each engine.
    pub kills: usize,
    /// Ends of the database.
    pub ends: usize,
    /// How long the database is silent.
    pub silence: Duration,
    /// How long the pool is starved.
    pub starving: Duration,
    /// How long the disk is full.
    pub full: Duration,
    /// Events of the soak, on each engine.
    pub events: usize,
    /// Requests at the same time in a flood.
    pub flood: usize,
}

/// The form that `FAULTS` asks for.
pub fn form() -> Form {
    if is_long() {
        Form {
            kills: 200,
            ends: 20,
            silence: Duration::from_mins(1),
            starving: Duration::from_secs(30),
            full: Duration::from_secs(15),
            events: 1_000_000,
            flood: 2_000,
        }
    } else {
        Form {
            kills: 6,
            ends: 3,
            silence: Duration::from_secs(8),
            starving: Duration::from_secs(5),
            full: Duration::from_secs(2),
            events: 16_000,
            flood: 300,
        }
    }
}

static MACHINE: RwLock<()> = RwLock::const_new(());

/// The machine for one story that measures.
pub async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// The machine shared with others that only count.
pub async fn together() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// True for the long form.
pub fn is_long() -> bool {
    std::env::var_os("FAULTS").is_some_and(|form| form == "long")
}

/// Says what was counted, whether or not the test passes.
pub fn tell(text: &str) {
    let _closed = writeln!(std::io::stderr(), "faults: {text}");
}

/// What a busy machine may add to a promise: the long form makes no allowance beyond what a bare answer takes,
/// the short one runs on machines that do other things as well.
pub fn allowance(bare: Duration) -> Duration {
    if is_long() {
        bare
    } else {
        (bare * 20).min(Duration::from_millis(150))
    }
}

/// The value below which `share` percent of the values lie; zero when there are none.
pub fn percentile(values: &mut [Duration], share: usize) -> Duration {
    values.sort_unstable();
    let at = (values.len() * share).div_ceil(100).saturating_sub(1);
    values.get(at).copied().unwrap_or_default()
}
