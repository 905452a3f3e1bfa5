//! The rules of a question bank.

use serde::{Deserialize, Serialize};

use super::command::QuestionBankCommand as Command;
use super::error::QuestionBankError as Error;
use super::event::QuestionBankEvent as Event;
use super::value::Bank;
use crate::aggregate;
use crate::aggregate::{Aggregate, KeyScope};
use crate::id::AccountId;

/// Where one version of a questionnaire stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum QuestionBank {
    /// Nothing is known of it.
    #[default]
    Unpublished,
    /// Exams can be started from it.
    Published {
        /// The bank.
        bank: Box<Bank>,
    },
    /// It stays readable, but no exam starts from it.
    Retired {
        /// The bank.
        bank: Box<Bank>,
    },
}

impl QuestionBank {
    /// The bank, once it was published.
    #[must_use]
    pub fn bank(&self) -> Option<&Bank> {
        match self {
            Self::Unpublished => None,
            Self::Published { bank } | Self::Retired { bank } => Some(bank),
        }
    }

    fn fold(&mut self, event: Event) {
        *self = match (std::mem::take(self), event) {
            (_, Event::BankPublished { bank, .. }) => Self::Published { bank },
            (Self::Published { bank }, Event::BankRetired { .. }) => Self::Retired { bank },
            (other, Event::BankRetired { .. }) => other,
        };
    }
}

impl Aggregate for QuestionBank {
    const KEY_SCOPE: KeyScope = KeyScope::Clear;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (Self::Unpublished, Command::Publish { bank, now }) => {
                let violations = bank.validate();
                if !violations.is_empty() {
                    return Err(Error::Invalid(violations));
                }
                Ok(vec![Event::BankPublished {
                    bank: bank.clone(),
                    published_at: *now,
                }])
            }
            (
                Self::Published { bank: present } | Self::Retired { bank: present },
                Command::Publish { bank, .. },
            ) => {
                if present == bank {
                    Ok(Vec::new())
                } else {
                    Err(Error::AlreadyPublished)
                }
            }
            (Self::Unpublished, Command::Retire { .. }) => Err(Error::NotFound),
            (Self::Published { .. }, Command::Retire { now }) => {
                Ok(vec![Event::BankRetired { retired_at: *now }])
            }
            (Self::Retired { .. }, Command::Retire { .. }) => Ok(Vec::new()),
        }
    }

    fn subject(&self) -> Option<AccountId> {
        None
    }
}

aggregate!(QuestionBank, "question_bank", Command, Event, Error);
