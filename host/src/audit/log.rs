//! The log: its forms, which have the same records, and the chain that goes through them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::chain::{Head, Key, Link, Sealed};
use super::database::LogDatabase;
use super::entry::{Form, Note, record};
use super::file::LogFile;
use super::head::HeadFile;
use super::settings::Settings;
use super::{reader, segments};

/// The log, as it is written.
pub struct Log {
    parts: Vec<Part>,
    key: Option<Key>,
    /// What the next record goes on from.
    head: Head,
    rotate_size: u64,
    rotate_every: Option<SignedDuration>,
    keep: usize,
    keep_for: Option<Duration>,
}

/// One form of the log.
struct Part {
    form: Form,
    path: PathBuf,
    store: Store,
    file: HeadFile,
    /// The last record that it has.
    last: Head,
    /// When it could not be rotated.
    failed: Option<Instant>,
}

/// How long a form that could not be rotated is left as it is.
const AGAIN: Duration = Duration::from_secs(60);

/// What came of looking for what is due.
#[derive(Default)]
pub struct Rotated {
    /// Whether a file was begun.
    pub any: bool,
    /// What could not be done, in sentences.
    pub failed: Vec<String>,
}

enum Store {
    File(LogFile),
    Database(LogDatabase),
}

impl Store {
    fn append(&mut self, links: &[Link]) -> Result<()> {
        match self {
            Store::File(file) => Ok(file.append(links)?),
            Store::Database(database) => database.append(links),
        }
    }

    fn rotate(&mut self) -> Result<()> {
        match self {
            Store::File(file) => Ok(file.rotate()?),
            Store::Database(database) => database.rotate(),
        }
    }

    fn first(&self) -> Option<(u64, Timestamp)> {
        match self {
            Store::File(file) => file.first(),
            Store::Database(database) => database.first(),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Store::File(file) => file.length(),
            Store::Database(database) => database.length(),
        }
    }
}

/// A form of the log as it was found.
struct Found {
    form: Form,
    path: PathBuf,
    file: HeadFile,
    /// The last record, and whether it says that it is the end.
    last: Option<(Head, bool)>,
    /// The last record that a server has written, as far as the file beside the log tells.
    said: Option<Head>,
}

impl Found {
    fn look(form: Form, path: &str) -> Result<Found> {
        let path = PathBuf::from(path);
        let mut file = HeadFile::take(&path)?;
        let said = file.read();
        Ok(Found { last: reader::last(&path)?, form, said, file, path })
    }

    fn head(&self) -> Head {
        self.last.as_ref().map_or_else(Head::default, |(head, _)| head.clone())
    }
}

impl Log {
    /// Opens it, mends what a process leaves that is killed, and begins with a record that says so.
    ///
    /// # Errors
    /// One sentence: a file cannot be written, is no audit log or is written by another server; the two forms have different records.
    pub fn open(settings: &Settings) -> Result<Log> {
        let key = settings.key()?;
        let mut notes = Vec::new();
        let forms = [(Form::File, &settings.file), (Form::Database, &settings.database)];
        let mut all = Vec::new();
        for (form, path) in forms.into_iter().filter_map(|(form, path)| Some((form, path.as_deref()?))) {
            // First whether it is one at all. A torn record is moved away then, so that the last one is whole.
            match form {
                Form::File => notes.extend(LogFile::open(Path::new(path), settings.sync)?.1),
                Form::Database => drop(LogDatabase::open(Path::new(path), settings.sync)?),
            }
            all.push(Found::look(form, path)?);
        }
        let (head, clean) = end(&all, &mut notes);
        let begins =
            all.iter().filter(|part| part.last.is_none() && part.said.is_none()).map(|part| part.form);
        let begins: Vec<Form> = if head.seq == 0 { Vec::new() } else { begins.collect() };
        let missing = missing(&all, &mut notes)?;
        let mut parts = Vec::new();
        for (part, links) in all.into_iter().zip(missing) {
            parts.push(Part::open(part, &links, settings)?);
        }
        for note in &notes {
            crate::log(format_args!("audit log: {note}"));
        }
        let mut log = Log {
            parts,
            head,
            rotate_size: settings.rotate_size.0,
            rotate_every: settings.rotate_every.and_then(|span| SignedDuration::try_from(span.0).ok()),
            keep: settings.keep,
            keep_for: settings.keep_for.map(|span| span.0),
            key,
        };
        let start = Note::Start {
            server: crate::SERVER,
            algorithm: if log.key.is_some() { "hmac-sha256" } else { "sha256" },
            key: log.key.as_ref().map(|key| key.id.clone()),
            clean,
            found: notes,
            begins,
        };
        let links = [log.next(Timestamp::now(), &start)];
        log.write(&links)?;
        Ok(log)
    }

    /// The next record, which is not written yet.
    pub fn next(&mut self, time: Timestamp, what: &impl Serialize) -> Link {
        let link = record(self.key.as_ref(), &self.head, time, what);
        self.head.clone_from(&link.head);
        link
    }

