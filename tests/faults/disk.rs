//! The disk is full: writes are refused, reads go on, and everything recovers when there is room again.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use event_log::database::Engine;
use serde_json::json;
use tokio::process::Command;
use tokio::sync::watch;

use super::client::{Ask, Caller, Ends, Reply};
use super::ledger::Members;
use super::outages::back;
use super::support::app::{PASSWORD, registration};
use super::support::binary::{Machine, Server};
use super::support::engines::Outcome;
use super::{alone, form};

/// Room for a start and some thousand events.
const SIZE: &str = "24m";
/// Lines of log a second beside one a request: what waits for the disk says so now and then.
const LINES_A_SECOND: usize = 30;

/// Set where this program runs in a namespace of its own, in which it may mount.
const INSIDE: &str = "FAULTS_INSIDE";

/// A small disk of a test's own. It goes with the namespace that it is mounted in.
struct Disk {
    path: PathBuf,
}

impl Disk {
    async fn mount(path: &Path) -> Result<Self, Box<dyn Error>> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"])
            .arg(path)
            .output()
            .await?;
        if mounted.status.success() {
            let path = path.to_owned();
            return Ok(Self { path });
        }
        Err(String::from_utf8_lossy(&mounted.stderr).into())
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Takes whatever room is left.
    fn fill(&self) -> std::io::Result<()> {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.filler())?;
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(())
    }

    fn clear(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.filler())
    }
}

/// A member who reads and writes while the disk is full.
struct Reader {
    caller: Caller,
    address: String,
    account: String,
    entries: Vec<(String, String, Option<i64>)>,
}

impl Reader {
    async fn on(server: &Server, ends: Ends) -> Result<Self, Box<dyn Error>> {
        let address = server.address().to_owned();
        let (_, place) = watch::channel(Some(address.clone()));
        let mut caller = Caller::new(place, ends)?;
        let register = Ask::post("/auth/register", registration("reader"));
        caller.once(&address, &register).await?;
        let body = json!({"identifier": "reader", "password": PASSWORD});
        let reply = caller
            .once(&address, &Ask::post("/auth/login", body))
            .await?;
        caller.token = Some(reply.text("access_token")?);
        Ok(Self {
            caller,
            address,
            account: reply.body["account"]["id"].to_string().replace('"', ""),
            entries: Vec::new(),
        })
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, reqwest::Error> {
        self.caller.once(&self.address, &ask).await
    }

    async fn write(&mut self) -> Result<Reply, Box<dyn Error>> {
        let content = "However full the disk, the evening is long.".repeat(40);
        let ask = Ask::post("/journal", json!({"content": content}));
        let reply = self.ask(ask).await?;
        if reply.status == 201 {
            self.entries
                .push((reply.text("id")?, content, reply.position));
        }
        Ok(reply)
    }
}

/// Reads while writes are refused; how many of each.
async fn while_full(reader: &mut Reader, disk: &Disk) -> Result<(usize, usize), Box<dyn Error>> {
    let (mut reads, mut refused) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < form().full || refused == 0 {
        // what was freed by a checkpoint is taken as well
        disk.fill()?;
        let reply = reader.write().await?;
        match (reply.status.as_u16(), reply.body["code"].as_str()) {
            (507, Some("storage.full")) => refused += 1,
            // into room that the files have of their own
            (201, _) => {}
            _ => return Err(format!("a write on a full disk: {reply:?}").into()),
        }
        for path in ["/users/me", "/journal?limit=5", "/gamification/summary"] {
            let reply = reader.ask(Ask::get(path)).await?;
            if reply.status != 200 {
                return Err(format!("{path} on a full disk: {reply:?}").into());
            }
            reads += 1;
        }
        if began.elapsed() > form().full + Duration::from_secs(30) {
            return Err("the disk is never full".into());
        }
    }
    Ok((reads, refused))
}

/// Runs this very test again in a namespace where it may mount a disk: root has the right to, somebody else
/// needs user namespaces. Fails where there is neither.
async fn inside_a_namespace() -> Outcome {
    let mut complaints = String::new();
    for namespaces in [&["--mount"][..], &["--user", "--map-root-user", "--mount"]] {
        let able = Command::new("unshare")
            .args(namespaces)
            .arg("true")
            .output()
            .await?;
        if !able.status.success() {
            complaints += &String::from_utf8_lossy(&able.stderr);
            continue;
        }
        let status = Command::new("unshare")
            .args(namespaces)
            .arg(std::env::current_exe()?)
            .args([
                "--exact",
                "--nocapture",
                "disk::on_a_full_disk_writes_are_refused_and_reads_go_on",
            ])
            .env(INSIDE, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await?;
        if status.success() {
            return Ok(());
        }
        return Err("on a full disk: what the message above says".into());
    }
    Err(format!(
        "a small disk cannot be mounted, so what a full one does cannot be tested: run as root, or where \
         unprivileged user namespaces are allowed: {complaints}"
    )
    .into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_writes_are_refused_and_reads_go_on() -> Outcome {
    let _alone = alone().await;
    if std::env::var_os(INSIDE).is_none() {
        return inside_a_namespace().await;
    }
    let directory = tempfile::tempdir()?;
    let disk = Disk::mount(directory.path()).await?;
    let data = disk.path.join("data");
    let machine = Machine::on(Engine::Sqlite)
        .await?
        .setting("SOULSENSE_DATA_DIR", data.to_string_lossy())
        .setting("SOULSENSE_OPEN_WRITES_PER_MINUTE", "1000000");
    let server = machine.serve().await?;
    let process = server.id()?;
    let (_put, place) = watch::channel(Some(server.address().to_owned()));
    let members = Members::begin(4, &place)?;
    let mut reader = Reader::on(&server, members.ends.clone()).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let (said, asked, began) = (server.said(), members.ends.count(), Instant::now());
    let (reads, refused) = while_full(&mut reader, &disk).await?;
    let alive = reqwest::get(format!("http://{}/livez", server.address())).await?;
    assert_eq!(alive.status(), 200);
    let lines = server.said() - said;
    let seconds = usize::try_from(began.elapsed().as_secs())? + 1;
    let most = members.ends.count() - asked + LINES_A_SECOND * seconds + 100;
    assert!(
        lines <= most,
        "{lines} lines of log in {seconds} s, {most} at most"
    );

    disk.clear()?;
    let back = back(&server).await?;
    members.ledger.somebody();
    assert_eq!(server.id()?, process);
    assert!(Path::new(&format!("/proc/{process}")).exists());
    assert_eq!(reader.write().await?.status, 201);
    members.ledger.also(reader.account, reader.entries);
    let remarks = format!(
        "{refused} writes of a member refused beside {reads} reads, {lines} lines of log in {seconds} s, \
         back after {back:.1?}"
    );
    members
        .judge("a full disk", &remarks, server, &machine)
        .await
}
