//! The events that one projection leaves out, one stream a projection: its id is the projection's name.
//!
//! An event that a projection cannot fold stops it. An operator has it tried again, or skipped with a
//! reason. A skip holds for every generation and version from then on, so that a rebuild gives the same
//! rows again.

mod aggregate;
mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;
mod value;

pub use aggregate::Skips;
pub use command::SkipsCommand;
pub use error::SkipsError;
pub use event::SkipsEvent;
pub use value::SkipReason;
