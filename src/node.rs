//! One running process: everything that is opened at the start and closed at the end.
//!
//! [`Node::open`] is shared by the server and the command line; only the server also calls
//! [`Node::start`], which runs projections, policies, jobs and the revocation follower.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use cqrs_es::Aggregate;
use domain::exams::exam::Exam;
use domain::exams::question_bank::QuestionBank;
use domain::gamification::progress::Progress;
use domain::identity::account::Account;
use domain::identity::session::Session;
use domain::journal::entry::Entry;
use domain::operations::skips::Skips;
use event_log::append::{AppenderTask, Bounds};
use event_log::homes::{Homes, Target};
use event_log::keys::{Keys, Secret};
use event_log::presence::Presence;
use event_log::subscriptions::Subscriptions;
use event_log::{EventLog, RecordedEvent, pooling, wakeups};
use projections::projector::{Parts, Projector};
use projections::tables::Pinned;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock::{Clock, Ids};
use crate::commands::{Bus, Commands};
use crate::config::{Config, DatabaseTarget};
use crate::hashing::Hasher;
use crate::policies;
use crate::revocation::Revocations;
use crate::state::challenges::Challenges;
use crate::state::ladder::Ladder;
use crate::state::totp_steps::TotpSteps;
use crate::tokens::{KeyRing, TokenIssuer, TokenKey};

/// The master key in the data directory.
pub const MASTER_KEY_FILE: &str = "master.key";
/// The file that a server locks, so that no second one serves the same data.
const LOCK_FILE: &str = "serve.lock";
/// Who access tokens are for.
const AUDIENCE: &str = "soulsense";
/// How long policies and jobs are given to end.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// Whether a process serves or only looks after things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Serve requests: brings schemas up to date, makes keys, refuses a second server on the same files.
    Serve,
    /// One command of the command line.
    Tool,
}

/// An open node.
pub struct Node {
    /// The configuration it was opened with.
    pub config: Config,
    /// The time.
    pub clock: Clock,
    /// Fresh ids.
    pub ids: Ids,
    /// Tells this process from others in leases.
    pub id: Uuid,
    /// The databases.
    pub homes: Homes,
    /// Whether they are there.
    pub presence: Presence,
    /// The log.
    pub log: Arc<EventLog>,
    /// Runs and waits for projections.
    pub projector: Projector,
    /// Accounts.
    pub accounts: Commands<Account>,
    /// Sessions.
    pub sessions: Commands<Session>,
    /// Question banks.
    pub banks: Commands<QuestionBank>,
    /// Exams.
    pub exams: Commands<Exam>,
    /// Journal entries.
    pub entries: Commands<Entry>,
    /// Experience points and streaks.
    pub progress: Commands<Progress>,
    /// What projections leave out.
    pub skips: Commands<Skips>,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Signs and checks access tokens.
    pub tokens: Arc<TokenIssuer>,
    /// From it a refresh secret's successor is derived.
    pub refresh_key: Secret,
    /// Failed logins and other proofs.
    pub ladder: Ladder,
    /// Tokens that stand for a proof for some minutes.
    pub challenges: Challenges,
    /// Codes of second factors that were used.
    pub totp_steps: TotpSteps,
    /// Tokens that ended before their time.
    pub revocations: Revocations,
    /// Where policies are.
    pub subscriptions: Subscriptions,
    appender: Mutex<Option<AppenderTask>>,
    stop: CancellationToken,
    stop_effects: CancellationToken,
    projecting: TaskTracker,
    effects: TaskTracker,
    lock: Mutex<Option<std::fs::File>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Opens databases, keys and the log; every failure is one clear line.
    pub async fn open(
        config: Config,
        purpose: Purpose,
        clock: Clock,
        ids: Ids,
    ) -> anyhow::Result<Arc<Self>> {
        let target = target(&config)?;
        match purpose {
            Purpose::Tool => present(&target)?,
            Purpose::Serve => std::fs::create_dir_all(&config.data_dir).with_context(|| {
                format!(
                    "the data directory {} cannot be made",
                    config.data_dir.display()
                )
            })?,
        }
        let lock = match (purpose, &target) {
            (Purpose::Serve, Target::Sqlite { directory }) => Some(lock(directory)?),
            _ => None,
        };
        let homes = homes(&config, &target, purpose).await?;
        let master = master_key(&config, &homes, purpose).await?;
        let now = clock.now();
        let keys = Arc::new(Keys::new(homes.keys.clone(), &master));
        let bounds = Bounds {
            commands: config.append_queue_commands,
            bytes: config.append_queue_bytes,
            ..Bounds::default()
        };
        let (log, appender) = EventLog::open(
            homes.clone(),
            Arc::clone(&keys),
            domain::upcasters::all(),
            bounds,
            now,
        )
        .await
        .context("the event log cannot be opened; is it the right master key?")?;
        let log = Arc::new(log);
        let signing = keys.instance("token signing", now).await?;
        let refresh_key = keys.instance("refresh", now).await?;
        let state_key = keys.instance("state", now).await?;
        let ring = KeyRing {
            previous: None,
            current: TokenKey::from_seed(signing.bytes()),
            next: None,
        };
        let tokens = TokenIssuer::new(
            config.public_url(),
            AUDIENCE,
            ring,
            config.access_token_lifetime(),
        );
        let id = ids.next();
        let telling = clock.clone();
        let projector = Projector::new(Parts {
            read: homes.read.clone(),
            reader: log.reader(),
            keys,
            upcasters: Arc::new(domain::upcasters::all()),
            projections: projections::all(),
            node: id,
            now: Arc::new(move || telling.now()),
        });
        let bus = Arc::new(Bus::new(
            Arc::clone(&log),
            clock.clone(),
            ids.clone(),
            projector.clone(),
        ));
        let hasher = Hasher::try_new(config.hashing())?;
        Ok(Arc::new(Self {
            accounts: Commands::new(&bus, projections::identity::READ),
            sessions: Commands::new(&bus, projections::identity::READ),
            banks: Commands::new(&bus, projections::exams::READ),
            exams: Commands::new(&bus, projections::exams::READ),
            entries: Commands::new(&bus, projections::journal::READ),
            progress: Commands::new(&bus, projections::gamification::READ),
            skips: Commands::new(&bus, projections::audit::READ),
            revocations: Revocations::new(log.reader(), config.access_token_lifetime()),
            subscriptions: Subscriptions::new(homes.log.clone(), id),
            ladder: Ladder::new(homes.state.clone(), state_key),
            challenges: Challenges::new(homes.state.clone()),
            totp_steps: TotpSteps::new(homes.state.clone()),
            tokens: Arc::new(tokens),
            config,
            clock,
            ids,
            id,
            homes,
            presence: Presence::default(),
            log,
            projector,
            hasher,
            refresh_key,
            appender: Mutex::new(Some(appender)),
            stop: CancellationToken::new(),
            stop_effects: CancellationToken::new(),
            projecting: TaskTracker::new(),
            effects: TaskTracker::new(),
            lock: Mutex::new(lock),
        }))
    }

