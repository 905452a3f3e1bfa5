//! The event log: a library that knows no context.
//!
//! Commands' events are appended by one task per process, many commands in one statement, so that
//! `position` is a gapless number in commit order ([`append`]). Streams are read through postgres-es and
//! sqlite-es behind a decorator that opens sealed payloads ([`repository`]); everybody else reads pages
//! of [`reader::RecordedEvent`]s. [`log::EventLog`] puts the parts together.

pub mod append;
pub mod batches;
pub mod command_ids;
pub mod content_hash;
pub mod database;
pub mod homes;
pub mod keys;
pub mod log;
mod lookups;
pub mod metadata;
mod new_keys;
pub mod patience;
pub mod pool;
pub mod pooling;
mod postgres;
pub mod presence;
pub mod reader;
mod recent;
pub mod repository;
pub mod rows;
pub mod sealing;
mod sqlite;
pub mod subscriptions;
pub mod together;
pub mod wakeups;
mod warm;

pub use log::EventLog;
pub use metadata::Metadata;
pub use reader::RecordedEvent;
