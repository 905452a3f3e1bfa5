//! Keys: one per data subject, wrapped by the master key; one per entry or post, wrapped by its subject's;
//! and the installation's own.
//!
//! A destroyed key leaves a tombstone. A key that is missing or out of reach is an error, never an
//! erasure.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use lru::LruCache;
use rand::Rng;
use sha2::Sha256;
use sqlx::FromRow;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::database::{Database, Statement};
use crate::new_keys::{NewKey, NewKeys};
use crate::rows::fetch_by_id;
use crate::together::Together;
use crate::{execute, fetch_one, fetch_optional, statement};

static INSTANCE_KEY: Statement = statement!("../sql/instance_key.sql");
static INSERT_INSTANCE_KEY: Statement = statement!("../sql/insert_instance_key.sql");
static ANY_KEY: Statement = statement!("../sql/any_key.sql");
static SUBJECT_KEY: Statement = statement!("../sql/subject_key.sql");
static STREAM_KEY: Statement = statement!("../sql/stream_key.sql");
static DATA_KEYS: Statement = statement!("../sql/data_keys.sql");
static DESTROY_SUBJECT_KEY: Statement = statement!("../sql/destroy_subject_key.sql");
static DESTROY_STREAM_KEY: Statement = statement!("../sql/destroy_stream_key.sql");

/// How long a key may be used without looking whether it was destroyed meanwhile.
const CACHED: Duration = Duration::from_mins(1);
/// Keys kept in memory.
const CACHE_SIZE: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
/// The only version of the master key there is until rotation.
const MASTER_VERSION: i64 = 1;
const NONCE_BYTES: usize = 12;

/// Why a key cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The keys home does not answer.
    #[error("the keys cannot be read")]
    Database(#[source] Arc<sqlx::Error>),
    /// The subject or stream has no key, although it should.
    #[error("a key is missing")]
    Missing,
    /// A wrapped key or a sealed value does not open: wrong master key, or changed bytes.
    #[error("a sealed value does not open with its key")]
    Unopenable,
    /// Something is to be sealed with a key that was destroyed.
    #[error("the key is destroyed")]
    Destroyed,
}

impl From<sqlx::Error> for KeyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// 32 secret bytes, wiped when dropped and never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// A secret of given bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Fresh from the operating system's generator.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// The bytes themselves.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA-256 of `message` under this secret.
    #[must_use]
    pub fn hmac(&self, message: &[u8]) -> [u8; 32] {
        // HMAC takes a key of any length
        <Hmac<Sha256> as KeyInit>::new_from_slice(self.bytes())
            .map(|mac| mac.chain_update(message).finalize().into_bytes().into())
            .unwrap_or_default()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// AES-256-GCM with a random nonce in front of the ciphertext.
#[derive(Clone)]
struct Cipher(Arc<Aes256Gcm>);

impl Cipher {
    fn new(secret: &Secret) -> Self {
        Self(Arc::new(Aes256Gcm::new(secret.bytes().into())))
    }

    fn seal(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let sealed = self
            .0
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad })
            .map_err(|_| KeyError::Unopenable)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (nonce, sealed) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(KeyError::Unopenable)?;
        self.0
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad })
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Unopenable)
    }
}

/// A data key in memory: usable, or known to be destroyed.
#[derive(Clone)]
pub struct DataKey {
    /// Its id, as it stands beside what it seals.
    pub id: Uuid,
    cipher: Option<Cipher>,
}

impl DataKey {
    /// A key that no database knows, or its tombstone.
    #[cfg(test)]
    pub(crate) fn of(id: Uuid, secret: Option<&Secret>) -> Self {
        let cipher = secret.map(Cipher::new);
        Self { id, cipher }
    }

    /// False when only the tombstone is left.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.cipher.is_some()
    }

    /// Nonce and ciphertext of `plain`, bound to `aad`.
    pub fn seal(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.cipher
            .as_ref()
            .ok_or(KeyError::Destroyed)?
            .seal(plain, aad)
    }

    /// The plain bytes; `None` when the key is destroyed.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        self.cipher
            .as_ref()
            .map(|cipher| cipher.open(sealed, aad))
            .transpose()
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[derive(FromRow)]
struct Row {
    key_id: Uuid,
    scope: String,
    subject_id: Uuid,
    wrapped: Option<Vec<u8>>,
    subject_wrapped: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Id(Uuid),
    Subject(Uuid),
    Stream(&'static str, String),
}

struct Cached {
    key: DataKey,
    subject: Uuid,
    since: Instant,
}

/// All keys of the installation.
pub struct Keys {
    database: Database,
    master: Cipher,
    cache: Mutex<LruCache<Name, Cached>>,
    making: Arc<Together<NewKeys>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// The keys of a home, opened with the master key.
    #[must_use]
    pub fn new(database: Database, master: &Secret) -> Self {
        Self {
            database,
            master: Cipher::new(master),
            cache: Mutex::new(LruCache::new(CACHE_SIZE)),
            making: Arc::default(),
        }
    }

