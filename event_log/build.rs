//! Builds again when a migration changes: they are embedded in the library.

#![expect(
    clippy::print_stdout,
    reason = "this is how a build script speaks to cargo"
)]

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
