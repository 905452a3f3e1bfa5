//! Read models of identity: accounts, and the devices that are signed in to them.

mod projection;
mod queries;

pub use projection::Accounts;
pub use queries::{
    AccountView, Due, Place, SessionView, account, accounts, due, other_admins, sessions,
};

/// The projections that this context's GETs read.
pub const READ: &[&str] = &[projection::NAME];
