//! The read side: every statement that builds or reads a read model.
//!
//! A [`projection::Projection`] folds pages of [`fact::Fact`]s into its tables, rows and checkpoint in one
//! transaction. The [`projector`] runs all of them from one reader; [`generations`] keeps a new copy
//! beside the old one while it is being built, [`upkeep`] makes and drops them; queries read through [`tables::ReadModels`].

mod ahead;
pub mod audit;
pub mod exams;
pub mod fact;
pub mod gamification;
mod gate;
pub mod generations;
pub mod identity;
pub mod journal;
pub mod page;
pub mod progress;
pub mod projection;
pub mod projector;
pub mod query;
pub mod skips;
pub mod tables;
mod threads;
pub mod together;
pub mod upkeep;

use std::sync::Arc;

use projection::Projection;

/// Every projection of the program.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(journal::Entries),
        Arc::new(gamification::Progress),
        Arc::new(identity::Accounts),
        Arc::new(exams::question_banks::QuestionBanks),
        Arc::new(exams::attempts::Exams),
        Arc::new(audit::Audit),
    ]
}
