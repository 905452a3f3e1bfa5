//! Listens, serves, and stops in order: not ready, then no new connections, then the requests under way.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::health::Readiness;

/// The longest request line and headers together, in bytes.
const HEADER_LIMIT: usize = 16 << 10;
/// Until when the headers of a request must have arrived, from the first byte or from the last reply.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the server cannot listen, in one line.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error("cannot listen on {0}: the port is in use (SOULSENSE_LISTEN chooses another)")]
    InUse(SocketAddr),
    /// The address is not this machine's, the port needs rights, …
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Begins to listen.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            ListenError::InUse(address)
        } else {
            ListenError::Refused { address, source }
        }
    })
}

/// Completes at SIGTERM or SIGINT.
pub async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// How the last requests ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All were answered.
    All,
    /// This many connections were cut at the deadline.
    Cut(usize),
}

/// Serves until `stop` completes; then fails readiness, stops accepting, lets requests end for at most `drain`.
/// Whatever the requests need must live until this returns.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    readiness: Arc<Readiness>,
    drain: Duration,
    stop: impl Future<Output = ()>,
) -> Drained {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let connection = graceful.watch(connection(stream, peer, router.clone()));
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection ended early");
                        }
                    });
                }
                Err(error) => wait_after(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    readiness.stop();
    drop(listener);
    tracing::info!(
        connections = connections.len(),
        "stopping: no new connections"
    );
    if tokio::time::timeout(drain, graceful.shutdown())
        .await
        .is_ok()
    {
        return Drained::All;
    }
    while connections.try_join_next().is_some() {}
    let cut = connections.len();
    connections.shutdown().await;
    tracing::warn!(
        connections = cut,
        "stopping: connections cut at the deadline"
    );
    Drained::Cut(cut)
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
) -> http1::Connection<
    TokioIo<TcpStream>,
    TowerToHyperService<
        impl tower::Service<
            Request<Incoming>,
            Response = axum::response::Response,
            Error = std::convert::Infallible,
            Future = impl Send,
        > + Clone
        + Send,
    >,
> {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(Body::new)
    });
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
}

/// A client that went away is nothing; anything else (no file descriptors left) passes with time.
async fn wait_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::error!(%error, "cannot accept connections");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
