//! Reads the arguments and runs what they ask for.

use std::process::ExitCode;

use clap::Parser;
use soulsense::cli::{self, Arguments, output};
use soulsense::config;

/// The system's makes the threads of a busy server wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    // before any thread: the file's lines become environment variables
    config::load_file(std::env::args_os())?;
    let arguments = Arguments::parse();
    let _logging = cli::begin(&arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(cli::run(arguments))
}

#[expect(
    clippy::print_stderr,
    reason = "the one line a failed command leaves behind"
)]
fn complain(error: &anyhow::Error) {
    eprintln!("soulsense: {error:#}");
}
