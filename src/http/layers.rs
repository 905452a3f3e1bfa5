//! What stands round every route: request id, log line, security headers, CORS, compression, problems, panics,
//! time and size limits.

use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Extension, Router};
use futures::{FutureExt, StreamExt};
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use http_body_util::Limited;
use tokio::time::{Instant, timeout_at};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;

use super::extract::{
    Deadline, IDEMPOTENCY_KEY, MIN_POSITION, POSITION, REQUEST_ID, RequestId, client_ip,
};
use super::problem::{PROBLEM_JSON, Problem};
use crate::clock::Ids;
use crate::config::Config;

/// Addresses that are counted one by one; when there are more, new ones share buckets.
const ADDRESSES: usize = 100_000;
const BUCKETS: u64 = 4_096;
/// How much of an oversize body is read and thrown away, so that the client gets to read the reply.
const THROWN_AWAY: usize = 8 << 20;

/// How the frame is set up.
#[derive(Debug, Clone)]
pub struct FrameSettings {
    /// Until a request is given up.
    pub request_timeout: Duration,
    /// The largest body in bytes.
    pub body_limit: usize,
    /// Origins that may call from a browser.
    pub cors_origins: Vec<String>,
    /// Proxies of ours in front.
    pub trusted_hops: u8,
    /// Writes without a token per minute and address.
    pub open_writes_per_minute: NonZeroU32,
    /// TLS stands in front: replies carry Strict-Transport-Security.
    pub behind_tls: bool,
}

impl From<&Config> for FrameSettings {
    fn from(config: &Config) -> Self {
        Self {
            request_timeout: Duration::from_secs(config.request_timeout_seconds),
            body_limit: config.body_limit,
            cors_origins: config.cors_origins.clone(),
            trusted_hops: config.trusted_hops,
            open_writes_per_minute: config.open_writes_per_minute,
            behind_tls: config.public_url().starts_with("https://"),
        }
    }
}

/// Puts the frame round `router`.
pub(super) fn framed(router: Router, settings: &FrameSettings, ids: Ids) -> Router {
    let edge = Edge {
        ids,
        trusted_hops: settings.trusted_hops,
        behind_tls: settings.behind_tls,
        throttles: Throttles::new(settings.open_writes_per_minute),
    };
    let (edge, limits) = (Arc::new(edge), Limits::from(settings));
    // a layer of the router would be made anew for every request, with everything inside it
    let inside = service_fn(move |request| answer(router.clone(), limits, request));
    let between = cors(&settings.cors_origins).layer(CompressionLayer::new().layer(inside));
    Router::new().fallback_service(service_fn(move |request| {
        enter(Arc::clone(&edge), between.clone(), request)
    }))
}

/// What a request may take.
#[derive(Clone, Copy)]
struct Limits {
    time: Duration,
    body: usize,
}

impl From<&FrameSettings> for Limits {
    fn from(settings: &FrameSettings) -> Self {
        Self {
            time: settings.request_timeout,
            body: settings.body_limit,
        }
    }
}

struct Edge {
    ids: Ids,
    trusted_hops: u8,
    behind_tls: bool,
    throttles: Throttles,
}

