//! `sqlitrest db backup` and `restore`. A backup is a copy of one moment, verified, with its SHA-256 beside it in the form of
//! `sha256sum`. At every moment the path of a database names a whole one.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::private::create_like;
use super::{Access, PATIENCE, explain, is_damage, size, try_open};
use crate::cli::Failure;
use crate::log;
use crate::open::beside;
use crate::progress;
use crate::settings::Of;

/// How many pages are copied at once.
const PAGES: i32 = 1_000;

/// How long a copy waits for a lock before it tries again.
const PAUSE: Duration = Duration::from_millis(50);

/// What the checksum of `a.db` is called behind that.
pub const CHECKSUM: &str = ".sha256";

/// What a backup is called behind its name until it is whole.
pub const PART: &str = ".part";

/// And its checksum.
pub const CHECKSUM_PART: &str = ".sha256.part";

/// Is set where a copy is to be given up.
pub type Stop = Arc<AtomicBool>;

/// After so many instructions of SQLite's virtual machine the check of a copy looks whether it is to be given up.
const LOOK: i32 = 100_000;

/// What `sqlitrest db backup` can be told.
#[derive(Args, Debug)]
pub struct BackupFlags {
    /// The file to write; there must be none
    output: PathBuf,
    #[command(flatten)]
    of: Of,
}

/// What `sqlitrest db restore` can be told.
#[derive(Args, Debug)]
pub struct RestoreFlags {
    /// The backup
    backup: PathBuf,
    #[command(flatten)]
    of: Of,
}

/// A backup that was made.
#[derive(Serialize)]
struct Made {
    file: PathBuf,
    backup: PathBuf,
    bytes: u64,
    sha256: String,
    milliseconds: u128,
}

/// What a backup was put in the place of.
#[derive(Serialize)]
struct Restored {
    file: PathBuf,
    backup: PathBuf,
    bytes: u64,
    sha256: String,
    /// Whether there was a checksum to compare that with.
    is_compared: bool,
    /// Where the database is that was there before.
    kept: Option<PathBuf>,
}

/// Makes a backup.
///
/// # Errors
/// A database that cannot be read; a file in the way; no room.
pub fn backup(flags: &BackupFlags) -> Result<(), Failure> {
    let (of, output) = (&flags.of, &flags.output);
    let (path, sql) = of.open(Access::Read).map_err(Failure::Start)?;
    if output.exists() {
        let taken = output.display();
        return Err(Failure::Start(anyhow!("{taken} is there already; remove it, or name another file")));
    }
    let since = Instant::now();
    let (bytes, sha256) = copy(&path, &sql, output, &Stop::default()).map_err(Failure::Run)?;
    let made =
        Made { file: path, backup: output.clone(), bytes, sha256, milliseconds: since.elapsed().as_millis() };
    let text = || {
        let Made { file, backup, bytes, sha256, milliseconds } = &made;
        let (file, backup, bytes) = (file.display(), backup.display(), size(*bytes));
        format!("{file} → {backup}: {bytes} in {milliseconds} ms, verified, sha256 {sha256}")
    };
    of.tell(&made, text).map_err(Failure::Run)
}

/// A verified copy of a database, and its checksum beside it. Until it is whole it has another name. Returns its length and the checksum.
///
/// # Errors
/// No room, a file that cannot be written, a copy that is damaged; it was stopped. Nothing of it is left then.
pub fn copy(path: &Path, sql: &Connection, output: &Path, stop: &Stop) -> Result<(u64, String)> {
    let part = beside(output, PART);
    let made = copy_to(path, sql, &part, stop).and_then(|()| {
        let (bytes, sha256) = checksum(&part)?;
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let (sums, sums_part) = (beside(output, CHECKSUM), beside(output, CHECKSUM_PART));
        fs::write(&sums_part, format!("{sha256}  {name}\n"))?;
        sync(&sums_part)?;
        fs::rename(&sums_part, &sums)?;
        fs::rename(&part, output)?;
        sync_directory(output)?;
        Ok((bytes, sha256))
    });
    if made.is_err() {
        for left in [PART, ".part-journal", CHECKSUM_PART] {
            let _ = fs::remove_file(beside(output, left));
        }
    }
    made.with_context(|| format!("no backup was made at {}", output.display()))
}

