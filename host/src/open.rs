//! Opens the database file: what it must be, what it is told, and what a person is told where it cannot be served.
//!
//! It never creates a file. It knows nothing of requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{ErrorCode, OpenFlags};
use sqlitrest_runtime::config::{Config, Mode, Synchronous};

use crate::connection::Connection;
use crate::functions;
use crate::log;

/// How many prepared statements each connection keeps.
const STATEMENTS: usize = 256;

/// How much of the file each connection keeps in memory, in KiB. The file is not mapped into memory beside that: a
/// file cut short by someone else would then end this process.
const CACHE_KIB: i64 = 16 << 10;

/// Beyond this size the write-ahead log is cut after a checkpoint.
const JOURNAL_LIMIT: i64 = 64 << 20;

/// The longest text, blob or row, in bytes: embeds in embeds multiply, and the JSON of an outermost row is one text.
const LONGEST: i32 = 256 << 20;

/// How many tables and views there are.
pub const RELATIONS: &str = "SELECT count(*) FILTER (WHERE type = 'table'), count(*) FILTER (WHERE type = 'view') \
    FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    AND name NOT LIKE '\\_sqlitrest\\_%' ESCAPE '\\' \
    AND type IN ('table', 'view', 'virtual')";

/// What every SQLite database begins with.
pub const MAGIC: &[u8] = b"SQLite format 3\0";

/// The bytes of the smallest database that is not empty: a page.
const SMALLEST: u64 = 512;

/// A database file that can be served, and how its connections are made.
#[derive(Clone, Debug)]
pub struct File {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Whether requests may write: neither the configuration nor the file system forbids it.
    pub writable: bool,
    /// On a medium where SQLite cannot keep its side files the file is taken as one that nobody changes.
    immutable: bool,
    /// How long a statement waits for another process that has the lock.
    pub busy_timeout: Duration,
    /// How long the statements of one request may run.
    request_timeout: Duration,
    synchronous: Synchronous,
    /// The write-ahead log is not ours to move: `pool.wal_checkpoint_interval` is 0.
    keeps_log: bool,
    /// Names and files of other databases that may be read with it.
    attached: Vec<(String, PathBuf)>,
    /// The number of tables, for the line at the start.
    pub tables: u64,
    /// The number of views.
    pub views: u64,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Any number of these read at a time.
    Reader,
    /// One writes.
    Writer,
}

