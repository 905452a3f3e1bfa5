//! Operational state: what is neither history nor derivable. Kept in the `state` home.

pub mod leases;
