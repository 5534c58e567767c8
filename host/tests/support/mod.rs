//! What the process tests share: a server started on a free port, a client that speaks raw HTTP/1.1, databases.
//!
//! Nothing here sleeps: a test waits for a line, a reply or an exit. A wait that would never end fails after [`LIMIT`].
// Each test binary uses a part of it.
#![allow(dead_code, unused_imports)]

mod client;
mod mount;
mod process;

pub use client::{Client, Reply, ask, get, reply_to};
pub use mount::Mount;
pub use process::{Ended, Server, command, command_of, run, run_command, serve, serve_config, serve_with};

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;

/// The longest that anything here is waited for.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Both engines.
pub const ENGINES: [&str; 2] = ["native", "component"];

/// The guest component, compiled once for all tests of a binary.
pub fn guest() -> &'static Path {
    static GUEST: OnceLock<PathBuf> = OnceLock::new();
    GUEST.get_or_init(|| {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sqlitrest-guest.wasm");
        let wasm = std::env::var_os("SQLITREST_GUEST").map_or(built, PathBuf::from);
        assert!(wasm.exists(), "no component at {}: run cargo xtask build first", wasm.display());
        // The build leaves it compiled beside it.
        let compiled = wasm.with_extension("cwasm");
        let made_at = |path: &Path| fs::metadata(path).and_then(|of| of.modified()).ok();
        if made_at(&compiled) > made_at(&wasm) {
            return compiled;
        }
        let compiled =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guest-{}.cwasm", std::process::id()));
        let ended = run(&["compile-component", path(&wasm), path(&compiled)], &[]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        compiled
    })
}

/// A path that is UTF-8, as all of these are.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A directory of its own for each test, gone with it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sqlitrest-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("temporary directory");
        Scratch(directory)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with this text.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("file");
        path
    }

    /// A database with two tables and a few rows.
    pub fn database(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let sql = Connection::open(&path).expect("new database");
        sql.execute_batch(
            "CREATE TABLE albums(id INTEGER PRIMARY KEY, title TEXT NOT NULL, bytes BLOB);
             CREATE TABLE tracks(id INTEGER PRIMARY KEY, name TEXT NOT NULL, album_id INTEGER REFERENCES albums(id));
             INSERT INTO albums VALUES (1, 'One', x'00ff'), (2, 'Two \"2\"', NULL);
             INSERT INTO tracks VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 2);",
        )
        .expect("tables");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How many rows a table has.
pub fn count(database: &Path, table: &str) -> i64 {
    let sql = Connection::open(database).expect("database");
    sql.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("count")
}

/// The write-ahead log beside a database is empty or gone.
pub fn assert_no_log(database: &Path) {
    let log = format!("{}-wal", path(database));
    let size = fs::metadata(&log).map_or(0, |about| about.len());
    assert_eq!(size, 0, "{log}");
}
