//! What a server knows of the end of its log, in a file beside it (`audit.ndjson.head`): where the end of the log is cut off, this
//! is what tells. While a server runs it holds a lock on it, so that no two write one log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::chain::{HASH, Head};
use crate::open::beside;

/// How many digits a number has in the file, which is always of the same length.
const DIGITS: usize = 20;

/// The file, and the lock on it.
pub struct HeadFile(File);

/// Where it is.
pub fn path(log: &Path) -> PathBuf {
    beside(log, ".head")
}

impl HeadFile {
    /// Takes it, or makes it where there is none.
    ///
    /// # Errors
    /// One sentence: another server has it, or the directory cannot be written.
    pub fn take(log: &Path) -> Result<HeadFile> {
        let path = path(log);
        let cannot = || format!("the audit log {} cannot be written", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        super::file::for_the_owner(&mut options);
        let file = options.open(&path).with_context(cannot)?;
        match file.try_lock() {
            Ok(()) => Ok(HeadFile(file)),
            Err(TryLockError::WouldBlock) => {
                bail!("the audit log {} is being written by another server; name another file", log.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
        }
    }

    /// What it says; none where it says nothing that can be read.
    pub fn read(&mut self) -> Option<Head> {
        let mut text = String::new();
        self.0.seek(SeekFrom::Start(0)).ok()?;
        (&self.0).take(1 << 10).read_to_string(&mut text).ok()?;
        parse(&text)
    }

    /// Says what the end is now.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&mut self, head: &Head) -> std::io::Result<()> {
        // In one piece, and never longer than it is.
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(format!("{:0DIGITS$} {}\n", head.seq, head.hash).as_bytes())
    }
}

/// What the file beside a log says, without taking it; none where there is none, or it cannot be read.
pub fn look(log: &Path) -> Option<Head> {
    parse(&std::fs::read_to_string(path(log)).ok()?)
}

fn parse(text: &str) -> Option<Head> {
    let (seq, hash) = text.strip_suffix('\n')?.split_once(' ')?;
    let is_whole = seq.len() == DIGITS && hash.len() == HASH;
    is_whole.then_some(Head { seq: seq.parse().ok()?, hash: hash.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::tests::Scratch;

    #[test]
    fn one_server_at_a_time() {
        let scratch = Scratch::new("audit-head", "");
        let log = scratch.path().with_file_name("audit.ndjson");
        let mut file = HeadFile::take(&log).expect("taken");
        assert_eq!((file.read(), look(&log)), (None, None));
        for seq in [7, 1_000_000] {
            let head = Head { seq, ..Head::default() };
            file.write(&head).expect("written");
            assert_eq!((file.read(), look(&log)), (Some(head.clone()), Some(head)));
        }
        let error = HeadFile::take(&log).err().expect("locked").to_string();
        assert!(error.contains("by another server"), "{error}");
        drop(file);
        HeadFile::take(&log).expect("taken again");
    }

    #[test]
    fn what_is_not_whole_says_nothing() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("7 abc\n"), None);
        let good = format!("{:020} {}\n", 7, Head::default().hash);
        assert_eq!(parse(&good), Some(Head { seq: 7, ..Head::default() }));
        assert_eq!(parse(&good[..good.len() - 1]), None);
    }
}
