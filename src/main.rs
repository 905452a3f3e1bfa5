//! The `soulsense` binary.

fn main() {}
