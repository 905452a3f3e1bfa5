//! The frame round a tiny application.

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tower::ServiceExt;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::extract::{ClientIp, ETag, IfMatch, Json, Path, Query, RequestId, Throttle};
use super::health::{Health, HealthCheck, Readiness};
use super::problem::Problem;
use super::server::{Drained, ListenError, listen, serve};
use super::{Frame, FrameSettings};
use crate::clock::Ids;
use crate::config::Config;
use crate::tokens::{KeyRing, TokenIssuer, TokenKey};

type Outcome = Result<(), Box<dyn Error>>;

#[derive(Clone)]
struct Toys {
    shelf: &'static str,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Toy {
    name: String,
    age: u8,
}

#[derive(Debug, Deserialize)]
struct Filter {
    limit: Option<u8>,
}

#[utoipa::path(post, path = "/toys", request_body = Toy, responses((status = 201, body = Toy)))]
async fn make(State(toys): State<Toys>, Json(toy): Json<Toy>) -> impl IntoResponse {
    assert_eq!(toys.shelf, "top");
    (StatusCode::CREATED, ETag::from(1), Json(toy))
}

#[utoipa::path(get, path = "/toys/{id}", responses((status = 200)))]
async fn look(id: Path<Uuid>, filter: Query<Filter>) -> Json<Value> {
    Json(json!({"id": *id, "limit": filter.limit, "padding": "x".repeat(2_000)}))
}

async fn who(RequestId(id): RequestId, ClientIp(ip): ClientIp) -> Json<Value> {
    Json(json!({"id": id, "ip": ip}))
}

