//! The rules of an exam.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::IN_PROGRESS;
use super::command::{ExamCommand as Command, Response, Start};
use super::error::ExamError as Error;
use super::event::ExamEvent as Event;
use super::scoring::{self, ExamResult, SCORING_VERSION};
use super::selection::select;
use super::value::{Answer, Answers, AskedItem, Reflection};
use crate::aggregate;
use crate::aggregate::{Aggregate, KeyScope};
use crate::claim::{Claim, ClaimChange};
use crate::id::{AccountId, ExamId};
use crate::language::Language;
use crate::personal::Personal;
use crate::rejection::Violation;
use crate::sentiment;

/// Where an exam stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Exam {
    /// Nothing happened yet.
    #[default]
    Unstarted,
    /// It takes answers.
    InProgress {
        /// What was asked and answered so far.
        attempt: Attempt,
    },
    /// It is scored.
    Completed {
        /// What was asked and answered.
        attempt: Attempt,
        /// The result.
        result: Personal<ExamResult>,
        /// When.
        completed_at: DateTime<Utc>,
    },
    /// The member has given it up.
    Abandoned {
        /// What was asked and answered until then.
        attempt: Attempt,
    },
    /// It was left alone for too long.
    Expired {
        /// What was asked and answered until then.
        attempt: Attempt,
    },
    /// It went with its data subject.
    Erased {
        /// Whose it was.
        account_id: AccountId,
    },
}

/// What was asked, and what was answered so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The exam.
    pub exam_id: ExamId,
    /// Who sits it.
    pub account_id: AccountId,
    /// The instrument's slug.
    pub instrument: String,
    /// The version of its bank.
    pub bank_version: u32,
    /// The formulas it is scored by.
    pub scoring_version: u16,
    /// The language it is asked and reflected on in.
    pub language: Language,
    /// What is asked, in order.
    pub items: Vec<AskedItem>,
    /// The answers that can be read; erased ones are absent.
    pub answers: Answers,
    /// What the member said about it.
    pub reflection: Option<Reflection>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When the last answer came.
    pub last_response_at: Option<DateTime<Utc>>,
    /// When anything last happened.
    pub last_activity_at: DateTime<Utc>,
    /// How long it may be left alone, in seconds.
    pub idle_timeout_seconds: i64,
}

impl Attempt {
    /// What is asked, in order, each with its answer when there is one.
    pub fn questions(&self) -> impl Iterator<Item = (&AskedItem, Option<Answer>)> {
        self.items
            .iter()
            .map(|item| (item, self.answers.get(&item.id).copied()))
    }

