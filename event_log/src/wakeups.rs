//! Wake-ups between nodes: a hint that another node has committed something, so that its projections and
//! policies need not wait for their next look.
//!
//! A NOTIFY inside the append would serialise commits, so one without content is sent beside it, at most
//! every `AT_MOST_EVERY` a node, however much was committed meanwhile. A lost one loses nothing: whoever
//! is woken also looks by itself. A node that was alone when it looked, which it does every second that it
//! commits, calls nobody. On SQLite there is one serving process, which wakes itself.

use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::append::{Appender, Committed};
use crate::homes::Target;
use crate::patience::{self, bounded};

/// Where nodes call each other.
const CHANNEL: &str = "soulsense_committed";
/// Whether another connection of that name is there.
const OTHERS: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1
    AND datname = current_database() AND pid <> pg_backend_pid())";
/// What a node's connection for calls is named.
const NAME: &str = "soulsense wake-ups";
/// How long a node that was alone takes itself to be so.
const ALONE: Duration = Duration::from_secs(1);
/// Fewer calls than this each second do not slow commits down measurably.
const AT_MOST_EVERY: Duration = Duration::from_millis(10);
/// Without a word for so long the connection is tested.
const QUIET: Duration = Duration::from_secs(15);
/// The longest pause before another connection is tried.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Calls other nodes when this one has committed, and wakes this one when they call, until `stop`.
pub async fn run(target: &Target, appender: &Appender, stop: &CancellationToken) {
    let Target::Postgres { .. } = target else {
        return;
    };
    let options = match target.direct_options() {
        Ok(options) => options.application_name(NAME),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "nodes cannot wake each other"
            );
            return;
        }
    };
    let mut calls = Calls {
        committed: appender.committed(),
        called: 0,
        next: Instant::now(),
        alone_since: None,
    };
    let mut pause = AT_MOST_EVERY;
    while !stop.is_cancelled() {
        let began = Instant::now();
        let Err(error) = listen(&options, appender, &mut calls, stop).await else {
            return;
        };
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "nodes cannot wake each other and look by themselves"
        );
        pause = if began.elapsed() > LONGEST_PAUSE {
            AT_MOST_EVERY
        } else {
            (pause * 2).min(LONGEST_PAUSE)
        };
        let _stopped = timeout(pause, stop.cancelled()).await;
    }
}

/// What this node has to tell.
struct Calls {
    committed: watch::Receiver<Committed>,
    /// The newest position the others were called for.
    called: i64,
    /// When they may be called again.
    next: Instant,
    /// When nobody else was seen to listen.
    alone_since: Option<Instant>,
}

impl Calls {
    /// Returns when there is something to tell and it may be told.
    async fn due(&mut self) {
        // other nodes' calls change it too, without a newer position
        while self.committed.borrow_and_update().position <= self.called {
            if self.committed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        sleep_until(self.next).await;
    }

    fn done(&mut self, position: i64) {
        self.called = position;
        self.next = Instant::now() + AT_MOST_EVERY;
    }
}

/// Listens and calls on one connection until stopped or until the connection breaks.
async fn listen(
    options: &PgConnectOptions,
    appender: &Appender,
    calls: &mut Calls,
    stop: &CancellationToken,
) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(patience::STATEMENT)
        .connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    bounded((&mut listener).execute(patience::SESSION)).await?;
    bounded(listener.listen(CHANNEL)).await?;
    let own: i32 =
        bounded(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut listener)).await?;
    let call = format!("NOTIFY {CHANNEL}");
    // what was committed while nobody listened
    appender.wake();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = calls.due() => {
                let position = calls.committed.borrow().position;
                if calls.alone_since.is_none_or(|since| since.elapsed() >= ALONE) {
                    let looked = Instant::now();
                    calls.alone_since = is_alone(&mut listener).await?.then_some(looked);
                }
                if calls.alone_since.is_none() {
                    bounded((&mut listener).execute(call.as_str())).await?;
                }
                calls.done(position);
            }
            heard = timeout(QUIET, listener.try_recv()) => match heard {
                Ok(Ok(Some(call))) if call.process_id() != u32::try_from(own).unwrap_or(0) => appender.wake(),
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) => return Err(patience::timed_out()),
                Ok(Err(error)) => return Err(error),
                Err(_) => { bounded((&mut listener).execute("")).await?; }
            },
        }
    }
}

/// True when no other node of this database listens.
async fn is_alone(listener: &mut PgListener) -> Result<bool, sqlx::Error> {
    let others = sqlx::query_scalar(OTHERS).bind(NAME).fetch_one(listener);
    bounded(others).await.map(|others: bool| !others)
}