    /// Starts the projections alone: what a tool needs that waits for read models.
    pub async fn start_projections(&self) -> anyhow::Result<()> {
        self.projector
            .prepare()
            .await
            .context("the read models cannot be prepared")?;
        let projector = self.projector.clone();
        let committed = self.log.appender().committed();
        let stop = self.stop.clone();
        self.projecting
            .spawn(async move { projector.run(committed, stop).await });
        Ok(())
    }

    /// Starts what a server does beside answering: projections, policies, jobs, revocation.
    pub async fn start(self: &Arc<Self>) -> anyhow::Result<()> {
        self.presence.look(&self.homes).await?;
        let node = Arc::clone(self);
        self.projecting
            .spawn(async move { node.presence.watch(&node.homes, &node.stop).await });
        self.start_projections().await?;
        let node = Arc::clone(self);
        self.projecting.spawn(async move {
            wakeups::run(node.homes.target(), node.log.appender(), &node.stop).await;
        });
        self.revocations
            .catch_up(self.clock.now())
            .await
            .context("the event log cannot be read")?;
        let node = Arc::clone(self);
        self.projecting.spawn(async move {
            let stop = node.stop.clone();
            let noticed = |event: &RecordedEvent| {
                if event.event_type.ends_with("_erased") {
                    node.forget(&event.aggregate_type, &event.aggregate_id);
                }
            };
            node.revocations.follow(&node.clock, &stop, noticed).await;
        });
        crate::exams_shipped::publish(self)
            .await
            .context("the shipped question banks cannot be published")?;
        for policy in policies::all() {
            let (node, stop) = (Arc::clone(self), self.stop_effects.clone());
            self.effects
                .spawn(async move { policies::run(policy, node, stop).await });
        }
        for job in crate::jobs::all() {
            let (node, stop) = (Arc::clone(self), self.stop_effects.clone());
            self.effects
                .spawn(async move { crate::jobs::run(job, node, stop).await });
        }
        Ok(())
    }

