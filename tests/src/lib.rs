//! What the tests of this package share: scenario files, fixtures built from SQL text, and both engines over them.

pub mod double;
pub mod fixture;
pub mod scenario;
pub mod spin;

use std::path::PathBuf;

/// The root of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The guest component that `cargo xtask build` leaves.
///
/// # Panics
/// Where it is not there: a test of both engines must not pass with one.
pub fn guest() -> sqlitrest::Guest {
    let file = std::env::var_os("SQLITREST_GUEST")
        .map_or_else(|| root().join("target/sqlitrest-guest.wasm"), PathBuf::from);
    assert!(file.exists(), "{} is not there: run cargo xtask build first", file.display());
    sqlitrest::Guest::File(file)
}
