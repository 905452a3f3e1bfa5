//! Who a member is, and which devices speak for them.

pub mod account;
pub mod session;
