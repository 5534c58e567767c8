//! Whether a log is as it was written: each record in its turn, none changed, removed, put in or put elsewhere.
//!
//! The end of a log can be cut off without a trace in what is left. What tells of that is the file beside the log, and a hash that the
//! operator has kept elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::Value as Json;

use super::chain::{Head, Key, NOTHING, Sealed};
use super::entry::Form;
use super::head;
use super::reader::{each, files, form};

/// What is known of a log that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verified {
    /// The log.
    pub log: PathBuf,
    /// How many files it has.
    pub files: usize,
    /// How many records.
    pub records: u64,
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// The hash of the last.
    pub hash: String,
    /// How many are hashed with a key.
    pub keyed: u64,
    /// The first thing that is wrong; the records behind it were not looked at.
    pub broken: Option<Broken>,
    /// What else there is to know.
    pub advice: Vec<String>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// In which file.
    pub file: PathBuf,
    /// In which line, or row of a database; none where it is the log as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What, as a sentence.
    pub what: String,
}

/// What a log is looked at with.
#[derive(Clone, Debug, Default)]
pub struct Against {
    /// The keys that it may be written with.
    pub keys: Vec<Key>,
    /// A record that must be there: its number, if that is known, and its hash.
    pub expect: Option<(Option<u64>, String)>,
}

/// Looks at a log, from its oldest file to its newest record.
///
/// # Errors
/// One sentence: a file cannot be read, or there is none.
pub fn verify(log: &Path, against: &Against) -> Result<Verified> {
    // The end first: a server may write while this goes on, and then has more than that.
    let said = head::look(log);
    let files = files(log)?;
    ensure!(!files.is_empty(), "there is no audit log {}", log.display());
    let mut walk = Walk::new(against);
    let mut verified = Verified { log: log.to_owned(), files: files.len(), ..Verified::default() };
    for (at, file) in files.iter().enumerate() {
        walk.form = form(file);
        let torn = each(file, &mut |line, text| match walk.step(line, text) {
            Ok(()) => true,
            Err(what) => {
                verified.broken = Some(Broken { file: file.clone(), line: Some(line), what });
                false
            }
        })?;
        if verified.broken.is_some() {
            break;
        }
        if torn > 0 && at + 1 < files.len() {
            let what = format!("{torn} bytes at its end are no record");
            verified.broken = Some(Broken { file: file.clone(), line: None, what });
            break;
        }
        if torn > 0 {
            verified.advice.push(format!(
                "{torn} bytes at the end are no whole record: it is being written, or a process was killed; the next start moves them away"
            ));
        }
    }
    walk.tell(&mut verified);
    if verified.broken.is_none() {
        let what = walk.whole(said.as_ref()).err();
        verified.broken = what.map(|what| Broken { file: log.to_owned(), line: None, what });
    }
    if said.is_none() {
        let what = "there is no file beside the log that tells where it ends: whether its end was cut off is not known";
        verified.advice.push(format!("{what} ({})", head::path(log).display()));
    }
    Ok(verified)
}

/// A log while it is walked through.
struct Walk<'a> {
    against: &'a Against,
    /// The form of the file that is read.
    form: Form,
    /// The first record's number, its hash of the one before, and whether it says that the log begins with it.
    first: Option<(u64, String, bool)>,
    last: Head,
    records: u64,
    /// The key that the last record was hashed with.
    key: Option<&'a Key>,
    keyed: u64,
    /// Where the first record with a key is.
    plain: u64,
    /// The last record of those of which the log says that they were removed.
    removed: u64,
    is_found: bool,
    /// The numbers of starts behind an end that was none.
    unclean: Vec<u64>,
}

