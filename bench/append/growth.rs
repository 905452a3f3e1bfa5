//! What an append costs in a long log, against a short one, in turns.
//!
//! Every second command bears a command id that is kept for ever, as policies' commands do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Failure;
use crate::engines::Engine;
use crate::report::{Goal, Report, Row};
use crate::sides::Ours;
use crate::turn::{Turns, Until};

/// Events in the long log when nobody says how many.
const LONG: usize = 5_000_000;
/// Events in the short log.
const SHORT: usize = 10_000;
const CALLERS: usize = 64;
const FILLERS: usize = 1024;
const ROUNDS: usize = 15;
/// Few enough that the short log stays short.
const TURN: Until = Until::Appends(4_000);

/// Fills the long log, then lets it and a new short log take turns.
pub async fn measure(
    report: &mut Report,
    engine: &mut Engine,
    events: Option<usize>,
) -> Result<(), Failure> {
    let events = events.unwrap_or(LONG);
    let server = engine.server().await?;
    let long = filled(engine, events).await?;
    report.engine(engine.name(), long.log.homes().server_version().await?);
    let (mut in_long, mut in_short) = (Turns::default(), Turns::default());
    for _ in 0..ROUNDS {
        let short = filled(engine, SHORT).await?;
        take(&mut in_short, CALLERS, TURN, server, &short).await?;
        take(&mut in_long, CALLERS, TURN, server, &long).await?;
        short.log.appender().close();
        short.log.homes().close().await;
    }
    let yardstick = format!("at {SHORT} events");
    let what = format!("time per append at {events} events");
    report.add(
        Row::new(engine.name(), what, "µs", 1e6 / in_long.rate())
            .against(&yardstick, 1e6 / in_short.rate())
            .goal(Goal::AtMost(1.15))
            .with("long p99", in_long.latency(99), "ms")
            .with("short p99", in_short.latency(99), "ms"),
    )?;
    let what = format!("CPU per append at {events} events");
    report.add(
        Row::new(engine.name(), what, "µs", in_long.cpu())
            .against(&yardstick, in_short.cpu())
            .goal(Goal::AtMost(1.15)),
    )?;
    Ok(())
}

async fn filled(engine: &mut Engine, events: usize) -> Result<Arc<Ours>, Failure> {
    let log = Arc::new(Ours::open(&engine.fresh().await?).await?);
    let mut filling = Turns::default();
    take(&mut filling, FILLERS, Until::Appends(events), None, &log).await?;
    Ok(log)
}

async fn take(
    turns: &mut Turns,
    callers: usize,
    until: Until,
    server: Option<u32>,
    log: &Arc<Ours>,
) -> Result<(), Failure> {
    let (log, begun) = (Arc::clone(log), Arc::new(AtomicUsize::new(0)));
    let append = move || {
        let log = Arc::clone(&log);
        let remembered = begun.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        async move { log.append(remembered).await }
    };
    turns.take(callers, until, server, append).await
}
