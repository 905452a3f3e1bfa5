//! The server and the command line.
//!
//! - [`config`]: everything that can be configured, in one struct
//! - [`node`]: one running process, how it opens, starts and stops
//! - [`commands`]: carrying out a command; [`policies`]: events that lead to commands
//! - [`state`]: operational state; [`jobs`]: what happens by itself
//! - [`purge`]: erasing accounts whose grace is over; [`skipping`]: leaving out an event that cannot be folded
//! - [`telemetry`], [`clock`]: logs, time and ids
//! - [`hashing`], [`tokens`], [`totp`], [`revocation`]: what proves who asks
//! - [`admins`]: whether the house would be left without one
//! - [`http`]: the frame every route stands in, and one file of routes a context
//! - [`cli`]: one file a subcommand

pub mod admins;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod exams_shipped;
pub mod hashing;
pub mod http;
pub mod jobs;
pub mod node;
pub mod policies;
pub mod purge;
pub mod revocation;
pub mod skipping;
pub mod state;
pub mod telemetry;
pub mod tokens;
pub mod totp;
