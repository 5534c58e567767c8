//! The log as a SQLite database of its own. A row has the record as it stands in the file of lines; the other columns are made of it
//! when they are read, so that they cannot say anything else.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::chain::Link;
use super::entry::Form;
use super::file::{for_the_owner, identity};
use super::reader::{TABLE, form, time};
use super::segments;
use super::settings::Sync;
use crate::log;

/// How long a batch waits for who has locked the database; then it is tried again.
const PATIENCE: Duration = Duration::from_millis(500);

/// The columns that are made of the record, with their place in it.
const COLUMNS: [(&str, &str); 14] = [
    ("time", "$.time"),
    ("event", "$.event"),
    ("role", "$.role"),
    ("subject", "$.subject"),
    ("remote", "$.remote"),
    ("request_id", "$.request_id"),
    ("database", "$.database"),
    ("method", "$.method"),
    ("path", "$.path"),
    ("operation", "$.acts[0].operation"),
    ("relation", "$.acts[0].relation"),
    ("rows", "$.acts[0].rows"),
    ("status", "$.status"),
    ("code", "$.code"),
];

/// A database that is written.
pub struct LogDatabase {
    path: PathBuf,
    sql: Connection,
    identity: Option<(u64, u64)>,
    first: Option<(u64, Timestamp)>,
    sync: Sync,
}

impl LogDatabase {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// One sentence: it cannot be written, or is another database.
    pub fn open(path: &Path, sync: Sync) -> Result<LogDatabase> {
        ensure!(
            form(path) == Form::Database || fs::metadata(path).map_or(0, |about| about.len()) == 0,
            "{} is no SQLite database; name another file for the audit log",
            path.display()
        );
        let opened = connect(path, sync).map_err(|error| match error {
            Opening::Other => anyhow!(
                "{} is a database of something else; the audit log is kept in one of its own",
                path.display()
            ),
            Opening::File(error) => anyhow!("the audit log {} cannot be written: {error}", path.display()),
            Opening::Sqlite(error) => anyhow!("the audit log {} cannot be written: {error}", path.display()),
        });
        let (sql, first) = opened?;
        Ok(LogDatabase { path: path.to_owned(), identity: identity(path), sql, first, sync })
    }

    /// Appends records, all or none.
    ///
    /// # Errors
    /// SQLite's, or that the file cannot be opened any more.
    pub fn append(&mut self, links: &[Link]) -> Result<()> {
        if identity(&self.path) != self.identity {
            let path = self.path.display();
            log(format_args!("{path} is not the database any more that it was; the log goes on in another"));
            *self = LogDatabase::open(&self.path, self.sync)?;
        }
        let transaction = self.sql.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            // What somebody has put in the place of a record gives way.
            let text = format!("INSERT OR REPLACE INTO {TABLE} (seq, record) VALUES (?, ?)");
            let mut statement = transaction.prepare_cached(&text)?;
            for link in links {
                statement.execute(params![i64::try_from(link.head.seq)?, link.line])?;
            }
        }
        transaction.commit()?;
        if let (None, Some(link)) = (self.first, links.first()) {
            self.first = Some((link.head.seq, time(&link.line)));
        }
        Ok(())
    }

    /// The number and the time of the first record; none where it is empty.
    pub fn first(&self) -> Option<(u64, Timestamp)> {
        self.first
    }

    /// How long it is.
    pub fn length(&self) -> u64 {
        let number =
            |pragma: &str| self.sql.query_row(pragma, [], |row| row.get::<_, i64>(0)).unwrap_or_default();
        (number("PRAGMA page_count") * number("PRAGMA page_size")).unsigned_abs()
    }

    /// Gives the database the name of its first record, and begins another.
    ///
    /// # Errors
    /// Somebody reads it; the system's.
    pub fn rotate(&mut self) -> Result<()> {
        let Some((first, _)) = self.first else { return Ok(()) };
        let name = segments::name(&self.path, first);
        ensure!(!name.exists(), "{} is there already", name.display());
        // Only who is alone can leave WAL mode. From then on the file is complete in itself.
        let mode: String = self.sql.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
        if mode != "delete" {
            return Err(anyhow!("{} is being read", self.path.display()));
        }
        let renamed = fs::rename(&self.path, &name);
        *self = LogDatabase::open(&self.path, self.sync)?;
        renamed.context("it cannot be renamed")
    }
}

