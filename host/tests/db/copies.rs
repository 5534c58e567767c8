//! Copies of a database are for those alone who may read the database.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::support::{LIMIT, Scratch, command, path};
use super::{db, fails};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn private(scratch: &Scratch) -> PathBuf {
    let database = scratch.database("a.db");
    fs::set_permissions(&database, Permissions::from_mode(0o600)).expect("its mode");
    database
}

#[test]
fn a_backup_is_as_private_as_its_database() {
    let scratch = Scratch::new();
    let (database, backup) = (private(&scratch), scratch.path("b.db"));
    let ended = db(&database, &["backup", path(&backup)]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(mode(&backup), 0o600);
    // A file in the way is not written into.
    fails(&db(&database, &["backup", path(&backup)]), 2, "is there already");
}

#[test]
fn a_dry_run_keeps_its_copy_to_itself() {
    let scratch = Scratch::new();
    let (database, temporary) = (private(&scratch), scratch.path("tmp"));
    fs::create_dir(&temporary).expect("a directory");
    let migrations = scratch.path("migrations");
    fs::create_dir(&migrations).expect("a directory");
    let endless = "CREATE TABLE n (n); WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c;";
    fs::write(migrations.join("V001__endless.sql"), endless).expect("written");
    let arguments = ["db", "migrate", path(&migrations), "--dry-run", "--database", path(&database)];
    let mut child = command(&arguments, &[("TMPDIR", path(&temporary))]).spawn().expect("it starts");
    // Until there is a copy, and its journal: then the migration runs.
    let begun = Instant::now();
    let (directory, files) = loop {
        let directory =
            fs::read_dir(&temporary).expect("a directory").next().map(|own| own.expect("one").path());
        let files: Vec<PathBuf> = directory
            .iter()
            .filter_map(|own| fs::read_dir(own).ok())
            .flatten()
            .flatten()
            .map(|own| own.path())
            .collect();
        if let (Some(directory), true) = (directory, files.len() > 1) {
            break (directory, files);
        }
        assert!(begun.elapsed() < LIMIT, "there is no copy");
        std::thread::yield_now();
    };
    assert_eq!(mode(&directory), 0o700);
    // What SQLite has beside the copy comes and goes.
    let modes: Vec<u32> =
        files.iter().filter_map(|file| Some(fs::metadata(file).ok()?.permissions().mode() & 0o777)).collect();
    assert!(!modes.is_empty() && modes.iter().all(|mode| *mode == 0o600), "{modes:?} of {files:?}");
    child.kill().expect("killed");
    child.wait().expect("ended");

    // One that comes to its end leaves nothing.
    fs::remove_dir_all(&directory).expect("removed");
    fs::write(migrations.join("V001__endless.sql"), "CREATE TABLE n (n);").expect("written");
    let ended = super::support::run(&arguments, &[("TMPDIR", path(&temporary))]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(fs::read_dir(&temporary).expect("a directory").count(), 0);
}

/// A limit for the size of files ends nobody in the middle.
#[test]
fn a_backup_that_may_not_grow_leaves_nothing() {
    let scratch = Scratch::new();
    let (database, backup) = (scratch.database("a.db"), scratch.path("b.db"));
    super::execute(&database, "CREATE TABLE t AS SELECT zeroblob(300000) AS b");
    let plain = command(&["db", "backup", path(&backup), "--database", path(&database)], &[]);
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "ulimit -f 64 && exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args());
    limited.current_dir(std::env::temp_dir());
    limited.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    fails(&super::support::run_command(limited), 1, "no backup was made at");
    assert_eq!(super::files(&backup, "b.db"), Vec::<String>::new());
}
