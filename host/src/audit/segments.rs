//! The files of a log: `audit.ndjson`, which is written, and those that it was rotated into, `audit.000000000001.ndjson`, each
//! named by the number of its first record.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::open::beside;

/// How many digits the number in a name has at least, so that names stand in the order of numbers.
const DIGITS: usize = 12;

/// A file that is not written any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The number of its first record.
    pub first: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// What a log's file is called when another takes its place.
pub fn name(log: &Path, first: u64) -> PathBuf {
    let (stem, end) = parts(log);
    log.with_file_name(format!("{stem}{first:0DIGITS$}{end}"))
}

/// What stands in front of the number in a name, and what behind it.
fn parts(log: &Path) -> (String, String) {
    let text = |name: Option<&std::ffi::OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
    let end = log.extension().map(|end| format!(".{}", end.to_string_lossy())).unwrap_or_default();
    (format!("{}.", text(log.file_stem())), end)
}

/// The files that are not written any more, the oldest first.
///
/// # Errors
/// The system's.
pub fn rotated(log: &Path) -> std::io::Result<Vec<Rotated>> {
    let (stem, end) = parts(log);
    let directory = log.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let number = name.strip_prefix(stem.as_str()).and_then(|rest| rest.strip_suffix(end.as_str()));
        let Some(number) = number.filter(|n| n.len() >= DIGITS && n.bytes().all(|b| b.is_ascii_digit()))
        else {
            continue;
        };
        if let Ok(first) = number.parse() {
            found.push(Rotated { first, path: log.with_file_name(name.as_ref()) });
        }
    }
    found.sort_by_key(|rotated| rotated.first);
    Ok(found)
}

/// Those of the oldest that are kept no longer, and the last record in them. `current` is the first record of the file that is written.
pub fn old(
    rotated: &[Rotated],
    current: u64,
    keep: usize,
    keep_for: Option<Duration>,
    now: SystemTime,
) -> Option<(&[Rotated], u64)> {
    let too_many = if keep == 0 { 0 } else { rotated.len().saturating_sub(keep) };
    let is_old = |rotated: &Rotated| {
        let changed = fs::metadata(&rotated.path).and_then(|about| about.modified());
        let age = changed.ok().and_then(|changed| now.duration_since(changed).ok());
        matches!((keep_for, age), (Some(most), Some(age)) if age > most)
    };
    // No hole is left between those that are kept.
    let too_old = rotated.iter().take_while(|rotated| is_old(rotated)).count();
    let count = too_many.max(too_old);
    let next = rotated.get(count).map_or(current, |next| next.first);
    let removed = rotated.get(..count)?;
    (count > 0).then(|| (removed, next.saturating_sub(1)))
}

/// Removes a file and what SQLite may have left beside it. One that is gone already is well.
///
/// # Errors
/// The system's.
pub fn remove(path: &Path) -> std::io::Result<()> {
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(path, end));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::tests::Scratch;

    #[test]
    fn names() {
        assert_eq!(name(Path::new("/a/audit.ndjson"), 17), Path::new("/a/audit.000000000017.ndjson"));
        assert_eq!(name(Path::new("audit"), 1), Path::new("audit.000000000001"));
        assert_eq!(name(Path::new("a.b.db"), 1_234_567_890_123), Path::new("a.b.1234567890123.db"));
    }

    #[test]
    fn what_is_old() {
        let scratch = Scratch::new("audit-segments", "");
        let log = scratch.path().with_file_name("audit.ndjson");
        for first in [5, 1, 12] {
            fs::write(name(&log, first), "x").expect("written");
        }
        for other in
            ["audit.1.ndjson", "audit.00000000000x.ndjson", "other.000000000001.ndjson", "audit.ndjson"]
        {
            fs::write(log.with_file_name(other), "x").expect("written");
        }
        let found = rotated(&log).expect("a directory");
        assert_eq!(found.iter().map(|rotated| rotated.first).collect::<Vec<_>>(), [1, 5, 12]);
        let now = SystemTime::now();
        let old = |keep, keep_for, now| {
            old(&found, 20, keep, keep_for, now).map(|(removed, through)| (removed.len(), through))
        };
        assert_eq!(old(0, None, now), None);
        assert_eq!(old(3, None, now), None);
        assert_eq!(old(2, None, now), Some((1, 4)));
        let hour = Duration::from_secs(3600);
        assert_eq!(old(0, Some(hour), now), None);
        assert_eq!(old(0, Some(hour), now + 2 * hour), Some((3, 19)));
    }
}
