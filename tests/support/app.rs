//! The whole application over a started node, and the people who use it.

use std::error::Error;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::TimeDelta;
use event_log::database::Engine;
use futures::FutureExt;
use serde_json::{Value, json};
use soulsense::clock::{Clock, Ids};
use soulsense::config::Config;
use soulsense::http::api;
use soulsense::node::{Node, Purpose};
use tempfile::TempDir;
use tower::ServiceExt;

use super::engines::{Outcome, now};
use super::postgres::{FreshDatabase, fresh_database};

/// A password that every rule lets pass.
pub const PASSWORD: &str = "correct-horse-7-battery-staple";

/// Whatever a node does by itself is done by then.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running application of its own, with a clock that stands until it is moved.
pub struct App {
    /// The node underneath.
    pub node: Arc<Node>,
    /// Moves with [`Clock::advance`].
    pub clock: Clock,
    router: Router,
    directory: TempDir,
    database: Option<FreshDatabase>,
}

impl App {
    /// On one engine, with a changed configuration.
    pub async fn with(
        engine: Engine,
        change: impl FnOnce(&mut Config),
    ) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let mut config = Config::defaults()?;
        config.data_dir = directory.path().join("data");
        config.open_writes_per_minute = std::num::NonZeroU32::MAX;
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(fresh_database().await?),
        };
        config.database_url = database
            .as_ref()
            .map(|database| database.url().to_owned().into());
        config.database_connections = 8;
        change(&mut config);
        let clock = Clock::fixed(now());
        let (node, router) = start(config, &clock).await?;
        Ok(Self {
            node,
            clock,
            router,
            directory,
            database,
        })
    }

    /// Over data that is there already, at the time of day.
    pub async fn over(mut config: Config) -> Result<Self, Box<dyn Error>> {
        config.open_writes_per_minute = std::num::NonZeroU32::MAX;
        let clock = Clock::system();
        let (node, router) = start(config, &clock).await?;
        Ok(Self {
            node,
            clock,
            router,
            directory: tempfile::tempdir()?,
            database: None,
        })
    }

    /// Stops the node and starts another on the same data.
    pub async fn restart(&mut self) -> Outcome {
        self.node.stop().await;
        (self.node, self.router) = start(self.node.config.clone(), &self.clock).await?;
        Ok(())
    }

    /// Where its files are.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// A request by nobody in particular.
    pub fn request(&self, method: &str, path: &str) -> Call<'_> {
        Call {
            app: self,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// `GET` under `/api/v1` by nobody.
    pub async fn get(&self, path: &str) -> Result<Reply, Box<dyn Error>> {
        self.request("GET", path).send().await
    }

    /// `POST` under `/api/v1` by nobody.
    pub async fn post(&self, path: &str, body: Value) -> Result<Reply, Box<dyn Error>> {
        self.request("POST", path).json(body).send().await
    }

    /// Registers somebody and logs them in.
    pub async fn member(&self, username: &str) -> Result<Member<'_>, Box<dyn Error>> {
        let registered = self.post("/auth/register", registration(username)).await?;
        registered.is(StatusCode::CREATED)?;
        self.login(username, PASSWORD).await
    }

    /// Logs somebody in.
    pub async fn login(
        &self,
        username: &str,
        password: &str,
    ) -> Result<Member<'_>, Box<dyn Error>> {
        let body = json!({"identifier": username, "password": password});
        let reply = self.post("/auth/login", body).await?;
        reply.is(StatusCode::OK)?;
        Ok(Member {
            app: self,
            username: username.to_owned(),
            id: reply.text("/account/id"),
            token: reply.text("/access_token"),
            refresh_token: reply.text("/refresh_token"),
        })
    }

    /// Waits until the audit trail, which no request of a member waits for, has folded the whole log.
    pub async fn trail_caught_up(&self) -> Outcome {
        let head = self.node.log.reader().head().await?;
        let wait = Duration::from_secs(5);
        let progress = self.node.projector.progress();
        let reached = progress.wait(projections::audit::READ, head.position, wait);
        assert!(reached.await, "audit does not catch up");
        Ok(())
    }

    /// Waits until every projection and every policy has reached the head.
    pub async fn settled(&self) -> Outcome {
        let began = Instant::now();
        loop {
            // in this order: what a policy appended before its look at the log ended is in the head
            let policies = self.node.subscriptions.list().await?;
            let head = self.node.log.reader().head().await?.position;
            let progress = self.node.projector.progress().now();
            if progress.values().all(|at| at.position >= head)
                && policies.iter().all(|policy| policy.position >= head)
            {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                let rows = self.node.projector.generations().list().await?;
                let behind = rows.iter().filter(|row| row.position < head);
                let behind: Vec<_> = behind.collect();
                let late = policies.iter().filter(|policy| policy.position < head);
                let late: Vec<_> = late.collect();
                return Err(
                    format!("never at the head, which is {head}: {behind:#?} {late:#?}").into(),
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Where the log stands, once policies have appended all that what was done before leads to.
    pub async fn settled_head(&self) -> Result<i64, Box<dyn Error>> {
        self.settled().await?;
        Ok(self.node.log.reader().head().await?.position)
    }

    /// Moves the clock.
    pub fn later(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// Stops the node and drops its database.
    pub async fn close(self) {
        self.node.stop().await;
        if let Some(database) = self.database {
            // what stays goes with the throw-away cluster
            let _ = database.close().await;
        }
    }
}

async fn start(config: Config, clock: &Clock) -> Result<(Arc<Node>, Router), Box<dyn Error>> {
    let node = Node::open(config, Purpose::Serve, clock.clone(), Ids::system()).await?;
    node.start().await?;
    let (router, _) = api::application(&node)?;
    Ok((node, router))
}

/// What somebody sends to register.
pub fn registration(username: &str) -> Value {
    json!({
        "username": username,
        "password": PASSWORD,
        "email": format!("{username}@people.example.org"),
        "first_name": "Asha",
    })
}

/// Tells a story on SQLite, then on Postgres; a failure names the engine.
pub async fn on_each_engine(story: impl AsyncFn(&mut App) -> Outcome) -> Outcome {
    on_each_engine_with(|_| {}, story).await
}

/// The same with a changed configuration.
pub async fn on_each_engine_with(
    change: impl Fn(&mut Config),
    story: impl AsyncFn(&mut App) -> Outcome,
) -> Outcome {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let mut app = App::with(engine, &change).await?;
        let told = AssertUnwindSafe(Box::pin(story(&mut app)))
            .catch_unwind()
            .await;
        app.close().await;
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(format!("on {engine:?}: {error}").into()),
            Err(panic) => panic!("on {engine:?}: {}", said(panic.as_ref())),
        }
    }
    Ok(())
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}

/// A signed-in member.
pub struct Member<'a> {
    /// Where they are signed in.
    pub app: &'a App,
    /// Their name.
    pub username: String,
    /// Their account.
    pub id: String,
    /// Their access token.
    pub token: String,
    /// Their refresh token.
    pub refresh_token: String,
}

impl<'a> Member<'a> {
    /// A request with their token.
    pub fn request(&self, method: &str, path: &str) -> Call<'a> {
        self.app
            .request(method, path)
            .header("authorization", &format!("Bearer {}", self.token))
    }

    /// `GET` under `/api/v1`.
    pub async fn get(&self, path: &str) -> Result<Reply, Box<dyn Error>> {
        self.request("GET", path).send().await
    }

    /// `POST` under `/api/v1`.
    pub async fn post(&self, path: &str, body: Value) -> Result<Reply, Box<dyn Error>> {
        self.request("POST", path).json(body).send().await
    }
}

