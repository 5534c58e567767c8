//! Reads logs, of either form: their files in order, and the records in them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::chain::{Head, Sealed};
use super::entry::Form;
use super::segments;
use crate::open::MAGIC;

/// The table of a log in a database.
pub const TABLE: &str = "_sqlitrest_audit";

/// Longer than this no record is.
pub const LONGEST: u64 = 4 << 20;

/// How long a log waits for who has locked it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The form of a file; one that is empty or not there has lines.
pub fn form(path: &Path) -> Form {
    let mut begin = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    if read.is_ok() && begin == MAGIC { Form::Database } else { Form::File }
}

/// The files of a log, the oldest first and the one that is written last, if it is there.
///
/// # Errors
/// The directory cannot be read.
pub fn files(log: &Path) -> Result<Vec<PathBuf>> {
    let rotated = segments::rotated(log)
        .with_context(|| format!("the directory of the audit log {} cannot be read", log.display()))?;
    let mut files: Vec<PathBuf> = rotated.into_iter().map(|rotated| rotated.path).collect();
    if log.exists() {
        files.push(log.to_owned());
    }
    Ok(files)
}

/// Hands each line of a file to `each`, with its number (in a database that of its row), until that wants no more. A text that is not UTF-8
/// is handed over with U+FFFD, which no record has. Returns how many bytes are behind the last line feed.
///
/// # Errors
/// The file cannot be read.
pub fn each(path: &Path, each: &mut dyn FnMut(u64, &str) -> bool) -> Result<usize> {
    match form(path) {
        Form::Database => each_row(path, each).map(|()| 0),
        Form::File => each_line(path, each),
    }
}

fn each_line(path: &Path, each: &mut dyn FnMut(u64, &str) -> bool) -> Result<usize> {
    let cannot = || format!("the audit log {} cannot be read", path.display());
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).with_context(cannot)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        file.read_until(b'\n', &mut line).with_context(cannot)?;
        let Some(whole) = line.strip_suffix(b"\n") else { break };
        if !each(number, &String::from_utf8_lossy(whole)) {
            return Ok(0);
        }
    }
    Ok(line.len())
}

fn each_row(path: &Path, each: &mut dyn FnMut(u64, &str) -> bool) -> Result<()> {
    let (sql, wrong) = (open(path)?, wrong(path));
    let text = format!("SELECT seq, CAST(record AS BLOB) FROM {TABLE} ORDER BY seq");
    let mut statement = sql.prepare(&text).map_err(&wrong)?;
    let mut rows = statement.query([]).map_err(&wrong)?;
    while let Some(row) = rows.next().map_err(&wrong)? {
        let seq: i64 = row.get(0).map_err(&wrong)?;
        let record = row.get_ref(1).and_then(|record| Ok(record.as_blob_or_null()?)).map_err(&wrong)?;
        if !each(seq.unsigned_abs(), &String::from_utf8_lossy(record.unwrap_or_default())) {
            break;
        }
    }
    Ok(())
}

/// The last record of a log, and whether the log says that it is the end.
///
/// # Errors
/// A file cannot be read.
pub fn last(log: &Path) -> Result<Option<(Head, bool)>> {
    for path in files(log)?.iter().rev() {
        let line = match form(path) {
            Form::File => last_line(path)?,
            Form::Database => last_row(path)?,
        };
        let last = line.as_deref().and_then(Sealed::read).map(|sealed| sealed.head());
        if let (Some(head), Some(line)) = (last, &line) {
            return Ok(Some((head, is_end(line))));
        }
    }
    Ok(None)
}

fn last_line(path: &Path) -> Result<Option<String>> {
    let cannot = || format!("the audit log {} cannot be read", path.display());
    let mut file = File::open(path).with_context(cannot)?;
    let length = file.metadata().with_context(cannot)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST))).with_context(cannot)?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).with_context(cannot)?;
    let line = tail.split(|&b| b == b'\n').rev().find(|line| !line.is_empty());
    Ok(line.map(|line| String::from_utf8_lossy(line).into_owned()))
}

fn last_row(path: &Path) -> Result<Option<String>> {
    let (sql, wrong) = (open(path)?, wrong(path));
    let text = format!("SELECT record FROM {TABLE} ORDER BY seq DESC LIMIT 1");
    sql.query_row(&text, [], |row| row.get(0)).optional().map_err(wrong)
}

fn open(path: &Path) -> Result<Connection> {
    let opened = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let sql = opened.map_err(wrong(path))?;
    sql.busy_timeout(PATIENCE).map_err(wrong(path))?;
    Ok(sql)
}

fn wrong(path: &Path) -> impl Fn(rusqlite::Error) -> anyhow::Error {
    move |error| anyhow!("the audit log {} cannot be read: {error}", path.display())
}

/// Whether a record is the last that a server writes.
fn is_end(line: &str) -> bool {
    line.split_once(",\"event\":\"").is_some_and(|(_, event)| event.starts_with("stop\""))
}

/// A record's time.
pub fn time(line: &str) -> Timestamp {
    let time = line.split_once(",\"time\":\"").and_then(|(_, rest)| rest.split_once('"'));
    time.and_then(|(time, _)| time.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}
