//! What handlers take from a request. Every refusal is a [`Problem`].

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::input::{read_json, read_query};
use super::layers::Throttles;
use super::problem::Problem;

/// The header of a position that a read model must have reached.
pub const MIN_POSITION: HeaderName = HeaderName::from_static("soulsense-min-position");
/// The header of the position that a command's events were recorded at.
pub const POSITION: HeaderName = HeaderName::from_static("soulsense-position");
/// The header that makes a repeated request count once.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of the request id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// A JSON body. Types need no `deny_unknown_fields`: a field that they do not have is refused anyway (save in
/// `untagged` and `flatten`ed types).
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

/// Until when the body must have arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(pub Instant);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::unsupported_media_type());
        }
        let deadline = request.extensions().get::<Deadline>().copied();
        let bytes = Bytes::from_request(request, state);
        let bytes = match deadline {
            Some(Deadline(at)) => timeout_at(at, bytes)
                .await
                .map_err(|_| Problem::slow_body())?,
            None => bytes.await,
        };
        let bytes = bytes.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::too_large()
            } else {
                Problem::malformed_json("The body did not arrive whole.")
            }
        })?;
        read_json(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    let Some(("application", subtype)) = essence.split_once('/') else {
        return essence.eq_ignore_ascii_case("application/json");
    };
    subtype.eq_ignore_ascii_case("json") || subtype.to_ascii_lowercase().ends_with("+json")
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => JsonText(bytes).into_response(),
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

/// A JSON body that is text already.
#[derive(Clone)]
pub struct JsonText(pub Vec<u8>);

impl std::fmt::Debug for JsonText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("JsonText").field(&self.0.len()).finish()
    }
}

impl IntoResponse for JsonText {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], self.0).into_response()
    }
}

/// The query string. A parameter that the type does not have is refused; one that stands there several times is
/// a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = axum::extract::Query::try_from_uri(&parts.uri)
            .map_err(|_| Problem::invalid(Vec::new()))?;
        read_query(pairs.0).map(Self)
    }
}

/// The variable parts of the path. One that cannot be what it should be (an id that is none) names nothing: 404.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().contains("%00") {
            return Err(Problem::nul_character(""));
        }
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(path) => Ok(Self(path.0)),
            Err(error) if error.status().is_server_error() => Err(Problem::internal(error)),
            Err(_) => Err(Problem::not_found()),
        }
    }
}

macro_rules! transparent {
    ($($name:ident),*) => {$(
        impl<T> Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }
    )*};
}

transparent!(Json, Query, Path);

/// The id that finds this request in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        extension(parts)
    }
}

/// The address the request comes from, as the nearest of our own proxies saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientIp(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for ClientIp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        extension(parts)
    }
}

fn extension<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T, Problem> {
    parts
        .extensions
        .get()
        .cloned()
        .ok_or_else(|| Problem::internal("a route stands outside the frame"))
}

/// The address behind `hops` proxies of ours, each of which appended the address that it saw to
/// `X-Forwarded-For`. A request that did not come through all of them is taken at its own address.
pub(super) fn client_ip(headers: &HeaderMap, peer: Option<IpAddr>, hops: u8) -> ClientIp {
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let forwarded = usize::from(hops).checked_sub(1).and_then(|skipped| {
        headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .nth(skipped)
            .and_then(address)
    });
    ClientIp(forwarded.unwrap_or(peer).to_canonical())
}

fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map_or(text, |(inside, _)| inside);
    bare.parse().ok().or_else(|| {
        let (host, _port) = bare.rsplit_once(':')?;
        host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    })
}

/// To be taken first by every handler that writes without a token: counts the request against its address and
/// answers 429 when there were too many.
#[derive(Debug, Clone, Copy)]
pub struct Throttle(pub ClientIp);

impl<S: Send + Sync> FromRequestParts<S> for Throttle {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ip = ClientIp::from_request_parts(parts, state).await?;
        let Extension(throttles) = extension::<Extension<Throttles>>(parts)?;
        throttles.admit(ip.0)?;
        Ok(Self(ip))
    }
}

