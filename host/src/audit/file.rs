//! The log as JSON on lines.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;

use super::chain::{Link, Sealed};
use super::reader::{LONGEST, time};
use super::segments;
use super::settings::Sync;
use crate::log;
use crate::open::beside;

/// A file that is written.
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// Which file that is.
    identity: Option<(u64, u64)>,
    length: u64,
    /// The number and the time of its first record.
    first: Option<(u64, Timestamp)>,
    sync: Sync,
}

impl LogFile {
    /// Opens the file, or makes it, with what was found and mended: where the last record is torn, as a process leaves it that is killed
    /// while it writes, what there is of it is moved away.
    ///
    /// # Errors
    /// One sentence: it cannot be written, or is no audit log.
    pub fn open(path: &Path, sync: Sync) -> Result<(LogFile, Vec<String>)> {
        let cannot = || format!("the audit log {} cannot be written", path.display());
        let mut found = Vec::new();
        if let Some(torn) = torn(path)? {
            let aside = set_aside(path, torn).with_context(cannot)?;
            let bytes = torn.1 - torn.0;
            found.push(format!("a torn record of {bytes} bytes was moved to {}", aside.display()));
        }
        let file = append_to(path).with_context(cannot)?;
        let mut log = LogFile {
            path: path.to_owned(),
            length: file.metadata().with_context(cannot)?.len(),
            identity: identity(path),
            first: None,
            file,
            sync,
        };
        if log.length > 0 {
            log.first = Some(first(path)?);
        }
        Ok((log, found))
    }

    /// Appends records, all or none.
    ///
    /// # Errors
    /// The system's.
    pub fn append(&mut self, links: &[Link]) -> std::io::Result<()> {
        self.look()?;
        let mut bytes = Vec::with_capacity(links.iter().map(|link| link.line.len() + 1).sum());
        for link in links {
            bytes.extend_from_slice(link.line.as_bytes());
            bytes.push(b'\n');
        }
        let synced = |file: &File| if self.sync == Sync::Batch { file.sync_data() } else { Ok(()) };
        if let Err(error) = self.file.write_all(&bytes).and_then(|()| synced(&self.file)) {
            // A part of a record may be there.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += bytes.len() as u64;
        if let (None, Some(link)) = (self.first, links.first()) {
            self.first = Some((link.head.seq, time(&link.line)));
        }
        Ok(())
    }

    /// Whether it is still the file that it was.
    fn look(&mut self) -> std::io::Result<()> {
        let path = self.path.display();
        match fs::metadata(&self.path) {
            Ok(about) if identity(&self.path) == self.identity => {
                if about.len() != self.length {
                    log(format_args!(
                        "{path} was changed by another program; `sqlitrest db check` says more"
                    ));
                    self.length = about.len();
                }
                Ok(())
            }
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => {
                log(format_args!("{path} is not the file any more that it was; the log goes on in another"));
                self.begin()
            }
        }
    }

    /// Goes on in the file of this path, which is made where there is none.
    fn begin(&mut self) -> std::io::Result<()> {
        self.file = append_to(&self.path)?;
        self.length = self.file.metadata()?.len();
        self.identity = identity(&self.path);
        self.first = None;
        Ok(())
    }

    /// The number and the time of the first record; none where it is empty.
    pub fn first(&self) -> Option<(u64, Timestamp)> {
        self.first
    }

    /// How long it is.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Gives the file the name of its first record, and begins another.
    ///
    /// # Errors
    /// The system's.
    pub fn rotate(&mut self) -> std::io::Result<()> {
        let Some((first, _)) = self.first else { return Ok(()) };
        fs::rename(&self.path, free(segments::name(&self.path, first)))?;
        self.begin()
    }
}

/// A path that no file has.
fn free(path: PathBuf) -> PathBuf {
    if !path.exists() {
        return path;
    }
    let name = |number: u32| beside(&path, &format!(".{number}"));
    (1..).map(name).find(|path| !path.exists()).unwrap_or_default()
}

/// Has files that are made be for nobody else: they tell who did what.
pub fn for_the_owner(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

fn append_to(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    for_the_owner(&mut options);
    options.open(path)
}

/// What tells a file from another of the same path.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    let about = fs::metadata(path).ok()?;
    #[cfg(unix)]
    return Some((std::os::unix::fs::MetadataExt::dev(&about), std::os::unix::fs::MetadataExt::ino(&about)));
    #[cfg(not(unix))]
    return Some((0, u64::from(about.is_file())));
}

/// The first record's number and time.
fn first(path: &Path) -> Result<(u64, Timestamp)> {
    let mut first = None;
    super::reader::each(path, &mut |_, line| {
        first = Sealed::read(line).map(|sealed| (sealed.seq, time(line)));
        false
    })?;
    match first {
        Some(first) => Ok(first),
        None => bail!("{} is no audit log; name another file, or move this one away", path.display()),
    }
}

/// Where a torn record at the end of a file begins and ends.
fn torn(path: &Path) -> Result<Option<(u64, u64)>> {
    let cannot = || format!("the audit log {} cannot be read", path.display());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(cannot),
    };
    let length = file.metadata().with_context(cannot)?.len();
    let from = length.saturating_sub(LONGEST);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from)).with_context(cannot)?;
    file.read_to_end(&mut tail).with_context(cannot)?;
    // The last line that is a record; only power that goes leaves others behind it.
    let mut end = tail.len();
    while end > 0 {
        let is_whole = tail.get(end - 1) == Some(&b'\n');
        let text = tail.get(..end - 1).unwrap_or_default();
        let begin = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line = std::str::from_utf8(text.get(begin..).unwrap_or_default()).unwrap_or_default();
        if is_whole && Sealed::read(line).is_some() {
            break;
        }
        end = begin;
    }
    let (end, length) = (from + end as u64, from + tail.len() as u64);
    if end == 0 && length > 0 && !tail.starts_with(b"{\"seq\":") {
        bail!("{} is no audit log; name another file, or move this one away", path.display());
    }
    Ok((end < length).then_some((end, length)))
}

