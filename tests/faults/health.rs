//! Asks a server how it is, all the time, and measures how long the answer takes.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{allowance, percentile};

/// The longest answer of ninety-nine in a hundred.
const PROMISED: Duration = Duration::from_millis(20);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(4);

type Failed = Box<dyn Error + Send + Sync>;

/// Somebody who asks until told to end.
pub struct Asking {
    over: Arc<AtomicBool>,
    asked: JoinHandle<Result<Answers, Failed>>,
}

#[derive(Default)]
struct Answers {
    took: Vec<Duration>,
    /// How long this machine takes to answer such a question at all.
    bare: Vec<Duration>,
    alive: usize,
    ready: usize,
    unready: usize,
}

impl Asking {
    /// Begins to ask the server at an address.
    pub fn begin(address: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (address, until) = (address.to_owned(), Arc::clone(&over));
        let asked = tokio::spawn(async move { ask(&address, &until).await });
        Self { over, asked }
    }

    /// Ends, and fails when ninety-nine in a hundred answers took longer than promised, with the allowance that
    /// [`allowance`] makes.
    pub async fn judge(self) -> Result<String, Box<dyn Error>> {
        self.over.store(true, Ordering::Relaxed);
        let mut answers = self.asked.await?.map_err(|error| error.to_string())?;
        let took = percentile(&mut answers.took, 99);
        let bare = percentile(&mut answers.bare, 99);
        let longest = percentile(&mut answers.took, 100);
        let text = format!(
            "{} answers about health ({} alive, {} ready, {} unready), p99 {took:.1?}, longest {longest:.1?}; \
             a bare answer {bare:.1?}",
            answers.took.len(),
            answers.alive,
            answers.ready,
            answers.unready
        );
        if took > PROMISED + allowance(bare) {
            return Err(text.into());
        }
        Ok(text)
    }
}

async fn ask(address: &str, over: &AtomicBool) -> Result<Answers, Failed> {
    let mut server = Asked::connect(address).await?;
    let mut bare = Asked::bare().await?;
    let mut answers = Answers::default();
    while !over.load(Ordering::Relaxed) {
        let (status, took) = server.get("/livez").await?;
        if status != 200 {
            return Err(format!("not alive: {status}").into());
        }
        answers.alive += 1;
        answers.took.push(took);
        let (status, took) = server.get("/readyz").await?;
        match status {
            200 => answers.ready += 1,
            503 => answers.unready += 1,
            other => return Err(format!("neither ready nor unready: {other}").into()),
        }
        answers.took.push(took);
        answers.bare.push(bare.get("/").await?.1);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(answers)
}

/// One connection that is kept, so that only the answer is measured.
pub struct Asked {
    stream: BufReader<TcpStream>,
}

impl Asked {
    /// To a server that answers at once, in this process.
    pub async fn bare() -> std::io::Result<Self> {
        Self::connect(&bare_server().await?).await
    }

    async fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks; status and how long it took.
    pub async fn get(&mut self, path: &str) -> Result<(u16, Duration), Failed> {
        let began = Instant::now();
        let request = format!("GET {path} HTTP/1.1\r\nhost: server\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).ok_or("no status")?.parse()?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            let header = line.trim_end().to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if header.is_empty() {
                break;
            }
        }
        self.stream.read_exact(&mut vec![0; length]).await?;
        Ok((status, began.elapsed()))
    }
}

/// Answers every line with the same, on a free loopback port.
async fn bare_server() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut bytes = [0; 1_024];
        while stream.read(&mut bytes).await? > 0 {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await?;
        }
        std::io::Result::Ok(())
    });
    Ok(address)
}
