//! `kill -9` of whoever builds read models, at any moment: the program itself, again and again.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::database::{Engine, Statement};
use event_log::{execute, fetch_all};
use projections::generations::State;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use soulsense::clock::{Clock, Ids};
use soulsense::node::{Node, Purpose};
use tokio::process::Child;

use super::history;
use crate::support::app::App;
use crate::support::binary::Machine;
use crate::support::engines::Outcome;
use crate::support::rebuild::rebuilt_equals_live;

/// Longest wait for a moment to come.
const PATIENCE: Duration = Duration::from_mins(1);
/// Kills of each engine.
const KILLS: u32 = 12;
/// More than a page of a rebuild holds, with what policies add.
const MEMBERS: usize = 40;
const PADDING: usize = 4_500;

/// As if the three seconds had passed that a lease outlives its owner; that they do is another story.
static RUN_OUT: Statement = Statement::new(
    "run out",
    "UPDATE {read.generations} SET lease_until = 0 WHERE owner IS NOT NULL",
);

/// When to kill.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after the process was started: anywhere between its first statement and its end.
    After(Duration),
    /// So long after some generation has come to this position.
    At(i64, Duration),
    /// So long after the first generation has taken over.
    CuttingOver(Duration),
}

impl Moment {
    fn random(chance: &mut StdRng, whole: Duration, head: i64, number: u32) -> Self {
        let soon = Duration::from_millis(chance.random_range(0..15));
        match number % 3 {
            0 => Self::CuttingOver(soon),
            1 => Self::At(chance.random_range(1..head), soon),
            _ => Self::After(whole.mul_f64(chance.random_range(0.05..1.0))),
        }
    }

    async fn come(self, node: &Node) -> Outcome {
        let has_come = |positions: &[i64]| match self {
            Self::After(_) => true,
            Self::At(position, _) => {
                positions.is_empty() || positions.iter().any(|at| *at >= position)
            }
            Self::CuttingOver(_) => positions.len() < node.projector.projections().len(),
        };
        let began = Instant::now();
        loop {
            let rows = node.projector.generations().list().await?;
            let building = rows.iter().filter(|row| row.state == State::Building);
            let positions: Vec<i64> = building.map(|row| row.position).collect();
            if has_come(&positions) {
                break;
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{self:?} never came: {positions:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (Self::After(time) | Self::At(_, time) | Self::CuttingOver(time)) = self;
        tokio::time::sleep(time).await;
        Ok(())
    }
}

/// Begins to build whatever is not being built.
async fn begin_all(node: &Node) -> Outcome {
    let head = node.log.reader().head().await?;
    for projection in node.projector.projections() {
        node.projector.begin(projection.as_ref(), head).await?;
    }
    Ok(())
}

/// A server or a command that builds everything.
fn builder(machine: &Machine, server: bool) -> std::io::Result<Child> {
    if server {
        machine.start(&["serve", "--listen", "127.0.0.1:0", "--log=error"])
    } else {
        machine.start(&["projections", "rebuild", "--all"])
    }
}

async fn run_out(node: &Node) -> Outcome {
    let read = &node.homes.read;
    execute!(read, RUN_OUT.on(read.engine()))?;
    Ok(())
}

/// Fails unless every projection has just one live generation, which has folded the whole log.
async fn whole(node: &Node, head: i64) -> Outcome {
    let rows = node.projector.generations().list().await?;
    for projection in node.projector.projections() {
        let live: Vec<_> = rows
            .iter()
            .filter(|row| row.projection == projection.name() && row.state == State::Live)
            .collect();
        if live.len() != 1 || live[0].position != head || live[0].stopped {
            return Err(format!("{}: live are {live:?}", projection.name()).into());
        }
    }
    assert_eq!(
        node.log.reader().head().await?.position,
        head,
        "events were added"
    );
    Ok(())
}

/// The tables of the read home that are no bookkeeping, and those that rows name.
async fn tables(node: &Node) -> Result<(BTreeSet<String>, BTreeSet<String>), Box<dyn Error>> {
    let read = &node.homes.read;
    let text = match read.engine() {
        Engine::Postgres => {
            "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'read'
             AND tablename NOT IN ('generations', 'generation_numbers', '_sqlx_migrations')"
        }
        Engine::Sqlite => {
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
             AND name NOT IN ('generations', 'generation_numbers', '_sqlx_migrations')"
        }
    };
    let present: Vec<(String,)> = fetch_all!(read, (String,), text)?;
    let rows = node.projector.generations().list().await?;
    let named = rows
        .iter()
        .flat_map(|row| row.tables.split_whitespace())
        .map(|table| table.trim_start_matches("read.").to_owned());
    Ok((
        present.into_iter().map(|(name,)| name).collect(),
        named.collect(),
    ))
}

async fn killed_at_random(engine: Engine, seed: u64) -> Outcome {
    let machine = Machine::on(engine).await?;
    let app = App::over(machine.config()?).await?;
    history::write(&app.node, MEMBERS, PADDING).await?;
    let head = app.settled_head().await?;
    app.close().await;

    let (clock, ids) = (Clock::system(), Ids::system());
    let node: Arc<Node> = Node::open(machine.config()?, Purpose::Tool, clock, ids).await?;
    let began = Instant::now();
    machine
        .run(&["projections", "rebuild", "--all"])
        .await?
        .done()?;
    let whole_build = began.elapsed();
    let mut chance = StdRng::seed_from_u64(seed);
    let mut inside = 0;
    for number in 1..=KILLS {
        begin_all(&node).await?;
        let server = chance.random();
        let moment = Moment::random(&mut chance, whole_build, head, number);
        let mut child = builder(&machine, server)?;
        moment.come(&node).await?;
        child.kill().await?;
        let what = format!("{engine:?}, seed {seed}, kill {number}, server {server}, {moment:?}");
        whole(&node, head)
            .await
            .map_err(|error| format!("{what}: {error}"))?;
        let rows = node.projector.generations().list().await?;
        let mut building = rows.iter().filter(|row| row.state == State::Building);
        if building.any(|row| row.position > 0 && row.position < head) {
            inside += 1;
        }
        let (present, named) = tables(&node).await?;
        assert_eq!(present, named, "{what}: tables and rows differ");
        run_out(&node).await?;
    }
    assert!(inside > 0, "no kill of {KILLS} met a build under way");

    machine
        .run(&["projections", "rebuild", "--all"])
        .await?
        .done()?;
    whole(&node, head).await?;
    for projection in node.projector.projections() {
        node.projector
            .drop_old(projection.as_ref(), Duration::ZERO)
            .await?;
    }
    let (present, named) = tables(&node).await?;
    assert_eq!(present, named);
    let rows = node.projector.generations().list().await?;
    assert_eq!(rows.len(), node.projector.projections().len(), "{rows:?}");
    node.stop().await;

    let app = App::over(machine.config()?).await?;
    rebuilt_equals_live(&app).await?;
    assert_eq!(
        app.node.log.reader().head().await?.position,
        head,
        "events were added"
    );
    app.close().await;
    machine.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_killed_at_random_on_sqlite_leave_what_a_fresh_build_makes() -> Outcome {
    killed_at_random(Engine::Sqlite, 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_killed_at_random_on_postgres_leave_what_a_fresh_build_makes() -> Outcome {
    killed_at_random(Engine::Postgres, 4).await
}