/// Moves the end of a file into another.
fn set_aside(path: &Path, (begin, _): (u64, u64)) -> Result<PathBuf> {
    let aside = free(beside(path, &Timestamp::now().strftime(".torn-%Y%m%dT%H%M%SZ").to_string()));
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(begin))?;
    file.read_to_end(&mut bytes)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    for_the_owner(&mut options);
    let mut kept = options.open(&aside)?;
    kept.write_all(&bytes)?;
    kept.sync_all()?;
    file.set_len(begin)?;
    file.sync_all()?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::{Head, seal};
    use crate::open::tests::Scratch;

    fn links(count: u64) -> Vec<Link> {
        let mut head = Head::default();
        let mut links = Vec::new();
        for seq in 1..=count {
            let json = format!("{{\"seq\":{seq},\"time\":\"2026-01-01T00:00:00.000000Z\"");
            links.push(seal(None, &head, &json));
            head = links.last().expect("one").head.clone();
        }
        links
    }

    #[test]
    fn what_a_killed_process_leaves_is_moved_away() {
        let scratch = Scratch::new("audit-file", "");
        let path = scratch.path().with_file_name("audit.ndjson");
        let (mut log, found) = LogFile::open(&path, Sync::Batch).expect("a new file");
        assert_eq!((log.first(), found), (None, vec![]));
        log.append(&links(3)).expect("appended");
        let whole = fs::read(&path).expect("a file");
        for torn in [b"{\"seq\":4,\"ti".as_slice(), b"\0\0\0\0\0", b"{\"seq\":4}\n\0\0", b"\n"] {
            fs::write(&path, [&whole, torn].concat()).expect("written");
            let (log, found) = LogFile::open(&path, Sync::Batch).expect("mended");
            assert_eq!(fs::read(&path).expect("a file"), whole);
            assert_eq!((log.first().map(|(seq, _)| seq), log.length()), (Some(1), whole.len() as u64));
            let aside = found[0].rsplit(' ').next().expect("a path");
            assert!(found[0].starts_with(&format!("a torn record of {} bytes", torn.len())), "{found:?}");
            assert_eq!(fs::read(aside).expect("kept"), torn);
        }
        // Nothing but the beginning of a record.
        fs::write(&path, "{\"seq\":1").expect("written");
        assert_eq!(LogFile::open(&path, Sync::Batch).expect("mended").0.length(), 0);
        fs::write(&path, "my thesis").expect("written");
        let error = LogFile::open(&path, Sync::Batch).err().expect("refused").to_string();
        assert!(error.contains("is no audit log"), "{error}");
        assert_eq!(fs::read(&path).expect("untouched"), b"my thesis");
    }

    #[test]
    fn a_file_that_goes_is_begun_anew() {
        let scratch = Scratch::new("audit-gone", "");
        let path = scratch.path().with_file_name("audit.ndjson");
        let (mut log, _) = LogFile::open(&path, Sync::None).expect("a new file");
        let links = links(4);
        log.append(&links[..2]).expect("appended");
        fs::remove_file(&path).expect("removed");
        log.append(&links[2..3]).expect("appended");
        assert_eq!(fs::read_to_string(&path).expect("a file"), format!("{}\n", links[2].line));
        log.rotate().expect("rotated");
        log.append(&links[3..]).expect("appended");
        let old = fs::read_to_string(segments::name(&path, 3)).expect("the old one");
        assert_eq!(old, format!("{}\n", links[2].line));
        assert_eq!(log.first().map(|(seq, _)| seq), Some(4));
    }
}
