//! `sqlitrest db`: what an operator does with a database file. Everything but `restore` works beside a running server.

mod audit;
pub(crate) mod backup;
mod check;
mod info;
mod migrate;
mod private;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Subcommand;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::Serialize;

pub(crate) use backup::hex;

use crate::cli::Failure;
use crate::help;
use crate::open::{beside, check_path};
use crate::progress;
use crate::settings::Of;
use crate::source::refuse_server;

/// How long a statement waits for a lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `sqlitrest db` can do.
#[derive(Subcommand, Debug)]
pub enum DbCommand {
    /// Print what is in the file: sizes, settings, tables with their rows
    #[command(after_help = help::DB_INFO)]
    Info(Of),
    /// Look for damage, dangling references, missing indexes and wasted space. Exit code 1: there is damage
    #[command(after_help = help::DB_CHECK)]
    Check(check::CheckFlags),
    /// Copy the database while it is in use, verify the copy, and write its checksum beside it
    #[command(after_help = help::DB_BACKUP)]
    Backup(backup::BackupFlags),
    /// Put a backup in the place of the database, which is kept under another name
    #[command(after_help = help::DB_RESTORE)]
    Restore(backup::RestoreFlags),
    /// Rebuild the file without unused space
    #[command(after_help = help::DB_VACUUM)]
    Vacuum(Of),
    /// Apply those SQL files of a directory (V001__name.sql, …) that are new, each as a whole or not at all
    #[command(after_help = help::DB_MIGRATE)]
    Migrate(migrate::MigrateFlags),
}

impl Of {
    /// Where the database is, itself and not a link to it: what SQLite keeps beside it is there.
    fn path(&self) -> Result<PathBuf> {
        let config = self.settings()?.config;
        refuse_server(&config, "`sqlitrest db`")?;
        let path = PathBuf::from(&config.database().1.path);
        Ok(std::fs::canonicalize(&path).unwrap_or(path))
    }

    /// A connection to the database, which is there.
    fn open(&self, access: Access) -> Result<(PathBuf, Connection)> {
        let path = self.path()?;
        let sql = open(&path, access)?;
        Ok((path, sql))
    }
}

/// Whether a connection writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It reads.
    Read,
    /// It writes.
    Write,
}

/// Runs a command.
///
/// # Errors
/// One sentence on what could not begin, or on what failed.
pub fn run(command: &DbCommand) -> Result<(), Failure> {
    progress::show();
    match command {
        DbCommand::Info(of) => info::info(of).map_err(Failure::Start),
        DbCommand::Check(flags) => check::check(flags),
        DbCommand::Backup(flags) => backup::backup(flags),
        DbCommand::Restore(flags) => backup::restore(flags),
        DbCommand::Vacuum(of) => vacuum(of),
        DbCommand::Migrate(flags) => migrate::migrate(flags),
    }
}

/// A connection to a file that is a database.
pub(crate) fn open(path: &Path, access: Access) -> Result<Connection> {
    try_open(path, access)?.map_err(|error| explain(path, &error))
}

/// The same; what SQLite says of the file stands by itself.
fn try_open(path: &Path, access: Access) -> Result<rusqlite::Result<Connection>> {
    check_path(path)?;
    let flags = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let opened = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    Ok(opened.and_then(|sql| {
        sql.busy_timeout(PATIENCE)?;
        // The first statement is what makes SQLite read the file.
        sql.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
        Ok(sql)
    }))
}

/// Whether an error says that the file is damaged.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// An error of SQLite's with what to do about it.
fn explain(path: &Path, error: &rusqlite::Error) -> anyhow::Error {
    let file = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            anyhow!(
                "{file} is in use by another process, which holds its lock; try again, or stop that process"
            )
        }
        _ if is_damage(error) => anyhow!(
            "{file} is damaged or no SQLite database ({error}); put a backup in its place with `sqlitrest db restore BACKUP --database {file}`, or try `sqlite3 {file} .recover`"
        ),
        Some(ErrorCode::DiskFull) => {
            anyhow!("there is no room left on the disk of {file}; nothing was changed")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            anyhow!(
                "{file} cannot be opened to write ({error}); look at the permissions of the file and its directory"
            )
        }
        _ => anyhow!("{file}: {error}"),
    }
}

/// What became of a file that was rebuilt. Sizes are those of the file and its write-ahead log together.
#[derive(Serialize)]
struct Vacuumed {
    file: PathBuf,
    bytes_before: u64,
    bytes: u64,
}

fn vacuum(of: &Of) -> Result<(), Failure> {
    let (path, sql) = of.open(Access::Write).map_err(Failure::Start)?;
    // What is in the log is the database's, too.
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
    let sizes = || length(&path) + length(&beside(&path, "-wal"));
    let bytes_before = sizes();
    // SQLite does not tell how far it has come.
    let shown = progress::spinner(format!("rebuilding {}, {}", path.display(), size(bytes_before)));
    let rebuilt = sql.execute_batch("VACUUM").and_then(|()| {
        // In WAL mode the file is only now the smaller one.
        sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    });
    drop(shown);
    rebuilt.map_err(|error| Failure::Run(explain(&path, &error)))?;
    let (bytes, file) = (sizes(), path);
    let vacuumed = Vacuumed { bytes, bytes_before, file };
    let text = || {
        let Vacuumed { file, bytes_before, bytes } = &vacuumed;
        format!("{}: {} before, {} now", file.display(), size(*bytes_before), size(*bytes))
    };
    of.tell(&vacuumed, text).map_err(Failure::Run)
}

/// A number of bytes for people: `5.7 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes} bytes"),
    }
}

/// `1 table`, `2 tables`
fn number(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A name as SQL has it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