/// Why a database cannot be used.
enum Opening {
    /// It has other tables.
    Other,
    File(std::io::Error),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Opening {
    fn from(error: rusqlite::Error) -> Opening {
        Opening::Sqlite(error)
    }
}

fn connect(path: &Path, sync: Sync) -> Result<(Connection, Option<(u64, Timestamp)>), Opening> {
    let mut options = OpenOptions::new();
    // Only to make it: who closes a file that SQLite has open lets go SQLite's locks.
    options.append(true).create_new(true);
    for_the_owner(&mut options);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(Opening::File(error)),
        _ => {}
    }
    let sql = Connection::open(path)?;
    sql.busy_timeout(PATIENCE)?;
    let others = format!("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE tbl_name <> '{TABLE}')");
    if sql.query_row(&others, [], |row| row.get(0))? {
        return Err(Opening::Other);
    }
    // Who reads it does not keep who writes it waiting.
    sql.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    sql.pragma_update(None, "synchronous", if sync == Sync::Batch { "full" } else { "off" })?;
    let made = COLUMNS.map(|(name, place)| format!("\"{name}\" ANY AS (record ->> '{place}')")).join(", ");
    sql.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (seq INTEGER PRIMARY KEY, record TEXT NOT NULL, {made}) STRICT"
    ))?;
    let first = format!("SELECT seq, record FROM {TABLE} ORDER BY seq LIMIT 1");
    let first =
        sql.query_row(&first, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).optional()?;
    Ok((sql, first.map(|(seq, line)| (seq.unsigned_abs(), time(&line)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::{Head, seal};
    use crate::open::tests::Scratch;

    fn link(seq: u64) -> Link {
        let before = Head { seq: seq - 1, ..Head::default() };
        let json = format!(
            "{{\"seq\":{seq},\"time\":\"2026-01-01T00:00:00.000000Z\",\"event\":\"write\",\"status\":201,\"acts\":[{{\"relation\":\"t\"}}]"
        );
        seal(None, &before, &json)
    }

    #[test]
    fn columns_are_those_of_the_record() {
        let scratch = Scratch::new("audit-database", "");
        let path = scratch.path().with_file_name("audit.db");
        let mut log = LogDatabase::open(&path, Sync::Batch).expect("a new database");
        log.append(&[link(1), link(2)]).expect("appended");
        let reader = Connection::open(&path).expect("a database");
        let text = format!("SELECT seq, event, relation, status, code FROM {TABLE} WHERE seq = 2");
        let row = reader.query_row(&text, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        });
        assert_eq!(row, Ok((2, "write".to_owned(), "t".to_owned(), 201, None::<String>)));
        let changed = reader.execute(&format!("UPDATE {TABLE} SET event = 'x'"), []);
        assert!(changed.expect_err("refused").to_string().contains("generated column"));
        // A reader keeps it from being rotated, and nothing else.
        reader.execute_batch(&format!("BEGIN; SELECT * FROM {TABLE}")).expect("reading");
        log.rotate().expect_err("it is read");
        log.append(&[link(3)]).expect("appended");
        drop(reader);
        log.rotate().expect("rotated");
        log.append(&[link(4)]).expect("appended");
        assert_eq!(log.first().map(|(seq, _)| seq), Some(4));
        assert!(segments::name(&path, 1).exists());
    }

    #[test]
    fn other_files_are_left_alone() {
        let scratch = Scratch::new("audit-other", "CREATE TABLE mine (a)");
        let error = LogDatabase::open(&scratch.path(), Sync::Batch).err().expect("refused").to_string();
        assert!(error.contains("a database of something else"), "{error}");
        let text = scratch.path().with_file_name("b.txt");
        fs::write(&text, "my thesis, which is longer than a magic").expect("written");
        let error = LogDatabase::open(&text, Sync::Batch).err().expect("refused").to_string();
        assert!(error.contains("is no SQLite database"), "{error}");
    }
}
