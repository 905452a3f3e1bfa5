//! Tokens: signed access tokens that every node can check without a database, and refresh tokens of which
//! only a hash is stored.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::id::{AccountId, SessionId};
use domain::identity::account::Role;
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use lru::LruCache;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

/// The `typ` of an access token (RFC 9068), so that no other signed thing passes for one.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// How far ahead another node's clock may be, for `nbf`.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(5);
/// Tokens whose signature need not be checked again.
const VERIFIED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// PKCS #8 around an Ed25519 seed (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who issued it.
    pub iss: String,
    /// For whom it is meant.
    pub aud: String,
    /// The account.
    pub sub: AccountId,
    /// The session it belongs to.
    pub sid: SessionId,
    /// The token's own id.
    pub jti: Uuid,
    /// Issued at, in seconds since 1970.
    pub iat: i64,
    /// Not good before, in seconds since 1970.
    pub nbf: i64,
    /// No longer good from, in seconds since 1970.
    pub exp: i64,
    /// Sequence of the account's last event that ends older tokens; a token with a lower one is refused.
    pub epoch: u64,
    /// The account's roles when it was issued.
    pub roles: Vec<Role>,
}

/// What the caller decides about a new access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessGrant {
    /// The account.
    pub account: AccountId,
    /// The session it belongs to.
    pub session: SessionId,
    /// The token's own id, fresh.
    pub token_id: Uuid,
    /// Sequence of the account's last event that ends older tokens.
    pub epoch: u64,
    /// The account's roles.
    pub roles: Vec<Role>,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three base64url parts of JSON with the claims we issue.
    #[error("the token is malformed")]
    Malformed,
    /// Unsigned, or signed by an algorithm other than the one we use.
    #[error("the token's algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// Signed, but as something other than an access token.
    #[error("the token is not an access token")]
    ForeignType,
    /// Its key is in nobody's ring, or no longer.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature does not fit")]
    BadSignature,
    /// Issued by someone else.
    #[error("the token was issued by someone else")]
    ForeignIssuer,
    /// Issued for someone else.
    #[error("the token was issued for someone else")]
    ForeignAudience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the access token could not be signed")]
pub struct SigningError(#[from] jsonwebtoken::errors::Error);

/// One Ed25519 key with its id.
#[derive(Clone)]
pub struct TokenKey {
    kid: String,
    public: [u8; 32],
    signs: EncodingKey,
    checks: DecodingKey,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl TokenKey {
    /// The key made from a seed of 32 random bytes. Its id is its RFC 7638 thumbprint, so the same seed has the
    /// same id on every node.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let public = SigningKey::from_bytes(seed).verifying_key().to_bytes();
        let mut pkcs8 = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + seed.len()));
        pkcs8.extend_from_slice(&PKCS8_PREFIX);
        pkcs8.extend_from_slice(seed);
        let x = BASE64_URL_SAFE_NO_PAD.encode(public);
        let thumbprint =
            Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes());
        Self {
            kid: BASE64_URL_SAFE_NO_PAD.encode(thumbprint),
            public,
            signs: EncodingKey::from_ed_der(&pkcs8),
            checks: DecodingKey::from_ed_der(&public),
        }
    }

    /// The id that tokens name it by.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

/// The keys of the moment: one signs, its neighbours are accepted, so that keys change without a gap.
#[derive(Debug, Clone)]
pub struct KeyRing {
    /// Signed until lately; still accepted.
    pub previous: Option<TokenKey>,
    /// Signs.
    pub current: TokenKey,
    /// Signs soon; already published.
    pub next: Option<TokenKey>,
}

impl KeyRing {
    fn keys(&self) -> impl Iterator<Item = &TokenKey> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .chain(&self.next)
    }
}

/// Issues access tokens and checks them.
pub struct TokenIssuer {
    issuer: String,
    audience: String,
    ring: KeyRing,
    lifetime: TimeDelta,
    validation: Validation,
    /// What tokens with a good signature say, by their SHA-256.
    verified: Mutex<LruCache<[u8; 32], AccessClaims>>,
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("issuer", &self.issuer)
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}

/// The part of a token's header that decides how it is looked at.
#[derive(Deserialize)]
struct Opening {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
}

