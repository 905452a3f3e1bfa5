//! The real program: served, told a story, killed, served again, ended.

use std::error::Error;
use std::time::{Duration, Instant};

use event_log::database::Engine;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::support::binary::{Machine, Server};
use super::support::engines::Outcome;
use super::support::story::in_time;

const PASSWORD: &str = "a-quiet-walk-by-the-river";

/// Somebody with a client of the API.
struct Person<'s> {
    server: &'s Server,
    client: Client,
    token: String,
    /// Of the login.
    position: String,
}

impl<'s> Person<'s> {
    async fn register(server: &'s Server, username: &str) -> Result<Self, Box<dyn Error>> {
        let body = json!({
            "username": username,
            "password": PASSWORD,
            "email": format!("{username}@people.example.org"),
            "first_name": "Asha",
        });
        let reply = Client::new()
            .post(server.api("/auth/register"))
            .json(&body)
            .send()
            .await?;
        assert_eq!(
            reply.status(),
            StatusCode::CREATED,
            "{}",
            reply.text().await?
        );
        Self::log_in(server, username).await
    }

    async fn log_in(server: &'s Server, username: &str) -> Result<Self, Box<dyn Error>> {
        let client = Client::new();
        let body = json!({"identifier": username, "password": PASSWORD});
        let reply = client.post(server.api("/auth/login")).json(&body).send();
        let reply = reply.await?.error_for_status()?;
        let position = reply.headers().get("soulsense-position");
        let position = position.ok_or("no position")?.to_str()?.to_owned();
        let reply: Value = reply.json().await?;
        let token = reply["access_token"].as_str().ok_or("no token")?.to_owned();
        Ok(Self {
            server,
            client,
            token,
            position,
        })
    }

    async fn get(&self, path: &str) -> Result<Value, reqwest::Error> {
        let request = self.client.get(self.server.api(path));
        let reply = request.bearer_auth(&self.token).send().await?;
        reply.error_for_status()?.json().await
    }

