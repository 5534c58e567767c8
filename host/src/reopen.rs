//! What becomes of the connections when the file that they have open is not the one that its path names any more: it was replaced by
//! another, moved or deleted, or its write-ahead log was.
//!
//! Whoever has the old file open does not notice; its writes would go where nobody looks for them. So the thread that writes looks at
//! the path after each commit, before anybody is told of it, and once a second. Then all connections are taken back, what is in the
//! log is moved into the old file, so that nothing of it is read into another, and the file that is there is opened. Until there is one
//! every request is told that there is none.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sqlitrest_runtime::database::DbError;

use crate::connection::Connection;
use crate::log;
use crate::observe::logging;
use crate::open::{MAGIC, beside};
use crate::pool::{Opener, Readers};

/// So often the path is looked at while nothing is written.
const LOOK: Duration = Duration::from_secs(1);

/// So often while the file is not there. One that is found the same twice is not being copied any more.
const LOOK_FOR: Duration = Duration::from_millis(200);

/// What a file is, under whichever name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    number: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> Option<FileId> {
        use std::os::unix::fs::MetadataExt as _;
        let about = fs::metadata(path).ok()?;
        Some(FileId { device: about.dev(), number: about.ino() })
    }

    /// Elsewhere a file that is open can be neither replaced nor deleted.
    #[cfg(not(unix))]
    fn of(_: &Path) -> Option<FileId> {
        None
    }
}

/// The files of an open database, as they were found when it was opened.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    database: Option<FileId>,
    /// The write-ahead log and its index, where they are ours to write.
    side: Vec<(PathBuf, FileId)>,
}

/// What is not where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The path names another database, or none.
    Database,
    /// The write-ahead log or its index was deleted. What it has is still open.
    Log,
}

