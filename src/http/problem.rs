//! The one form of every refusal and failure: `application/problem+json` (RFC 9457) with a stable code.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cqrs_es::AggregateError;
use domain::rejection::{Kind, Rejection, Violation};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::hashing::HashingError;
use crate::tokens::TokenError;

/// The content type of every problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal or failure on its way to the client. As a response it has no request id yet; the frame adds it,
/// together with the path, and logs.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    errors: Vec<Violation>,
    extensions: Map<String, Value>,
    headers: HeaderMap,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The program's only table from the kind of a rejection to a status.
const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Stale => StatusCode::PRECONDITION_FAILED,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
    }
}

impl Problem {
    fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            extensions: Map::new(),
            headers: HeaderMap::new(),
            source: None,
        }))
    }

    /// The domain's no.
    pub fn from_rejection(rejection: &(impl Rejection + ?Sized)) -> Self {
        let mut problem = Self::new(
            status(rejection.kind()),
            rejection.code(),
            rejection.to_string(),
        )
        .with_errors(rejection.violations());
        problem.0.extensions = rejection.extensions();
        if rejection.kind() == Kind::Unauthenticated {
            problem = problem.with_challenge(r#"Bearer realm="soulsense""#);
        }
        match rejection.retry_after() {
            Some(seconds) => problem.with_retry_after(seconds),
            None => problem,
        }
    }

    /// 400: the body is not whole, well-formed JSON.
    #[must_use]
    pub fn malformed_json(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request.malformed_json", detail)
    }

    /// 400: a field that the operation does not have.
    #[must_use]
    pub fn unknown_field(pointer: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "request.unknown_field",
            "The request has a field that this operation does not know.",
        )
        .with_errors(vec![
            Violation::new("unknown_field", "This field is not known.").at(pointer),
        ])
    }

    /// 400: U+0000 in a string, which no text of ours may hold.
    #[must_use]
    pub fn nul_character(pointer: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "request.nul_character",
            "The request has the character U+0000 in a text.",
        )
        .with_errors(vec![
            Violation::new("nul_character", "The character U+0000 is not allowed.").at(pointer),
        ])
    }

    /// 400: a header that cannot be understood.
    #[must_use]
    pub fn invalid_header(name: &str, detail: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "request.invalid_header",
            format!("The header {name} {detail}."),
        )
    }

    /// 400: the request is at odds with itself.
    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 422: well-formed, but these fields are wrong.
    #[must_use]
    pub fn invalid(errors: Vec<Violation>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "request.invalid",
            "The request has fields that are not valid.",
        )
        .with_errors(errors)
    }

    /// 415: the body is not JSON by its own account.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "request.unsupported_media_type",
            "The body must be sent with Content-Type: application/json.",
        )
    }

    /// 413: the body is larger than is read.
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request.too_large",
            "The body is too large.",
        )
    }

    /// 404: nothing there, or another member's.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "request.not_found",
            "There is nothing here.",
        )
    }

    /// 405: the path exists, the method does not.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "request.method_not_allowed",
            "This path does not know this method.",
        )
    }

    /// 408: the client did not send the body in time.
    #[must_use]
    pub fn slow_body() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request.slow_body",
            "The body did not arrive in time.",
        )
    }

    /// 503: the server did not answer in time. What the request asked for may have happened.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "request.timeout",
            "The server did not finish in time. The outcome is unknown; ask again with the same Idempotency-Key.",
        )
        .with_retry_after(1)
    }

    /// 429: too often from one address.
    #[must_use]
    pub fn too_many_requests(retry_after: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "request.too_many",
            "Too many requests from this address.",
        )
        .with_retry_after(retry_after)
    }

    /// 409: the state kept moving while the command was tried.
    #[must_use]
    pub fn conflict() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "request.conflict",
            "Something else changed this at the same time. Ask again.",
        )
    }

    /// 409: a request with this Idempotency-Key is still under way.
    #[must_use]
    pub fn idempotency_key_in_flight() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "request.idempotency_key_in_flight",
            "A request with this Idempotency-Key is still under way.",
        )
    }

    /// 422: this Idempotency-Key was used for another request.
    #[must_use]
    pub fn idempotency_key_reused() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "request.idempotency_key_reused",
            "This Idempotency-Key was used for another request.",
        )
    }

    /// 409: the account the request is about is being erased.
    #[must_use]
    pub fn subject_erased() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "identity.erasure_started",
            "The account is being erased.",
        )
    }

    /// 412: `If-Match` names another version.
    #[must_use]
    pub fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "request.if_match_failed",
            "This has changed since it was read.",
        )
    }

    /// 428: `If-Match` is missing.
    #[must_use]
    pub fn precondition_required() -> Self {
        Self::new(
            StatusCode::PRECONDITION_REQUIRED,
            "request.if_match_required",
            "Send If-Match with the ETag of what is to be changed.",
        )
    }

    /// 401: no token, or not in the form of one.
    #[must_use]
    pub fn token_missing() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "auth.token_missing",
            "Send Authorization: Bearer with an access token.",
        )
        .with_challenge(r#"Bearer realm="soulsense""#)
    }

    /// 401: a token, but none that counts.
    #[must_use]
    pub fn token_invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "auth.token_invalid", detail)
            .with_challenge(r#"Bearer realm="soulsense", error="invalid_token""#)
    }

    /// 401: the token was good once.
    #[must_use]
    pub fn token_expired() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "auth.token_expired",
            "The access token has expired. Refresh it.",
        )
        .with_challenge(
            r#"Bearer realm="soulsense", error="invalid_token", error_description="expired""#,
        )
    }

    /// 401: the token's session or account no longer stands.
    #[must_use]
    pub fn token_revoked() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "auth.token_revoked",
            "The session of this access token has ended. Log in again.",
        )
        .with_challenge(
            r#"Bearer realm="soulsense", error="invalid_token", error_description="revoked""#,
        )
    }

    /// 403: known, but without the role it takes.
    #[must_use]
    pub fn role_required(role: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "auth.role_required",
            format!("This takes the role {role}."),
        )
    }

    /// 503: the read model has not come as far as the client asked for.
    #[must_use]
    pub fn read_model_behind() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "read_model.behind",
            "The read model has not reached the position asked for.",
        )
        .with_retry_after(1)
    }

    /// 503: more work than can be taken on.
    #[must_use]
    pub fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "service.busy",
            "The server has more to do than it can take on.",
        )
        .with_retry_after(1)
    }

    /// 503: something the server needs is out of reach. 507 when the disk is full.
    #[must_use]
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        if event_log::database::is_from_full_storage(source.as_ref()) {
            return Self::storage_full(source);
        }
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "service.unavailable",
            "Something the server needs is out of reach.",
        )
        .with_retry_after(2)
        .with_source(source)
    }

    /// 507: the disk is full. Nothing was written; what is there can be read.
    fn storage_full(source: Box<dyn Error + Send + Sync>) -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "storage.full",
            "The server has no room left to write. Nothing was changed.",
        )
        .with_retry_after(5)
        .with_source(source)
    }

    /// 500: the server's own fault. The source is logged, never sent.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::panicked().with_source(source)
    }

    /// 500 after a panic, which is logged where it happens.
    #[must_use]
    pub fn panicked() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server failed. The request id finds what happened in its log.",
        )
    }

    /// What a bare status without a problem stands for.
    #[must_use]
    pub(super) fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            StatusCode::PAYLOAD_TOO_LARGE => Self::too_large(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type(),
            StatusCode::SERVICE_UNAVAILABLE => Self::busy(),
            status if status.is_server_error() => Self(Box::new(Parts {
                status,
                ..*Self::panicked().0
            })),
            status => Self::new(
                status,
                "request.refused",
                status.canonical_reason().unwrap_or("Refused."),
            ),
        }
    }

    /// The same with what is wrong field by field.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<Violation>) -> Self {
        self.0.errors = errors;
        self
    }

    /// The same with a further member.
    #[must_use]
    pub fn with_extension(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// The same with `Retry-After` in whole seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.0
            .headers
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        self
    }

    /// The same with what caused it, for the log alone.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    fn with_challenge(mut self, challenge: &'static str) -> Self {
        self.0.headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        );
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// What is wrong field by field.
    #[must_use]
    pub fn errors(&self) -> &[Violation] {
        &self.0.errors
    }

    /// The causes from the outermost in, for the log.
    pub(super) fn causes(&self) -> Option<String> {
        let source: &dyn Error = self.0.source.as_deref()?;
        let mut text = source.to_string();
        let mut next = source.source();
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            // many errors repeat their cause in their own text
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            next = cause.source();
        }
        Some(text)
    }

    /// The body, which `instance` (the path) and the request id make whole.
    pub(super) fn body(&self, instance: Option<&str>, request_id: Option<&str>) -> Body {
        let parts = &self.0;
        let document = ProblemDocument {
            r#type: format!("urn:soulsense:problem:{}", parts.code),
            title: parts
                .status
                .canonical_reason()
                .unwrap_or("Problem")
                .to_owned(),
            status: parts.status.as_u16(),
            detail: parts.detail.to_string(),
            code: parts.code.to_string(),
            errors: parts.errors.iter().map(InvalidField::from).collect(),
            instance: instance.map(str::to_owned),
            request_id: request_id.map(str::to_owned),
            extensions: parts.extensions.clone(),
        };
        serde_json::to_vec(&document).map_or_else(|_| Body::empty(), Body::from)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body(None, None));
        *response.status_mut() = self.0.status;
        response.headers_mut().extend(self.0.headers.clone());
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.extensions_mut().insert(self);
        response
    }
}

