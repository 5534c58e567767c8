//! SQLitREST's native host: an engine (the core as a component or as native code) behind an HTTP server.
//!
//! The library is what the binary, the tests and the benches share: [`Engine`] answers a request without sockets,
//! [`server::run`] serves one on a listener.
// Nothing that a request, a configuration file or a database file can reach may panic.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod admin;
mod answer;
mod asking;
mod check;
mod checkpoint;
pub mod cli;
mod component;
mod connection;
mod credentials;
mod db;
mod deeds;
mod engine;
mod examples;
mod exchange;
mod explain;
pub mod functions;
mod head_timer;
mod help;
mod init;
mod key_set;
mod long;
mod native;
mod open;
mod owned;
mod persist;
mod policy_test;
mod pool;
mod progress;
mod reopen;
mod schema;
mod sections;
mod serve;
mod served;
pub mod server;
mod serving;
pub mod settings;
mod sign_in;
mod streaming;
mod target;
mod terminal;
mod warnings;
mod watch;
mod writer;

use std::fmt::Arguments;
use std::io::Write as _;

pub use answer::Answer;
pub use component::Guest;
pub use engine::Engine;
pub use serving::Serving;
pub use sqlitrest_runtime::config::Config;
pub use sqlitrest_runtime::http::Request;

/// `sqlitrest/0.1.0`
pub const SERVER: &str = concat!("sqlitrest/", env!("CARGO_PKG_VERSION"));

/// One line to standard error, which may be closed.
fn log(line: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "sqlitrest: {line}");
}
