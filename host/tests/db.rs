//! `sqlitrest db`: backups under load, restores, migrations, checks; and that killing any of them leaves the database whole.

#[cfg(unix)]
#[path = "db/copies.rs"]
mod copies;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use support::{Ended, Mount, Scratch, command, count, get, path, run, serve};

fn db(database: &Path, arguments: &[&str]) -> Ended {
    let mut all = vec!["db"];
    all.extend(arguments);
    all.extend(["--database", path(database)]);
    run(&all, &[])
}

/// The answer of one that must do well.
fn json(database: &Path, arguments: &[&str]) -> Value {
    let ended = db(database, &[arguments, &["--json"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

fn fails(ended: &Ended, code: i32, words: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert!(ended.stderr.contains(words), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

fn execute(database: &Path, sql: &str) {
    Connection::open(database).expect("database").execute_batch(sql).expect(sql);
}

fn is_whole(database: &Path) -> bool {
    let sql = Connection::open(database).expect("database");
    let said: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    said == "ok"
}

/// Names of files in a directory that have these words in them.
fn files(of: &Path, words: &str) -> Vec<String> {
    let entries = fs::read_dir(of.parent().expect("a directory")).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(words)).collect()
}

#[test]
fn what_is_in_a_file() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    execute(
        &database,
        "CREATE VIEW v AS SELECT 1; CREATE INDEX i ON tracks (name); CREATE VIRTUAL TABLE f USING fts5 (a)",
    );
    let info = json(&database, &["info"]);
    let tracks =
        info["tables"].as_array().expect("tables").iter().find(|t| t["name"] == "tracks").expect("tracks");
    assert_eq!((&tracks["rows"], &tracks["indexes"]), (&Value::from(3), &Value::from(1)));
    assert_eq!(tracks["bytes"], 2 * 4096);
    assert_eq!(info["views"], serde_json::json!(["v"]));
    assert_eq!(info["bytes"], fs::metadata(&database).expect("a file").len());
    let text = db(&database, &["info"]).stdout;
    assert!(text.contains("journal mode") && text.contains("tracks  3 rows, "), "{text}");
    assert!(text.contains("f       0 rows, virtual"), "{text}");
    fails(&db(&scratch.path("none.db"), &["info"]), 2, "there is no file");
    fails(
        &db(&scratch.file("x.db", "no database, whatever its name says"), &["info"]),
        2,
        "is not a SQLite database",
    );
}

#[test]
fn what_is_wrong_with_a_database() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let checked = json(&database, &["check"]);
    let mends = |checked: &Value| -> Vec<String> {
        let found = checked["found"].as_array().expect("a list").iter();
        found.map(|found| found["mend"].as_str().expect("text").to_owned()).collect()
    };
    // The index that it wants is one that mends it.
    let wanted = mends(&checked);
    assert_eq!((wanted.len(), &checked["ok"]), (1, &Value::Bool(true)), "{checked}");
    assert_eq!(wanted[0], "CREATE INDEX \"tracks_album_id\" ON \"tracks\"(\"album_id\");");
    execute(&database, &format!("{}; ANALYZE", wanted[0]));
    assert_eq!(db(&database, &["check"]).stdout, format!("{}: no damage\n", database.display()));

    execute(&database, "PRAGMA foreign_keys = OFF; UPDATE tracks SET album_id = 99 WHERE id < 3");
    let ended = db(&database, &["check"]);
    fails(&ended, 1, "1 damage");
    assert!(
        ended.stdout.contains("damage: 2 rows of tracks refer to rows of albums that are not there"),
        "{ended:?}"
    );

    // A page of the table is overwritten.
    execute(
        &database,
        "CREATE TABLE large AS WITH c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 5000) SELECT n FROM c",
    );
    let mut bytes = fs::read(&database).expect("a file");
    let last = bytes.len() - 4096;
    bytes[last..].fill(0xff);
    fs::write(&database, bytes).expect("written");
    fails(&db(&database, &["check"]), 1, "damage");

    // One that cannot be read at all is told of in the same words.
    fs::write(&database, &fs::read(&database).expect("a file")[..3_000]).expect("written");
    let ended = db(&database, &["check", "--json"]);
    fails(&ended, 1, "1 damage");
    let checked: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((&checked["ok"], &checked["found"][0]["level"]), (&Value::Bool(false), &"damage".into()));
    assert!(mends(&checked)[0].contains("sqlitrest db restore BACKUP"), "{checked}");
}

/// Rows are inserted into two tables at once, so that a moment between the two would be seen.
struct Load {
    ends: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<i64>>,
}

impl Load {
    fn new(database: &Path) -> Load {
        execute(database, "PRAGMA journal_mode = WAL; CREATE TABLE a (n); CREATE TABLE b (n)");
        let (ends, database) = (Arc::new(AtomicBool::new(false)), database.to_owned());
        let until = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let sql = Connection::open(database).expect("database");
            sql.busy_timeout(Duration::from_secs(20)).expect("set");
            let mut rows = 0;
            while !until.load(Ordering::Relaxed) {
                sql.execute_batch("BEGIN; INSERT INTO a VALUES (randomblob(2000)); INSERT INTO b VALUES (randomblob(2000)); COMMIT").expect("written");
                rows += 1;
            }
            rows
        });
        Load { ends, thread: Some(thread) }
    }

    fn end(mut self) -> i64 {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().expect("once").join().expect("no panic")
    }
}

#[test]
fn a_backup_under_load_is_of_one_moment_and_comes_back() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let load = Load::new(&database);
    let mut last = (0, PathBuf::new());
    for number in 0..5 {
        while count(&database, "b") < last.0 + 100 {
            std::thread::yield_now();
        }
        let backup = scratch.path(&format!("{number}.bak"));
        let made = json(&database, &["backup", path(&backup)]);
        let rows = count(&backup, "a");
        assert!(rows == count(&backup, "b") && rows > last.0, "{rows}");
        assert!(is_whole(&backup));
        let sums = fs::read_to_string(format!("{}.sha256", path(&backup))).expect("a checksum");
        assert_eq!(sums, format!("{}  {number}.bak\n", made["sha256"].as_str().expect("text")));
        last = (rows, backup);
    }
    let (rows, backup) = last;
    fails(&db(&database, &["backup", path(&backup)]), 2, "is there already");
    // Whoever has it open would go on with the old one.
    fails(&db(&database, &["restore", path(&backup)]), 1, "is in use");
    let written = load.end();
    assert!(written >= rows);
    let restored = json(&database, &["restore", path(&backup)]);
    assert_eq!((count(&database, "a"), &restored["is_compared"]), (rows, &Value::Bool(true)));
    assert_eq!(count(Path::new(restored["kept"].as_str().expect("a path")), "a"), written);
    assert!(files(&database, ".restoring").is_empty() && files(&database, ".part").is_empty());
}

