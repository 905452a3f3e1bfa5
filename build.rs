//! Nothing to do before the build.

fn main() {}
