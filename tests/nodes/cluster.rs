//! Several servers of one installation, and members who may ask any of them.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_log::database::Engine;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::support::app::{App, PASSWORD};
use crate::support::binary::{Machine, Server};
use crate::support::black_hole::BlackHole;
use crate::support::engines::Outcome;
use crate::support::rebuild::rebuilt_equals_live;
use crate::support::story::{awaits, told, within};

/// The master key of all nodes: 32 bytes in hex.
pub const MASTER_KEY: &str = "5f2d8c3ab1e04796d8a35c7e91f0b2647d1c8e5a03b9f6427a8d5e1c3f0b9a64";
/// What every node calls the installation.
const PUBLIC_URL: &str = "http://soul.example.org";

/// One database, any number of servers.
pub struct Cluster {
    pub machine: Machine,
    started: AtomicUsize,
}

impl Cluster {
    /// Tells a story about a cluster, which is there for the story alone.
    pub async fn tell(story: impl AsyncFnOnce(&Self) -> Outcome) -> Outcome {
        told(async || {
            let cluster = Self {
                machine: Machine::on(Engine::Postgres).await?,
                started: AtomicUsize::new(0),
            };
            Box::pin(story(&cluster)).await?;
            awaits("the database is dropped");
            cluster.machine.close().await;
            Ok(())
        })
        .await
    }

    /// The URL of its database.
    pub fn url(&self) -> Result<&str, Box<dyn Error>> {
        Ok(self.machine.url().ok_or("not on Postgres")?)
    }

    /// Starts one more server, with a data directory of its own.
    pub async fn serve(&self) -> Result<Server, Box<dyn Error>> {
        self.serve_with(&[]).await
    }