impl TokenIssuer {
    /// An issuer that signs with the ring's current key tokens that live for `lifetime`.
    #[must_use]
    pub fn new(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        ring: KeyRing,
        lifetime: TimeDelta,
    ) -> Self {
        let (issuer, audience) = (issuer.into(), audience.into());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&issuer]);
        validation.set_audience(&[&audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "nbf", "exp"]);
        // the clock is ours, not the library's
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            issuer,
            audience,
            ring,
            lifetime,
            validation,
            verified: Mutex::new(LruCache::new(VERIFIED)),
        }
    }

    /// How long a token lives.
    #[must_use]
    pub const fn lifetime(&self) -> TimeDelta {
        self.lifetime
    }

    /// A signed access token.
    pub fn issue(&self, grant: AccessGrant, now: DateTime<Utc>) -> Result<String, SigningError> {
        let header = Header {
            typ: Some(ACCESS_TOKEN_TYPE.to_owned()),
            kid: Some(self.ring.current.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: grant.account,
            sid: grant.session,
            jti: grant.token_id,
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + self.lifetime).timestamp(),
            epoch: grant.epoch,
            roles: grant.roles,
        };
        Ok(jsonwebtoken::encode(
            &header,
            &claims,
            &self.ring.current.signs,
        )?)
    }

    /// What `token` says, if it is ours, whole and of this time. Whether its session still stands is another
    /// question. A signature is checked when the token is first seen, the time whenever it is seen.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<AccessClaims, TokenError> {
        let name: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let verified = self.verified().get(&name).cloned();
        let is_new = verified.is_none();
        let claims = match verified {
            Some(claims) => claims,
            None => self.read(token)?,
        };
        if claims.exp <= now.timestamp() {
            return Err(TokenError::Expired);
        }
        if claims.nbf > (now + CLOCK_SKEW).timestamp() {
            return Err(TokenError::NotYetValid);
        }
        if is_new {
            self.verified().put(name, claims.clone());
        }
        Ok(claims)
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, LruCache<[u8; 32], AccessClaims>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a token says whose signature is one of ours.
    fn read(&self, token: &str) -> Result<AccessClaims, TokenError> {
        let (opening, _) = token.split_once('.').ok_or(TokenError::Malformed)?;
        let opening = BASE64_URL_SAFE_NO_PAD
            .decode(opening)
            .map_err(|_| TokenError::Malformed)?;
        let opening: Opening =
            serde_json::from_slice(&opening).map_err(|_| TokenError::Malformed)?;
        if opening.alg != "EdDSA" {
            return Err(TokenError::AlgorithmNotAllowed);
        }
        if opening.typ.as_deref() != Some(ACCESS_TOKEN_TYPE) {
            return Err(TokenError::ForeignType);
        }
        let key = self
            .ring
            .keys()
            .find(|key| opening.kid.as_deref() == Some(key.kid()))
            .ok_or(TokenError::UnknownKey)?;
        let decoded = jsonwebtoken::decode::<AccessClaims>(token, &key.checks, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => TokenError::BadSignature,
                ErrorKind::InvalidAlgorithm => TokenError::AlgorithmNotAllowed,
                ErrorKind::InvalidIssuer => TokenError::ForeignIssuer,
                ErrorKind::InvalidAudience => TokenError::ForeignAudience,
                _ => TokenError::Malformed,
            })?;
        Ok(decoded.claims)
    }

    /// The public keys as a JSON Web Key Set (RFC 7517, RFC 8037).
    #[must_use]
    pub fn key_set(&self) -> Value {
        let keys: Vec<Value> = self
            .ring
            .keys()
            .map(|key| {
                json!({
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "alg": "EdDSA",
                    "use": "sig",
                    "kid": key.kid,
                    "x": BASE64_URL_SAFE_NO_PAD.encode(key.public),
                })
            })
            .collect();
        json!({ "keys": keys })
    }
}

/// A refresh token: names its session and holds a secret of 256 bits, of which only a hash is stored.
pub struct RefreshToken {
    session: SessionId,
    secret: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl RefreshToken {
    /// A session's first token, from given randomness.
    #[must_use]
    pub fn new(session: SessionId, secret: [u8; 32]) -> Self {
        Self {
            session,
            secret: Zeroizing::new(secret),
        }
    }

    /// Reads `session_id.secret` as [`RefreshToken::expose`] writes it; anything else is nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (session, secret) = text.split_once('.')?;
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?;
        let secret = <[u8; 32]>::try_from(bytes.as_slice()).ok();
        bytes.zeroize();
        Some(Self::new(session.parse().ok()?, secret?))
    }

    /// The session it belongs to.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The token as the client gets it.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(self.secret.as_slice()));
        Zeroizing::new(format!("{}.{}", self.session, secret.as_str()))
    }

    /// SHA-256 of the secret in hex: what is stored.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.secret.as_slice()))
    }

    /// The token that follows this one: HKDF-SHA-256 of the spent secret under the instance's key. Always the
    /// same, so that a client whose reply was lost can be given it again.
    #[must_use]
    pub fn successor(&self, instance_key: &[u8; 32]) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        let expanded = Hkdf::<Sha256>::new(Some(instance_key), self.secret.as_slice())
            .expand_multi_info(
                &[b"soulsense refresh token", self.session.0.as_bytes()],
                secret.as_mut_slice(),
            );
        debug_assert!(expanded.is_ok(), "32 bytes are within what HKDF can give");
        Self {
            session: self.session,
            secret,
        }
    }
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests;