/// A request in the making.
pub struct Call<'a> {
    app: &'a App,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call<'_> {
    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a JSON body.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a body is written where it is sent"
    )]
    pub fn json(self, body: Value) -> Self {
        self.bytes("application/json", body.to_string().as_bytes())
    }

    /// With any body.
    #[must_use]
    pub fn bytes(mut self, content_type: &str, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self.header("content-type", content_type)
    }

    /// Sends it. A path that does not begin with a known root is under `/api/v1`.
    pub async fn send(self) -> Result<Reply, Box<dyn Error>> {
        let roots = ["/livez", "/readyz", "/docs", "/.well-known", "/api/"];
        let at_root = self.path == "/" || roots.iter().any(|root| self.path.starts_with(root));
        let uri = if at_root {
            self.path
        } else {
            format!("/api/v1{}", self.path)
        };
        let mut request = Request::builder().method(self.method.as_str()).uri(uri);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000)));
        let body = self.body.map_or_else(Body::empty, Body::from);
        let request = request.extension(peer).body(body)?;
        let response = self.app.router.clone().oneshot(request).await?;
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null when it is empty or no JSON.
    pub body: Value,
    /// The same as it came.
    pub text: String,
}

impl Reply {
    /// Fails unless the status is this one.
    pub fn is(&self, status: StatusCode) -> Outcome {
        if self.status == status {
            return Ok(());
        }
        Err(format!("{} instead of {status}: {}", self.status, self.body).into())
    }

    /// Fails unless it is a problem with this status and code.
    pub fn is_problem(&self, status: StatusCode, code: &str) -> Outcome {
        self.is(status)?;
        let kind = self
            .headers
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        if kind != Some("application/problem+json") || self.body["code"] != code {
            return Err(format!("not the problem {code}: {}", self.body).into());
        }
        Ok(())
    }

    /// The string at a JSON Pointer; empty when there is none.
    pub fn text(&self, pointer: &str) -> String {
        self.body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// The value at a JSON Pointer; null when there is none.
    pub fn at(&self, pointer: &str) -> Value {
        self.body.pointer(pointer).cloned().unwrap_or_default()
    }

    /// A header; empty when it is absent.
    pub fn header(&self, name: &str) -> String {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    }
}