#[test]
fn a_backup_that_is_damaged_replaces_nothing() {
    let scratch = Scratch::new();
    let (database, backup) = (scratch.database("a.db"), scratch.path("a.bak"));
    execute(
        &database,
        "CREATE TABLE large AS WITH c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 5000) SELECT n FROM c",
    );
    json(&database, &["backup", path(&backup)]);
    let (whole, before) = (fs::read(&backup).expect("a file"), fs::read(&database).expect("a file"));
    let mut damaged = whole.clone();
    let last = damaged.len() - 4096;
    damaged[last..].fill(0xff);
    for (bytes, words) in [
        (&damaged[..], "damaged"),
        (&whole[..whole.len() / 2], "damaged"),
        (&whole[..3_000], "take another; nothing was changed"),
        (&b"something else, of more than a few bytes"[..], "is not a SQLite database"),
    ] {
        fs::write(&backup, bytes).expect("written");
        fails(&db(&database, &["restore", path(&backup)]), 1, words);
    }
    // A database that is whole, but another.
    fs::write(&backup, &whole).expect("written");
    execute(&backup, "DELETE FROM large");
    fails(&db(&database, &["restore", path(&backup)]), 1, "has not the checksum");
    assert_eq!(fs::read(&database).expect("a file"), before);
    assert!(files(&database, ".before-").is_empty() && files(&database, ".restoring").is_empty());
    fails(&db(&database, &["restore", path(&scratch.path("none"))]), 1, "there is no backup");

    // What is damaged itself can be replaced, and a file that is not there is made.
    fs::write(&backup, &whole).expect("written");
    fs::write(&database, b"no database at all, and long enough").expect("written");
    assert_eq!(db(&database, &["restore", path(&backup)]).code, Some(0));
    assert_eq!(count(&database, "large"), 5000);
    let other = scratch.path("new.db");
    assert_eq!(json(&other, &["restore", path(&backup)])["kept"], Value::Null);
    assert_eq!(count(&other, "large"), 5000);
}

