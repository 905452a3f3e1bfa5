//! A PostgreSQL cluster of a test's own, which may be ended and begun again.

use std::error::Error;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rand::RngExt;
use tempfile::TempDir;
use tokio::process::Command;

/// A cluster; it ends when it is dropped.
pub struct Cluster {
    directory: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    /// A running one.
    pub async fn begin() -> Result<Self, Box<dyn Error>> {
        // its owner must be able to enter it, whatever TMPDIR says
        let directory = tempfile::Builder::new()
            .prefix("soulsense-faults.")
            .tempdir_in("/tmp")?;
        let mut cluster = Self {
            programs: programs()?,
            directory,
            port: 0,
        };
        if is_root()? {
            let (user, group) = unprivileged()?;
            chown(cluster.directory.path(), Some(user), Some(group))?;
        }
        let made = cluster
            .program("initdb")?
            .arg("--pgdata")
            .arg(cluster.data())
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync"])
            .output()
            .await?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
        for _ in 0..20 {
            cluster.port = rand::rng().random_range(20_000..32_000);
            if cluster.start().await.is_ok() {
                return Ok(cluster);
            }
        }
        let log = tokio::fs::read_to_string(cluster.log())
            .await
            .unwrap_or_default();
        Err(format!("a cluster does not start: {log}").into())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// Where it listens.
    pub fn server(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A URL of its database by way of a port.
    pub fn url_by(port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    }

    /// Its URL.
    pub fn url(&self) -> String {
        Self::url_by(self.port)
    }

    /// Starts it and waits until it takes connections.
    pub async fn start(&self) -> Result<(), Box<dyn Error>> {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={} -c max_connections=50",
            self.port,
            self.directory.path().display()
        );
        let status = self
            .control("start")?
            .args(["--wait", "--timeout=60"])
            .arg("--log")
            .arg(self.log())
            .arg(format!("--options={options}"))
            .status()
            .await?;
        if status.success() {
            return Ok(());
        }
        Err("the cluster does not start".into())
    }

    /// Ends it as a power cut would end its processes.
    pub async fn stop(&self) -> Result<(), Box<dyn Error>> {
        let status = self
            .control("stop")?
            .arg("--mode=immediate")
            .status()
            .await?;
        if status.success() {
            return Ok(());
        }
        Err("the cluster does not end".into())
    }

    fn control(&self, what: &str) -> Result<Command, Box<dyn Error>> {
        let mut command = self.program("pg_ctl")?;
        command
            .arg(what)
            .arg("--silent")
            .arg("--pgdata")
            .arg(self.data());
        Ok(command)
    }

    /// A program of PostgreSQL, run as somebody it consents to run as.
    fn program(&self, name: &str) -> Result<Command, Box<dyn Error>> {
        let path = self.programs.join(name);
        let mut command = if is_root()? {
            let (user, group) = unprivileged()?;
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={user}"))
                .arg(format!("--regid={group}"))
                .arg("--clear-groups")
                .arg(path);
            command
        } else {
            Command::new(path)
        };
        command
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(command)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // best effort: the directory goes anyway
        if let Ok(mut command) = self.control("stop") {
            let _ended = command.as_std_mut().arg("--mode=immediate").status();
        }
    }
}

/// The directory of the newest PostgreSQL programs: Debian's, or those on the path.
fn programs() -> Result<PathBuf, Box<dyn Error>> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|path| path.join("initdb").exists());
    let newest = found.pop().map(|(_, path)| path);
    Ok(newest.or(on_path).ok_or(
        "PostgreSQL's initdb is neither under /usr/lib/postgresql nor on the path: run `tests/run`, which installs it",
    )?)
}

fn is_root() -> Result<bool, std::io::Error> {
    Ok(Path::new("/proc/self").metadata()?.uid() == 0)
}

/// Somebody without rights: `postgres` where there is one, else `nobody`.
fn unprivileged() -> Result<(u32, u32), Box<dyn Error>> {
    let mut users = String::new();
    std::fs::File::open("/etc/passwd")?.read_to_string(&mut users)?;
    let user = ["postgres", "nobody"].iter().find_map(|name| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    Ok(user.ok_or("there is neither a user postgres nor a user nobody")?)
}