    /// Reads what reflects the login and all that was before it; comes again while the read model is not so far.
    async fn get_up_to_date(&self, path: &str) -> Result<Value, Box<dyn Error>> {
        in_time(
            Duration::from_secs(15),
            "a read model is up to date",
            async {
                loop {
                    let request = self.client.get(self.server.api(path));
                    let request = request.header("soulsense-min-position", &self.position);
                    let reply = request.bearer_auth(&self.token).send().await?;
                    if reply.status() != StatusCode::SERVICE_UNAVAILABLE {
                        return Ok(reply.error_for_status()?.json().await?);
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        )
        .await?
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, reqwest::Error> {
        let request = self.client.post(self.server.api(path)).json(&body);
        let reply = request.bearer_auth(&self.token).send().await?;
        reply.error_for_status()?.json().await
    }

    /// Sits an exam, faster than anybody reads.
    async fn sit_an_exam(&self) -> Result<Value, Box<dyn Error>> {
        let exam = self
            .post("/exams/start", json!({"question_count": 12}))
            .await?;
        let id = exam["id"].as_str().ok_or("no exam")?;
        let questions = exam["questions"].as_array().ok_or("no questions")?;
        let responses: Vec<Value> = questions
            .iter()
            .zip([3, 4].into_iter().cycle())
            .map(|(question, value)| json!({"question_id": question["id"], "value": value}))
            .collect();
        let path = format!("/exams/{id}/responses");
        let saved = self.post(&path, json!({"responses": responses})).await?;
        assert_eq!(saved, json!({"answered": 12, "total": 12}));
        let path = format!("/exams/{id}/complete");
        Ok(self
            .post(&path, json!({"reflection": "It went well."}))
            .await?)
    }

    async fn write(&self, content: &str) -> Result<Value, reqwest::Error> {
        self.post("/journal", json!({"content": content})).await
    }

    /// Waits for the points that policies award.
    async fn total(&self, expected: i64) -> Outcome {
        let began = Instant::now();
        loop {
            let summary = self.get("/gamification/summary").await?;
            if summary["xp"]["total"] == expected {
                return Ok(());
            }
            if began.elapsed() > Duration::from_secs(15) {
                return Err(format!("not {expected} points: {summary}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn story(machine: &Machine) -> Outcome {
    let server = machine.serve().await?;
    let asha = Person::register(&server, "asha").await?;
    let result = asha.sit_an_exam().await?;
    assert_eq!(result["flags"]["rushed"], true);
    let entry = asha
        .write("Today I felt calm and grateful after a long walk.")
        .await?;
    assert_eq!(entry["sentiment"]["label"], "positive");
    // a rushed exam earns nothing
    asha.total(50).await?;

    // killed in the middle of writing: what was acknowledged is kept
    let mut acknowledged = vec![entry];
    let writing = async {
        for number in 0.. {
            let content = format!("Entry number {number} of a long evening.");
            match asha.write(&content).await {
                Ok(entry) => acknowledged.push(entry),
                Err(_) => return,
            }
        }
    };
    let killing = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        kill(&server).await
    };
    let ((), killed) = tokio::join!(writing, killing);
    killed?;
    assert!(acknowledged.len() > 1, "nothing was written before the end");
    server.kill().await?;

    let server = machine.serve().await?;
    let asha = Person::log_in(&server, "asha").await?;
    for entry in &acknowledged {
        let id = entry["id"].as_str().ok_or("no id")?;
        let kept = asha.get(&format!("/journal/{id}")).await?;
        assert_eq!(kept["content"], entry["content"]);
        assert_eq!(kept["created_at"], entry["created_at"]);
    }
    let exam = result["exam_id"].as_str().ok_or("no exam")?;
    let kept = asha.get(&format!("/exams/{exam}/results")).await?;
    assert_eq!(kept["overall"], result["overall"]);
    // one more may have been written and never acknowledged; at most five a day earn points
    let written = asha
        .get_up_to_date("/users/me/activity?type=entry_written&limit=100")
        .await?;
    let written = written["items"].as_array().map_or(0, Vec::len);
    assert!(written >= acknowledged.len().min(100));
    asha.total(i64::try_from(written.min(5))? * 50).await?;

    beside(machine, &asha).await?;
    assert_eq!(server.terminate().await?.code(), Some(0));
    alone(machine).await
}

/// SIGKILL, while the server is still borrowed.
async fn kill(server: &Server) -> Outcome {
    let sent = tokio::process::Command::new("kill")
        .args(["-KILL", &server.id()?.to_string()])
        .status()
        .await?;
    assert!(sent.success());
    Ok(())
}

/// What the command line does while a server runs.
async fn beside(machine: &Machine, asha: &Person<'_>) -> Outcome {
    let told = machine
        .run(&[
            "audit", "--user", "asha", "--format", "ndjson", "--limit", "5000",
        ])
        .await?
        .done()?;
    let events: Vec<Value> = told
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let types: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event_type"].as_str())
        .collect();
    assert_eq!(types.first(), Some(&"account_registered"));
    for kind in [
        "session_started",
        "exam_completed",
        "entry_written",
        "xp_awarded",
    ] {
        assert!(types.contains(&kind), "{kind} is missing");
    }
    let positions: Vec<i64> = events
        .iter()
        .filter_map(|event| event["position"].as_i64())
        .collect();
    assert!(positions.is_sorted(), "the story is out of order");

    let before = asha.get("/users/me/activity?limit=100").await?;
    let rebuilt = machine
        .run(&["projections", "rebuild", "--all"])
        .await?
        .done()?;
    assert_eq!(
        rebuilt.lines().count(),
        projections::all().len(),
        "{rebuilt}"
    );
    assert!(rebuilt.contains("audit: generation 2 is live"), "{rebuilt}");
    let after = asha.get("/users/me/activity?limit=100").await?;
    assert_eq!(before, after);
    let report = machine.run(&["doctor"]).await?.done()?;
    assert!(
        report.lines().all(|line| line.starts_with("ok ")),
        "{report}"
    );
    Ok(())
}

/// What it does when none runs.
async fn alone(machine: &Machine) -> Outcome {
    let rebuilt = machine.run(&["replay", "audit"]).await?.done()?;
    assert!(rebuilt.contains("audit: generation 3 is live"), "{rebuilt}");
    let dropped = machine.run(&["projections", "drop-old"]).await?.done()?;
    assert!(
        dropped.contains("audit: generation 1 is dropped"),
        "{dropped}"
    );
    assert!(
        dropped.contains("audit: generation 2 is dropped"),
        "{dropped}"
    );
    let status = machine
        .run(&["projections", "status", "--format", "json"])
        .await?
        .done()?;
    let status: Vec<Value> = serde_json::from_str(&status)?;
    assert_eq!(status.len(), projections::all().len());
    assert!(
        status
            .iter()
            .all(|row| row["state"] == "live" && row["lag"] == 0),
        "{status:?}"
    );
    machine.run(&["doctor"]).await?.done()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_the_program_keeps_what_it_acknowledged_and_ends_when_told() -> Outcome {
    let machine = Machine::on(Engine::Sqlite).await?;
    let told = story(&machine).await;
    machine.close().await;
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_the_program_keeps_what_it_acknowledged_and_ends_when_told() -> Outcome {
    let machine = Machine::on(Engine::Postgres).await?;
    let told = story(&machine).await;
    machine.close().await;
    told
}