async fn change(if_match: IfMatch) -> Result<StatusCode, Problem> {
    if_match.require(&ETag::from(1))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn slow() -> StatusCode {
    tokio::time::sleep(Duration::from_secs(3)).await;
    StatusCode::NO_CONTENT
}

#[expect(clippy::panic, reason = "what happens after it is what is tested")]
async fn panicking() -> StatusCode {
    panic!("private words")
}

fn toys() -> OpenApiRouter<Toys> {
    OpenApiRouter::new()
        .routes(routes!(make))
        .routes(routes!(look))
        .route("/who", get(who))
        .route("/change", post(change))
        .route("/slow", get(slow))
        .route("/panicking", get(panicking))
        .route(
            "/login",
            post(|_: Throttle| async { StatusCode::NO_CONTENT }),
        )
        .route(
            "/broken",
            get(|| async { Problem::internal("disk on fire") }),
        )
}

struct Switch(&'static str, Health);

#[async_trait]
impl HealthCheck for Switch {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn check(&self) -> Health {
        self.1.clone()
    }
}

fn issuer() -> TokenIssuer {
    let ring = KeyRing {
        previous: None,
        current: TokenKey::from_seed(&[1; 32]),
        next: None,
    };
    TokenIssuer::new(
        "https://soul.example",
        "soulsense",
        ring,
        TimeDelta::minutes(15),
    )
}

fn settings() -> Result<FrameSettings, Box<dyn Error>> {
    Ok(FrameSettings {
        cors_origins: vec!["https://app.example".to_owned()],
        body_limit: 4_096,
        request_timeout: Duration::from_millis(200),
        ..FrameSettings::from(&Config::defaults()?)
    })
}

fn app(
    settings: FrameSettings,
    checks: Vec<Arc<dyn HealthCheck>>,
) -> Result<Router, Box<dyn Error>> {
    let frame = Frame {
        settings,
        ids: Ids::numbered(),
        readiness: Arc::new(Readiness::new(checks)),
        tokens: Arc::new(issuer()),
    };
    Ok(super::router(toys(), Toys { shelf: "top" }, frame)?)
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Status, code and pointer, after checking what every problem has.
    fn problem(&self) -> (u16, String, String) {
        let body = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["status"], self.status);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert!(
            body["instance"]
                .as_str()
                .is_some_and(|path| path.starts_with('/'))
        );
        assert_every_header(self);
        (
            self.status,
            body["code"].as_str().unwrap_or_default().to_owned(),
            body["errors"][0]["pointer"]
                .as_str()
                .unwrap_or("-")
                .to_owned(),
        )
    }
}

fn assert_every_header(reply: &Reply) {
    assert!(!reply.header("x-request-id").is_empty());
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert_eq!(reply.header("x-frame-options"), "DENY");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert!(
        reply
            .header("content-security-policy")
            .contains("frame-ancestors 'none'")
    );
}

async fn ask(app: &Router, request: Request<Body>) -> Result<Reply, Box<dyn Error>> {
    let response = app.clone().oneshot(request).await?;
    let (parts, body) = response.into_parts();
    Ok(Reply {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: axum::body::to_bytes(body, usize::MAX).await?.to_vec(),
    })
}

async fn fetch(app: &Router, path: &str) -> Result<Reply, Box<dyn Error>> {
    ask(app, Request::get(path).body(Body::empty())?).await
}

async fn send(app: &Router, body: impl Into<Body>) -> Result<Reply, Box<dyn Error>> {
    let request = Request::post("/api/v1/toys").header("content-type", "application/json");
    ask(app, request.body(body.into())?).await
}

fn refusal(status: u16, code: &str, pointer: &str) -> (u16, String, String) {
    (status, code.to_owned(), pointer.to_owned())
}

#[tokio::test]
async fn a_good_request_is_answered_with_every_header() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let reply = send(&app, r#"{"name": "top", "age": 3}"#).await?;
    assert_eq!(
        (reply.status, reply.json()),
        (201, json!({"name": "top", "age": 3}))
    );
    assert_eq!(reply.header("etag"), "\"1\"");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_every_header(&reply);
    Ok(())
}

#[tokio::test]
async fn a_truncated_body_is_malformed() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    for body in ["", "{", r#"{"name": "to"#, r#"{"name": "top", "age": 3"#] {
        assert_eq!(
            send(&app, body).await?.problem(),
            refusal(400, "request.malformed_json", "-")
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_oversize_body_is_too_large_with_and_without_its_length() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let big = format!(r#"{{"name": "{}", "age": 3}}"#, "x".repeat(5_000));
    let too_large = refusal(413, "request.too_large", "-");
    assert_eq!(send(&app, big.clone()).await?.problem(), too_large);
    let parts = futures::stream::iter(vec![Ok::<_, std::io::Error>(big)]);
    assert_eq!(
        send(&app, Body::from_stream(parts)).await?.problem(),
        too_large
    );
    Ok(())
}

#[tokio::test]
async fn an_unknown_field_a_nul_and_a_wrong_type_are_pointed_at() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    for (body, expected) in [
        (
            r#"{"name": "a", "age": 3, "role": "admin"}"#,
            refusal(400, "request.unknown_field", "/role"),
        ),
        (
            r#"{"name": "a\u0000b", "age": 3}"#,
            refusal(400, "request.nul_character", "/name"),
        ),
        (
            r#"{"name": "a", "age": "three"}"#,
            refusal(422, "request.invalid", "/age"),
        ),
        (
            r#"{"name": "a", "age": 300}"#,
            refusal(422, "request.invalid", "/age"),
        ),
        (r#"{"name": "a"}"#, refusal(422, "request.invalid", "/age")),
    ] {
        assert_eq!(send(&app, body).await?.problem(), expected, "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_content_type_is_unsupported() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let unsupported = refusal(415, "request.unsupported_media_type", "-");
    let plain = Request::post("/api/v1/toys").header("content-type", "text/plain");
    assert_eq!(
        ask(&app, plain.body("{}".into())?).await?.problem(),
        unsupported
    );
    let none = Request::post("/api/v1/toys").body("{}".into())?;
    assert_eq!(ask(&app, none).await?.problem(), unsupported);
    Ok(())
}

#[tokio::test]
async fn paths_and_queries_are_refused_as_problems() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let id = Uuid::nil();
    for (path, expected) in [
        (
            "/nowhere".to_owned(),
            refusal(404, "request.not_found", "-"),
        ),
        (
            "/api/v1/nowhere".to_owned(),
            refusal(404, "request.not_found", "-"),
        ),
        (
            "/api/v1/toys/not-an-id".to_owned(),
            refusal(404, "request.not_found", "-"),
        ),
        (
            "/api/v1/toys/a%00b".to_owned(),
            refusal(400, "request.nul_character", ""),
        ),
        (
            format!("/api/v1/toys/{id}?limit=many"),
            refusal(422, "request.invalid", "/limit"),
        ),
        (
            format!("/api/v1/toys/{id}?limti=1"),
            refusal(400, "request.unknown_field", "/limti"),
        ),
        (
            format!("/api/v1/toys/{id}?limit=%00"),
            refusal(400, "request.nul_character", "/limit"),
        ),
    ] {
        assert_eq!(fetch(&app, &path).await?.problem(), expected, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_not_allowed() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let reply = ask(&app, Request::delete("/api/v1/toys").body(Body::empty())?).await?;
    assert_eq!(
        reply.problem(),
        refusal(405, "request.method_not_allowed", "-")
    );
    assert_eq!(reply.header("allow"), "POST");
    Ok(())
}

#[tokio::test]
async fn a_panic_is_a_problem_that_says_nothing() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let reply = fetch(&app, "/api/v1/panicking").await?;
    assert_eq!(reply.problem(), refusal(500, "internal", "-"));
    assert!(!String::from_utf8_lossy(&reply.body).contains("private"));
    assert_eq!(fetch(&app, "/api/v1/who").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_internal_error_shows_the_request_id_and_not_its_cause() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let reply = fetch(&app, "/api/v1/broken").await?;
    assert_eq!(reply.problem(), refusal(500, "internal", "-"));
    assert!(!String::from_utf8_lossy(&reply.body).contains("fire"));
    Ok(())
}

#[tokio::test]
async fn a_slow_handler_is_given_up() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let reply = fetch(&app, "/api/v1/slow").await?;
    assert_eq!(reply.problem(), refusal(503, "request.timeout", "-"));
    assert_eq!(reply.header("retry-after"), "1");
    Ok(())
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let body = Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>());
    assert_eq!(
        send(&app, body).await?.problem(),
        refusal(408, "request.slow_body", "-")
    );
    Ok(())
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_is_replaced() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let with = |id: &str| {
        Request::get("/api/v1/who")
            .header("x-request-id", id)
            .body(Body::empty())
    };
    let reply = ask(&app, with("trace-17")?).await?;
    assert_eq!(
        (reply.header("x-request-id"), &reply.json()["id"]),
        ("trace-17", &json!("trace-17"))
    );
    for id in ["", "two words", &"x".repeat(65)] {
        let reply = ask(&app, with(id)?).await?;
        assert_eq!(
            Uuid::parse_str(reply.header("x-request-id"))?.get_version_num(),
            7
        );
        assert_eq!(reply.json()["id"], reply.header("x-request-id"));
    }
    Ok(())
}

#[tokio::test]
async fn a_head_request_has_headers_and_no_body() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    for (path, status) in [
        ("/livez", 200),
        ("/api/v1/who", 200),
        ("/nowhere", 404),
        ("/api/v1/broken", 500),
    ] {
        let reply = ask(&app, Request::head(path).body(Body::empty())?).await?;
        assert_eq!((reply.status, reply.body.len()), (status, 0), "{path}");
        assert_every_header(&reply);
    }
    Ok(())
}

#[tokio::test]
async fn a_known_origin_may_read_replies_and_errors_and_a_stranger_may_not() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    for path in [
        "/api/v1/who",
        "/nowhere",
        "/api/v1/panicking",
        "/api/v1/broken",
        "/api/v1/slow",
    ] {
        let from = |origin: &str| {
            Request::get(path)
                .header("origin", origin)
                .body(Body::empty())
        };
        let reply = ask(&app, from("https://app.example")?).await?;
        assert_eq!(
            reply.header("access-control-allow-origin"),
            "https://app.example",
            "{path}"
        );
        for exposed in [
            "etag",
            "location",
            "retry-after",
            "x-request-id",
            "soulsense-position",
            "content-disposition",
        ] {
            assert!(
                reply
                    .header("access-control-expose-headers")
                    .contains(exposed),
                "{path}"
            );
        }
        let reply = ask(&app, from("https://app.example.evil")?).await?;
        assert_eq!(reply.header("access-control-allow-origin"), "", "{path}");
    }
    let preflight = Request::options("/api/v1/toys")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,idempotency-key",
        );
    let reply = ask(&app, preflight.body(Body::empty())?).await?;
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .header("access-control-allow-headers")
            .contains("idempotency-key")
    );
    assert_eq!(reply.header("access-control-max-age"), "3600");
    Ok(())
}

