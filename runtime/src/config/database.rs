//! `[databases.NAME]` and `[pool]`: what is served, and by how many connections.
//!
//! A database is a file, or is on a libSQL server (Turso, sqld), which a host of ours asks over HTTP.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::list::texts;
use super::{Secret, Span};
use crate::auth::config::authority;

/// `[databases.NAME]`: one SQLite file, or one database of a libSQL server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseFile {
    /// The file, relative to the configuration file. Under Spin the runtime configuration names it instead.
    #[serde(default)]
    pub path: String,
    /// The server instead of a file: `libsql://HOST`, `https://HOST` or `http://HOST`. Under Spin the runtime configuration names it.
    #[serde(default)]
    pub url: String,
    /// What the server knows us by, or where that is (`env:NAME`, `file:PATH`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<Secret>,
    /// An embedded replica of the server's database. None can be had here, and the start says so.
    #[serde(default)]
    pub replica: String,
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
        DatabaseFile {
            path,
            url: String::new(),
            auth_token: None,
            replica: String::new(),
            mode: Mode::ReadWrite,
            hidden: Vec::new(),
            attach: Vec::new(),
        }
    }

    /// Whether it is on a server.
    pub fn is_on_server(&self) -> bool {
        !self.url.is_empty()
    }

    /// Whether it is said where it is.
    pub fn is_somewhere(&self) -> bool {
        !self.path.is_empty() || self.is_on_server()
    }

    /// Where it is, for people: the file or the server.
    pub fn place(&self) -> &str {
        if self.is_on_server() { &self.url } else { &self.path }
    }

    /// Whether a token goes to the server in clear over a network.
    pub(crate) fn tells_its_token(&self) -> bool {
        let is_here = |url: &str| authority(url).is_some_and(|(_, is_here)| is_here);
        self.auth_token.is_some() && self.url.starts_with("http://") && !is_here(&self.url)
    }

    /// What is wrong with where it is, as a sentence behind the key that it is about.
    pub fn misplaced(&self) -> Option<(&'static str, String)> {
        if !self.replica.is_empty() {
            let what = "an embedded replica needs libSQL's own library, which cannot be in one program with the SQLite that serves files";
            return Some(("replica", format!("{what}; take the key out, and every request asks the server")));
        }
        if !self.is_on_server() {
            // Alone it may be of a server that the command line names.
            let is_of_file = self.auth_token.is_some() && !self.path.is_empty();
            return is_of_file.then(|| ("auth_token", "is for a server, and this is a file".to_owned()));
        }
        if !self.path.is_empty() {
            let what = "and path exclude each other: a database is on a server or in a file";
            return Some(("url", what.to_owned()));
        }
        if !self.attach.is_empty() {
            let what = "SQLite attaches files, and this database is on a server";
            return Some(("attach", what.to_owned()));
        }
        // Whatever stands in it is shown and logged, a token of the old form (`?authToken=`) as well.
        if self.url.contains(['?', '#', '@']) {
            let what = "has a query, a fragment or a user in it: write \"libsql://HOST\", and the token as auth_token = \"env:NAME\"";
            return Some(("url", what.to_owned()));
        }
        let is_url = authority(&self.url.replacen("libsql://", "https://", 1)).is_some();
        let what = format!("= \"{}\" is none of libsql://HOST, https://HOST and http://HOST", self.url);
        (!is_url).then_some(("url", what))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_database_is() {
        let at = |url: &str| DatabaseFile { url: url.to_owned(), ..DatabaseFile::at(String::new()) };
        for good in ["libsql://a-b.turso.io", "https://a.b/c", "http://sqld:8080", "http://[::1]:80"] {
            assert_eq!(at(good).misplaced(), None, "{good}");
        }
        for bad in ["ws://a", "a.b", "libsql://", "libsql://a?authToken=x", "https://u:p@a"] {
            assert_eq!(at(bad).misplaced().expect(bad).0, "url");
        }
        let told = |url: &str| DatabaseFile { auth_token: Some(Secret("t".to_owned())), ..at(url) };
        assert!(told("http://sqld:8080").tells_its_token());
        assert!(!told("http://127.0.0.1:8080").tells_its_token());
        assert!(!told("libsql://a").tells_its_token());
    }
}
