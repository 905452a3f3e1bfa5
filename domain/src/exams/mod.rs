//! Question banks and attempts at them.

pub mod exam;
pub mod question_bank;