#[tokio::test]
async fn replies_are_compressed_when_the_client_can_read_it() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let path = format!("/api/v1/toys/{}", Uuid::nil());
    for encoding in ["br", "gzip"] {
        let request = Request::get(&path).header("accept-encoding", encoding);
        let reply = ask(&app, request.body(Body::empty())?).await?;
        assert_eq!(reply.header("content-encoding"), encoding);
        assert!(reply.body.len() < 500);
    }
    let request = Request::get("/nowhere").header("accept-encoding", "br, gzip");
    let reply = ask(&app, request.body(Body::empty())?).await?;
    assert_eq!(
        (reply.status, reply.header("content-encoding")),
        (404, "br")
    );
    assert_eq!(fetch(&app, &path).await?.header("content-encoding"), "");
    Ok(())
}

#[tokio::test]
async fn writes_without_a_token_are_limited_by_address() -> Outcome {
    let app = app(
        FrameSettings {
            open_writes_per_minute: NonZeroU32::MIN,
            trusted_hops: 1,
            ..settings()?
        },
        Vec::new(),
    )?;
    let from = |ip: &str| {
        Request::post("/api/v1/login")
            .header("x-forwarded-for", ip)
            .body(Body::empty())
    };
    assert_eq!(ask(&app, from("192.0.2.1")?).await?.status, 204);
    let refused = ask(&app, from("192.0.2.1")?).await?;
    assert_eq!(refused.problem(), refusal(429, "request.too_many", "-"));
    assert!(refused.header("retry-after").parse::<u64>()? > 0);
    assert_eq!(ask(&app, from("192.0.2.2")?).await?.status, 204);
    assert_eq!(fetch(&app, "/api/v1/who").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_change_must_name_what_it_changes() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let change = || Request::post("/api/v1/change");
    let reply = ask(&app, change().body(Body::empty())?).await?;
    assert_eq!(
        reply.problem(),
        refusal(428, "request.if_match_required", "-")
    );
    let reply = ask(
        &app,
        change().header("if-match", "\"2\"").body(Body::empty())?,
    )
    .await?;
    assert_eq!(
        reply.problem(),
        refusal(412, "request.if_match_failed", "-")
    );
    let reply = ask(
        &app,
        change().header("if-match", "\"1\"").body(Body::empty())?,
    )
    .await?;
    assert_eq!(reply.status, 204);
    Ok(())
}

#[tokio::test]
async fn strict_transport_security_is_sent_behind_tls_alone() -> Outcome {
    let plain = app(settings()?, Vec::new())?;
    assert_eq!(
        fetch(&plain, "/")
            .await?
            .header("strict-transport-security"),
        ""
    );
    let secured = FrameSettings {
        behind_tls: true,
        ..settings()?
    };
    let secured = app(secured, Vec::new())?;
    assert!(
        !fetch(&secured, "/")
            .await?
            .header("strict-transport-security")
            .is_empty()
    );
    Ok(())
}

#[tokio::test]
async fn health_says_which_part_failed_and_more_when_asked() -> Outcome {
    let well: Arc<dyn HealthCheck> = Arc::new(Switch("log", Health::Well(json!({"head": 7}))));
    let behind = Arc::new(Switch("projections", Health::Impaired(json!({"lag": 9}))));
    let failed = Arc::new(Switch(
        "database",
        Health::Failed("no connection".to_owned()),
    ));

    let ready = app(settings()?, vec![well.clone(), behind])?;
    assert_eq!(fetch(&ready, "/livez").await?.status, 200);
    assert_eq!(
        fetch(&ready, "/readyz").await?.json(),
        json!({"status": "ready"})
    );
    let verbose = fetch(&ready, "/readyz?verbose").await?.json();
    assert_eq!(
        verbose["checks"]["log"],
        json!({"status": "well", "detail": {"head": 7}})
    );
    assert_eq!(verbose["checks"]["projections"]["status"], "impaired");

    let unready = app(settings()?, vec![well, failed])?;
    assert_eq!(fetch(&unready, "/livez").await?.status, 200);
    let reply = fetch(&unready, "/readyz").await?;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "2"));
    assert_eq!(
        reply.json(),
        json!({"status": "unready", "failed": ["database"]})
    );
    Ok(())
}