/// Copies a database as it is at this moment, and verifies the copy, which nobody may read who may not read the database.
///
/// # Errors
/// A file that cannot be written; a copy that is damaged; it was stopped.
pub fn copy_to(path: &Path, sql: &Connection, part: &Path, stop: &Stop) -> Result<()> {
    // What an earlier try has left.
    remove(part)?;
    let wrong = |error: rusqlite::Error| explain(part, &error);
    // Of one moment: what is written meanwhile does not begin the copy anew.
    sql.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1").map_err(|error| explain(path, &error))?;
    // SQLite would let everybody read it.
    create_like(path, part).with_context(|| format!("{} cannot be made", part.display()))?;
    let mut copy = Connection::open(part).map_err(wrong)?;
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(wrong)?;
    let running = Backup::new(sql, &mut copy).map_err(wrong)?;
    let mut since = Instant::now();
    let shown = progress::bar(format!("copying {}", path.display()), 0);
    loop {
        if stop.load(Ordering::Relaxed) {
            bail!("it was stopped");
        }
        let step = running.step(PAGES).map_err(wrong)?;
        let pages = running.progress();
        let number = |count: i32| u64::try_from(count).unwrap_or(0);
        shown.set(number(pages.pagecount - pages.remaining), number(pages.pagecount));
        match step {
            StepResult::Done => break,
            StepResult::More => since = Instant::now(),
            _ if since.elapsed() > PATIENCE => bail!("{} is locked by another process", path.display()),
            _ => sleep(PAUSE),
        }
    }
    drop((running, shown));
    let _ = sql.execute_batch("ROLLBACK");
    // Complete in itself, without a log beside it.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(wrong)?;
    let stop = Arc::clone(stop);
    copy.progress_handler(LOOK, Some(move || stop.load(Ordering::Relaxed))).map_err(wrong)?;
    verify(part, &copy)?;
    drop(copy);
    sync(part)
}

/// Whether a database has no damage.
fn verify(path: &Path, sql: &Connection) -> Result<()> {
    let _shown = progress::spinner(format!("checking {}", path.display()));
    let mut statement = sql.prepare("PRAGMA integrity_check(1)").map_err(|error| explain(path, &error))?;
    let said: String = statement.query_row([], |row| row.get(0)).map_err(|error| explain(path, &error))?;
    if said == "ok" { Ok(()) } else { Err(anyhow!("{} is damaged: {said}", path.display())) }
}

/// A connection to a backup. What is said of one that cannot be read is about that, not about the database.
fn open_backup(backup: &Path) -> Result<Connection> {
    let shown = backup.display();
    if !backup.exists() {
        bail!("there is no backup {shown}; nothing was changed");
    }
    try_open(backup, Access::Read)?.map_err(|error| match is_damage(&error) {
        true => anyhow!("the backup {shown} is damaged ({error}); take another; nothing was changed"),
        false => explain(backup, &error),
    })
}

/// SQLite takes an empty file for a database, but nobody for a backup.
fn has_pages(path: &Path, sql: &Connection) -> Result<()> {
    let pages: i64 =
        sql.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(|error| explain(path, &error))?;
    if pages == 0 {
        bail!("{} is empty, which is no backup; nothing was changed", path.display());
    }
    Ok(())
}

/// Puts a backup in the place of the database.
///
/// # Errors
/// A backup that is damaged; a database that is in use.
pub fn restore(flags: &RestoreFlags) -> Result<(), Failure> {
    let (of, backup) = (&flags.of, &flags.backup);
    let path = of.path().map_err(Failure::Start)?;
    let sql = open_backup(backup).map_err(Failure::Run)?;
    has_pages(backup, &sql).and_then(|()| verify(backup, &sql)).map_err(Failure::Run)?;
    let (bytes, sha256) = checksum(backup).map_err(Failure::Run)?;
    let is_compared = compare(backup, &sha256).map_err(Failure::Run)?;
    let kept = replace(backup, &sql, &path).map_err(Failure::Run)?;
    let restored = Restored { file: path, backup: backup.clone(), bytes, sha256, is_compared, kept };
    let text = || {
        let Restored { file, backup, bytes, is_compared, kept, .. } = &restored;
        let compared = if *is_compared { "" } else { ", no checksum beside it to compare" };
        let kept = kept.as_ref().map(|kept| format!("; what was there is {}", kept.display()));
        let (file, backup, bytes) = (file.display(), backup.display(), size(*bytes));
        format!("{backup} → {file}: {bytes}, verified{compared}{}", kept.unwrap_or_default())
    };
    of.tell(&restored, text).map_err(Failure::Run)
}

/// Compares a checksum with the one beside the backup, if there is one.
fn compare(backup: &Path, sha256: &str) -> Result<bool> {
    let sums = beside(backup, CHECKSUM);
    let text = match fs::read_to_string(&sums) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", sums.display())),
    };
    match text.split_whitespace().next() == Some(sha256) {
        true => Ok(true),
        false => Err(anyhow!(
            "{} has not the checksum of {}: it was changed since; take another backup, or remove the checksum",
            backup.display(),
            sums.display()
        )),
    }
}

