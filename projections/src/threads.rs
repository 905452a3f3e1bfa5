//! Work on threads of its own, for rebuilds: what takes long there holds up neither requests nor other cores.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

/// Begins work on a thread of its own.
pub(crate) fn on_a_thread<T, F>(work: impl FnOnce() -> F + Send + 'static) -> JoinHandle<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let runtime = Handle::current();
    spawn_blocking(move || runtime.block_on(work()))
}

/// What came of it; `None` when the runtime ended first. A panic goes on here.
pub(crate) async fn joined<T>(task: JoinHandle<T>) -> Option<T> {
    match task.await {
        Ok(done) => Some(done),
        Err(died) if died.is_panic() => std::panic::resume_unwind(died.into_panic()),
        Err(_) => None,
    }
}
