//! What the stories share: databases of their own, and the application over them.

pub mod app;
pub mod binary;
pub mod black_hole;
pub mod engines;
pub mod gate;
pub mod pgbouncer;
pub mod postgres;
pub mod raw;
pub mod rebuild;
pub mod staff;
pub mod story;
