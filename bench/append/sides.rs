//! The two sides of the comparison: our store, and the published libraries' own `persist`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use domain::id::AccountId;
use domain::{Aggregate, KeyScope, Kind, Personal, Rejection};
use event_log::append::{Bounds, Verdict};
use event_log::command_ids::Remember;
use event_log::homes::{Homes, Target};
use event_log::keys::{Keys, Secret};
use event_log::log::{Decided, Loaded};
use event_log::{EventLog, Metadata};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use sqlite_es::SqliteEventRepository;
use uuid::Uuid;

use crate::Failure;

/// About as much text as a short journal entry.
const WORDS: &str = "Today I listened before I answered, and the talk with my sister went better than I had feared. \
    I noticed how my shoulders sank when she laughed, and I would like to remember that the next time.";

const ROLE: &str = "member";

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark is where time and ids come from"
)]
pub fn moment() -> (DateTime<Utc>, Uuid) {
    (Utc::now(), Uuid::now_v7())
}

/// What is appended: a letter somebody wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LetterEvent {
    LetterWritten {
        owner: AccountId,
        words: Personal<String>,
    },
}

domain::event_types!(LetterEvent { LetterWritten: "letter_written" 1 });

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Letter {
    owner: Option<AccountId>,
    words: Option<Personal<String>>,
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Rejection for Never {
    fn code(&self) -> &'static str {
        "letter.never"
    }

    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

domain::aggregate!(Letter, "letter", LetterEvent, LetterEvent, Never);

impl Letter {
    fn fold(&mut self, event: LetterEvent) {
        let LetterEvent::LetterWritten { owner, words } = event;
        self.owner = Some(owner);
        self.words = Some(words);
    }
}

impl Aggregate for Letter {
    const KEY_SCOPE: KeyScope = KeyScope::Subject;

    fn decide(&self, command: &LetterEvent) -> Result<Vec<LetterEvent>, Never> {
        Ok(vec![command.clone()])
    }

    fn subject(&self) -> Option<AccountId> {
        self.owner
    }
}

/// Our store: seal, hash, judge, number, write.
pub struct Ours {
    pub log: EventLog,
    owner: AccountId,
}

impl Ours {
    /// Migrates an empty target and opens the log there.
    pub async fn open(target: &Target) -> Result<Self, Failure> {
        let homes = Homes::open(target).await?;
        homes.migrate().await?;
        let keys = Arc::new(Keys::new(homes.keys.clone(), &Secret::random()));
        let (now, owner) = moment();
        keys.create_subject(owner, owner, now).await?;
        let (log, _task) = EventLog::open(homes, keys, Vec::new(), Bounds::default(), now).await?;
        Ok(Self {
            log,
            owner: AccountId(owner),
        })
    }
}

impl Ours {
    /// One event for a new stream; with a command id as a policy gives it, when it is to be remembered.
    pub async fn append(&self, remembered: bool) -> Result<(), Failure> {
        let (now, id) = moment();
        let stream = id.to_string();
        let before = Loaded::<Letter>::default();
        let metadata = Metadata {
            correlation_id: id,
            causation_id: None,
            actor_id: self.owner.to_string(),
            actor_role: ROLE,
        };
        let remember = remembered.then(|| Remember::policy("benchmark", id, &stream));
        let decided = Decided {
            id: &stream,
            before,
            events: &[(
                id,
                LetterEvent::LetterWritten {
                    owner: self.owner,
                    words: Personal::Known(WORDS.to_owned()),
                },
            )],
            metadata: &metadata,
            remember: remember.as_ref(),
            key_id: id,
            now,
        };
        match self.log.append(decided).await?.0 {
            Verdict::Appended { .. } => Ok(()),
            verdict => Err(format!("{verdict:?}").into()),
        }
    }
}

/// Theirs: a transaction with one INSERT of the seven columns.
pub enum Theirs {
    /// postgres-es.
    Postgres(PostgresEventRepository),
    /// sqlite-es.
    Sqlite(SqliteEventRepository),
}

impl Theirs {
    /// One event for a new stream.
    pub async fn append(&self) -> Result<(), Failure> {
        let (_, id) = moment();
        let event = LetterEvent::LetterWritten {
            owner: AccountId(id),
            words: Personal::Known(WORDS.to_owned()),
        };
        let event = SerializedEvent::new(
            id.to_string(),
            1,
            <Letter as cqrs_es::Aggregate>::TYPE.to_owned(),
            "letter_written".to_owned(),
            "1".to_owned(),
            serde_json::to_value(&event)?,
            serde_json::json!({"actor_role": ROLE}),
        );
        match self {
            Self::Postgres(repository) => repository.persist::<Letter>(&[event], None).await,
            Self::Sqlite(repository) => repository.persist::<Letter>(&[event], None).await,
        }
        .map_err(Into::into)
    }
}
