//! Logs: to standard error, as lines for people or as JSON for machines. Never a secret, never a private word.
//!
//! A thread of its own writes them, so that no request waits for a full pipe or a busy disk, and rests for a moment
//! after each time: a line that finds it asleep has to wake it, which costs more than the line. Should it fall
//! 128,000 lines behind, further ones are dropped.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How long the thread that writes rests while lines gather.
const REST: Duration = Duration::from_millis(5);

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// One line for people, coloured when standard error is a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not in the form `info` or `warn,soulsense=debug`.
    #[error("the log filter is not understood: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another subscriber is installed in this process.
    #[error("logging was already begun")]
    Begun(#[from] tracing_subscriber::util::TryInitError),
}

/// Writes out what is left when it is dropped: for the end of the process.
#[derive(Debug)]
#[must_use]
pub struct Logging(#[expect(dead_code, reason = "acts when dropped")] WorkerGuard);

/// Rests after it has written out what there was, which it is told to whenever no line is waiting.
struct Restful<W>(W);

impl<W: Write> Write for Restful<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the thread that writes is its own"
    )]
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(REST);
        flushed
    }
}

/// Begins logging for the whole process; a panic is logged as well, with its place.
pub fn init(format: LogFormat, filter: &str) -> Result<Logging, TelemetryError> {
    let registry = tracing_subscriber::registry().with(EnvFilter::try_new(filter)?);
    let lines = Restful(BufWriter::new(io::stderr()));
    let (lines, guard) = tracing_appender::non_blocking(lines);
    match format {
        LogFormat::Text => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .with_ansi(coloured())
                    .with_writer(lines),
            )
            .try_init()?,
        LogFormat::Json => registry
            .with(tracing_subscriber::fmt::layer().json().with_writer(lines))
            .try_init()?,
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(
            place = place.unwrap_or_default(),
            message = panic.payload_as_str().unwrap_or_default(),
            "panicked"
        );
    }));
    Ok(Logging(guard))
}

/// Colour is for terminals, and not for whoever sets `NO_COLOR`.
fn coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_not_understood_is_an_error() {
        assert!(matches!(
            init(LogFormat::Text, "soulsense=loudly"),
            Err(TelemetryError::Filter(_))
        ));
    }
}