#[tokio::test]
async fn the_root_and_the_keys_are_open() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let root = fetch(&app, "/").await?.json();
    assert_eq!(
        (root["name"].as_str(), root["links"]["docs"].as_str()),
        (Some("soulsense"), Some("/docs"))
    );
    let keys = fetch(&app, "/.well-known/jwks.json").await?;
    assert_eq!(keys.json(), issuer().key_set());
    Ok(())
}

#[tokio::test]
async fn the_description_has_every_route_and_is_served() -> Outcome {
    let document = serde_json::to_value(super::document(toys()))?;
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1"))
    );
    for path in [
        "/",
        "/livez",
        "/readyz",
        "/.well-known/jwks.json",
        "/api/v1/toys",
        "/api/v1/toys/{id}",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    let schemas = &document["components"]["schemas"];
    assert!(schemas["Problem"]["properties"]["code"].is_object());
    assert!(schemas["Toy"].is_object());
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    let app = app(settings()?, Vec::new())?;
    assert_eq!(fetch(&app, "/api/v1/openapi.json").await?.json(), document);
    Ok(())
}

#[tokio::test]
async fn the_documentation_asks_nobody_else() -> Outcome {
    let app = app(settings()?, Vec::new())?;
    let moved = fetch(&app, "/docs").await?;
    assert_eq!((moved.status, moved.header("location")), (303, "/docs/"));
    let page = fetch(&app, "/docs/").await?;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-security-policy")
            .contains("script-src 'self'")
    );
    let text = String::from_utf8(page.body)?;
    let mut loaded = 0;
    for part in text.split(['"', '\'']).filter(|part| {
        [".js", ".css", ".png"]
            .iter()
            .any(|ending| part.ends_with(ending))
    }) {
        assert!(!part.contains("//"), "{part}");
        let path = format!("/docs/{}", part.trim_start_matches("./"));
        assert_eq!(fetch(&app, &path).await?.status, 200, "{path}");
        loaded += 1;
    }
    assert!(loaded >= 5);
    let setup = String::from_utf8(fetch(&app, "/docs/swagger-initializer.js").await?.body)?;
    assert!(
        setup.contains("/api/v1/openapi.json") && !setup.contains("http"),
        "{setup}"
    );
    assert!(setup.contains(r#""validatorUrl": "none""#), "{setup}");
    let absent = fetch(&app, "/docs/absent.js").await?;
    assert_eq!(absent.problem(), refusal(404, "request.not_found", "-"));
    Ok(())
}

struct Running {
    address: std::net::SocketAddr,
    readiness: Arc<Readiness>,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Drained>,
}

async fn run(drain: Duration) -> Result<Running, Box<dyn Error>> {
    let settings = FrameSettings {
        request_timeout: Duration::from_secs(10),
        ..settings()?
    };
    let listener = listen("127.0.0.1:0".parse()?).await?;
    let address = listener.local_addr()?;
    let readiness = Arc::new(Readiness::new(Vec::new()));
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(serve(
        listener,
        app(settings, Vec::new())?,
        Arc::clone(&readiness),
        drain,
        async {
            let _ = stopped.await;
        },
    ));
    Ok(Running {
        address,
        readiness,
        stop,
        ended,
    })
}

#[tokio::test]
async fn over_a_socket_the_client_address_is_the_peers() -> Outcome {
    let server = run(Duration::from_secs(1)).await?;
    let url = format!("http://{}/api/v1/who", server.address);
    let body: Value = reqwest::get(url).await?.json().await?;
    assert_eq!(body["ip"], "127.0.0.1");
    Ok(())
}

#[tokio::test]
async fn over_a_socket_an_oversize_body_is_answered_before_the_connection_closes() -> Outcome {
    let server = run(Duration::from_secs(1)).await?;
    let request = reqwest::Client::new()
        .post(format!("http://{}/api/v1/toys", server.address))
        .header("content-type", "application/json")
        .body("x".repeat(2 << 20));
    assert_eq!(request.send().await?.status(), 413);
    Ok(())
}

async fn raw(
    address: std::net::SocketAddr,
    text: &[u8],
    close: bool,
) -> Result<String, Box<dyn Error>> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(text).await?;
    if close {
        stream.shutdown().await?;
    }
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

#[tokio::test]
async fn over_a_socket_headers_that_are_too_long_are_refused() -> Outcome {
    let server = run(Duration::from_secs(1)).await?;
    let request = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n",
        "x".repeat(17 << 10)
    );
    let reply = raw(server.address, request.as_bytes(), false).await?;
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
    Ok(())
}