    /// The last record that was made.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Writes records to every form that has not got them.
    ///
    /// # Errors
    /// One sentence with the file. The same records can be written again.
    pub fn write(&mut self, links: &[Link]) -> Result<()> {
        for part in &mut self.parts {
            let behind = links.partition_point(|link| link.head.seq <= part.last.seq);
            let links = links.get(behind..).unwrap_or_default();
            let Some(link) = links.last() else { continue };
            part.store.append(links).with_context(|| part.path.display().to_string())?;
            part.last.clone_from(&link.head);
            // The log itself has it.
            let _ = part.file.write(&part.last);
        }
        Ok(())
    }

    /// Begins other files where they are due.
    pub fn rotate(&mut self, now: Timestamp) -> Rotated {
        let mut rotated = Rotated::default();
        for part in &mut self.parts {
            let Some((_, begun)) = part.store.first() else { continue };
            let is_large = self.rotate_size > 0 && part.store.length() >= self.rotate_size;
            let is_old = self.rotate_every.is_some_and(|every| now.duration_since(begun) >= every);
            let is_late = part.failed.is_none_or(|failed| failed.elapsed() >= AGAIN);
            if !(is_late && (is_large || is_old)) {
                continue;
            }
            match part.store.rotate() {
                Ok(()) => (rotated.any, part.failed) = (true, None),
                Err(error) => {
                    part.failed = Some(Instant::now());
                    rotated.failed.push(format!("{} is not rotated yet: {error:#}", part.path.display()));
                }
            }
        }
        rotated
    }

    /// The files that are kept no longer, and for each form what a record says of them. The record is to be written before they are
    /// removed.
    pub fn old(&self) -> (Vec<PathBuf>, Vec<Note>) {
        let (mut files, mut notes) = (Vec::new(), Vec::new());
        let removes = self.keep > 0 || self.keep_for.is_some();
        for part in self.parts.iter().filter(|_| removes) {
            let Ok(rotated) = segments::rotated(&part.path) else { continue };
            let current = part.store.first().map_or(part.last.seq + 1, |(first, _)| first);
            let old = segments::old(&rotated, current, self.keep, self.keep_for, SystemTime::now());
            if let Some((old, through)) = old {
                files.extend(old.iter().map(|rotated| rotated.path.clone()));
                notes.push(Note::Removed { log: part.form, through });
            }
        }
        (files, notes)
    }
}

impl Part {
    /// Opens a form, with the records that it does not have.
    fn open(found: Found, missing: &[Link], settings: &Settings) -> Result<Part> {
        let (last, Found { form, path, file, .. }) = (found.head(), found);
        let store = match form {
            Form::File => Store::File(LogFile::open(&path, settings.sync)?.0),
            Form::Database => Store::Database(LogDatabase::open(&path, settings.sync)?),
        };
        let mut part = Part { form, path, store, file, last, failed: None };
        if let Some(link) = missing.last() {
            part.store.append(missing).with_context(|| part.path.display().to_string())?;
            part.last.clone_from(&link.head);
        }
        Ok(part)
    }
}

/// What the next record goes on from, and whether the server before has ended in order. Where a server has written more than is there,
/// the log goes on behind that: the gap stays to be seen.
fn end(all: &[Found], notes: &mut Vec<String>) -> (Head, bool) {
    let mut end = (Head::default(), true);
    for part in all {
        if let Some((head, is_end)) = &part.last
            && head.seq > end.0.seq
        {
            end = (head.clone(), *is_end);
        }
    }
    for part in all {
        let last = part.head();
        let Some(said) = &part.said else { continue };
        if said.seq > last.seq || (said.seq == last.seq && said.hash != last.hash) {
            notes.push(format!(
                "{}: the last record is {}, but a server has written record {}: its end was cut off or changed",
                part.path.display(),
                last.seq,
                said.seq
            ));
            if said.seq >= end.0.seq {
                end = (said.clone(), false);
            }
        }
    }
    end
}

/// For each form the records that the other has in front of it, as where a process was killed between the two.
fn missing(all: &[Found], notes: &mut Vec<String>) -> Result<Vec<Vec<Link>>> {
    let mut missing = vec![Vec::new(); all.len()];
    let [one, other] = all else { return Ok(missing) };
    let (behind, ahead, at) = match one.head().seq.cmp(&other.head().seq) {
        std::cmp::Ordering::Less => (one, other, 0),
        std::cmp::Ordering::Equal if one.head() == other.head() => return Ok(missing),
        _ => (other, one, 1),
    };
    let Some((last, _)) = &behind.last else { return Ok(missing) };
    let (mut links, mut is_same) = (Vec::new(), None);
    for path in reader::files(&ahead.path)? {
        reader::each(&path, &mut |_, line| {
            if let Some(sealed) = Sealed::read(line) {
                if sealed.seq == last.seq {
                    is_same = Some(sealed.hash == last.hash);
                } else if sealed.seq > last.seq {
                    links.push(Link { head: sealed.head(), line: line.to_owned() });
                }
            }
            true
        })?;
    }
    let (behind_path, ahead_path) = (behind.path.display(), ahead.path.display());
    if is_same != Some(true) {
        bail!(
            "the audit logs {behind_path} and {ahead_path} do not have the same records; look at both with `sqlitrest db check --audit FILE`, and move one away with the files beside it"
        );
    }
    notes.push(format!("{behind_path}: {} records came from {ahead_path}", links.len()));
    if let Some(slot) = missing.get_mut(at) {
        *slot = links;
    }
    Ok(missing)
}