impl File {
    /// Opens the configured file once, to see that it can be served, and puts it into WAL mode where that is allowed.
    ///
    /// # Errors
    /// One sentence on what is wrong with the file and what to do.
    pub fn check(config: &Config) -> Result<(File, Connection)> {
        let (name, database) = config.database();
        let path = PathBuf::from(&database.path);
        check_path(&path)?;
        let attached = database.attach.iter().filter_map(|name| {
            let other = config.databases.get(name)?;
            Some((name.clone(), PathBuf::from(&other.path)))
        });
        let attached: Vec<_> = attached.collect();
        attached.iter().try_for_each(|(_, path)| check_attached(path))?;
        let mut file = File {
            name: name.to_owned(),
            path,
            writable: database.mode == Mode::ReadWrite,
            immutable: false,
            busy_timeout: config.pool.busy_timeout.0,
            request_timeout: config.middleware.request_timeout.0,
            synchronous: config.pool.synchronous,
            keeps_log: config.pool.wal_checkpoint_interval.0.is_zero(),
            attached,
            tables: 0,
            views: 0,
        };
        let writer = match file.first_look() {
            Err(error) if matches!(code(&error), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)) => {
                file.without_side_files(error)?
            }
            other => other.map_err(|error| file.explain(&error))?,
        };
        Ok((file, writer))
    }

    /// A connection with every setting made.
    ///
    /// # Errors
    /// SQLite's.
    pub fn connect(&self, role: Role) -> rusqlite::Result<Connection> {
        let writes = role == Role::Writer && self.writable;
        let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags |= match writes {
            true => OpenFlags::SQLITE_OPEN_READ_WRITE,
            false => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let sql = if self.immutable {
            flags |= OpenFlags::SQLITE_OPEN_URI;
            rusqlite::Connection::open_with_flags(uri(&self.path, "immutable=1"), flags)?
        } else if self.attached.is_empty() {
            rusqlite::Connection::open_with_flags(&self.path, flags)?
        } else {
            flags |= OpenFlags::SQLITE_OPEN_URI;
            rusqlite::Connection::open_with_flags(
                uri(&self.path, if writes { "mode=rw" } else { "mode=ro" }),
                flags,
            )?
        };
        sql.busy_timeout(self.busy_timeout)?;
        sql.set_prepared_statement_cache_capacity(STATEMENTS);
        // The file's own triggers and views may call nothing with side effects, and no statement may damage the file.
        sql.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        sql.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // "name" is never a string in new definitions. In statements it stays one where no such column is, since the
        // views and triggers of old files count on that; the core names only what it has seen in the schema.
        sql.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        sql.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST)?;
        sql.pragma_update(None, "foreign_keys", true)?;
        sql.pragma_update(None, "cell_size_check", true)?;
        sql.pragma_update(None, "temp_store", "memory")?;
        sql.pragma_update(None, "cache_size", -CACHE_KIB)?;
        if writes {
            let level = match self.synchronous {
                Synchronous::Full => "full",
                Synchronous::Normal => "normal",
            };
            sql.pragma_update(None, "synchronous", level)?;
            sql.pragma_update(None, "journal_size_limit", JOURNAL_LIMIT)?;
            // `checkpoint` sees to that, so that no write waits for it.
            sql.pragma_update(None, "wal_autocheckpoint", 0)?;
            // Or else the last connection that is closed moves the log and removes it.
            sql.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, self.keeps_log)?;
        } else {
            sql.pragma_update(None, "query_only", true)?;
        }
        for (name, path) in &self.attached {
            sql.execute("ATTACH DATABASE ?1 AS ?2", [uri(path, "mode=ro"), name.clone()])?;
        }
        functions::register(&sql)?;
        Connection::new(sql, self.request_timeout)
    }

    /// Whether it is for us to move its write-ahead log into it.
    pub fn moves_log(&self) -> bool {
        self.writable && !self.keeps_log
    }

    /// Where its write-ahead log is, if it has one.
    pub fn log_path(&self) -> PathBuf {
        // SQLite has it beside the file itself, not beside a link to it.
        beside(&fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()), "-wal")
    }

    /// The first statement is what makes SQLite read the file.
    fn first_look(&mut self) -> rusqlite::Result<Connection> {
        let wanted = self.writable;
        let mut writer = self.connect(Role::Writer)?;
        (self.tables, self.views) = count_relations(writer.sql())?;
        if wanted && writer.sql().is_readonly("main")? {
            self.writable = false;
            writer = self.connect(Role::Writer)?;
        }
        self.use_log(&writer)?;
        Ok(writer)
    }

    /// Opens the file that is there now to write, after another that was there before.
    ///
    /// # Errors
    /// SQLite's.
    pub fn open_again(&self) -> rusqlite::Result<Connection> {
        let writer = self.connect(Role::Writer)?;
        count_relations(writer.sql())?;
        self.use_log(&writer)?;
        Ok(writer)
    }

    /// Puts the file into WAL mode, and sees to it that the log is there.
    fn use_log(&self, writer: &Connection) -> rusqlite::Result<()> {
        if self.writable {
            // Of this file alone: what is attached is read-only. Some file systems cannot, and then the file is served as it is.
            let mode = writer
                .sql()
                .pragma_update_and_check(Some("main"), "journal_mode", "wal", |row| row.get::<_, String>(0));
            if !mode.is_ok_and(|mode| mode == "wal") {
                let file = self.path.display();
                log(format_args!(
                    "{file} cannot be put into WAL mode here: whoever writes keeps readers waiting"
                ));
            }
            writer.sql().query_row("PRAGMA schema_version", [], |_| Ok(()))?;
        }
        Ok(())
    }

    /// A file in WAL mode in a directory where nothing can be written. Without a log it is complete in itself.
    fn without_side_files(&mut self, error: rusqlite::Error) -> Result<Connection> {
        if fs::metadata(self.log_path()).is_ok_and(|log| log.len() > 0) {
            return Err(self.explain(&error));
        }
        self.immutable = true;
        self.writable = false;
        self.first_look().map_err(|_| self.explain(&error))
    }

    fn explain(&self, error: &rusqlite::Error) -> anyhow::Error {
        let file = self.path.display();
        match code(error) {
            Some(ErrorCode::NotADatabase) => no_database(&self.path),
            Some(ErrorCode::DatabaseCorrupt) => {
                anyhow!("{file} is damaged ({error}); restore a backup, or try `sqlite3 {file} .recover`")
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => anyhow!(
                "{file} is locked by another process; stop that process, or give it more time with pool.busy_timeout (now {} ms)",
                self.busy_timeout.as_millis()
            ),
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => anyhow!(
                "{file} cannot be opened ({error}); SQLite needs to read the file, and to write beside it for its -wal and -shm files"
            ),
            _ => anyhow!("{file} cannot be served: {error}"),
        }
    }
}

