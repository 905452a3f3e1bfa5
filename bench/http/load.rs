//! Sending requests: as fast as they are answered (wrk), or at a given rate (our own).

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::Instant;

/// Threads of wrk: as many as the requests are dealt out to.
pub const THREADS: usize = 2;

/// One request, as often as its turn comes.
#[derive(Clone)]
pub struct Call {
    pub token: String,
    pub method: &'static str,
    pub path: String,
    pub body: String,
}

impl Call {
    fn line(&self) -> String {
        let Self {
            token,
            method,
            path,
            body,
        } = self;
        format!("{token}\t{method}\t{path}\t{body}\n")
    }

    fn bytes(&self) -> Vec<u8> {
        let Self {
            token,
            method,
            path,
            body,
        } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        if !token.is_empty() {
            for part in ["Authorization: Bearer ", token, "\r\n"] {
                text += part;
            }
        }
        if !body.is_empty() {
            let length = body.len().to_string();
            for part in [
                "Content-Type: application/json\r\nContent-Length: ",
                &length,
                "\r\n",
            ] {
                text += part;
            }
        }
        text += "\r\n";
        text += body;
        text.into_bytes()
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Replies.
    pub requests: u64,
    /// Replies a second.
    pub rate: f64,
    /// Half of the replies came within so many milliseconds.
    pub p50: f64,
    /// 99 of 100 did.
    pub p99: f64,
    /// Replies with a status of 400 or more, and requests without a reply.
    pub failed: u64,
}

/// wrk with so many connections: each sends its next request when it has the last one's reply.
pub async fn closed(
    directory: &Path,
    server: &str,
    calls: &[Call],
    connections: usize,
    span: Duration,
) -> anyhow::Result<Figures> {
    let requests = directory.join("requests.tsv");
    let lines: String = calls.iter().map(Call::line).collect();
    tokio::fs::write(&requests, lines).await?;
    let output = Command::new("wrk")
        .arg(format!("--threads={THREADS}"))
        .arg(format!("--connections={connections}"))
        .arg(format!("--duration={}s", span.as_secs()))
        .args(["--timeout=20s", "--latency", "--script"])
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/bench/http/requests.lua"
        ))
        .arg(format!("http://{server}"))
        .arg("--")
        .arg(&requests)
        .arg(THREADS.to_string())
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("wrk cannot be run; bench/run installs it")?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("figures "));
    let Some(line) = line else {
        bail!("wrk gave no figures: {text}");
    };
    let numbers: Vec<f64> = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [requests, micros, p50, p99, refused, broken] = numbers[..] else {
        bail!("wrk gave other figures: {line}");
    };
    ensure!(requests > 0.0, "nothing was answered");
    Ok(Figures {
        requests: whole(requests),
        rate: requests / (micros / 1e6),
        p50: p50 / 1e3,
        p99: p99 / 1e3,
        failed: whole(refused + broken),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// Requests at a fixed rate, whatever the replies do. A reply's time counts from when its request was due, so
/// that one slow reply shows in all that waited behind it.
pub async fn open(
    server: &str,
    calls: &[Call],
    connections: usize,
    rate: f64,
    span: Duration,
) -> anyhow::Result<Figures> {
    let requests: Arc<Vec<Vec<u8>>> = Arc::new(calls.iter().map(Call::bytes).collect());
    let (turn, failed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let waits: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let began = Instant::now() + Duration::from_millis(100);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let (requests, turn, failed, waits) = (
            Arc::clone(&requests),
            Arc::clone(&turn),
            Arc::clone(&failed),
            Arc::clone(&waits),
        );
        tasks.spawn(async move {
            let mut buffer = Vec::with_capacity(4_096);
            loop {
                let number = turn.fetch_add(1, Ordering::Relaxed);
                let due = Duration::from_secs_f64(f64::from(number) / rate);
                if due >= span {
                    return anyhow::Ok(());
                }
                let due = began + due;
                tokio::time::sleep_until(due).await;
                let request = &requests[usize::try_from(number)? % requests.len()];
                stream.write_all(request).await?;
                if reply(&mut stream, &mut buffer).await? >= 400 {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                waits
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(due.elapsed());
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let mut waits = waits.lock().unwrap_or_else(PoisonError::into_inner).clone();
    waits.sort_unstable();
    ensure!(!waits.is_empty(), "nothing was answered");
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    Ok(Figures {
        requests: waits.len() as u64,
        rate: f64::from(u32::try_from(waits.len())?) / began.elapsed().as_secs_f64(),
        p50: at(50),
        p99: at(99),
        failed: u64::from(failed.load(Ordering::Relaxed)),
    })
}

/// Reads one reply whose length stands in its head; its status.
async fn reply(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<u16> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the connection was closed");
        }
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .context("no content-length")?
            .parse()?;
        while buffer.len() < end + 4 + length {
            if stream.read_buf(buffer).await? == 0 {
                bail!("the connection was closed");
            }
        }
        return Ok(status);
    }
}
