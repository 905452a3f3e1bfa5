//! Somebody with a client: asks again, with the same key, until the outcome is known.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::sync::watch;

use super::percentile;
use super::support::engines::Outcome;
use super::support::story::within;

/// A client gives up only long after every request must have ended.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest a request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the server is; nowhere while it is down.
pub type Place = watch::Receiver<Option<String>>;

/// How requests ended, whoever sent them.
#[derive(Debug, Clone, Default)]
pub struct Ends(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    took: Vec<Duration>,
    answered: usize,
    refused: usize,
    broken: usize,
    improper: Vec<String>,
}

impl Ends {
    fn note(&self, took: Duration, reply: Result<&Reply, &reqwest::Error>) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.took.push(took);
        match reply {
            Ok(reply) if reply.status.is_server_error() => {
                counted.refused += 1;
                if !reply.is_proper_refusal() {
                    counted.improper.push(format!("{reply:?}"));
                }
            }
            Ok(_) => counted.answered += 1,
            Err(error) if error.is_timeout() => counted.improper.push("no reply".to_owned()),
            Err(_) => counted.broken += 1,
        }
    }

    /// Requests that ended.
    pub fn count(&self) -> usize {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.took.len()
    }

    /// Waits until somebody has been refused; fails when nobody is for as long as a request may take.
    pub async fn somebody_is_refused(&self) -> Outcome {
        within(
            LIMIT,
            "somebody is refused",
            async || Ok(self.refused() > 0),
        )
        .await
    }

    fn refused(&self) -> usize {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.refused
    }

    /// Fails when a request took longer than ten seconds, or was refused otherwise than as the API says.
    pub fn judge(&self) -> Result<String, Box<dyn Error>> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !counted.improper.is_empty() {
            return Err(format!("refused without form: {:#?}", counted.improper).into());
        }
        let longest = percentile(&mut counted.took, 100);
        if longest > LIMIT {
            return Err(format!("a request took {longest:?}").into());
        }
        Ok(format!(
            "{} requests answered, {} refused, {} broken off, longest {longest:.1?}",
            counted.answered, counted.refused, counted.broken
        ))
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its body; null when it is none or no JSON.
    pub body: Value,
    /// `Soulsense-Position`.
    pub position: Option<i64>,
    kind: String,
    retry_after: Option<u64>,
}

impl Reply {
    /// A refusal for now: a problem with a code and a time to come again.
    pub fn is_proper_refusal(&self) -> bool {
        matches!(self.status.as_u16(), 503 | 507)
            && self.kind == "application/problem+json"
            && self.body["code"].is_string()
            && self.retry_after.is_some()
    }

    /// A string of the body.
    pub fn text(&self, name: &str) -> Result<String, Box<dyn Error>> {
        let text = self.body[name].as_str();
        Ok(text
            .ok_or_else(|| format!("no {name}: {self:?}"))?
            .to_owned())
    }
}

/// Sends requests to wherever the server is.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    place: Place,
    ends: Ends,
    /// The access token, once there is one.
    pub token: Option<String>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: String,
    key: Option<String>,
    body: Option<Value>,
    respond_async: bool,
}

impl Ask {
    /// `GET`.
    pub fn get(path: &str) -> Self {
        Self::of(Method::GET, path, None)
    }

    /// `POST`.
    pub fn post(path: &str, body: Value) -> Self {
        Self::of(Method::POST, path, Some(body))
    }

    fn of(method: Method, path: &str, body: Option<Value>) -> Self {
        Self {
            method,
            path: path.to_owned(),
            key: None,
            body,
            respond_async: false,
        }
    }

    /// With an `Idempotency-Key`.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Without waiting for read models.
    #[must_use]
    pub fn respond_async(mut self, yes: bool) -> Self {
        self.respond_async = yes;
        self
    }
}

impl Caller {
    /// Somebody without a token.
    pub fn new(place: Place, ends: Ends) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: Client::builder().timeout(PATIENCE).build()?,
            place,
            ends,
            token: None,
        })
    }

    /// Once. An error is a connection that broke: the outcome is unknown.
    pub async fn once(&self, address: &str, ask: &Ask) -> Result<Reply, reqwest::Error> {
        let url = format!("http://{address}/api/v1{}", ask.path);
        let mut request = self.client.request(ask.method.clone(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &ask.key {
            request = request.header("idempotency-key", key);
        }
        if ask.respond_async {
            request = request.header("prefer", "respond-async");
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let began = Instant::now();
        let replied = async {
            let reply = request.send().await?;
            let number = |name: &str| reply.headers().get(name)?.to_str().ok()?.parse().ok();
            let position = number("soulsense-position");
            let retry_after = number("retry-after").and_then(|number| u64::try_from(number).ok());
            let kind = reply.headers().get("content-type");
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let (kind, status) = (kind.to_owned(), reply.status());
            let bytes = reply.bytes().await?;
            Ok::<_, reqwest::Error>(Reply {
                status,
                body: serde_json::from_slice(&bytes).unwrap_or_default(),
                position,
                kind,
                retry_after,
            })
        };
        let reply = replied.await;
        self.ends.note(began.elapsed(), reply.as_ref());
        reply
    }

    /// Again and again until there is an answer that is not "come again".
    pub async fn ask(&mut self, ask: &Ask) -> Result<Reply, Box<dyn Error + Send + Sync>> {
        loop {
            let place = self.place.wait_for(Option::is_some).await?.clone();
            if let Some(address) = place
                && let Ok(reply) = self.once(&address, ask).await
                && !reply.status.is_server_error()
                && reply.body["code"] != "request.idempotency_key_in_flight"
            {
                return Ok(reply);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
