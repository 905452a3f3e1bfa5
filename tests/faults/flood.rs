//! More comes than can be done: what is too much is refused at once, and memory stays bounded.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::database::Engine;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::watch;

use super::client::{Ask, Caller, Ends, Reply};
use super::support::app::{PASSWORD, registration};
use super::support::binary::{Machine, Server};
use super::support::engines::Outcome;
use super::{alone, form, percentile, tell};

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

/// Asks one after the other and says how long the refusals took.
async fn refusals(
    caller: &Caller,
    server: &Server,
    ask: impl Fn(usize) -> Ask,
    count: usize,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut took = Vec::new();
    for number in 0..count {
        let began = Instant::now();
        let reply: Reply = caller.once(server.address(), &ask(number)).await?;
        let lasted = began.elapsed();
        // what has waited in vain is refused as well, as unavailable
        if reply.body["code"] == "service.busy" {
            assert!(reply.is_proper_refusal(), "{reply:?}");
            took.push(lasted);
        }
    }
    Ok(took)
}

fn judge(what: &str, mut took: Vec<Duration>, asked: usize) -> Outcome {
    let longest = percentile(&mut took, 100);
    let text = format!(
        "{what}: {} of {asked} refused, p99 {:.1?}, longest {longest:.1?}",
        took.len(),
        percentile(&mut took, 99)
    );
    tell(&text);
    if took.len() * 2 < asked || percentile(&mut took, 99) > SHED {
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
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..12 {
        let (caller, over) = (caller()?, Arc::clone(&over));
        let address = server.address().to_owned();
        logins.spawn(async move {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let ask = login(&format!("nobody_{number}"), PASSWORD);
                let reply = caller.once(&address, &ask).await;
                if reply.is_ok_and(|reply| reply.status == 503) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let took = refusals(&caller()?, &server, |_| login("known", PASSWORD), 200).await;
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    while logins.join_next().await.is_some() {}
    judge("a full queue of passwords", took?, 200)
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
    locking.execute("SELECT 1 FROM log.head FOR UPDATE").await?;
    let entry = |number: usize| {
        Ask::post(
            "/journal",
            json!({"content": format!("Entry number {number} of many.")}),
        )
    };
    // one batch waits for the lock, the queue behind it fills
    let waiting: Vec<_> = (0..12)
        .map(|number| {
            let (caller, ask) = (caller.clone(), entry(number));
            let address = server.address().to_owned();
            tokio::spawn(async move { caller.once(&address, &ask).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let took = refusals(&caller, &server, entry, 200).await;
    locking.rollback().await?;
    for reply in join_all(waiting).await {
        let status = reply??.status.as_u16();
        assert!(matches!(status, 201 | 503), "{status}");
    }
    let reply = caller.once(server.address(), &entry(0)).await?;
    assert_eq!(reply.status, 201);
    judge("a full queue of commands", took?, 200)?;
    drop(server);
    machine.close().await;
    Ok(())
}

/// Most memory that a process ever had, in KiB.
fn memory(process: u32) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
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
    let before = memory(server.id()?)?;
    let count = form().flood;
    // a client each, so that each has a connection of its own
    let nobodies: Vec<Caller> = (0..count).map(|_| caller()).collect::<Result<_, _>>()?;
    let logins = all_at_once(&server, &nobodies, |number| {
        login(&format!("nobody_{number}"), "wrong")
    });
    let logins = logins.await?;
    let after_logins = memory(server.id()?)?;
    let writers: Vec<Caller> = nobodies
        .into_iter()
        .map(|mut caller| {
            caller.token.clone_from(&writer.token);
            caller
        })
        .collect();
    let body: Value = json!({"content": "x".repeat(500_000)});
    let posts = all_at_once(&server, &writers, |_| Ask::post("/journal", body.clone())).await?;
    let after_posts = memory(server.id()?)?;
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
