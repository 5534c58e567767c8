//! The backups that are made on a schedule: `main-scheduled-20261128T030000Z.db`. Files of other names are none of ours.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::db::backup::{CHECKSUM, CHECKSUM_PART, PART};
use crate::open::beside;

/// What stands between the database's name and the time.
const MARK: &str = "-scheduled-";

/// What stands behind it.
const END: &str = ".db";

/// How the time is written.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// When it was begun.
    pub time: Timestamp,
    /// The file.
    pub path: PathBuf,
}

/// Where a backup of a database goes that is begun now.
pub fn name(directory: &Path, database: &str, now: Timestamp) -> PathBuf {
    directory.join(format!("{}{}{END}", stem(database), now.strftime(TIME)))
}

/// What the names of a database's backups begin with. A name in a configuration may have any characters.
fn stem(database: &str) -> String {
    let mut stem = String::new();
    for byte in database.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => stem.push(char::from(byte)),
            _ => stem.push_str(&format!("%{byte:02x}")),
        }
    }
    stem + MARK
}

/// The time in the name of a backup of a database; none where it is no such name.
fn time(name: &str, database: &str) -> Option<Timestamp> {
    let text = name.strip_prefix(stem(database).as_str())?.strip_suffix(END)?;
    let time = DateTime::strptime(TIME, text).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    (time.strftime(TIME).to_string() == text).then_some(time)
}

/// The backups of a database that are there, the oldest first: those with a checksum.
///
/// # Errors
/// The directory cannot be read.
pub fn made(directory: &Path, database: &str) -> std::io::Result<Vec<Made>> {
    let mut made = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let time = path.file_name().and_then(|name| time(&name.to_string_lossy(), database));
        if let Some(time) = time
            && beside(&path, CHECKSUM).exists()
        {
            made.push(Made { time, path });
        }
    }
    made.sort_by_key(|made| made.time);
    Ok(made)
}

/// Removes what a process has left that was killed while it made a backup.
///
/// # Errors
/// The directory cannot be read.
pub fn clean(directory: &Path, database: &str) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of = |end: &str| name.strip_suffix(end).filter(|name| time(name, database).is_some());
        let is_part = [PART, ".part-journal", CHECKSUM_PART].into_iter().any(|end| of(end).is_some());
        let is_alone = of(CHECKSUM).is_some_and(|backup| !path.with_file_name(backup).exists());
        if is_part || is_alone {
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// Removes the oldest, so that `keep` are left; 0: all.
///
/// # Errors
/// A file that cannot be removed, and why.
pub fn thin(made: &[Made], keep: usize) -> Result<(), (PathBuf, std::io::Error)> {
    let surplus = if keep == 0 { 0 } else { made.len().saturating_sub(keep) };
    for Made { path, .. } in made.iter().take(surplus) {
        fs::remove_file(path).map_err(|error| (path.clone(), error))?;
        let _ = fs::remove_file(beside(path, CHECKSUM));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::tests::Scratch;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn names() {
        let now = at("2026-11-28T03:00:01.9Z");
        let path = name(Path::new("b"), "main", now);
        assert_eq!(path, Path::new("b/main-scheduled-20261128T030001Z.db"));
        assert_eq!(
            name(Path::new("b"), "../x y", now),
            Path::new("b/%2e%2e%2fx%20y-scheduled-20261128T030001Z.db")
        );
        assert_eq!(time("main-scheduled-20261128T030001Z.db", "main"), Some(at("2026-11-28T03:00:01Z")));
        for other in [
            "main-scheduled-20261128T030001Z.db.part",
            "main-scheduled-20261328T030001Z.db",
            "main-scheduled-2026112T0300011Z.db",
            "main-20261128T030001Z.db",
            "other-scheduled-20261128T030001Z.db",
            "main.db",
        ] {
            assert_eq!(time(other, "main"), None, "{other}");
        }
    }

    #[test]
    fn only_ones_own_are_counted_and_removed() {
        let scratch = Scratch::new("backup-files", "");
        let directory = scratch.path().with_file_name("backups");
        fs::create_dir(&directory).expect("a directory");
        let file = |name: &str| fs::write(directory.join(name), "x").expect("written");
        let days = ["20261126", "20261127", "20261128"];
        for day in days {
            file(&format!("main-scheduled-{day}T030000Z.db"));
            file(&format!("main-scheduled-{day}T030000Z.db.sha256"));
        }
        let others = [
            "main-scheduled-20200101T000000Z.db",
            "old-scheduled-20200101T000000Z.db",
            "old-scheduled-20200101T000000Z.db.sha256",
            "monday.db",
            "monday.db.sha256",
            "monday.db.part",
        ];
        others.iter().for_each(|other| file(other));
        let found = made(&directory, "main").expect("a directory");
        assert_eq!(
            found.iter().map(|made| made.time).collect::<Vec<_>>(),
            days.map(|day| { at(&format!("{}-{}-{}T03:00:00Z", &day[..4], &day[4..6], &day[6..])) })
        );
        thin(&found, 0).expect("nothing");
        thin(&found, 3).expect("nothing");
        assert_eq!(made(&directory, "main").expect("a directory").len(), 3);
        thin(&found, 2).expect("removed");
        assert_eq!(made(&directory, "main").expect("a directory"), found[1..]);
        // What a killed process leaves.
        for left in [".db.part", ".db.part-journal", ".db.sha256.part", ".db.sha256"] {
            file(&format!("main-scheduled-20261129T030000Z{left}"));
        }
        clean(&directory, "main").expect("a directory");
        assert!(others.iter().all(|other| directory.join(other).exists()));
        assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 4 + others.len());
    }
}