#[cfg(unix)]
#[test]
fn what_is_restored_is_a_backup_and_all_of_it() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let albums = count(&database, "albums");
    fails(
        &db(&database, &["restore", path(&scratch.file("empty.db", ""))]),
        1,
        "is empty, which is no backup",
    );
    assert_eq!(count(&database, "albums"), albums);
    // What was copied with its log has its last rows in that.
    let copied = scratch.path("copied.db");
    let sql = Connection::open(scratch.path("b.db")).expect("new");
    sql.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE n AS SELECT 1 AS i",
    )
    .expect("rows");
    for end in ["", "-wal"] {
        fs::copy(scratch.path(&format!("b.db{end}")), scratch.path(&format!("copied.db{end}")))
            .expect("copied");
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&database, mode).expect("permissions");
    assert_eq!(db(&database, &["restore", path(&copied)]).code, Some(0));
    assert_eq!(count(&database, "n"), 1);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&database).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600, "as of the one that was there");
}

#[test]
fn a_link_stays_one() {
    let scratch = Scratch::new();
    let (database, link, backup) = (scratch.database("a.db"), scratch.path("link.db"), scratch.path("a.bak"));
    std::os::unix::fs::symlink(&database, &link).expect("a link");
    json(&link, &["backup", path(&backup)]);
    execute(&database, "PRAGMA journal_mode = WAL; DELETE FROM tracks");
    let restored = json(&link, &["restore", path(&backup)]);
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert_eq!((count(&database, "tracks"), count(&link, "tracks")), (3, 3));
    assert_eq!(count(Path::new(restored["kept"].as_str().expect("a path")), "tracks"), 0);
}

#[test]
fn a_backup_without_room_leaves_nothing() {
    let scratch = Scratch::new();
    let (database, small) = (scratch.database("a.db"), scratch.path("small"));
    execute(&database, "CREATE TABLE t AS SELECT zeroblob(3000000) AS b");
    fs::create_dir(&small).expect("a directory");
    let Some(_mounted) = Mount::tmpfs(&small, "1m") else {
        eprintln!("not tested: a file system cannot be mounted here");
        return;
    };
    let output = small.join("a.bak");
    fails(&db(&database, &["backup", path(&output)]), 1, "no room left");
    assert!(files(&output, "a.bak").is_empty());
    assert!(is_whole(&database));
}

fn migrations(scratch: &Scratch) -> PathBuf {
    let directory = scratch.path("migrations");
    fs::create_dir(&directory).expect("a directory");
    for (name, sql) in [
        (
            "V001__notes.sql",
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);\nINSERT INTO notes (text) VALUES ('a'), ('b');",
        ),
        ("V002__rename.sql", "ALTER TABLE notes RENAME COLUMN text TO body;"),
        ("README.md", "not SQL"),
    ] {
        fs::write(directory.join(name), sql).expect("a file");
    }
    directory
}

