//! PgBouncer in front of the tests' PostgreSQL.

use std::error::Error;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Where Debian puts it, and others.
const PLACES: &[&str] = &[
    "/usr/sbin/pgbouncer",
    "/usr/bin/pgbouncer",
    "/usr/local/bin/pgbouncer",
];

/// A running pooler; it ends when it is dropped.
pub struct PgBouncer {
    url: String,
    _process: Child,
    _directory: TempDir,
}

impl PgBouncer {
    /// In front of the database of `url`, in a mode of PgBouncer's (`session`, `transaction`).
    pub async fn before(url: &str, mode: &str) -> Result<Self, Box<dyn Error>> {
        let program = PLACES
            .iter()
            .find(|place| Path::new(place).exists())
            .ok_or("PgBouncer is missing: run `tests/run`, which installs it")?;
        let server: PgConnectOptions = url.parse()?;
        let directory = tempfile::tempdir()?;
        let port = free_port().await?;
        let settings = directory.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={} user={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\ndefault_pool_size = 20\nmax_client_conn = 200\n",
            server.get_host(),
            server.get_port(),
            server.get_username(),
        );
        tokio::fs::write(&settings, text).await?;
        let mut command = Command::new(program);
        // it refuses to run as root, and reads its settings before it becomes somebody else
        if is_root().await? {
            command.args(["-u", "nobody"]);
        }
        let process = command
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let options = server.host("127.0.0.1").port(port).extra_float_digits(None);
        let bouncer = Self {
            url: options.to_url_lossy().to_string(),
            _process: process,
            _directory: directory,
        };
        for _ in 0..500 {
            if let Ok(connection) = options.connect().await {
                connection.close().await?;
                return Ok(bouncer);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("PgBouncer does not answer".into())
    }

    /// The URL of the database through it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

async fn is_root() -> Result<bool, Box<dyn Error>> {
    let output = Command::new("id").arg("-u").output().await?;
    Ok(String::from_utf8(output.stdout)?.trim() == "0")
}

async fn free_port() -> std::io::Result<u16> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?.port())
}
