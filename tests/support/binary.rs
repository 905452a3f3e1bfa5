//! The program itself, as somebody at a terminal or an init system would run it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use event_log::database::Engine;
use soulsense::config::Config;

use super::postgres::{FreshDatabase, fresh_database};
use super::story::in_time;

/// Longest wait for a server to be ready or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// A machine of its own: a data directory, and a database where one is needed.
pub struct Machine {
    directory: TempDir,
    database: Option<FreshDatabase>,
    settings: Vec<(String, String)>,
}

impl Machine {
    /// With nothing on it yet.
    pub async fn on(engine: Engine) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            directory: tempfile::tempdir()?,
            database: match engine {
                Engine::Sqlite => None,
                Engine::Postgres => Some(fresh_database().await?),
            },
            settings: Vec::new(),
        })
    }

    /// The same with an environment variable for everything that runs on it.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The URL of its database; none with SQLite files.
    pub fn url(&self) -> Option<&str> {
        self.database.as_ref().map(FreshDatabase::url)
    }

    /// The configuration of whatever runs on it, for a node in this process.
    pub fn config(&self) -> Result<Config, Box<dyn Error>> {
        let setting = |name: &str| {
            let set = self.settings.iter().find(|(set, _)| set == name);
            set.map(|(_, value)| value.clone())
        };
        let mut config = Config::defaults()?;
        config.data_dir = setting("SOULSENSE_DATA_DIR").map_or_else(|| self.data(), PathBuf::from);
        let url = setting("DATABASE_URL").or_else(|| self.url().map(str::to_owned));
        config.database_url = url.map(Into::into);
        Ok(config)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        command.env("SOULSENSE_DATA_DIR", self.data());
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", database.url());
        }
        let settings = self.settings.iter();
        command.envs(settings.map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Result<Ended, Box<dyn Error>> {
        ended(self.command(arguments)).await
    }

    /// The same with further environment variables.
    pub async fn run_with(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Ended, Box<dyn Error>> {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        ended(command).await
    }

    /// Starts a server on a free port and waits until it is ready.
    pub async fn serve(&self) -> Result<Server, Box<dyn Error>> {
        self.serve_with(&[]).await
    }

    /// The same with further environment variables.
    pub async fn serve_with(&self, variables: &[(&str, &str)]) -> Result<Server, Box<dyn Error>> {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--log-format=json"]);
        command.envs(variables.iter().copied());
        command.stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let errors = child.stderr.take().ok_or("no standard error")?;
        let mut lines = BufReader::new(errors).lines();
        let address = in_time(PATIENCE, "a server says where it listens", async {
            let mut said = Vec::new();
            while let Some(line) = lines.next_line().await? {
                let told: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = told["fields"]["address"].as_str() {
                    return Ok(address.to_owned());
                }
                said.push(line);
            }
            Err::<String, Box<dyn Error>>(said.join("\n").into())
        })
        .await??;
        // what it says later must not fill the pipe
        let said = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok(Some(_)) = lines.next_line().await {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let server = Server {
            child,
            address,
            said,
        };
        server.ready().await?;
        Ok(server)
    }

    /// Starts a command and waits for nothing.
    pub fn start(&self, arguments: &[&str]) -> std::io::Result<Child> {
        let mut command = self.command(arguments);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    /// Puts everything away.
    pub async fn close(self) {
        if let Some(database) = self.database {
            // what stays goes with the throw-away cluster
            let _ = database.close().await;
        }
    }
}

/// Tells a story on a machine of each engine.
pub async fn on_each_machine(
    story: impl AsyncFn(&Machine) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let machine = Machine::on(engine).await?;
        let told = story(&machine).await;
        machine.close().await;
        told.map_err(|error| format!("on {engine:?}: {error}"))?;
    }
    Ok(())
}

/// A command without any configuration.
pub fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_soulsense"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("SOULSENSE_") || name.starts_with("DATABASE_URL") {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// Runs a command to its end.
pub async fn ended(mut command: Command) -> Result<Ended, Box<dyn Error>> {
    let output = in_time(
        PATIENCE,
        "a command ends",
        command.kill_on_drop(true).output(),
    )
    .await??;
    Ok(Ended {
        status: output.status,
        results: String::from_utf8(output.stdout)?,
        remarks: String::from_utf8(output.stderr)?,
    })
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub results: String,
    /// Its standard error.
    pub remarks: String,
}

impl Ended {
    /// Its results, when it did what it was asked.
    pub fn done(self) -> Result<String, Box<dyn Error>> {
        if self.status.success() {
            return Ok(self.results);
        }
        Err(format!("{}: {}{}", self.status, self.results, self.remarks).into())
    }

    /// Fails unless it failed with one line that says this, and without a result.
    pub fn failed(&self, saying: &str) -> Result<(), Box<dyn Error>> {
        let complaints: Vec<&str> = self
            .remarks
            .lines()
            .filter(|line| line.starts_with("soulsense: "))
            .collect();
        let one_line = complaints.len() == 1 && self.remarks.trim_end().ends_with(complaints[0]);
        if self.status.code() == Some(1)
            && one_line
            && complaints[0].contains(saying)
            && self.results.is_empty()
        {
            return Ok(());
        }
        Err(format!("not the failure {saying:?}: {self:?}").into())
    }
}

/// A running server.
pub struct Server {
    child: Child,
    address: String,
    said: Arc<AtomicUsize>,
}

impl Server {
    /// An address of its API.
    pub fn api(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Lines of its log since it serves.
    pub fn said(&self) -> usize {
        self.said.load(Ordering::Relaxed)
    }

    /// Its process.
    pub fn id(&self) -> Result<u32, Box<dyn Error>> {
        Ok(self.child.id().ok_or("it has ended already")?)
    }

    async fn ready(&self) -> Result<(), Box<dyn Error>> {
        let url = format!("http://{}/readyz", self.address);
        let waiting = async {
            loop {
                let answer = reqwest::get(&url).await;
                if answer.is_ok_and(|reply| reply.status().is_success()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        Ok(in_time(PATIENCE, "a server is ready", waiting).await?)
    }

    /// SIGKILL, in the middle of whatever it does.
    pub async fn kill(mut self) -> Result<(), Box<dyn Error>> {
        Ok(self.child.kill().await?)
    }

    /// SIGTERM; how it ended.
    pub async fn terminate(mut self) -> Result<ExitStatus, Box<dyn Error>> {
        signal("TERM", self.id()?).await?;
        Ok(in_time(PATIENCE, "a server ends", self.child.wait()).await??)
    }
}

/// Sends a signal, by its name, to a process.
pub async fn signal(name: &str, process: u32) -> Result<(), Box<dyn Error>> {
    let arguments = [format!("-{name}"), process.to_string()];
    let sent = Command::new("kill").args(arguments).status().await?;
    assert!(sent.success(), "the signal was not sent");
    Ok(())
}

/// A file's text replaced.
pub async fn overwrite(path: &Path, text: &str) -> std::io::Result<()> {
    tokio::fs::write(path, text).await
}
