//! What the tests of this package share: scenario files, fixtures built from SQL text, and both engines over them.

pub mod document;
pub mod double;
pub mod fixture;
pub mod issuer;
pub mod scenario;
pub mod spin;
pub mod sqld;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sqlitrest::{Config, Request};
use sqlitrest_runtime::auth::{Authenticator, Verdict};
use sqlitrest_runtime::identity::Identity;

/// The root of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Who asks, as the core finds out; nobody where the request is refused.
///
/// # Panics
/// Where the configuration has no keys for what it asks for.
pub fn identify(config: &Config, request: &Request<'_>) -> Option<Arc<Identity>> {
    let authenticator = Authenticator::new(config, [0; 32], &mut sqlitrest::settings::refer).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    match authenticator.authenticate(request, now) {
        Verdict::Is(identity) => Some(identity),
        Verdict::CheckPassword(check) => authenticator.check_password(&check, now).ok(),
        Verdict::Refused(_) | Verdict::FetchKeys(_) => None,
    }
}

/// The guest component that `cargo xtask build` leaves.
///
/// # Panics
/// Where it is not there: a test of both engines must not pass with one.
pub fn guest_file() -> PathBuf {
    let file = std::env::var_os("SQLITREST_GUEST")
        .map_or_else(|| root().join("target/sqlitrest-guest.wasm"), PathBuf::from);
    assert!(file.exists(), "{} is not there: run cargo xtask build first", file.display());
    file
}

/// The same for our host: compiled already, where that is not older.
pub fn guest() -> sqlitrest::Guest {
    let file = guest_file();
    let compiled = file.with_extension("cwasm");
    let age = |file: &PathBuf| file.metadata().and_then(|about| about.modified()).ok();
    let is_fresh = age(&compiled).is_some_and(|compiled| Some(compiled) >= age(&file));
    sqlitrest::Guest::File(if is_fresh { compiled } else { file })
}
