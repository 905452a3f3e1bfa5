//! Several server processes on one PostgreSQL.

mod cluster;
mod leases;
mod pooler;
mod revoking;
mod rolling;
mod silence;
mod waking;