impl<'a> Walk<'a> {
    fn new(against: &'a Against) -> Walk<'a> {
        Walk {
            against,
            form: Form::File,
            first: None,
            last: Head::default(),
            records: 0,
            key: None,
            keyed: 0,
            plain: 0,
            removed: 0,
            is_found: false,
            unclean: Vec::new(),
        }
    }

    /// The next record.
    fn step(&mut self, line: u64, text: &str) -> Result<(), String> {
        let Some(sealed) = Sealed::read(text) else { return Err("this is no record".to_owned()) };
        let seq = sealed.seq;
        if self.form == Form::Database && line != seq {
            return Err(format!("the row {line} has the record {seq}"));
        }
        self.follows(&sealed)?;
        self.is_intact(&sealed)?;
        self.records += 1;
        self.last = sealed.head();
        if let Some((number, hash)) = &self.against.expect {
            let is_it = *hash == self.last.hash;
            if number.is_some_and(|number| number == seq) && !is_it {
                return Err(format!("record {seq} has another hash than the one that was kept"));
            }
            self.is_found |= is_it;
        }
        self.note(seq, text)
    }

    /// Whether a record stands behind the last one.
    fn follows(&mut self, sealed: &Sealed<'_>) -> Result<(), String> {
        let seq = sealed.seq;
        if self.first.is_none() {
            self.first = Some((seq, sealed.previous.to_owned(), false));
            return Ok(());
        }
        let last = self.last.seq;
        if seq > last + 1 {
            let (from, to) = (last + 1, seq - 1);
            return Err(match from == to {
                true => format!("record {from} is missing before record {seq}"),
                false => format!("records {from} to {to} are missing before record {seq}"),
            });
        }
        if seq <= last {
            return Err(format!("record {seq} stands behind record {last}"));
        }
        match sealed.previous == self.last.hash {
            true => Ok(()),
            false => Err(format!("record {seq} does not follow the record {last} that stands before it")),
        }
    }

    /// Whether a record is hashed by what the ones before it are hashed by, or by another of the keys.
    fn is_intact(&mut self, sealed: &Sealed<'_>) -> Result<(), String> {
        if sealed.is_intact(self.key) {
            self.keyed += u64::from(self.key.is_some());
            return Ok(());
        }
        let others = self.against.keys.iter().filter(|key| self.key.is_none_or(|own| own.id != key.id));
        for key in others {
            if sealed.is_intact(Some(key)) {
                if self.keyed == 0 {
                    self.plain = self.records;
                }
                (self.key, self.keyed) = (Some(key), self.keyed + 1);
                return Ok(());
            }
        }
        let seq = sealed.seq;
        Err(match self.against.keys.is_empty() {
            true => {
                format!("record {seq} was changed, or it is hashed with a key, which `--audit-key` names")
            }
            false => format!("record {seq} was changed, or is hashed with none of the keys"),
        })
    }

    /// What the log says of itself.
    fn note(&mut self, seq: u64, text: &str) -> Result<(), String> {
        let event = text.split_once(",\"event\":\"").map(|(_, rest)| rest).unwrap_or_default();
        if !event.starts_with("start\"") && !event.starts_with("removed\"") {
            return Ok(());
        }
        let record: Json = serde_json::from_str(text).map_err(|_| format!("record {seq} is no JSON"))?;
        let own = serde_json::to_value(self.form).unwrap_or_default();
        if event.starts_with("start\"") {
            if record.get("clean") == Some(&Json::Bool(false)) {
                self.unclean.push(seq);
            }
            let begins =
                record.get("begins").and_then(Json::as_array).is_some_and(|forms| forms.contains(&own));
            if let Some((first, _, is_begin)) = &mut self.first {
                *is_begin |= begins && *first == seq;
            }
        } else if record.get("log") == Some(&own) {
            self.removed = self.removed.max(record.get("through").and_then(Json::as_u64).unwrap_or_default());
        }
        Ok(())
    }

    /// What can be said when all was read.
    fn whole(&self, said: Option<&Head>) -> Result<(), String> {
        let last = &self.last;
        if let Some((first, previous, is_begin)) = &self.first {
            let is_begin = *is_begin || (*first == 1 && previous == NOTHING);
            if !is_begin && self.removed + 1 < *first {
                return Err(format!(
                    "the records before {first} are missing, and no record says that they were removed"
                ));
            }
        }
        match said {
            Some(said) if said.seq > last.seq => {
                return Err(format!(
                    "the end is missing: the last record is {}, and a server has written record {}",
                    last.seq, said.seq
                ));
            }
            Some(said) if said.seq == last.seq && said.hash != last.hash => {
                return Err(format!("record {} is not the one that a server has written", last.seq));
            }
            _ => {}
        }
        if !self.against.keys.is_empty() && self.keyed == 0 && self.records > 0 {
            return Err("no record is hashed with the key".to_owned());
        }
        match &self.against.expect {
            Some((_, hash)) if !self.is_found => Err(format!("there is no record with the hash {hash}")),
            _ => Ok(()),
        }
    }

    fn tell(&self, verified: &mut Verified) {
        verified.records = self.records;
        verified.first = self.first.as_ref().map_or(0, |(first, ..)| *first);
        verified.last = self.last.seq;
        verified.hash.clone_from(&self.last.hash);
        verified.keyed = self.keyed;
        if self.keyed > 0 && self.plain > 0 {
            verified.advice.push(format!(
                "{} records before the first that is hashed with the key are hashed without",
                self.plain
            ));
        }
        if let Some(last) = self.unclean.last() {
            let count = self.unclean.len();
            verified.advice.push(format!(
                "{count} times, the last time before record {last}, a server had not ended in order: it was killed, or the end of the log was cut off"
            ));
        }
    }
}

/// Whether two logs that were looked at have the same records, where both have one.
///
/// # Errors
/// What is different, as a sentence; a file that cannot be read.
pub fn compare(one: &Verified, other: &Verified) -> Result<Option<String>> {
    if one.records == 0 || other.records == 0 {
        return Ok(None);
    }
    let (shorter, longer) = if one.last <= other.last { (one, other) } else { (other, one) };
    let mut is_same = None;
    for file in files(&longer.log)? {
        each(&file, &mut |_, text| {
            let sealed = Sealed::read(text).filter(|sealed| sealed.seq == shorter.last);
            is_same = sealed.map(|sealed| sealed.hash == shorter.hash).or(is_same);
            is_same.is_none()
        })?;
    }
    let (shown, log) = (shorter.log.display(), longer.log.display());
    Ok((is_same != Some(true)).then(|| format!("record {} of {shown} is not that of {log}", shorter.last)))
}