    /// The same with further environment variables.
    pub async fn serve_with(&self, variables: &[(&str, &str)]) -> Result<Server, Box<dyn Error>> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let data = self.machine.data().join(format!("node{number}"));
        let data = data.to_str().ok_or("a strange path")?;
        let mut all = vec![
            ("SOULSENSE_DATA_DIR", data),
            ("SOULSENSE_MASTER_KEY", MASTER_KEY),
            ("SOULSENSE_PUBLIC_URL", PUBLIC_URL),
            ("SOULSENSE_OPEN_WRITES_PER_MINUTE", "100000"),
        ];
        all.extend(variables);
        self.machine.serve_with(&all).await
    }

    /// Starts a server that reaches the database through a network that can fail.
    pub async fn serve_through(&self) -> Result<(Server, BlackHole), Box<dyn Error>> {
        let options: PgConnectOptions = self.url()?.parse()?;
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let hole = BlackHole::before(server).await?;
        let url = options.host("127.0.0.1").port(hole.port());
        let url = sqlx::ConnectOptions::to_url_lossy(&url).to_string();
        Ok((self.serve_with(&[("DATABASE_URL", &url)]).await?, hole))
    }

    /// A number from its database.
    pub async fn number(&self, question: &str) -> Result<i64, Box<dyn Error>> {
        awaits("the database answers");
        let mut connection = PgConnection::connect(self.url()?).await?;
        let number = sqlx::query_scalar(question)
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(number)
    }

    /// Waits until one server runs all projections and policies; its id.
    ///
    /// A server is ready before it does: for some hundred milliseconds after read models have gone live nobody
    /// runs them, and who looks first takes them.
    pub async fn owner(&self) -> Result<Uuid, Box<dyn Error>> {
        awaits("one server runs all projections and policies");
        let mut connection = PgConnection::connect(self.url()?).await?;
        let owner = loop {
            let owners: Vec<Option<Uuid>> = sqlx::query_scalar(
                "SELECT owner FROM read.generations WHERE state = 'live'
                  UNION SELECT owner FROM log.policy_checkpoints",
            )
            .fetch_all(&mut connection)
            .await?;
            if let [Some(owner)] = owners[..] {
                break owner;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        connection.close().await?;
        Ok(owner)
    }

    /// Starts two servers with `serve`; the one that runs projections and policies comes first.
    pub async fn owner_and_survivor<T>(
        &self,
        serve: impl AsyncFn() -> Result<T, Box<dyn Error>>,
    ) -> Result<(T, T), Box<dyn Error>> {
        let first = serve().await?;
        let alone = self.owner().await?;
        let second = serve().await?;
        // a machine that stands still for seconds may have lost its leases meanwhile
        Ok(if self.owner().await? == alone {
            (first, second)
        } else {
            (second, first)
        })
    }

    /// Fails unless positions have no gap and every read model is what a rebuild makes of the log. All
    /// servers must have ended.
    pub async fn is_sound(&self) -> Outcome {
        let missing = self
            .number("SELECT coalesce(max(position), 0) - count(*) FROM log.events")
            .await?;
        assert_eq!(missing, 0, "positions have gaps");
        let url = self.url()?.to_owned();
        let app = App::with(Engine::Postgres, |config| {
            config.database_url = Some(url.into());
            config.master_key = Some(MASTER_KEY.to_owned().into());
        })
        .await?;
        awaits("a rebuild of every read model");
        let equal = rebuilt_equals_live(&app).await;
        app.close().await;
        equal
    }
}

/// Somebody with a token, whom any server may serve.
#[derive(Clone)]
pub struct Person {
    client: Client,
    token: String,
}

impl Person {
    /// Registers somebody and logs them in.
    pub async fn register(server: &Server, username: &str) -> Result<Self, Box<dyn Error>> {
        let body = json!({
            "username": username,
            "password": PASSWORD,
            "email": format!("{username}@people.example.org"),
            "first_name": "Asha",
        });
        let client = Client::builder().timeout(Duration::from_secs(20)).build()?;
        let sent = client.post(server.api("/auth/register")).json(&body).send();
        is(sent.await?, StatusCode::CREATED).await?;
        Self::log_in(server, username).await
    }

    /// Begins another session.
    pub async fn log_in(server: &Server, username: &str) -> Result<Self, Box<dyn Error>> {
        let client = Client::builder().timeout(Duration::from_secs(20)).build()?;
        let body = json!({"identifier": username, "password": PASSWORD});
        let sent = client.post(server.api("/auth/login")).json(&body).send();
        let reply = is(sent.await?, StatusCode::OK).await?;
        let token = reply["access_token"].as_str().ok_or("no token")?;
        Ok(Self {
            client,
            token: token.to_owned(),
        })
    }

    /// `GET` a path under `/api/v1`.
    pub fn get(&self, server: &Server, path: &str) -> RequestBuilder {
        self.get_from(&server.api(path))
    }

    /// `GET` an address.
    pub fn get_from(&self, address: &str) -> RequestBuilder {
        self.client.get(address).bearer_auth(&self.token)
    }

    /// `POST` to a path under `/api/v1`.
    pub fn post(&self, server: &Server, path: &str, body: &Value) -> RequestBuilder {
        self.post_to(&server.api(path), body)
    }

    /// `POST` to an address.
    pub fn post_to(&self, address: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(address).bearer_auth(&self.token);
        request.json(body)
    }

    /// Writes an entry; its id and the log's position after it.
    pub async fn write(&self, server: &Server) -> Result<(String, String), Box<dyn Error>> {
        let body = json!({"content": "Today I felt calm and grateful after a long walk."});
        let reply = self.post(server, "/journal", &body).send().await?;
        let position = reply.headers().get("soulsense-position");
        let position = position.ok_or("no position")?.to_str()?.to_owned();
        let entry = is(reply, StatusCode::CREATED).await?;
        let id = entry["id"].as_str().ok_or("no id")?.to_owned();
        Ok((id, position))
    }

    /// What a server answers when asked for an entry as of a position.
    pub async fn read(
        &self,
        server: &Server,
        (id, position): &(String, String),
    ) -> Result<Response, reqwest::Error> {
        let asked = self.get(server, &format!("/journal/{id}"));
        asked
            .header("soulsense-min-position", position)
            .send()
            .await
    }

    /// Waits until a server shows an entry as of its position. Nothing but 503 may come before.
    pub async fn sees(&self, server: &Server, entry: &(String, String)) -> Outcome {
        within(Duration::from_secs(20), "the entry is seen", async || {
            let reply = self.read(server, entry).await?;
            match reply.status() {
                StatusCode::OK => Ok(true),
                StatusCode::SERVICE_UNAVAILABLE => Ok(false),
                other => Err(format!("{other}: {}", reply.text().await?).into()),
            }
        })
        .await
    }

    /// Experience points as a server tells them; `None` while it cannot.
    pub async fn xp(&self, server: &Server) -> Result<Option<i64>, Box<dyn Error>> {
        let reply = self.get(server, "/gamification/summary").send().await?;
        if reply.status() == StatusCode::SERVICE_UNAVAILABLE {
            return Ok(None);
        }
        let summary = is(reply, StatusCode::OK).await?;
        Ok(summary["xp"]["total"].as_i64())
    }

    /// Waits until a server tells so many experience points.
    pub async fn earns(&self, server: &Server, points: i64) -> Outcome {
        within(
            Duration::from_secs(20),
            "the points are there",
            async || Ok(self.xp(server).await? == Some(points)),
        )
        .await
    }
}

/// The body, when the status is this one.
pub async fn is(reply: Response, status: StatusCode) -> Result<Value, Box<dyn Error>> {
    let found = reply.status();
    let text = reply.text().await?;
    if found == status {
        return Ok(serde_json::from_str(&text).unwrap_or_default());
    }
    Err(format!("{found} instead of {status}: {text}").into())
}