    /// How many items have an answer.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answers.len()
    }

    /// How many items are asked.
    #[must_use]
    pub fn total(&self) -> usize {
        self.items.len()
    }

    /// When it expires if nothing more happens.
    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        TimeDelta::try_seconds(self.idle_timeout_seconds)
            .and_then(|timeout| self.last_activity_at.checked_add_signed(timeout))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Whether it was left alone for its idle timeout.
    #[must_use]
    pub fn is_idle(&self, now: DateTime<Utc>) -> bool {
        now >= self.expires_at()
    }

    fn claim(&self) -> Claim {
        claim(self.account_id, &self.instrument)
    }

    /// The answers among `responses` that say something new, or all that is wrong with them.
    fn changes(&self, responses: &[Response]) -> Result<Answers, Vec<Violation>> {
        let mut violations = Vec::new();
        let mut changes = Answers::new();
        let mut seen = BTreeSet::new();
        if responses.is_empty() {
            violations.push(Violation::new("too_short", "at least one response").at("/responses"));
        }
        for (i, response) in responses.iter().enumerate() {
            let id = &response.question_id;
            let pointer = || format!("/responses/{i}/question_id");
            if !self.items.iter().any(|item| item.id == *id) {
                violations.push(
                    Violation::new("unknown_item", "the exam does not ask this").at(&pointer()),
                );
            } else if !seen.insert(id) {
                violations.push(
                    Violation::new("duplicate", "one response for each question").at(&pointer()),
                );
            }
            match Answer::try_new(response.value) {
                Ok(answer) if self.answers.get(id) == Some(&answer) => {}
                Ok(answer) => {
                    changes.insert(id.clone(), answer);
                }
                Err(violation) => {
                    violations.push(violation.at(&format!("/responses/{i}/value")));
                }
            }
        }
        if violations.is_empty() {
            Ok(changes)
        } else {
            Err(violations)
        }
    }

    fn reflection_change(&self, reflection: &Reflection, now: DateTime<Utc>) -> Option<Event> {
        let is_same = match &self.reflection {
            Some(present) => present == reflection,
            None => reflection.is_blank(),
        };
        (!is_same).then(|| Event::ReflectionWritten {
            reflection: reflection.clone().into(),
            written_at: now,
        })
    }

    fn result(&self, reflection: Option<&Reflection>) -> Result<ExamResult, Error> {
        let sheet = scoring::answered(&self.items, &self.answers)
            .map_err(|missing| Error::Incomplete { missing })?;
        let (overall, categories) = scoring::score(&sheet);
        let time_taken = self.last_response_at.unwrap_or(self.started_at) - self.started_at;
        let sentiment = reflection
            .filter(|reflection| self.language == Language::En && !reflection.is_blank())
            .map(|reflection| sentiment::analyse(reflection.as_str()));
        Ok(ExamResult {
            overall,
            categories,
            flags: scoring::flags(&sheet, time_taken),
            analyser: sentiment.map(|_| sentiment::ANALYSER.to_owned()),
            sentiment,
        })
    }

    fn complete(
        &self,
        reflection: Option<&Reflection>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Event>, Error> {
        let result = self.result(reflection.or(self.reflection.as_ref()))?;
        let written = reflection.and_then(|reflection| self.reflection_change(reflection, now));
        let completed = Event::ExamCompleted {
            account_id: self.account_id,
            instrument: self.instrument.clone(),
            bank_version: self.bank_version,
            scoring_version: self.scoring_version,
            result: result.into(),
            completed_at: now,
        };
        Ok(written.into_iter().chain([completed]).collect())
    }
}

/// Where an exam stands, as one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It takes answers.
    InProgress,
    /// It is scored.
    Completed,
    /// The member has given it up.
    Abandoned,
    /// It was left alone for too long.
    Expired,
}