#[test]
fn migrations_are_applied_once_and_as_a_whole() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let directory = migrations(&scratch);
    let dir = path(&directory);
    let states = || -> Vec<String> {
        let lines = json(&database, &["migrate", dir, "--status"]);
        lines
            .as_array()
            .expect("a list")
            .iter()
            .map(|line| line["state"].as_str().expect("text").to_owned())
            .collect()
    };
    assert_eq!(states(), ["pending", "pending"]);
    let before = fs::read(&database).expect("a file");
    let tried = json(&database, &["migrate", dir, "--dry-run"]);
    assert_eq!(
        (&tried[0]["rows"], &tried[0]["schema"]),
        (&Value::from(2), &serde_json::json!(["+ table notes"]))
    );
    assert_eq!(tried[1]["schema"], serde_json::json!(["~ table notes"]));
    assert_eq!(fs::read(&database).expect("a file"), before, "a dry run changes nothing");
    let applied = db(&database, &["migrate", dir]);
    assert!(
        applied.stdout.contains("V001__notes.sql: applied in ") && applied.stdout.contains("+ table notes"),
        "{applied:?}"
    );
    assert_eq!(states(), ["applied", "applied"]);
    assert_eq!(db(&database, &["migrate", dir]).stdout, "nothing to apply\n");

    // Requests know nothing of it.
    let server = serve("native", &database, &[]);
    assert_eq!(get(&server.address, "/_sqlitrest_migrations").status, 404);
    assert_eq!(get(&server.address, "/notes?select=body&id=eq.1").body, r#"[{"body":"a"}]"#);
    // A new table is there for the next request.
    let write = |name: &str, sql: &str| fs::write(directory.join(name), sql).expect("a file");
    write("V003__more.sql", "CREATE TABLE more (a);");
    assert_eq!(db(&database, &["migrate", dir]).code, Some(0));
    assert_eq!(get(&server.address, "/more").body, "[]");
    server.stop();

    for (sql, words) in [
        ("INSERT INTO more VALUES (1);\n\nINSERT INTO nowhere VALUES (1);", "line 3: no such table: nowhere"),
        (
            "INSERT INTO more VALUES (1); COMMIT; INSERT INTO more VALUES (2);",
            "COMMIT, ROLLBACK, ATTACH and DETACH are not taken",
        ),
        ("INSERT INTO more VALUES (1); ATTACH 'x.db' AS x;", "not authorized"),
        ("INSERT INTO tracks VALUES (9, 'x', 99);", "1 more rows refer to rows that are not there"),
        ("INSERT INTO more VALUES (1); CREATE TABLE more (b);", "already exists"),
    ] {
        write("V004__wrong.sql", sql);
        fails(&db(&database, &["migrate", dir, "--dry-run"]), 1, words);
        fails(&db(&database, &["migrate", dir]), 1, words);
        assert_eq!((count(&database, "more"), count(&database, "tracks")), (0, 3), "{sql}");
    }
    // What came before a failure stays.
    write("V004__right.sql", "INSERT INTO more VALUES (1);");
    fs::remove_file(directory.join("V004__wrong.sql")).expect("removed");
    write("V005__wrong.sql", "SELEC 1;");
    let ended = db(&database, &["migrate", dir]);
    fails(&ended, 1, "V005__wrong.sql: nothing of it was applied: line 1: near");
    assert!(ended.stdout.contains("V004__right.sql: applied") && count(&database, "more") == 1, "{ended:?}");
    fs::remove_file(directory.join("V005__wrong.sql")).expect("removed");

    write("V002__rename.sql", "ALTER TABLE notes RENAME COLUMN text TO content;");
    fails(&db(&database, &["migrate", dir]), 2, "V002__rename.sql was edited after it had been applied");
    assert_eq!(states(), ["applied", "edited", "applied", "applied"]);
    fs::remove_file(directory.join("V002__rename.sql")).expect("removed");
    assert_eq!(states(), ["applied", "missing", "applied", "applied"]);
    let checked = json(&database, &["check", "--migrations", dir]);
    assert!(
        checked.to_string().contains("migration 2 (rename) was applied, and its file is gone"),
        "{checked}"
    );
    write("V002__rename.sql", "ALTER TABLE notes RENAME COLUMN text TO body;");
    write("V000__late.sql", "SELECT 1;");
    fails(&db(&database, &["migrate", dir]), 2, "V000__late.sql is older than what was applied last");
    fs::rename(directory.join("V000__late.sql"), directory.join("V0004__same.sql")).expect("renamed");
    fails(&db(&database, &["migrate", dir]), 2, "have the same number");
    fs::rename(directory.join("V0004__same.sql"), directory.join("nameless.sql")).expect("renamed");
    fails(&db(&database, &["migrate", dir]), 2, "a migration is called V001__what_it_does.sql");
    fails(&db(&database, &["migrate", path(&scratch.path("none"))]), 2, "cannot be read");
}

#[test]
fn migrations_make_a_database_where_there_is_none() {
    let scratch = Scratch::new();
    let directory = migrations(&scratch);
    let (dir, database) = (path(&directory), scratch.path("new.db"));
    fails(&db(&database, &["migrate", dir]), 2, "there is no file");
    assert_eq!(db(&database, &["migrate", dir, "--create", "--dry-run"]).code, Some(2));
    assert!(!database.exists());
    assert_eq!(db(&database, &["migrate", dir, "--create"]).code, Some(0));
    assert_eq!(count(&database, "notes"), 2);
    execute(&database, "INSERT INTO notes (body) VALUES ('c')");
    assert_eq!(db(&database, &["migrate", dir, "--create"]).stdout, "nothing to apply\n");
    assert_eq!(count(&database, "notes"), 3, "what is there stays");
    fails(&db(&scratch.path("nowhere/a.db"), &["migrate", dir, "--create"]), 2, "cannot be made");
}