#[tokio::test]
async fn over_a_socket_a_body_cut_short_is_malformed() -> Outcome {
    let server = run(Duration::from_secs(1)).await?;
    let request = "POST /api/v1/toys HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 25\r\n\r\n{\"name\": \"t\"";
    let reply = raw(server.address, request.as_bytes(), true).await?;
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(reply.contains("request.malformed_json"), "{reply}");
    let url = format!("http://{}/livez", server.address);
    assert_eq!(reqwest::get(url).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_stop_fails_readiness_and_lets_requests_end() -> Outcome {
    let server = run(Duration::from_secs(10)).await?;
    let slow = tokio::spawn(reqwest::get(format!(
        "http://{}/api/v1/slow",
        server.address
    )));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(server.readiness.report().await.ready);
    assert!(server.stop.send(()).is_ok());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!server.readiness.report().await.ready);
    assert!(
        tokio::net::TcpStream::connect(server.address)
            .await
            .is_err()
    );
    assert_eq!(slow.await??.status(), 204);
    assert_eq!(server.ended.await?, Drained::All);
    Ok(())
}

#[tokio::test]
async fn a_request_that_outlives_the_deadline_is_cut() -> Outcome {
    let server = run(Duration::from_millis(100)).await?;
    let slow = tokio::spawn(reqwest::get(format!(
        "http://{}/api/v1/slow",
        server.address
    )));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(server.stop.send(()).is_ok());
    assert_eq!(server.ended.await?, Drained::Cut(1));
    assert!(slow.await?.is_err());
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_line() -> Outcome {
    let first = listen("127.0.0.1:0".parse()?).await?;
    let address = first.local_addr()?;
    let Err(error) = listen(address).await else {
        panic!("listened twice");
    };
    assert!(matches!(error, ListenError::InUse(_)));
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {address}: the port is in use (SOULSENSE_LISTEN chooses another)"
        )
    );
    Ok(())
}

#[test]
fn problems_of_tokens_challenge_the_client() -> Outcome {
    let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap_or_default();
    let Err(error) = issuer().verify("a.b.c", now) else {
        panic!("accepted");
    };
    let response = Problem::from(error).into_response();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = response.headers()["www-authenticate"].to_str()?;
    assert!(challenge.starts_with("Bearer ") && challenge.contains("invalid_token"));
    Ok(())
}
