//! What the stories share: databases of their own.

pub mod postgres;