    /// True when any wrapped key exists, so that a fresh master key could open nothing.
    pub async fn any_wrapped(database: &Database) -> Result<bool, sqlx::Error> {
        let (present,): (bool,) = fetch_one!(database, (bool,), ANY_KEY.on(database.engine()))?;
        Ok(present)
    }

    /// A key of the installation, the same on every node; made at its first use.
    ///
    /// Fails with [`KeyError::Unopenable`] when the master key is not the one that wrapped it.
    pub async fn instance(&self, purpose: &str, now: DateTime<Utc>) -> Result<Secret, KeyError> {
        let engine = self.database.engine();
        let aad = format!("instance|{purpose}|1");
        for made in [false, true] {
            let row: Option<(Vec<u8>,)> = fetch_optional!(
                self.database,
                (Vec<u8>,),
                INSTANCE_KEY.on(engine),
                purpose,
                1_i64
            )?;
            if let Some((wrapped,)) = row {
                let plain = self.master.open(&wrapped, aad.as_bytes())?;
                return secret(&plain);
            }
            if !made {
                let wrapped = self.master.seal(Secret::random().bytes(), aad.as_bytes())?;
                execute!(
                    self.database,
                    INSERT_INSTANCE_KEY.on(engine),
                    purpose,
                    1_i64,
                    MASTER_VERSION,
                    &wrapped,
                    now
                )?;
            }
        }
        Err(KeyError::Missing)
    }

