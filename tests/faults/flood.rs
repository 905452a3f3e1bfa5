//! More comes than can be done: what is too much is refused at once, and memory stays bounded.

use std::error::Error;
use std::time::{Duration, Instant};

use event_log::database::Engine;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::watch;

use super::client::{Ask, Caller, Ends, Reply};
use super::health::Asked;
use super::support::app::{PASSWORD, registration};
use super::support::binary::{Machine, Server};
use super::support::engines::Outcome;
use super::{allowance, alone, form, percentile, tell};

/// Until when what is too much must be refused.
const SHED: Duration = Duration::from_millis(100);
/// Memory of the server in KiB, whatever comes.
const MOST_MEMORY: u64 = 300 << 10;

/// Somebody without a token who calls one server.
fn caller() -> Result<Caller, Box<dyn Error>> {
    let (_, place) = watch::channel(None);
    Ok(Caller::new(place, Ends::default())?)
}

async fn member(server: &Server, name: &str) -> Result<Caller, Box<dyn Error>> {
    let mut caller = caller()?;
    let register = Ask::post("/auth/register", registration(name));
    caller.once(server.address(), &register).await?;
    let reply = caller
        .once(server.address(), &login(name, PASSWORD))
        .await?;
    caller.token = Some(reply.text("access_token")?);
    Ok(caller)
}

fn login(name: &str, password: &str) -> Ask {
    Ask::post(
        "/auth/login",
        json!({"identifier": name, "password": password}),
    )
}

/// Somebody who asks for more than can be done, until dropped.
struct Pressure {
    _asking: tokio::task::JoinSet<()>,
}