impl Exam {
    /// Where it stands; `None` when it was not started or is erased.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::Unstarted | Self::Erased { .. } => None,
            Self::InProgress { .. } => Some(Status::InProgress),
            Self::Completed { .. } => Some(Status::Completed),
            Self::Abandoned { .. } => Some(Status::Abandoned),
            Self::Expired { .. } => Some(Status::Expired),
        }
    }

    /// What was asked and answered, of an exam that was started and is not erased.
    #[must_use]
    pub const fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Unstarted | Self::Erased { .. } => None,
            Self::InProgress { attempt }
            | Self::Completed { attempt, .. }
            | Self::Abandoned { attempt }
            | Self::Expired { attempt } => Some(attempt),
        }
    }

    /// What was asked and answered, when it is `account_id`'s.
    pub fn attempt_of(&self, account_id: AccountId) -> Result<&Attempt, Error> {
        self.attempt()
            .filter(|attempt| attempt.account_id == account_id)
            .ok_or(Error::NotFound)
    }

    /// Who sits or sat it.
    #[must_use]
    pub const fn account_id(&self) -> Option<AccountId> {
        match self {
            Self::Unstarted => None,
            Self::InProgress { attempt }
            | Self::Completed { attempt, .. }
            | Self::Abandoned { attempt }
            | Self::Expired { attempt } => Some(attempt.account_id),
            Self::Erased { account_id } => Some(*account_id),
        }
    }

    /// The result and when it came, of a completed exam.
    #[must_use]
    pub const fn result(&self) -> Option<(&Personal<ExamResult>, DateTime<Utc>)> {
        match self {
            Self::Completed {
                result,
                completed_at,
                ..
            } => Some((result, *completed_at)),
            _ => None,
        }
    }
    /// The attempt when it is `account_id`'s and still takes answers.
    fn open_to(&self, account_id: AccountId, now: DateTime<Utc>) -> Result<&Attempt, Error> {
        match self {
            Self::InProgress { attempt }
                if attempt.account_id == account_id && !attempt.is_idle(now) =>
            {
                Ok(attempt)
            }
            _ => Err(self.refusal(account_id)),
        }
    }

    /// Why it takes nothing more from `account_id`.
    fn refusal(&self, account_id: AccountId) -> Error {
        match self {
            Self::Unstarted | Self::Erased { .. } => Error::NotFound,
            _ if self.account_id() != Some(account_id) => Error::NotFound,
            Self::InProgress { .. } | Self::Expired { .. } => Error::Expired,
            Self::Completed { .. } => Error::AlreadyCompleted,
            Self::Abandoned { .. } => Error::Abandoned,
        }
    }

    fn fold(&mut self, event: Event) {
        *self = match (std::mem::take(self), event) {
            (
                _,
                Event::ExamStarted {
                    exam_id,
                    account_id,
                    instrument,
                    bank_version,
                    scoring_version,
                    language,
                    items,
                    idle_timeout_seconds,
                    started_at,
                },
            ) => Self::InProgress {
                attempt: Attempt {
                    exam_id,
                    account_id,
                    instrument,
                    bank_version,
                    scoring_version,
                    language,
                    items,
                    answers: Answers::new(),
                    reflection: None,
                    started_at,
                    last_response_at: None,
                    last_activity_at: started_at,
                    idle_timeout_seconds,
                },
            },
            (Self::InProgress { mut attempt }, Event::ResponseSaved { answers, saved_at }) => {
                attempt
                    .answers
                    .extend(answers.into_known().unwrap_or_default());
                attempt.last_response_at = Some(saved_at);
                attempt.last_activity_at = saved_at;
                Self::InProgress { attempt }
            }
            (
                Self::InProgress { mut attempt },
                Event::ReflectionWritten {
                    reflection,
                    written_at,
                },
            ) => {
                attempt.reflection = reflection.into_known();
                attempt.last_activity_at = written_at;
                Self::InProgress { attempt }
            }
            (
                Self::InProgress { attempt },
                Event::ExamCompleted {
                    result,
                    completed_at,
                    ..
                },
            ) => Self::Completed {
                attempt,
                result,
                completed_at,
            },
            (Self::InProgress { attempt }, Event::ExamAbandoned { .. }) => {
                Self::Abandoned { attempt }
            }
            (Self::InProgress { attempt }, Event::ExamExpired { .. }) => Self::Expired { attempt },
            (_, Event::ExamErased { account_id, .. }) => Self::Erased { account_id },
            (other, _) => other,
        };
    }
}