/// An empty database in memory, with the functions that every connection has.
///
/// # Errors
/// SQLite's.
pub fn in_memory(limit: Duration) -> rusqlite::Result<Connection> {
    let sql = rusqlite::Connection::open_in_memory()?;
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    functions::register(&sql)?;
    Connection::new(sql, limit)
}

/// The path of a file beside another: `a.db` and `-wal` are `a.db-wal`.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// What can be said of a path without SQLite, and without opening the file: who closes a file lets go all the locks that its process has
/// on it, those of SQLite's connections among them (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
///
/// # Errors
/// One sentence on what is wrong with it and what to do.
pub fn check_path(path: &Path) -> Result<()> {
    let shown = path.display();
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "there is no file {shown}; sqlitrest serves a database that exists (make one with `sqlite3 {shown} < schema.sql`)"
        ),
        Err(error) => return Err(error).with_context(|| format!("{shown} cannot be looked at")),
    };
    if about.is_dir() {
        bail!("{shown} is a directory; name the database file inside it");
    }
    if !about.is_file() {
        bail!("{shown} is not a regular file; name a database file");
    }
    // SQLite takes an empty file as an empty database, and a very short one too, which it would overwrite.
    if (1..SMALLEST).contains(&about.len()) {
        return Err(no_database(path));
    }
    Ok(())
}

fn no_database(path: &Path) -> anyhow::Error {
    anyhow!("{} is not a SQLite database (or it is encrypted); name another file", path.display())
}

/// Whether a file can be read beside another.
fn check_attached(path: &Path) -> Result<()> {
    check_path(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let looked = rusqlite::Connection::open_with_flags(path, flags)
        .and_then(|sql| sql.query_row("PRAGMA schema_version", [], |_| Ok(())));
    match looked {
        Err(error) if code(&error) == Some(ErrorCode::NotADatabase) => Err(no_database(path)),
        // What else is wrong is said where it is attached.
        _ => Ok(()),
    }
}

fn count_relations(sql: &rusqlite::Connection) -> rusqlite::Result<(u64, u64)> {
    sql.query_row(RELATIONS, [], |row| {
        let number = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
        Ok((number(0)?, number(1)?))
    })
}

fn uri(path: &Path, parameter: &str) -> String {
    let mut uri = String::from("file:");
    for c in path.to_string_lossy().chars() {
        match c {
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            '%' => uri.push_str("%25"),
            _ => uri.push(c),
        }
    }
    uri + "?" + parameter
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqlInputError { error, .. } => Some(error.code),
        other => other.sqlite_error_code(),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A database in a directory that goes with it.
    pub struct Scratch(PathBuf);

    impl Scratch {
        /// A new file with this schema.
        pub fn new(name: &str, schema: &str) -> Scratch {
            let directory = std::env::temp_dir().join(format!("sqlitrest-{name}-{}", std::process::id()));
            fs::create_dir_all(&directory).expect("directory");
            let scratch = Scratch(directory);
            let sql = rusqlite::Connection::open(scratch.path()).expect("database");
            sql.execute_batch(schema).expect("schema");
            scratch
        }

        /// The file.
        pub fn path(&self) -> PathBuf {
            self.0.join("a.db")
        }

        /// A configuration that serves it.
        pub fn config(&self) -> Config {
            let path = self.path().display().to_string();
            Config::load("", &format!("[databases.main]\npath = {path:?}"), []).expect("valid")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