#[test]
fn a_vacuum_gives_space_back() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    execute(&database, "CREATE TABLE t AS SELECT zeroblob(3000000) AS b; DROP TABLE t");
    let checked = db(&database, &["check"]).stdout;
    assert!(checked.contains("are unused") && checked.contains("sqlitrest db vacuum"), "{checked}");
    let vacuumed = json(&database, &["vacuum"]);
    let bytes = vacuumed["bytes"].as_u64().expect("a number");
    assert!(
        vacuumed["bytes_before"].as_u64().expect("a number") > 3_000_000 && bytes < 100_000,
        "{vacuumed}"
    );
    assert_eq!(bytes, fs::metadata(&database).expect("a file").len());
    // What is in the log counts.
    let other = Connection::open(&database).expect("database");
    let large = "CREATE TABLE t AS SELECT zeroblob(3000000) AS b; DELETE FROM t";
    other
        .execute_batch(&format!("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; {large}"))
        .expect("written");
    let vacuumed = json(&database, &["vacuum"]);
    assert!(vacuumed["bytes_before"].as_u64().expect("a number") > 3_000_000, "{vacuumed}");
    // Somebody else writes.
    other.execute_batch("BEGIN IMMEDIATE").expect("begun");
    fails(&db(&database, &["vacuum"]), 1, "is in use by another process");
}

/// Kills a command after a while, again and again, each time a little later, until it comes to its end by itself.
fn killed(database: &Path, arguments: &[&str], mut look: impl FnMut()) -> u32 {
    let step = if std::env::var_os("SQLITREST_NIGHTLY").is_some() { 700 } else { 2_300 };
    let mut kills = 0;
    for after in 0.. {
        let mut all = vec!["db"];
        all.extend(arguments);
        all.extend(["--database", path(database)]);
        let mut child = command(&all, &[]).spawn().expect("the binary starts");
        std::thread::sleep(Duration::from_micros(after * step));
        let has_ended = child.try_wait().expect("waited").is_some();
        let _ = child.kill();
        child.wait().expect("waited");
        look();
        if has_ended {
            return kills;
        }
        kills += 1;
    }
    kills
}

#[test]
fn who_is_killed_leaves_the_database_whole() {
    const ROWS: i64 = 3_000;
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let rows = format!(
        "WITH c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {ROWS}) SELECT randomblob(1000) AS b FROM c"
    );
    execute(&database, &format!("PRAGMA journal_mode = WAL; CREATE TABLE t AS {rows}"));
    let is_as_it_was = || assert!(is_whole(&database) && count(&database, "t") == ROWS);

    let backup = scratch.path("a.bak");
    let kills = killed(&database, &["backup", path(&backup)], || {
        is_as_it_was();
        if backup.exists() {
            assert!(is_whole(&backup) && count(&backup, "t") == ROWS);
        }
    });
    assert!(kills > 2 && backup.exists(), "{kills}");

    let directory = scratch.path("migrations");
    fs::create_dir(&directory).expect("a directory");
    let sql = "CREATE TABLE u AS SELECT b FROM t; UPDATE t SET b = randomblob(1000); CREATE INDEX i ON u (b); CREATE TABLE done (a);";
    fs::write(directory.join("V1__all.sql"), sql).expect("a file");
    let has = |name: &str| {
        let sql = Connection::open(&database).expect("database");
        let exists = "SELECT count(*) FROM sqlite_schema WHERE name = ?";
        sql.query_row(exists, [name], |row| row.get::<_, i64>(0)).expect("a number") == 1
    };
    let kills = killed(&database, &["migrate", path(&directory)], || {
        is_as_it_was();
        let all = ["u", "i", "done"].map(&has);
        assert!(all == [true; 3] || all == [false; 3], "{all:?}");
        assert!(!all[0] || count(&database, "_sqlitrest_migrations") == 1);
    });
    assert!(kills > 2 && has("done"), "{kills}");

    let kills = killed(&database, &["vacuum"], is_as_it_was);
    assert!(kills > 2, "{kills}");

    execute(&database, "UPDATE t SET b = NULL");
    let kills = killed(&database, &["restore", path(&backup)], || {
        assert!(is_whole(&database) && count(&database, "t") == ROWS);
        for kept in files(&database, "a.db.before-") {
            assert!(is_whole(&scratch.path(&kept)), "{kept}");
        }
    });
    assert!(kills > 2, "{kills}");
    let sql = Connection::open(&database).expect("database");
    let empty: i64 =
        sql.query_row("SELECT count(*) FROM t WHERE b IS NULL", [], |row| row.get(0)).expect("a number");
    assert_eq!(empty, 0, "the backup is there");
}