/// The token of `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(Problem::token_missing)?;
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(Problem::token_missing)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(Problem::token_missing())
    }
}

/// A version of a representation, opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag for `version`: letters, digits, `-`, `_` and `.`; anything else is left out.
    #[must_use]
    pub fn new(version: &str) -> Self {
        Self(
            version
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
                .collect(),
        )
    }
}

impl From<u64> for ETag {
    fn from(sequence: u64) -> Self {
        Self(sequence.to_string())
    }
}

impl IntoResponseParts for ETag {
    type Error = Problem;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Problem> {
        let value = HeaderValue::try_from(format!("\"{}\"", self.0)).map_err(Problem::internal)?;
        response.headers_mut().insert(header::ETAG, value);
        Ok(response)
    }
}

/// `If-Match`: the versions that the client may have read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// The header is absent.
    Absent,
    /// `*`: whatever is there.
    Any,
    /// One of these. Weak tags are left out, they match nothing.
    OneOf(Vec<ETag>),
}

impl IfMatch {
    /// 412 when the client read another version than `current`.
    pub fn check(&self, current: &ETag) -> Result<(), Problem> {
        match self {
            Self::Absent | Self::Any => Ok(()),
            Self::OneOf(tags) if tags.contains(current) => Ok(()),
            Self::OneOf(_) => Err(Problem::precondition_failed()),
        }
    }

    /// As [`IfMatch::check`], and 428 when the client does not say what it read.
    pub fn require(&self, current: &ETag) -> Result<(), Problem> {
        match self {
            Self::Absent => Err(Problem::precondition_required()),
            _ => self.check(current),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if !parts.headers.contains_key(header::IF_MATCH) {
            return Ok(Self::Absent);
        }
        let mut tags = Vec::new();
        for value in parts.headers.get_all(header::IF_MATCH) {
            for tag in value.to_str().unwrap_or("?").split(',').map(str::trim) {
                if tag == "*" {
                    return Ok(Self::Any);
                }
                let strong = tag.strip_prefix("W/").unwrap_or(tag);
                let Some(version) = strong
                    .strip_prefix('"')
                    .and_then(|rest| rest.strip_suffix('"'))
                    .filter(|version| !version.contains('"'))
                else {
                    return Err(Problem::invalid_header(
                        "If-Match",
                        "is neither * nor a list of quoted tags",
                    ));
                };
                if strong.len() == tag.len() {
                    tags.push(ETag(version.to_owned()));
                }
            }
        }
        Ok(Self::OneOf(tags))
    }
}

/// `Prefer` (RFC 7240).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// Do not wait for read models.
    pub respond_async: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Prefer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let respond_async = parts
            .headers
            .get_all(PREFER)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"));
        Ok(Self { respond_async })
    }
}

/// `Idempotency-Key`: 1..255 visible ASCII characters, if the client sends one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = single(&parts.headers, &IDEMPOTENCY_KEY)? else {
            return Ok(Self(None));
        };
        let bytes = value.as_bytes();
        if (1..=255).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic) {
            Ok(Self(Some(String::from_utf8_lossy(bytes).into_owned())))
        } else {
            Err(Problem::invalid_header(
                "Idempotency-Key",
                "is not 1 to 255 visible ASCII characters",
            ))
        }
    }
}

/// `Soulsense-Min-Position`: the position that the reply must reflect, if the client asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MinPosition(pub Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for MinPosition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = single(&parts.headers, &MIN_POSITION)? else {
            return Ok(Self(None));
        };
        value
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|position| *position >= 0)
            .map(|position| Self(Some(position)))
            .ok_or_else(|| Problem::invalid_header("Soulsense-Min-Position", "is not a position"))
    }
}

fn single<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Problem::invalid_header(name.as_str(), "stands there twice")),
    }
}

#[cfg(test)]
mod tests;
