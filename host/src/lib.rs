//! SQLitREST's native host: an engine (the core as a component or as native code) behind an HTTP server.
//!
//! The library is what the binary, the tests and the benches share: [`Engine`] answers a request without sockets,
//! [`server::run`] serves one on a listener.
// Nothing that a request, a configuration file or a database file can reach may panic.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod activity;
mod admin;
mod admin_listener;
mod answer;
mod asking;
pub mod audit;
pub mod backup;
mod check;
mod checkpoint;
pub mod cli;
mod coding;
mod component;
mod compression;
mod connection;
mod credentials;
mod db;
pub mod debug;
mod deeds;
mod descriptors;
mod docs;
mod edge;
mod engine;
mod examples;
mod exchange;
mod explain;
mod file_limit;
mod forwarded;
mod front;
pub mod functions;
mod head_timer;
mod help;
mod http_connection;
mod init;
mod key_set;
mod libsql;
pub mod listener;
mod long;
mod mcp;
mod native;
mod observe;
mod open;
mod openapi;
mod owned;
mod persist;
mod places;
mod policy_test;
mod pool;
mod progress;
mod rate_limit;
mod reopen;
mod schema;
mod sections;
mod serve;
mod served;
pub mod server;
mod serving;
pub mod settings;
mod sign_in;
mod source;
mod static_files;
mod streaming;
mod target;
mod terminal;
pub mod tls;
#[cfg(unix)]
mod unix_socket;
mod warnings;
mod watch;
mod writer;

use std::fmt::Arguments;

pub use admin::Origin;
pub use answer::Answer;
pub use component::Guest;
pub use engine::Engine;
pub use exchange::exchange;
pub use serving::Serving;
pub use sqlitrest_runtime::config::Config;
pub use sqlitrest_runtime::http::Request;

/// `sqlitrest/0.1.0`
pub const SERVER: &str = concat!("sqlitrest/", env!("CARGO_PKG_VERSION"));

/// A line of the log, of something that should not stay so.
fn log(line: Arguments<'_>) {
    observe::logging::warn(line);
}
