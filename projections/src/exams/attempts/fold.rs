//! A page of events, folded in memory: what it changes, exam by exam.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::exams::exam::{ExamEvent, ExamResult, Status};
use domain::identity::account::AccountEvent;
use domain::language::Language;
use event_log::keys::KeyError;
use event_log::sealing::{Cell, SealingError, seal_column};
use uuid::Uuid;

use crate::fact::{Event, Fact};
use crate::projection::ProjectionError;

/// What a page changes.
#[derive(Default)]
pub(super) struct Folded {
    pub(super) exams: BTreeMap<Uuid, Change>,
    pub(super) standings: BTreeMap<StandingKey, NewStanding>,
    /// Whose standing counts no more, or again.
    pub(super) hidden: BTreeMap<Uuid, bool>,
    pub(super) erased: BTreeSet<Uuid>,
}

/// What a page says about one exam.
#[derive(Default)]
pub(super) struct Change {
    pub(super) started: Option<Started>,
    pub(super) answers: BTreeMap<String, i64>,
    pub(super) reflection: Words,
    pub(super) last_activity_at: Option<DateTime<Utc>>,
    pub(super) status: Option<Status>,
    pub(super) completed_at: Option<DateTime<Utc>>,
    pub(super) result: Option<ExamResult>,
}

/// What became of a member's own words.
#[derive(Default)]
pub(super) enum Words {
    #[default]
    Unchanged,
    /// These stand now, sealed.
    Sealed(Vec<u8>),
    /// None stand now: they were taken back, or cannot be read any more.
    Gone,
}

impl Words {
    pub(super) fn sealed(&self) -> Option<&[u8]> {
        match self {
            Self::Sealed(words) => Some(words),
            Self::Unchanged | Self::Gone => None,
        }
    }
}

/// How an exam began.
pub(super) struct Started {
    pub(super) account_id: Uuid,
    pub(super) instrument: String,
    pub(super) bank_version: u32,
    pub(super) scoring_version: u16,
    pub(super) language: Language,
    pub(super) items: Vec<String>,
    /// How long it may be left alone, in microseconds.
    pub(super) idle_us: i64,
    pub(super) at: DateTime<Utc>,
}

/// A member among those whose results compare.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StandingKey {
    pub(super) account_id: Uuid,
    pub(super) instrument: String,
    pub(super) bank_version: u32,
    pub(super) scoring_version: u16,
}

/// A member's latest sound result.
pub(super) struct NewStanding {
    pub(super) exam_id: Uuid,
    pub(super) tenths: u16,
}

impl Folded {
    /// Everything that a page says, in order.
    pub(super) fn of(page: &[&Fact]) -> Result<Self, ProjectionError> {
        let mut folded = Self::default();
        for fact in page {
            match &fact.event {
                Ok(Event::Exam(event)) => {
                    if let Ok(id) = fact.recorded.aggregate_id.parse() {
                        folded.exam(id, event, fact)?;
                    }
                }
                Ok(Event::Account(event)) => folded.account(event, fact),
                _ => {}
            }
        }
        Ok(folded)
    }

    fn exam(&mut self, id: Uuid, event: &ExamEvent, fact: &Fact) -> Result<(), ProjectionError> {
        let change = self.exams.entry(id).or_default();
        match event {
            ExamEvent::ExamStarted {
                account_id,
                instrument,
                bank_version,
                scoring_version,
                language,
                items,
                idle_timeout_seconds,
                started_at,
                ..
            } => {
                change.started = Some(Started {
                    account_id: account_id.0,
                    instrument: instrument.clone(),
                    bank_version: *bank_version,
                    scoring_version: *scoring_version,
                    language: *language,
                    items: items.iter().map(|item| item.id.clone()).collect(),
                    idle_us: idle_timeout_seconds.saturating_mul(1_000_000),
                    at: *started_at,
                });
                change.status = Some(Status::InProgress);
                change.last_activity_at = Some(*started_at);
            }
            ExamEvent::ResponseSaved { answers, saved_at } => {
                for (item, answer) in answers.known().into_iter().flatten() {
                    change.answers.insert(item.clone(), answer.get().into());
                }
                change.last_activity_at = Some(*saved_at);
            }
            ExamEvent::ReflectionWritten {
                reflection,
                written_at,
            } => {
                let words = reflection.known().filter(|words| !words.is_blank());
                change.reflection = match words {
                    Some(words) => Words::Sealed(seal(id, words.as_str(), fact)?),
                    None => Words::Gone,
                };
                change.last_activity_at = Some(*written_at);
            }
            ExamEvent::ExamCompleted {
                account_id,
                instrument,
                bank_version,
                scoring_version,
                result,
                completed_at,
            } => {
                change.status = Some(Status::Completed);
                change.completed_at = Some(*completed_at);
                change.result = result.known().cloned();
                if let Some(sound) = result.known().filter(|result| !result.flags.any()) {
                    let key = StandingKey {
                        account_id: account_id.0,
                        instrument: instrument.clone(),
                        bank_version: *bank_version,
                        scoring_version: *scoring_version,
                    };
                    let tenths = sound.overall.percentage.tenths();
                    let standing = NewStanding {
                        exam_id: id,
                        tenths,
                    };
                    self.standings.insert(key, standing);
                }
            }
            ExamEvent::ExamAbandoned { .. } => change.status = Some(Status::Abandoned),
            ExamEvent::ExamExpired { .. } => change.status = Some(Status::Expired),
            ExamEvent::ExamErased { .. } => {
                self.erased.insert(id);
            }
        }
        Ok(())
    }

    fn account(&mut self, event: &AccountEvent, fact: &Fact) {
        let hidden = match event {
            AccountEvent::DeletionRequested { .. } | AccountEvent::ErasureStarted { .. } => true,
            AccountEvent::AccountRestored { .. } => false,
            _ => return,
        };
        if let Ok(account) = fact.recorded.aggregate_id.parse() {
            self.hidden.insert(account, hidden);
        }
    }
}

/// A member's own words in the form of their column.
fn seal(id: Uuid, words: &str, fact: &Fact) -> Result<Vec<u8>, SealingError> {
    let key = fact.key.as_ref().ok_or(KeyError::Missing)?;
    seal_column(key, reflection_of(&id), words)
}

/// The cell that a reflection is sealed for.
pub(super) fn reflection_of(id: &Uuid) -> Cell<'_> {
    Cell {
        table: "exams",
        column: "reflection",
        row: id,
    }
}
