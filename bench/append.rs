//! How fast commands are appended: the full sealed row through our store against the plain row through
//! postgres-es's and sqlite-es's own `persist`, with the same durability, both in one run and in turns.
//!
//! `cargo bench --bench append -- [sqlite|postgres] [CALLERS…]` compares the two sides at each number of
//! callers; `growth [EVENTS]` compares a long log with a short one. Postgres is the server of
//! `TEST_POSTGRES_URL`, where databases are made and dropped again.

#![expect(clippy::print_stderr, reason = "a benchmark says what it left out")]

#[path = "append/engines.rs"]
mod engines;
#[path = "append/growth.rs"]
mod growth;
#[expect(dead_code, reason = "memory is measured by other benchmarks")]
mod process;
#[expect(dead_code, reason = "no figure here is to be as large as can be")]
mod report;
#[path = "append/sides.rs"]
mod sides;
#[path = "append/turn.rs"]
mod turn;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use engines::{Engine, theirs};
use report::{Report, Row};
use sides::Ours;
use turn::{Turns, Until};

type Failure = Box<dyn Error + Send + Sync>;

const CALLERS: [usize; 5] = [1, 16, 64, 256, 1024];
const ROUNDS: usize = 3;
const TURN: Until = Until::Time(Duration::from_secs(2));

async fn compare(
    report: &mut Report,
    engine: &mut Engine,
    callers: &[usize],
) -> Result<(), Failure> {
    let target = engine.fresh().await?;
    let server = engine.server().await?;
    let ours = Arc::new(Ours::open(&target).await?);
    let theirs = Arc::new(theirs(&target).await?);
    report.engine(engine.name(), ours.log.homes().server_version().await?);
    for &callers in callers {
        let (mut our_turns, mut their_turns) = (Turns::default(), Turns::default());
        let batches = ours.log.appender().batches();
        for _ in 0..ROUNDS {
            let side = Arc::clone(&ours);
            our_turns
                .take(callers, TURN, server, move || {
                    let side = Arc::clone(&side);
                    async move { side.append(false).await }
                })
                .await?;
            let side = Arc::clone(&theirs);
            their_turns
                .take(callers, TURN, server, move || {
                    let side = Arc::clone(&side);
                    async move { side.append().await }
                })
                .await?;
        }
        let batches = ours.log.appender().batches().since(&batches);
        let mut row = Row::new(
            engine.name(),
            format!("callers: {callers}"),
            "appends/s",
            our_turns.rate(),
        )
        .against(engine.library(), their_turns.rate());
        for (side, turns) in [("ours", &our_turns), ("theirs", &their_turns)] {
            row = row
                .with(format!("{side} p50"), turns.latency(50), "ms")
                .with(format!("{side} p99"), turns.latency(99), "ms")
                .with(format!("{side} CPU"), turns.cpu(), "µs");
        }
        report.add(
            row.with("batch mean", batches.mean(), "")
                .with("batch p50", turn::count(batches.quantile(0.5)), "")
                .with("batch max", turn::count(batches.quantile(1.0)), ""),
        )?;
    }
    Ok(())
}

/// What the arguments ask for.
struct Asked {
    sqlite: bool,
    postgres: bool,
    growth: bool,
    numbers: Vec<usize>,
}

fn asked() -> Result<Asked, Failure> {
    let mut asked = Asked {
        sqlite: true,
        postgres: true,
        growth: false,
        numbers: Vec::new(),
    };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--bench" => {} // cargo says so
            "sqlite" => asked.postgres = false,
            "postgres" => asked.sqlite = false,
            "growth" => asked.growth = true,
            number => asked.numbers.push(number.parse().map_err(|_| {
                format!("'{number}' is neither a number nor sqlite, postgres or growth")
            })?),
        }
    }
    Ok(asked)
}

async fn measure(report: &mut Report, mut engine: Engine, asked: &Asked) -> Result<(), Failure> {
    let outcome = if asked.growth {
        growth::measure(report, &mut engine, asked.numbers.first().copied()).await
    } else if asked.numbers.is_empty() {
        compare(report, &mut engine, &CALLERS).await
    } else {
        compare(report, &mut engine, &asked.numbers).await
    };
    engine.clear().await?;
    outcome
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let asked = asked()?;
    let mut report = Report::new(if asked.growth { "growth" } else { "append" });
    if asked.sqlite {
        measure(&mut report, Engine::sqlite()?, &asked).await?;
    }
    match std::env::var("TEST_POSTGRES_URL") {
        _ if !asked.postgres => {}
        Ok(url) if !url.is_empty() => {
            measure(&mut report, Engine::postgres(&url).await?, &asked).await?;
        }
        _ => eprintln!("TEST_POSTGRES_URL is not set: Postgres is left out"),
    }
    Ok(report.finish()?)
}
