//! How a refresh token travels: in the body, or in a cookie that scripts cannot read.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponseParts, ResponseParts};
use domain::identity::session::IDLE_DAYS;
use serde::Deserialize;
use utoipa::ToSchema;

use super::refusal::Refusal;
use crate::http::Problem;
use crate::node::Node;

/// The cookie's name; browsers accept it over TLS only.
const COOKIE: &str = "__Secure-refresh";
const ATTRIBUTES: &str = "Path=/api/v1/auth; HttpOnly; Secure; SameSite=Strict";

/// How the refresh token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Transport {
    /// As `refresh_token` in the body.
    #[default]
    Body,
    /// As the cookie `__Secure-refresh`; the request needs an allowed `Origin`.
    Cookie,
}

impl Transport {
    /// 403 for a cookie that an unknown web page asks for.
    pub(super) fn admit(self, node: &Node, headers: &HeaderMap) -> Result<(), Refusal> {
        match self {
            Self::Body => Ok(()),
            Self::Cookie => allowed_origin(node, headers),
        }
    }
}

/// A refresh token as it came.
pub(super) struct Presented {
    pub(super) token: Option<String>,
    pub(super) transport: Transport,
}

impl Presented {
    /// The token of the body or of the cookie; 400 for both, 403 for a cookie from an unknown web page.
    pub(super) fn read(
        node: &Node,
        headers: &HeaderMap,
        body: Option<String>,
    ) -> Result<Self, Problem> {
        match (body, cookie(headers)) {
            (Some(_), Some(_)) => Err(Problem::bad_request(
                "identity.two_refresh_tokens",
                "The refresh token comes in the body or in the cookie, not in both.",
            )),
            (token, None) => Ok(Self {
                token,
                transport: Transport::Body,
            }),
            (None, token) => {
                allowed_origin(node, headers)?;
                Ok(Self {
                    token,
                    transport: Transport::Cookie,
                })
            }
        }
    }
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, token)| token.to_owned())
}

fn allowed_origin(node: &Node, headers: &HeaderMap) -> Result<(), Refusal> {
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok())
        .ok_or(Refusal::Origin)?;
    let listed = node.config.cors_origins.iter().any(|known| known == origin);
    if listed || origin == node.config.public_url() {
        Ok(())
    } else {
        Err(Refusal::Origin)
    }
}

/// `Set-Cookie` of a reply, where there is one.
pub(super) struct SetCookie(Option<HeaderValue>);

impl SetCookie {
    /// Leaves the browser's cookie as it is.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Gives the browser a token.
    pub(super) fn token(token: &str) -> Result<Self, Problem> {
        let seconds = IDLE_DAYS * 24 * 60 * 60;
        let text = format!("{COOKIE}={token}; {ATTRIBUTES}; Max-Age={seconds}");
        let mut value = HeaderValue::try_from(text).map_err(Problem::internal)?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }

    /// Takes the token away again.
    pub(super) fn removal() -> Result<Self, Problem> {
        let text = format!("{COOKIE}=; {ATTRIBUTES}; Max-Age=0");
        HeaderValue::try_from(text)
            .map(|value| Self(Some(value)))
            .map_err(Problem::internal)
    }
}

impl IntoResponseParts for SetCookie {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        if let Some(value) = self.0 {
            parts.headers_mut().append(header::SET_COOKIE, value);
        }
        Ok(parts)
    }
}