impl<E: Rejection> From<AggregateError<E>> for Problem {
    fn from(error: AggregateError<E>) -> Self {
        match error {
            AggregateError::UserError(rejection) => Self::from_rejection(&rejection),
            AggregateError::AggregateConflict => Self::conflict(),
            AggregateError::DatabaseConnectionError(source) => Self::unavailable(source),
            AggregateError::DeserializationError(source)
            | AggregateError::UnexpectedError(source) => Self::internal(source),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Self::token_expired(),
            error => Self::token_invalid(error.to_string()),
        }
    }
}

impl From<HashingError> for Problem {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => Self::busy(),
            error => Self::internal(error),
        }
    }
}

/// An error: what happened, and which fields it is about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// A URN made of the code.
    #[schema(example = "urn:soulsense:problem:request.invalid")]
    r#type: String,
    /// The status in words.
    #[schema(example = "Unprocessable Entity")]
    title: String,
    /// The status.
    #[schema(example = 422)]
    status: u16,
    /// What happened, for people.
    #[schema(example = "The request has fields that are not valid.")]
    detail: String,
    /// What happened, for programs: stable.
    #[schema(example = "request.invalid")]
    code: String,
    /// What is wrong, field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<InvalidField>,
    /// The path that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/api/v1/auth/register")]
    instance: Option<String>,
    /// Finds the request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0199d2a5-6f3e-7c41-9b52-0d6a4f1c8e27")]
    request_id: Option<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    extensions: Map<String, Value>,
}

/// One field that is not valid.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvalidField {
    /// JSON Pointer to the field; for a query parameter `/` and its name.
    #[schema(example = "/username")]
    pointer: String,
    /// What is wrong, for programs: stable.
    #[schema(example = "too_short")]
    code: &'static str,
    /// Figures for a message.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object, example = json!({"min": 3}))]
    params: Map<String, Value>,
    /// What is wrong, for people.
    #[schema(example = "A username has at least 3 characters.")]
    detail: String,
}

impl From<&Violation> for InvalidField {
    fn from(violation: &Violation) -> Self {
        Self {
            pointer: violation.pointer.to_string(),
            code: violation.code,
            params: violation.params.clone(),
            detail: violation.detail.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
