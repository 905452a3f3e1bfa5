//! Operational state: what is neither history nor derivable. Kept in the `state` home.

pub mod challenges;
pub mod ladder;
pub mod leases;
pub mod totp_steps;
