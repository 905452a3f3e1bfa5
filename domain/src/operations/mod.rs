//! What operators decide about the running of the house, where it has to be remembered for ever.
//!
//! Most of what an operator does leaves nothing to remember: a rebuild is begun and over. But an event that
//! a projection is told to **skip** must be left out by every later rebuild too, so the skip is an event
//! itself. It is about the program and about nobody: nothing here is sealed.

pub mod skips;
