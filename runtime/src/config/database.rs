//! `[databases.NAME]` and `[pool]`: what is served, and by how many connections.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Span;
use super::list::texts;

/// `[databases.NAME]`: one SQLite file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseFile {
    /// The file, relative to the configuration file. Under Spin the runtime configuration names it instead.
    #[serde(default)]
    pub path: String,
    /// Whether requests may write.
    #[serde(default)]
    pub mode: Mode,
    /// Relations that are not exposed; `*` stands for any text.
    #[serde(default, deserialize_with = "texts")]
    pub hidden: Vec<String>,
    /// Other databases of the configuration, which functions and computed columns and relationships of this one may read, as
    /// `NAME.table`. On hosts of ours alone.
    #[serde(default, deserialize_with = "texts")]
    pub attach: Vec<String>,
}

impl DatabaseFile {
    /// Nothing but where it is.
    pub const fn at(path: String) -> DatabaseFile {
        DatabaseFile { path, mode: Mode::ReadWrite, hidden: Vec::new(), attach: Vec::new() }
    }
}

/// `[attach]`: which databases an administrator may attach and detach while the server runs, on hosts of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attach {
    /// The directories, relative to the configuration file, in which the files have to be. Empty: none may be attached.
    #[serde(deserialize_with = "texts")]
    pub paths: Vec<String>,
    /// The most databases that are served at a time. Each has connections, threads and memory of its own.
    pub most: usize,
}

impl Default for Attach {
    fn default() -> Self {
        Attach { paths: Vec::new(), most: 100 }
    }
}

/// Whether requests may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Reads and writes.
    #[default]
    ReadWrite,
    /// Reads only: a write gets 405, 25006.
    ReadOnly,
}

/// `[pool]`: connections and durability of the native host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    /// Reading connections for each database, beside the one that writes.
    pub readers_per_db: u16,
    /// How long a statement waits for a lock that another process holds; then 503.
    pub busy_timeout: Span,
    /// After how long what is in the write-ahead log is in the database file, if it is not before. 0: it is never moved, for another
    /// program does that.
    pub wal_checkpoint_interval: Span,
    /// `full`: an acknowledged write survives a power cut. `normal`: it survives a crash of the process.
    pub synchronous: Synchronous,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            readers_per_db: 5,
            busy_timeout: Span(Duration::from_secs(5)),
            wal_checkpoint_interval: Span(Duration::from_secs(300)),
            synchronous: Synchronous::Full,
        }
    }
}

/// SQLite's `PRAGMA synchronous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Wait for the disk at every commit.
    Full,
    /// Wait for the disk at checkpoints.
    Normal,
}
