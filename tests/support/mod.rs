//! What the stories share: databases of their own.

pub mod engines;
pub mod postgres;