impl Pressure {
    fn of(server: &Server, callers: impl Iterator<Item = (Caller, Ask)>) -> Self {
        let mut asking = tokio::task::JoinSet::new();
        for (caller, ask) in callers {
            let address = server.address().to_owned();
            asking.spawn(async move {
                loop {
                    let reply = caller.once(&address, &ask).await;
                    if reply.is_ok_and(|reply| reply.status == 503) {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            });
        }
        Self { _asking: asking }
    }
}

/// What asking for too much came to.
#[derive(Default)]
struct Refusals {
    took: Vec<Duration>,
    bare: Vec<Duration>,
    asked: usize,
}

/// Asks one after the other for a while.
async fn refusals(caller: &Caller, server: &Server, ask: Ask) -> Result<Refusals, Box<dyn Error>> {
    let mut refusals = Refusals::default();
    let mut bare = Asked::bare().await?;
    let whole = Instant::now();
    while refusals.asked < 200 && whole.elapsed() < Duration::from_secs(4) {
        refusals.asked += 1;
        let began = Instant::now();
        let reply: Reply = caller.once(server.address(), &ask).await?;
        let lasted = began.elapsed();
        // what has waited in vain is refused as well, as unavailable
        if reply.body["code"] == "service.busy" {
            assert!(reply.is_proper_refusal(), "{reply:?}");
            refusals.took.push(lasted);
        }
        let (_, lasted) = bare.get("/").await.map_err(|error| error.to_string())?;
        refusals.bare.push(lasted);
    }
    Ok(refusals)
}

fn judge(what: &str, mut refusals: Refusals) -> Outcome {
    let took = percentile(&mut refusals.took, 99);
    let bare = percentile(&mut refusals.bare, 99);
    let (refused, asked) = (refusals.took.len(), refusals.asked);
    let text =
        format!("{what}: {refused} of {asked} refused, p99 {took:.1?}; a bare answer {bare:.1?}");
    tell(&text);
    if refused * 2 < asked || took > SHED + allowance(bare) {
        return Err(text.into());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_too_many_passwords_wait_the_next_is_refused_at_once() -> Outcome {
    let _alone = alone().await;
    let machine = Machine::on(Engine::Sqlite)
        .await?
        .setting("SOULSENSE_OPEN_WRITES_PER_MINUTE", "1000000")
        .setting("SOULSENSE_HASHING_THREADS", "1")
        .setting("SOULSENSE_HASHING_QUEUE", "3")
        .setting("SOULSENSE_HASHING_ITERATIONS", "30");
    let server = machine.serve().await?;
    let _known = member(&server, "known").await?;
    let nobodies =
        (0..12).map(|number| Ok((caller()?, login(&format!("nobody_{number}"), PASSWORD))));
    let nobodies: Vec<_> = nobodies.collect::<Result<_, Box<dyn Error>>>()?;
    let pressure = Pressure::of(&server, nobodies.into_iter());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let refused = refusals(&caller()?, &server, login("known", PASSWORD)).await?;
    drop(pressure);
    judge("a full queue of passwords", refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_too_many_commands_wait_the_next_is_refused_at_once() -> Outcome {
    let _alone = alone().await;
    let machine = Machine::on(Engine::Postgres)
        .await?
        .setting("SOULSENSE_OPEN_WRITES_PER_MINUTE", "1000000")
        .setting("SOULSENSE_APPEND_QUEUE_COMMANDS", "4");
    let server = machine.serve().await?;
    let caller = member(&server, "writer").await?;
    let url = machine.url().ok_or("no database")?;
    let mut foreign = PgConnection::connect(url).await?;
    let mut locking = foreign.begin().await?;
    locking
        .execute("SELECT pg_advisory_xact_lock(x'536f756c4c6f67'::bigint)")
        .await?;
    let entry = || Ask::post("/journal", json!({"content": "One entry of very many."}));
    // one batch waits for the lock, the queue behind it fills
    let pressure = Pressure::of(&server, (0..12).map(|_| (caller.clone(), entry())));
    tokio::time::sleep(Duration::from_millis(400)).await;
    let refused = refusals(&caller, &server, entry()).await?;
    drop(pressure);
    locking.rollback().await?;
    let began = Instant::now();
    while caller.once(server.address(), &entry()).await?.status != 201 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "the queue stays full"
        );
    }
    judge("a full queue of commands", refused)?;
    drop(server);
    machine.close().await;
    Ok(())
}

/// Most memory that a process ever had, in KiB.
async fn memory(process: u32) -> Result<u64, Box<dyn Error>> {
    let status = tokio::fs::read_to_string(format!("/proc/{process}/status")).await?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("no VmHWM")?.parse()?)
}

async fn all_at_once(
    server: &Server,
    callers: &[Caller],
    ask: impl Fn(usize) -> Ask,
) -> Result<String, Box<dyn Error>> {
    let asks: Vec<Ask> = (0..callers.len()).map(ask).collect();
    let calls = callers.iter().zip(&asks);
    let replies = join_all(calls.map(|(caller, ask)| caller.once(server.address(), ask))).await;
    let mut statuses = std::collections::BTreeMap::new();
    for reply in replies {
        // a body that nobody has room for is cut
        let status = reply.map_or(0, |reply| reply.status.as_u16());
        *statuses.entry(status).or_insert(0) += 1;
    }
    assert!(
        statuses
            .keys()
            .all(|status| matches!(status, 0 | 201 | 401 | 422 | 429 | 503)),
        "{statuses:?}"
    );
    Ok(format!("{statuses:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_takes_bounded_memory() -> Outcome {
    let _alone = alone().await;
    let machine = Machine::on(Engine::Sqlite)
        .await?
        .setting("SOULSENSE_OPEN_WRITES_PER_MINUTE", "1000000");
    let server = machine.serve().await?;
    let writer = member(&server, "writer").await?;
    let before = memory(server.id()?).await?;
    let count = form().flood;
    // a client each, so that each has a connection of its own
    let nobodies: Vec<Caller> = (0..count).map(|_| caller()).collect::<Result<_, _>>()?;
    let logins = all_at_once(&server, &nobodies, |number| {
        login(&format!("nobody_{number}"), "wrong")
    });
    let logins = logins.await?;
    let after_logins = memory(server.id()?).await?;
    let writers: Vec<Caller> = nobodies
        .into_iter()
        .map(|mut caller| {
            caller.token.clone_from(&writer.token);
            caller
        })
        .collect();
    let body: Value = json!({"content": "x".repeat(500_000)});
    let posts = all_at_once(&server, &writers, |_| Ask::post("/journal", body.clone())).await?;
    let after_posts = memory(server.id()?).await?;
    tell(&format!(
        "a flood of {count} at once: memory {} MiB before, {} MiB after logins ({logins}), {} MiB after posts of \
         0.5 MB ({posts})",
        before >> 10,
        after_logins >> 10,
        after_posts >> 10
    ));
    assert!(after_posts < MOST_MEMORY, "{after_posts} KiB");
    let reply = writer
        .once(
            server.address(),
            &Ask::post("/journal", json!({"content": "It is quiet again."})),
        )
        .await?;
    assert_eq!(reply.status, 201, "{reply:?}");
    Ok(())
}