impl Files {
    /// What is there now.
    pub fn of(path: &Path, writable: bool) -> Files {
        // SQLite has them beside the file itself, not beside a link to it.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let found = |end: &str| {
            let path = beside(&real, end);
            FileId::of(&path).filter(|_| writable).map(|id| (path, id))
        };
        let side = ["-wal", "-shm"].into_iter().filter_map(found).collect();
        Files { path: path.to_owned(), database: FileId::of(path), side }
    }

    /// Whether anything is not where it was.
    pub fn moved(&self) -> Option<Moved> {
        if FileId::of(&self.path) != self.database {
            return Some(Moved::Database);
        }
        let is_there = |(path, id): &(PathBuf, FileId)| FileId::of(path) == Some(*id);
        (!self.side.iter().all(is_there)).then_some(Moved::Log)
    }

    /// Removes the log and its index, which have nothing in them any more, from beside another database: SQLite would take
    /// them for that one's.
    fn remove_side_files(&self) {
        if FileId::of(&self.path) == self.database {
            return;
        }
        for (path, id) in &self.side {
            if FileId::of(path) == Some(*id) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// A database file that is whole, as far as can be seen from outside.
#[derive(Debug, PartialEq)]
struct Found {
    id: Option<FileId>,
    size: u64,
    changed: Option<SystemTime>,
}

impl Found {
    /// None where there is no database, or only the beginning of one. One that is open (`ours`) is not opened once more beside SQLite, which
    /// would lose its locks as that is closed; it is whole.
    fn at(path: &Path, ours: Option<FileId>) -> Option<Found> {
        let about = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let id = FileId::of(path);
        if id.is_some() && id == ours {
            return Some(Found { id, size: about.len(), changed: about.modified().ok() });
        }
        let mut head = [0; 100];
        fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).ok()?;
        let number =
            |at: usize| head.get(at..at + 4).map(|bytes| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
        // https://www.sqlite.org/fileformat.html#the_database_header
        let page = match (u64::from(head[16]) << 8) | u64::from(head[17]) {
            1 => 65_536,
            size => size,
        };
        // The number of pages counts where it is of the last change.
        let is_counted = number(24) == number(92);
        let is_whole = !is_counted || number(28).is_some_and(|pages| about.len() >= pages * page);
        let found = Found { id, size: about.len(), changed: about.modified().ok() };
        (head.starts_with(MAGIC) && is_whole).then_some(found)
    }
}

/// Keeps the connections those of the file that the path names.
pub struct Keeper {
    opener: Arc<Opener>,
    readers: Arc<Readers>,
    patience: Duration,
    looked: Instant,
    away: Option<Away>,
}

/// While the file is not where it was.
struct Away {
    files: Files,
    moved: Moved,
    /// The connection beside those that requests had.
    beside: Option<Connection>,
    /// Whether what was in the log is in the old file.
    is_settled: bool,
    /// What was there at the last look.
    found: Option<Found>,
    /// What was said last of why nothing is served.
    said: String,
}

impl Away {
    fn say(&mut self, why: String) {
        if self.said != why {
            logging::error(format_args!("nothing is served: {why}"));
            self.said = why;
        }
    }
}

impl Keeper {
    /// Of these connections, and of the one that writes.
    pub fn new(opener: Arc<Opener>, readers: Arc<Readers>, patience: Duration) -> Keeper {
        Keeper { opener, readers, patience, looked: Instant::now(), away: None }
    }

    /// Whether there is no file to serve.
    pub fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// How long to wait until the next look.
    pub fn pause(&self) -> Duration {
        let pause = if self.is_away() { LOOK_FOR } else { LOOK };
        pause.saturating_sub(self.looked.elapsed())
    }

    /// Looks whether the file is where it was, and does what is to be done where it is not. `writer` is the connection that writes, with no
    /// transaction open.
    ///
    /// # Errors
    /// `unable to open database` where what was committed is not in the file that is there.
    pub fn look(&mut self, writer: &mut Option<Connection>) -> Result<(), DbError> {
        self.looked = Instant::now();
        let mut away = match self.away.take() {
            Some(away) => away,
            None => {
                let Some((files, moved, beside)) = self.opener.give_up() else { return Ok(()) };
                log(format_args!("{}: {}", files.path.display(), moved.told()));
                Away { files, moved, beside, is_settled: false, found: None, said: String::new() }
            }
        };
        let is_open = self.reopen(&mut away, writer);
        let is_kept = away.moved == Moved::Log && away.is_settled;
        self.away = (!is_open).then_some(away);
        if is_kept { Ok(()) } else { Err(no_file()) }
    }

    /// Whether the file that is there is open.
    fn reopen(&self, away: &mut Away, writer: &mut Option<Connection>) -> bool {
        let Some(_all) = self.readers.withdraw(self.patience, || self.opener.interrupt()) else {
            away.say("requests still read from the old file".to_owned());
            return false;
        };
        if !away.is_settled {
            // The one that writes may have been lost.
            let open = writer.as_ref().or(away.beside.as_ref());
            match settle(open.filter(|_| self.opener.file().writable)) {
                Ok(()) => {
                    away.is_settled = true;
                    away.beside = None;
                }
                Err(why) => {
                    away.say(format!("what was written last cannot be moved into the old file: {why}"));
                    return false;
                }
            }
        }
        if away.moved == Moved::Database {
            let found = Found::at(&away.files.path, away.files.database);
            let is_still = found.is_some() && found == away.found;
            if found.is_none() {
                away.say("there is no database file".to_owned());
            }
            away.found = found;
            if !is_still {
                return false;
            }
        }
        *writer = None;
        away.files.remove_side_files();
        match self.opener.open_again() {
            Ok(connection) => {
                logging::info(format_args!("{} was opened again", away.files.path.display()));
                *writer = Some(connection);
                true
            }
            Err(error) => {
                away.say(error.message);
                false
            }
        }
    }
}

/// Moves what is in the log into the file that it belongs to.
fn settle(writer: Option<&Connection>) -> Result<(), String> {
    match writer.map(|writer| writer.checkpoint("TRUNCATE")) {
        None | Some(Ok(true)) => Ok(()),
        Some(Ok(false)) => Err("another process reads from it".to_owned()),
        Some(Err(error)) => Err(error.message),
    }
}

/// What a request is told while there is nothing to serve.
pub fn no_file() -> DbError {
    DbError { message: "unable to open database file: it is not where it was".to_owned() }
}

impl Moved {
    fn told(self) -> &'static str {
        match self {
            Moved::Database => "the file was replaced, moved or deleted",
            Moved::Log => "the write-ahead log was deleted, of which nothing is lost",
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::open::tests::Scratch;

    #[test]
    fn what_is_not_where_it_was_is_noticed() {
        let scratch = Scratch::new("reopen-moved", "CREATE TABLE t (a)");
        let path = scratch.path();
        let beside = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
        fs::write(beside("-wal"), "").expect("log");
        let files = Files::of(&path, true);
        assert_eq!(files.moved(), None);
        // What is written into it does not make it another.
        fs::write(beside("-wal"), "more").expect("log");
        assert_eq!(files.moved(), None);
        fs::rename(beside("-wal"), beside("-old")).expect("renamed");
        assert_eq!(files.moved(), Some(Moved::Log));
        assert_eq!(Files::of(&path, true).moved(), None);
        fs::rename(beside("-old"), beside("-wal")).expect("renamed");
        assert_eq!(files.moved(), None);
        fs::rename(&path, beside("-old")).expect("renamed");
        assert_eq!(files.moved(), Some(Moved::Database));
        fs::copy(beside("-old"), &path).expect("copied");
        assert_eq!(files.moved(), Some(Moved::Database));
        files.remove_side_files();
        assert!(!beside("-wal").exists());
    }

    #[test]
    fn a_link_is_followed() {
        let scratch = Scratch::new("reopen-link", "CREATE TABLE t (a)");
        let path = scratch.path();
        let beside = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
        let (link, other) = (path.with_file_name("link.db"), path.with_file_name("other.db"));
        fs::write(beside("-wal"), "").expect("log");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        let files = Files::of(&link, true);
        assert_eq!(files.moved(), None);
        fs::remove_file(beside("-wal")).expect("removed");
        assert_eq!(files.moved(), Some(Moved::Log));
        fs::copy(&path, &other).expect("copied");
        fs::remove_file(&link).expect("removed");
        std::os::unix::fs::symlink(&other, &link).expect("a link");
        assert_eq!(files.moved(), Some(Moved::Database));
    }

    #[test]
    fn the_beginning_of_a_file_is_no_database() {
        let scratch = Scratch::new("reopen-found", "CREATE TABLE t (a); CREATE INDEX i ON t (a)");
        let path = scratch.path();
        let whole = fs::read(&path).expect("a file");
        assert!(Found::at(&path, None).is_some());
        for size in [0, 1, 16, 99, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..size]).expect("written");
            assert_eq!(Found::at(&path, None), None, "{size}");
        }
        fs::write(&path, &whole).expect("written");
        assert_eq!(Found::at(&path, None), Found::at(&path, None));
        fs::remove_file(&path).expect("removed");
        assert_eq!(Found::at(&path, None), None);
    }
}
