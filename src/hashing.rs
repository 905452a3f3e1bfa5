//! Password hashing: argon2id, off the runtime, on few threads, before a short queue that sheds.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{self, generate_salt};
use argon2::{
    Algorithm, Argon2, Block, CustomizedPasswordHasher, Params, PasswordVerifier, Version,
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// The least memory a hash may use, in KiB: the OWASP password storage cheat sheet's first choice.
pub const LEAST_MEMORY_KIB: u32 = 19_456;
/// The fewest passes over that memory.
pub const FEWEST_ITERATIONS: u32 = 2;

/// How hard hashing is, and how much of it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashingSettings {
    /// Memory of one hash in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Hashes computed at the same time, each with its own memory.
    pub threads: usize,
    /// Requests that may wait for a thread; one more is shed.
    pub queue: usize,
}

impl Default for HashingSettings {
    fn default() -> Self {
        Self {
            memory_kib: LEAST_MEMORY_KIB,
            iterations: FEWEST_ITERATIONS,
            parallelism: 1,
            threads: 2,
            queue: 64,
        }
    }
}

/// Why there is no answer about a password.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// All threads are taken and the queue is full; no memory was taken for this one.
    #[error("password hashing is busy")]
    Busy,
    /// The parameters, or a stored hash, are not what argon2 understands.
    #[error("argon2: {0}")]
    Argon2(#[from] argon2::Error),
    /// The stored hash cannot be read or the parameters cannot be used.
    #[error("password hash: {0}")]
    PasswordHash(#[from] argon2::password_hash::Error),
    /// The stored text is no PHC string.
    #[error("stored password hash is unreadable")]
    Unreadable(#[from] argon2::password_hash::phc::Error),
    /// The thread died.
    #[error("password hashing did not finish")]
    Unfinished(#[from] tokio::task::JoinError),
}

/// What a password turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one that was hashed.
    Matches {
        /// The stored hash is weaker than what is configured now: hash again and store.
        needs_rehash: bool,
    },
    /// It is another one.
    Differs,
}

/// Argon2 in memory that is used again: as much as was ever needed at the same time, and no more. Left to
/// the allocator, many threads' arenas each keep the memory of a hash.
#[derive(Clone)]
struct Frugal {
    params: Params,
    idle: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Frugal {
    fn hash(&self, password: &[u8]) -> password_hash::Result<String> {
        let (salt, params) = (generate_salt(), self.params.clone());
        let hash = self.hash_password_customized(password, &salt, None, None, params)?;
        Ok(hash.to_string())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CustomizedPasswordHasher<PasswordHash> for Frugal {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> password_hash::Result<PasswordHash> {
        let algorithm = algorithm.map_or(Ok(Algorithm::Argon2id), Algorithm::try_from)?;
        let version = version.map_or(Ok(Version::V0x13), Version::try_from)?;
        let argon2 = Argon2::new(algorithm, version, params);
        let params = argon2.params();
        let mut output = [0; Output::MAX_LENGTH];
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = output
            .get_mut(..length)
            .ok_or(password_hash::Error::OutputSize)?;
        let mut memory = self.idle().pop().unwrap_or_default();
        if memory.len() < params.block_count() {
            memory.resize(params.block_count(), Block::default());
        }
        let hashed = argon2.hash_password_into_with_memory(password, salt, output, &mut memory);
        self.idle().push(memory);
        hashed?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(params)?,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(output)?),
        })
    }
}

/// Hashes and verifies passwords. Clones share threads, queue and memory.
#[derive(Clone)]
pub struct Hasher {
    argon2: Frugal,
    /// A hash that no password has, for accounts that do not exist.
    nobody: Arc<str>,
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher")
            .field("argon2", &self.argon2.params)
            .finish_non_exhaustive()
    }
}

impl Hasher {
    /// A hasher; takes as long as one hash.
    pub fn try_new(settings: HashingSettings) -> Result<Self, HashingError> {
        let params = Params::new(
            settings.memory_kib,
            settings.iterations,
            settings.parallelism,
            None,
        )?;
        let argon2 = Frugal {
            params,
            idle: Arc::default(),
        };
        let mut password = Zeroizing::new([0; 32]);
        rand::fill(password.as_mut_slice());
        let nobody = argon2.hash(password.as_slice())?;
        let threads = settings.threads.max(1);
        Ok(Self {
            argon2,
            nobody: nobody.into(),
            admitted: Arc::new(Semaphore::new(threads + settings.queue)),
            running: Arc::new(Semaphore::new(threads)),
        })
    }

    /// The PHC string of `password` under a fresh salt.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String, HashingError> {
        let argon2 = self.argon2.clone();
        self.run(move || Ok(argon2.hash(password.as_bytes())?))
            .await
    }

    /// Whether `phc` was made from `password`.
    pub async fn verify(
        &self,
        password: Zeroizing<String>,
        phc: String,
    ) -> Result<Verdict, HashingError> {
        let argon2 = self.argon2.clone();
        self.run(move || {
            let hash = PasswordHash::new(&phc)?;
            match argon2.verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(Verdict::Matches {
                    needs_rehash: is_weaker(&hash, &argon2.params)?,
                }),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verdict::Differs),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Takes the time that [`Hasher::verify`] takes, for an account that does not exist.
    pub async fn verify_nothing(&self, password: Zeroizing<String>) -> Result<(), HashingError> {
        self.verify(password, self.nobody.to_string())
            .await
            .map(|_| ())
    }

    /// Does other slow work on a password, such as estimating guesses, on the same threads and before the
    /// same queue.
    pub async fn estimate<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        self.run(move || Ok(work())).await
    }

    /// Fails when one more would be shed, for whoever has other work to do first.
    pub fn room(&self) -> Result<(), HashingError> {
        match self.admitted.available_permits() {
            0 => Err(HashingError::Busy),
            _ => Ok(()),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let admitted = Arc::clone(&self.admitted)
            .try_acquire_owned()
            .map_err(|_| HashingError::Busy)?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| HashingError::Busy)?;
        tokio::task::spawn_blocking(move || {
            let _until_done = (admitted, running);
            work()
        })
        .await?
    }
}

fn is_weaker(hash: &PasswordHash, wanted: &Params) -> Result<bool, HashingError> {
    let stored = Params::try_from(hash)?;
    Ok(hash.algorithm.as_str() != Algorithm::Argon2id.as_str()
        || hash.version != Some(Version::V0x13.into())
        || stored.m_cost() < wanted.m_cost()
        || stored.t_cost() < wanted.t_cost()
        || stored.p_cost() < wanted.p_cost())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn password(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn the_right_password_matches_and_another_differs() -> Outcome {
        let hasher = Hasher::try_new(HashingSettings::default())?;
        let phc = hasher.hash(password("correct horse")).await?;
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(
            hasher
                .verify(password("correct horse"), phc.clone())
                .await?,
            Verdict::Matches {
                needs_rehash: false
            }
        );
        assert_eq!(
            hasher.verify(password("battery staple"), phc).await?,
            Verdict::Differs
        );
        Ok(())
    }

    #[tokio::test]
    async fn a_hash_weaker_than_configured_asks_to_be_made_again() -> Outcome {
        let old = Hasher::try_new(HashingSettings::default())?;
        let new = Hasher::try_new(HashingSettings {
            iterations: 3,
            ..HashingSettings::default()
        })?;
        let (weak, strong) = (
            old.hash(password("p")).await?,
            new.hash(password("p")).await?,
        );
        assert_eq!(
            new.verify(password("p"), weak).await?,
            Verdict::Matches { needs_rehash: true }
        );
        assert_eq!(
            old.verify(password("p"), strong).await?,
            Verdict::Matches {
                needs_rehash: false
            }
        );
        Ok(())
    }

    #[tokio::test]
    async fn one_more_than_threads_and_queue_is_shed() -> Outcome {
        let hasher = Hasher::try_new(HashingSettings {
            threads: 1,
            queue: 1,
            ..HashingSettings::default()
        })?;
        let (first, second, third) = tokio::join!(
            hasher.hash(password("a")),
            hasher.hash(password("b")),
            hasher.hash(password("c"))
        );
        assert!(first.is_ok() && second.is_ok());
        assert!(matches!(third, Err(HashingError::Busy)));
        hasher.room()?;
        let mut under_way = std::pin::pin!(futures::future::join(
            hasher.hash(password("a")),
            hasher.hash(password("b"))
        ));
        assert!(futures::poll!(&mut under_way).is_pending());
        assert!(matches!(hasher.room(), Err(HashingError::Busy)));
        let (first, second) = under_way.await;
        assert!(first.is_ok() && second.is_ok());
        assert!(hasher.hash(password("d")).await.is_ok());
        Ok(())
    }

    #[tokio::test]
    async fn a_stored_hash_that_is_no_hash_is_an_error_not_a_mismatch() -> Outcome {
        let hasher = Hasher::try_new(HashingSettings::default())?;
        let outcome = hasher.verify(password("a"), "not a hash".to_owned()).await;
        assert!(matches!(outcome, Err(HashingError::Unreadable(_))));
        hasher.verify_nothing(password("a")).await?;
        Ok(())
    }
}
