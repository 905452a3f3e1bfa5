//! The server and the command line.
//!
//! - [`config`]: everything that can be configured, in one struct
//! - [`telemetry`], [`clock`]: logs, time and ids
//! - [`hashing`], [`tokens`], [`totp`]: what proves who asks
//! - [`http`]: the frame every route stands in

pub mod clock;
pub mod config;
pub mod hashing;
// pub mod http;
pub mod telemetry;
pub mod tokens;
pub mod totp;
