//! Who a member is, and which devices speak for them.
//!
//! An **account** is one person: a username that nobody else has, an e-mail address, a password, roles
//! and a second factor. It lives from registration to erasure, and it is the data subject that every
//! other context's events name. A **session** is one signed-in device of an account: a family of refresh
//! secrets, each good for one use.
//!
//! What proves who somebody is (passwords, one-time codes, refresh secrets) is checked outside: a command
//! says what was proven, the rules here say what follows. Hashes, ids, times and looked-up facts are
//! arguments.
//!
//! In events, what a member enters stands in [`Personal`](crate::Personal) members. A member named
//! [`CREDENTIALS`] holds hashes and secrets: it is sealed like the others, and nobody is ever shown it,
//! whatever the reason.

pub mod account;
mod private_text;
pub mod session;

/// The name that every credential bears in an event: opened for folding, never for a person to look at.
pub const CREDENTIALS: &str = "credentials";