/// Returns where what was there is kept.
fn replace(backup: &Path, sql: &Connection, path: &Path) -> Result<Option<PathBuf>> {
    let part = beside(path, ".restoring");
    let done = (|| {
        // Through SQLite, which has what is in a log beside the backup, too; and verified, as it will be there.
        copy_to(backup, sql, &part, &Stop::default())?;
        like(&part, if path.exists() { path } else { backup })?;
        if !path.exists() {
            fs::rename(&part, path)?;
            sync_directory(path)?;
            return Ok(None);
        }
        // Until the end nobody else opens it.
        let _lock = lock(path)?;
        let kept = keep(path)?;
        fs::rename(&part, path)?;
        sync_directory(path)?;
        Ok(Some(kept))
    })();
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

/// Gives a file the permissions of another and, where the system lets it, its owner.
fn like(file: &Path, other: &Path) -> Result<()> {
    let about = fs::metadata(other).with_context(|| format!("{} cannot be looked at", other.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let _ = std::os::unix::fs::chown(file, Some(about.uid()), Some(about.gid()));
    }
    fs::set_permissions(file, about.permissions())
        .with_context(|| format!("{} cannot be given its permissions", file.display()))
}

/// Has a database for itself, with nothing of it left in a log. None where it is too damaged to be opened.
fn lock(path: &Path) -> Result<Option<Connection>> {
    let in_use =
        || anyhow!("{} is in use: stop the server and whatever else has it open first", path.display());
    let locked = || {
        let sql = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        sql.busy_timeout(Duration::from_secs(1))?;
        // Only who is alone can leave WAL mode.
        let mode: String = sql.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
        sql.execute_batch("BEGIN EXCLUSIVE")?;
        rusqlite::Result::Ok((sql, mode))
    };
    match locked() {
        Ok((sql, mode)) if mode == "delete" => Ok(Some(sql)),
        Ok(_) => Err(in_use()),
        Err(error) if is_damage(&error) => {
            log(format_args!("{} is damaged ({error}); it is kept with its log", path.display()));
            Ok(None)
        }
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Err(in_use()),
            _ => Err(explain(path, &error)),
        },
    }
}

/// Gives a database a second name, under which it stays.
fn keep(path: &Path) -> Result<PathBuf> {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let name = |number: u32| match number {
        0 => beside(path, &format!(".before-{now}")),
        number => beside(path, &format!(".before-{now}-{number}")),
    };
    let kept = (0..).map(name).find(|kept| !kept.exists()).unwrap_or_default();
    // A file system without links has a copy.
    let linked = fs::hard_link(path, &kept).or_else(|_| fs::copy(path, &kept).map(drop));
    linked.with_context(|| format!("{} cannot be kept as {}", path.display(), kept.display()))?;
    // Only of a damaged database there are any left; another would take them for its own.
    for end in ["-wal", "-shm", "-journal"] {
        match fs::rename(beside(path, end), beside(&kept, end)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{}{end} cannot be moved away", path.display()));
            }
            _ => {}
        }
    }
    Ok(kept)
}

/// The length of a file and its SHA-256 in hexadecimal.
fn checksum(path: &Path) -> Result<(u64, String)> {
    let cannot = || format!("{} cannot be read", path.display());
    let mut file = fs::File::open(path).with_context(cannot)?;
    let all = file.metadata().map_or(0, |about| about.len());
    let shown = progress::bytes(format!("reading {}", path.display()), all);
    let (mut hash, mut length, mut room) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut room).with_context(cannot)?;
        if read == 0 {
            break;
        }
        hash.update(room.get(..read).unwrap_or_default());
        length += read as u64;
        shown.advance(read as u64);
    }
    Ok((length, hex(&hash.finalize())))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// Waits until a file is on the disk.
fn sync(path: &Path) -> Result<()> {
    let synced = fs::OpenOptions::new().write(true).open(path).and_then(|file| file.sync_all());
    synced.with_context(|| format!("{} cannot be written to the disk", path.display()))
}

/// Waits until the name of a file is on the disk.
fn sync_directory(of: &Path) -> Result<()> {
    let directory = of.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) {
        let synced = fs::File::open(directory).and_then(|directory| directory.sync_all());
        synced.with_context(|| format!("{} cannot be written to the disk", directory.display()))?;
    }
    Ok(())
}