impl Aggregate for Exam {
    const KEY_SCOPE: KeyScope = KeyScope::Subject;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (Self::Unstarted, Command::Start(start)) => start.decide(),
            (Self::InProgress { attempt }, Command::Start(start))
                if attempt.account_id == start.account_id =>
            {
                Err(Error::AlreadyInProgress {
                    exam_id: attempt.exam_id,
                })
            }
            (_, Command::Start(start)) => Err(self.refusal(start.account_id)),
            (
                _,
                Command::SaveResponses {
                    account_id,
                    responses,
                    now,
                },
            ) => {
                let changes = self
                    .open_to(*account_id, *now)?
                    .changes(responses)
                    .map_err(Error::Invalid)?;
                if changes.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(vec![Event::ResponseSaved {
                    answers: changes.into(),
                    saved_at: *now,
                }])
            }
            (
                _,
                Command::WriteReflection {
                    account_id,
                    reflection,
                    now,
                },
            ) => {
                let attempt = self.open_to(*account_id, *now)?;
                let written = attempt.reflection_change(reflection, *now);
                Ok(written.into_iter().collect())
            }
            (Self::Completed { attempt, .. }, Command::Complete { account_id, .. })
            | (Self::Abandoned { attempt }, Command::Abandon { account_id, .. })
                if attempt.account_id == *account_id =>
            {
                Ok(Vec::new())
            }
            (
                _,
                Command::Complete {
                    account_id,
                    reflection,
                    now,
                },
            ) => self
                .open_to(*account_id, *now)?
                .complete(reflection.as_ref(), *now),
            (Self::InProgress { attempt }, Command::Abandon { account_id, now })
                if attempt.account_id == *account_id =>
            {
                Ok(vec![Event::ExamAbandoned { abandoned_at: *now }])
            }
            (_, Command::Abandon { account_id, .. }) => Err(self.refusal(*account_id)),
            (Self::Unstarted | Self::Erased { .. }, Command::Expire { .. }) => Err(Error::NotFound),
            (Self::InProgress { attempt }, Command::Expire { now }) => {
                if attempt.is_idle(*now) {
                    Ok(vec![Event::ExamExpired { expired_at: *now }])
                } else {
                    Err(Error::StillActive)
                }
            }
            (_, Command::Expire { .. }) | (Self::Unstarted | Self::Erased { .. }, _) => {
                Ok(Vec::new())
            }
            (
                Self::InProgress { attempt }
                | Self::Completed { attempt, .. }
                | Self::Abandoned { attempt }
                | Self::Expired { attempt },
                Command::Erase { now },
            ) => Ok(vec![Event::ExamErased {
                account_id: attempt.account_id,
                erased_at: *now,
            }]),
        }
    }

    fn subject(&self) -> Option<AccountId> {
        self.account_id()
    }

    fn claims(&self, event: &Event) -> Vec<ClaimChange> {
        match (self, event) {
            (
                _,
                Event::ExamStarted {
                    account_id,
                    instrument,
                    ..
                },
            ) => vec![ClaimChange::Take(claim(*account_id, instrument))],
            (
                Self::InProgress { attempt },
                Event::ExamCompleted { .. }
                | Event::ExamAbandoned { .. }
                | Event::ExamExpired { .. }
                | Event::ExamErased { .. },
            ) => vec![ClaimChange::Release(attempt.claim())],
            _ => Vec::new(),
        }
    }

    fn claim_taken(scope: &str, holder: &str) -> Option<Error> {
        if scope != IN_PROGRESS {
            return None;
        }
        let exam_id = holder.parse().ok()?;
        Some(Error::AlreadyInProgress { exam_id })
    }

    fn erases(event: &Event) -> bool {
        matches!(event, Event::ExamErased { .. })
    }
}

aggregate!(Exam, "exam", Command, Event, Error);

impl Start {
    fn decide(&self) -> Result<Vec<Event>, Error> {
        let available_at = self
            .last_completed_at
            .and_then(|last| last.checked_add_signed(self.cooldown))
            .filter(|available_at| self.now < *available_at);
        if let Some(available_at) = available_at {
            return Err(Error::Cooldown { available_at });
        }
        let items = select(&self.bank, self.question_count, self.age, self.exam_id);
        if items.is_empty() {
            return Err(Error::NothingToAsk);
        }
        Ok(vec![Event::ExamStarted {
            exam_id: self.exam_id,
            account_id: self.account_id,
            instrument: self.bank.instrument.clone(),
            bank_version: self.bank.version,
            scoring_version: SCORING_VERSION,
            language: self.language,
            items,
            idle_timeout_seconds: self.idle_timeout.num_seconds(),
            started_at: self.now,
        }])
    }
}

fn claim(account_id: AccountId, instrument: &str) -> Claim {
    Claim::new(IN_PROGRESS, format!("{account_id}/{instrument}"))
}