/// Outermost: gives the request its id and address, logs one line, sets the headers that every reply has.
async fn enter<S, B>(
    edge: Arc<Edge>,
    inside: S,
    mut request: Request,
) -> Result<Response, Infallible>
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| is_sane(text))
        .map_or_else(|| edge.ids.next().to_string(), str::to_owned);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(address)| address.ip());
    let ip = client_ip(request.headers(), peer, edge.trusted_hops);
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(ip);
    request
        .extensions_mut()
        .insert(Extension(edge.throttles.clone()));

    let path = request.uri().path().to_owned();
    // neither query strings nor bodies: they may hold private words
    let span = tracing::info_span!("request", id, method = %request.method(), path);
    let began = Instant::now();
    let response = inside.oneshot(request).instrument(span.clone()).await?;
    let mut response = response.map(Body::new);
    span.in_scope(|| log(&response, &path, began.elapsed()));

    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::CONTENT_SECURITY_POLICY, content_policy(&path));
    if edge.behind_tls {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    if path.starts_with("/api/") {
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

/// A request id that may stand in logs and headers.
fn is_sane(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The documentation may load what is its own; nothing else loads anything.
fn content_policy(path: &str) -> HeaderValue {
    HeaderValue::from_static(if path == "/docs" || path.starts_with("/docs/") {
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    })
}

fn log(response: &Response, path: &str, took: Duration) {
    let status = response.status();
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let problem = response.extensions().get::<Problem>();
    let code = problem.map(Problem::code);
    if status.is_server_error() {
        let cause = problem.and_then(Problem::causes);
        tracing::error!(
            status = status.as_u16(),
            code,
            milliseconds,
            cause,
            "failed"
        );
    } else if status == StatusCode::TOO_MANY_REQUESTS {
        tracing::warn!(status = status.as_u16(), code, milliseconds, "refused");
    } else if status.is_client_error() {
        tracing::info!(status = status.as_u16(), code, milliseconds, "refused");
    } else if matches!(path, "/livez" | "/readyz") {
        tracing::debug!(status = status.as_u16(), milliseconds, "answered");
    } else {
        tracing::info!(status = status.as_u16(), milliseconds, "answered");
    }
}

/// CORS for exactly these origins, on error replies too.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("prefer"),
            IDEMPOTENCY_KEY,
            MIN_POSITION,
            REQUEST_ID,
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            header::CONTENT_DISPOSITION,
            POSITION,
            REQUEST_ID,
        ])
        .max_age(Duration::from_hours(1))
}

/// The answer of the routes, within the limits; every refusal, and what is left of a panic, is a problem that
/// names the path and the request id.
async fn answer(
    router: Router,
    limits: Limits,
    mut request: Request,
) -> Result<Response, Infallible> {
    let (uri, is_head) = (request.uri().clone(), request.method() == Method::HEAD);
    let id = request.extensions().get::<RequestId>().cloned();
    let deadline = Instant::now() + limits.time;
    request.extensions_mut().insert(Deadline(deadline));
    // ours is the limit
    DefaultBodyLimit::disable().apply(&mut request);
    let answered = AssertUnwindSafe(timeout_at(deadline, route(router, limits.body, request)));
    let response = match answered.catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::timeout().into_response(),
        Err(_) => Problem::panicked().into_response(),
    };
    let mut response = completed(response, uri.path(), id.as_ref());
    if is_head {
        *response.body_mut() = Body::empty();
    }
    Ok(response)
}

fn completed(mut response: Response, path: &str, id: Option<&RequestId>) -> Response {
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if (status.is_client_error() || status.is_server_error()) && is_bare(&response) => {
            Problem::from_status(status)
        }
        None => return response,
    };
    *response.body_mut() = problem.body(Some(path), id.map(|id| id.0.as_str()));
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response.extensions_mut().insert(problem);
    response
}

/// Whether nobody gave this refusal a form: no body, or a line of text from a library.
fn is_bare(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|value| value.as_bytes().starts_with(b"text/plain"))
}

async fn route(router: Router, limit: usize, request: Request) -> Response {
    let size = request.body().size_hint();
    if size.lower() > limit as u64 {
        let mut body = request.into_body().into_data_stream();
        let mut thrown_away = 0;
        while let Some(Ok(part)) = body.next().await {
            thrown_away += part.len();
            if thrown_away > THROWN_AWAY {
                break;
            }
        }
        return Problem::too_large().into_response();
    }
    // a body that announced its size is cut at it by the server
    let is_announced = size.upper().is_some();
    let request = if is_announced {
        request
    } else {
        request.map(|body| Body::new(Limited::new(body, limit)))
    };
    let Ok(response) = router.oneshot(request).await;
    response
}