    /// Stops in the order that loses nothing: policies and jobs, the appender's queue, projections, pools.
    /// Requests must have ended before.
    pub async fn stop(&self) {
        self.stop_effects.cancel();
        self.effects.close();
        if tokio::time::timeout(STOP_WAIT, self.effects.wait())
            .await
            .is_err()
        {
            tracing::warn!("policies or jobs did not end in time");
        }
        self.log.appender().close();
        let appender = self
            .appender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(appender) = appender {
            appender.finished().await;
        }
        self.stop.cancel();
        self.projecting.close();
        if tokio::time::timeout(STOP_WAIT, self.projecting.wait())
            .await
            .is_err()
        {
            tracing::warn!("projections did not end in time");
        }
        self.homes.close().await;
        // closing the file lets another server take the data
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Drops the state of a stream from memory, as erasure must, whichever node erases.
    pub fn forget(&self, aggregate_type: &str, id: &str) {
        match aggregate_type {
            Account::TYPE => self.accounts.forget(id),
            Session::TYPE => self.sessions.forget(id),
            Exam::TYPE => self.exams.forget(id),
            Entry::TYPE => self.entries.forget(id),
            Progress::TYPE => self.progress.forget(id),
            _ => {}
        }
    }

    /// The read models as they are now.
    pub fn read(&self) -> Pinned {
        self.projector.models().pin()
    }
}

/// Where the configuration says the homes are.
pub(crate) fn target(config: &Config) -> anyhow::Result<Target> {
    let database = config.database()?;
    let direct_url = config.direct_url(&database)?;
    Ok(match database {
        DatabaseTarget::Sqlite { directory } => Target::Sqlite { directory },
        DatabaseTarget::Postgres { url } => Target::Postgres {
            url: url.expose().to_owned(),
            direct_url: direct_url.map(|url| url.expose().to_owned()),
            max_connections: config.database_connections,
        },
    })
}

/// The homes, their schemas as this program knows them.
async fn homes(config: &Config, target: &Target, purpose: Purpose) -> anyhow::Result<Homes> {
    let homes = Homes::open_waiting(target, config.database_timeout()).await?;
    pooling::check(target).await?;
    match purpose {
        Purpose::Serve => homes.migrate().await?,
        Purpose::Tool => homes.check().await?,
    }
    Ok(homes)
}

/// Fails where there are no files yet: who looks after things makes none.
pub(crate) fn present(target: &Target) -> anyhow::Result<()> {
    match target {
        Target::Sqlite { directory } if !directory.join("events.db").exists() => bail!(
            "there is no data in {} yet: `soulsense serve` or `soulsense migrate` makes it",
            directory.display()
        ),
        _ => Ok(()),
    }
}

fn lock(directory: &Path) -> anyhow::Result<std::fs::File> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("the data directory {} cannot be made", directory.display()))?;
    let path = directory.join(LOCK_FILE);
    let file = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| {
            format!(
                "the data directory {} cannot be written",
                directory.display()
            )
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!("another server runs on the data in {}", directory.display())
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", path.display()))
        }
    }
}

/// The configured master key, or the one in the data directory. One is made there only while nothing
/// is wrapped yet: with keys in the database and no master key, nothing could be opened again.
async fn master_key(config: &Config, homes: &Homes, purpose: Purpose) -> anyhow::Result<Secret> {
    if let Some(key) = known_master_key(config).await? {
        return Ok(key);
    }
    if Keys::any_wrapped(&homes.keys)
        .await
        .context("the keys cannot be read")?
    {
        bail!(missing_master_key(config));
    }
    if purpose == Purpose::Tool {
        bail!("there are no keys yet: `soulsense serve` makes them at its first start");
    }
    let path = config.data_dir.join(MASTER_KEY_FILE);
    let key = Secret::random();
    let text = crate::tokens::hex(key.bytes());
    let written = write_private(&path, &text);
    match written {
        Ok(()) => Ok(key),
        // another process that starts at the same time was first
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => read_master_key(&path)
            .await?
            .with_context(|| format!("{} cannot be read", path.display())),
        Err(error) => Err(error).with_context(|| format!("{} cannot be written", path.display())),
    }
}

/// The configured master key, or the one in the data directory, if there is one.
pub(crate) async fn known_master_key(config: &Config) -> anyhow::Result<Option<Secret>> {
    match config.master_key()? {
        Some(key) => Ok(Some(Secret::new(*key))),
        None => read_master_key(&config.data_dir.join(MASTER_KEY_FILE)).await,
    }
}

/// What to say when keys are wrapped and nothing opens them.
pub(crate) fn missing_master_key(config: &Config) -> String {
    format!(
        "the master key is missing: the database holds keys it wraps, but {} is absent and SOULSENSE_MASTER_KEY is not set",
        config.data_dir.join(MASTER_KEY_FILE).display()
    )
}

async fn read_master_key(path: &Path) -> anyhow::Result<Option<Secret>> {
    match tokio::fs::read_to_string(path).await {
        Ok(text) => {
            let key = crate::config::key_of_32_bytes(text.trim())
                .with_context(|| format!("{} does not hold 32 bytes in hex", path.display()))?;
            Ok(Some(Secret::new(*key)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}