    /// Makes the key of a new data subject. Committed before anything is sealed with it.
    pub async fn create_subject(
        &self,
        subject: Uuid,
        key_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(), KeyError> {
        let wrapped = self.master.seal(
            Secret::random().bytes(),
            &wrap_aad("subject", subject, key_id),
        )?;
        self.make(NewKey {
            key_id,
            subject_id: subject,
            stream: None,
            master_version: MASTER_VERSION,
            wrapped,
            created_at: now,
        })
        .await?;
        Ok(())
    }

    /// The key of a subject, or its tombstone.
    pub async fn subject(&self, subject: Uuid) -> Result<DataKey, KeyError> {
        let name = Name::Subject(subject);
        if let Some(key) = self.cached(&name) {
            return Ok(key);
        }
        let row = fetch_optional!(
            self.database,
            Row,
            SUBJECT_KEY.on(self.database.engine()),
            subject
        )?
        .ok_or(KeyError::Missing)?;
        self.remember(name, &row)
    }

    /// The key of one stream, made with `new_id` when there is none yet. That there is none is not read first
    /// where the stream `is_new`.
    pub async fn stream(
        &self,
        aggregate_type: &'static str,
        aggregate_id: &str,
        is_new: bool,
        subject: Uuid,
        new_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<DataKey, KeyError> {
        let name = Name::Stream(aggregate_type, aggregate_id.to_owned());
        if let Some(key) = self.cached(&name) {
            return Ok(key);
        }
        for look in [!is_new, true] {
            if look
                && let Some(row) = fetch_optional!(
                    self.database,
                    Row,
                    STREAM_KEY.on(self.database.engine()),
                    aggregate_type,
                    aggregate_id
                )?
            {
                return self.remember(name, &row);
            }
            let secret = Secret::random();
            let wrapped = self
                .subject(subject)
                .await?
                .seal(secret.bytes(), &wrap_aad("stream", subject, new_id))?;
            let made = self.make(NewKey {
                key_id: new_id,
                subject_id: subject,
                stream: Some((aggregate_type, aggregate_id.to_owned())),
                master_version: MASTER_VERSION,
                wrapped,
                created_at: now,
            });
            if made.await? {
                let cipher = Some(Cipher::new(&secret));
                return Ok(self.keep(name, subject, DataKey { id: new_id, cipher }));
            }
        }
        Err(KeyError::Missing)
    }

    /// Commits a new key, together with those that others make just now; false when there was one before.
    async fn make(&self, key: NewKey) -> Result<bool, KeyError> {
        let made = self.making.answer(&self.database, &NewKeys, key).await;
        made.map_err(KeyError::Database)
    }

    /// Keys by id; those that are not in memory are asked for together. An id without a key is absent from
    /// the map.
    pub async fn by_id(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, DataKey>, KeyError> {
        let mut found = HashMap::with_capacity(ids.len());
        let mut strangers = Vec::new();
        for id in ids {
            match self.cached(&Name::Id(*id)) {
                Some(key) => {
                    found.insert(*id, key);
                }
                None => strangers.push(*id),
            }
        }
        let sql = DATA_KEYS.on(self.database.engine());
        for row in fetch_by_id::<Row>(&self.database, sql, &strangers).await? {
            found.insert(row.key_id, self.remember(Name::Id(row.key_id), &row)?);
        }
        Ok(found)
    }

    /// Destroys a subject's key and, with it, every stream key it wraps. Idempotent.
    pub async fn destroy_subject(&self, subject: Uuid, now: DateTime<Utc>) -> Result<(), KeyError> {
        execute!(
            self.database,
            DESTROY_SUBJECT_KEY.on(self.database.engine()),
            subject,
            now
        )?;
        self.forget(|cached| cached.subject == subject);
        Ok(())
    }

    /// Destroys the key of one stream. Idempotent.
    pub async fn destroy_stream(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), KeyError> {
        let destroyed: Option<(Uuid,)> = fetch_optional!(
            self.database,
            (Uuid,),
            DESTROY_STREAM_KEY.on(self.database.engine()),
            aggregate_type,
            aggregate_id,
            now
        )?;
        if let Some((key_id,)) = destroyed {
            self.forget(|cached| cached.key.id == key_id);
        }
        Ok(())
    }

    fn cached(&self, name: &Name) -> Option<DataKey> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cache.get(name)?;
        if cached.since.elapsed() < CACHED {
            return Some(cached.key.clone());
        }
        cache.pop(name);
        None
    }

    fn remember(&self, name: Name, row: &Row) -> Result<DataKey, KeyError> {
        let key = DataKey {
            id: row.key_id,
            cipher: self.unwrap(row)?,
        };
        Ok(self.keep(name, row.subject_id, key))
    }

    fn keep(&self, name: Name, subject: Uuid, key: DataKey) -> DataKey {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let by_id = Name::Id(key.id);
        let also = (name != by_id).then_some(by_id);
        for name in [Some(name), also].into_iter().flatten() {
            cache.put(
                name,
                Cached {
                    key: key.clone(),
                    subject,
                    since: Instant::now(),
                },
            );
        }
        key
    }

    fn forget(&self, which: impl Fn(&Cached) -> bool) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<Name> = cache
            .iter()
            .filter(|(_, cached)| which(cached))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            cache.pop(&name);
        }
    }

    fn unwrap(&self, row: &Row) -> Result<Option<Cipher>, KeyError> {
        let (Some(wrapped), Some(subject_wrapped)) = (&row.wrapped, &row.subject_wrapped) else {
            return Ok(None);
        };
        if row.scope == "subject" {
            let plain = self
                .master
                .open(wrapped, &wrap_aad("subject", row.subject_id, row.key_id))?;
            return Ok(Some(Cipher::new(&secret(&plain)?)));
        }
        let subject = self.open_subject(row.subject_id, subject_wrapped)?;
        let plain = subject.open(wrapped, &wrap_aad("stream", row.subject_id, row.key_id))?;
        Ok(Some(Cipher::new(&secret(&plain)?)))
    }

    fn open_subject(&self, subject: Uuid, wrapped: &[u8]) -> Result<Cipher, KeyError> {
        let plain = self
            .master
            .open(wrapped, &wrap_aad("subject", subject, subject))?;
        Ok(Cipher::new(&secret(&plain)?))
    }
}

fn secret(plain: &[u8]) -> Result<Secret, KeyError> {
    plain
        .try_into()
        .map(Secret::new)
        .map_err(|_| KeyError::Unopenable)
}

/// A wrapped key is bound to its scope and subject, a stream's to its own id as well.
fn wrap_aad(scope: &str, subject: Uuid, key_id: Uuid) -> Vec<u8> {
    if scope == "subject" {
        return format!("subject|{subject}").into_bytes();
    }
    format!("{scope}|{subject}|{key_id}").into_bytes()
}