/// Counts writes without a token per address.
#[derive(Clone)]
pub(super) struct Throttles(Arc<Counters>);

struct Counters {
    limiter: RateLimiter<Origin, DefaultKeyedStateStore<Origin>, DefaultClock>,
    clock: DefaultClock,
    shares: RandomState,
    swept: Mutex<Instant>,
}

impl Counters {
    /// Forgets the addresses that are at rest, at most once a second.
    fn sweep(&self) {
        let Ok(mut swept) = self.swept.try_lock() else {
            return;
        };
        if swept.elapsed() >= Duration::from_secs(1) {
            self.limiter.retain_recent();
            *swept = Instant::now();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    Address(u128),
    Bucket(u64),
}

impl fmt::Debug for Throttles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Throttles(…)")
    }
}

impl Throttles {
    fn new(per_minute: NonZeroU32) -> Self {
        Self(Arc::new(Counters {
            limiter: RateLimiter::keyed(Quota::per_minute(per_minute)),
            clock: DefaultClock::default(),
            shares: RandomState::new(),
            swept: Mutex::new(Instant::now()),
        }))
    }

    /// Counts a request, or says when to come again.
    pub(super) fn admit(&self, ip: IpAddr) -> Result<(), Problem> {
        let counters = &self.0;
        let address = network(ip);
        if counters.limiter.len() >= ADDRESSES {
            counters.sweep();
        }
        let origin = if counters.limiter.len() < ADDRESSES {
            Origin::Address(address)
        } else {
            Origin::Bucket(counters.shares.hash_one(address) % BUCKETS)
        };
        counters.limiter.check_key(&origin).map_err(|until| {
            let wait = until.wait_time_from(counters.clock.now());
            Problem::too_many_requests(wait.as_secs() + 1)
        })
    }
}

/// What counts as one origin: an IPv4 address, or the /64 that an IPv6 address stands in.
fn network(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) & !u128::from(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(throttles: &Throttles, ip: &str) -> bool {
        ip.parse().is_ok_and(|ip| throttles.admit(ip).is_ok())
    }

    #[test]
    fn an_address_is_admitted_as_often_as_configured_and_told_when_to_come_again() {
        let throttles = Throttles::new(NonZeroU32::MIN);
        assert!(admitted(&throttles, "192.0.2.1"));
        assert!(!admitted(&throttles, "192.0.2.1"));
        assert!(!admitted(&throttles, "::ffff:192.0.2.1"));
        assert!(admitted(&throttles, "192.0.2.2"));
        let refused = throttles.admit(IpAddr::from([192, 0, 2, 1]));
        let Err(problem) = refused else {
            panic!("admitted");
        };
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        let seconds = response.headers()[header::RETRY_AFTER].to_str().ok();
        let seconds = seconds.and_then(|text| text.parse::<u64>().ok());
        assert!(seconds.is_some_and(|seconds| (50..=61).contains(&seconds)));
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one() {
        let throttles = Throttles::new(NonZeroU32::MIN);
        assert!(admitted(&throttles, "2001:db8:0:1::1"));
        assert!(!admitted(&throttles, "2001:db8:0:1:ffff::2"));
        assert!(admitted(&throttles, "2001:db8:0:2::1"));
    }

    #[test]
    fn many_addresses_take_bounded_memory() {
        let throttles = Throttles::new(NonZeroU32::MIN);
        for number in 0..ADDRESSES + 10_000 {
            let number = u32::try_from(number).unwrap_or_default();
            let _ = throttles.admit(IpAddr::from(number.to_be_bytes()));
        }
        let bound = ADDRESSES + usize::try_from(BUCKETS).unwrap_or_default();
        assert!(throttles.0.limiter.len() <= bound);
    }

    #[test]
    fn a_request_id_is_short_and_plain() {
        assert!(is_sane("0199d2a5-6f3e_7c41.9b52"));
        for text in ["", "a b", "a\"b", "é", &"x".repeat(65)] {
            assert!(!is_sane(text), "{text}");
        }
    }
}
