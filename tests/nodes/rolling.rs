//! New processes for old ones, one after the other, while members go on writing: nothing that was accepted
//! is lost, nothing is done twice, and the worst answer is "come again".

use std::collections::HashSet;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::try_join_all;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cluster::{Cluster, Person};
use crate::support::binary::Server;
use crate::support::engines::{Outcome, id};

type Failure = Box<dyn Error + Send + Sync>;

const NODES: usize = 3;
const ROUNDS: usize = 2;
/// Members, each with this many hands.
const MEMBERS: usize = 4;
const HANDS: usize = 2;

/// Where the servers are now; a request goes to the next one, whether it runs or not.
#[derive(Clone)]
struct Addresses {
    api: Arc<RwLock<Vec<String>>>,
    turn: Arc<AtomicUsize>,
}

impl Addresses {
    fn next(&self, path: &str) -> String {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let api = self.api.read().unwrap_or_else(PoisonError::into_inner);
        format!("{}{path}", api[turn % api.len()])
    }

    fn moved(&self, place: usize, server: &Server) {
        let mut api = self.api.write().unwrap_or_else(PoisonError::into_inner);
        api[place] = server.api("");
    }
}

/// What a client makes of an answer.
enum Answer {
    Settled(StatusCode, Value),
    /// Nothing is known to be accepted: again, elsewhere.
    Again,
}

async fn answered(request: RequestBuilder) -> Result<Answer, Failure> {
    let Ok(reply) = request.send().await else {
        return Ok(Answer::Again);
    };
    judged(reply).await
}

async fn judged(reply: Response) -> Result<Answer, Failure> {
    let status = reply.status();
    let come_again = reply.headers().contains_key("retry-after");
    let Ok(text) = reply.text().await else {
        return Ok(Answer::Again);
    };
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    if status == StatusCode::SERVICE_UNAVAILABLE && come_again {
        return Ok(Answer::Again);
    }
    if status.is_server_error() {
        return Err(format!("{status}: {text}").into());
    }
    // the first try is still under way
    if status == StatusCode::CONFLICT && body["code"] == "request.idempotency_key_in_flight" {
        return Ok(Answer::Again);
    }
    Ok(Answer::Settled(status, body))
}

/// Writes entries until told to stop; the ids of those that were accepted.
async fn write(
    person: Person,
    addresses: Addresses,
    stop: CancellationToken,
) -> Result<Vec<String>, Failure> {
    let mut accepted = Vec::new();
    while !stop.is_cancelled() {
        let key = id().to_string();
        let body = json!({"content": format!("A calm day, and this is its note {key}.")});
        loop {
            let request = person.post_to(&addresses.next("/journal"), &body);
            match answered(request.header("idempotency-key", &key)).await? {
                Answer::Settled(StatusCode::CREATED, entry) => {
                    accepted.push(entry["id"].as_str().unwrap_or_default().to_owned());
                    break;
                }
                Answer::Settled(status, body) => return Err(format!("{status}: {body}").into()),
                Answer::Again => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(accepted)
}

/// Reads until told to stop; how often it was answered.
async fn read(
    person: Person,
    addresses: Addresses,
    stop: CancellationToken,
) -> Result<usize, Failure> {
    let mut answers = 0;
    while !stop.is_cancelled() {
        for path in ["/journal", "/gamification/summary"] {
            match answered(person.get_from(&addresses.next(path))).await? {
                Answer::Settled(StatusCode::OK, _) => answers += 1,
                Answer::Settled(status, body) => return Err(format!("{status}: {body}").into()),
                Answer::Again => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_one_by_one_under_load_lose_nothing_and_double_nothing() -> Outcome {
    Cluster::tell(async |cluster| {
        let mut servers = Vec::new();
        for _ in 0..NODES {
            servers.push(cluster.serve().await?);
        }
        let addresses = Addresses {
            api: Arc::new(RwLock::new(
                servers.iter().map(|server| server.api("")).collect(),
            )),
            turn: Arc::default(),
        };
        let stop = CancellationToken::new();
        let (mut writers, mut readers) = (Vec::new(), Vec::new());
        for member in 0..MEMBERS {
            let person = Person::register(&servers[0], &format!("member{member}")).await?;
            for _ in 0..HANDS {
                let (person, addresses) = (person.clone(), addresses.clone());
                writers.push(tokio::spawn(write(person, addresses, stop.clone())));
            }
            readers.push(tokio::spawn(read(person, addresses.clone(), stop.clone())));
        }
        for _ in 0..ROUNDS {
            for (place, server) in servers.iter_mut().enumerate() {
                let old = std::mem::replace(server, cluster.serve().await?);
                let ended = old.terminate().await?;
                assert!(ended.success(), "a server ended with {ended}");
                tokio::time::sleep(Duration::from_millis(200)).await;
                addresses.moved(place, server);
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.cancel();
        let mut accepted = Vec::new();
        for entries in try_join_all(writers).await? {
            accepted.extend(entries.map_err(|error| error.to_string())?);
        }
        for answers in try_join_all(readers).await? {
            assert!(
                answers.map_err(|error| error.to_string())? > 0,
                "nobody could read"
            );
        }
        for server in servers {
            assert!(server.terminate().await?.success());
        }
        sound(cluster, &accepted).await?;
        Ok(())
    })
    .await
}

async fn sound(cluster: &Cluster, accepted: &[String]) -> Outcome {
    cluster.is_sound().await?;
    let ids: HashSet<Uuid> = accepted
        .iter()
        .map(|id| id.parse())
        .collect::<Result<_, _>>()?;
    assert_eq!(ids.len(), accepted.len(), "one id for two entries");
    assert!(ids.len() > 20 * MEMBERS, "no load: {}", ids.len());
    let written = "SELECT count(*) FROM log.events WHERE event_type = 'entry_written'";
    assert_eq!(
        cluster.number(written).await?,
        i64::try_from(ids.len())?,
        "entries in the log and entries that were accepted"
    );
    let twice = "SELECT count(*) FROM (
                     SELECT causation_id FROM log.events WHERE event_type = 'xp_awarded'
                      GROUP BY causation_id HAVING count(*) > 1) doubled";
    assert_eq!(cluster.number(twice).await?, 0, "an effect was doubled");
    let awarded = "SELECT count(*) FROM log.events WHERE event_type = 'xp_awarded'";
    // five entries a day earn something
    assert_eq!(cluster.number(awarded).await?, i64::try_from(5 * MEMBERS)?);
    Ok(())
}
