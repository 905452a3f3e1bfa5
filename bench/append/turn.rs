//! One turn of one side: so many callers, each with one append under way, and what it came to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::process;

/// When a turn is over.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// So much time has passed.
    Time(Duration),
    /// So many appends were begun.
    Appends(usize),
}

/// What the turns of one side came to.
#[derive(Debug, Default)]
pub struct Turns {
    rates: Vec<f64>,
    latencies: Vec<Duration>,
    cpu: Duration,
}

impl Turns {
    /// Takes one turn of `callers`, each calling again as soon as it is answered. `server` is the first
    /// process of the database server, where it is another program. The first failure ends it.
    pub async fn take<F, Fut>(
        &mut self,
        callers: usize,
        until: Until,
        server: Option<u32>,
        append: F,
    ) -> Result<(), Failure>
    where
        F: Fn() -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send,
    {
        let begun = Arc::new(AtomicUsize::new(0));
        let used_before = used(server)?;
        let start = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (append, begun) = (append.clone(), begun.clone());
                tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    while match until {
                        Until::Time(most) => start.elapsed() < most,
                        Until::Appends(most) => begun.fetch_add(1, Ordering::Relaxed) < most,
                    } {
                        let asked = Instant::now();
                        append().await?;
                        latencies.push(asked.elapsed());
                    }
                    Ok::<_, Failure>(latencies)
                })
            })
            .collect();
        let before = self.latencies.len();
        for task in tasks {
            self.latencies.extend(task.await??);
        }
        let done = count(self.latencies.len() - before);
        self.rates.push(done / start.elapsed().as_secs_f64());
        self.cpu += used(server)?.saturating_sub(used_before);
        self.latencies.sort_unstable();
        Ok(())
    }

    /// Appends a second, the median of the turns.
    pub fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or_default()
    }

    /// Milliseconds within which `percent` of all appends were answered.
    pub fn latency(&self, percent: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (self.latencies.len() * percent / 100).min(last);
        let latency = self.latencies.get(at).copied().unwrap_or_default();
        latency.as_secs_f64() * 1e3
    }

    /// Microseconds of CPU an append cost, in this process and the database server.
    pub fn cpu(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count(self.latencies.len())
    }
}

fn used(server: Option<u32>) -> std::io::Result<Duration> {
    Ok(process::own_cpu()? + server.map_or(Ok(Duration::ZERO), process::family_cpu)?)
}

/// A number of things as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts of a few minutes")]
pub fn count(number: usize) -> f64 {
    number as f64
}
