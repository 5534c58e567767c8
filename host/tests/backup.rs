//! `[backup]`: backups while a server runs. Each is whole, none is lost to one that fails, and the server does not notice.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use rusqlite::Connection;
use support::{ENGINES, LIMIT, Mount, Scratch, Server, count, get, path, reply_to, run, serve};

/// A database, and a configuration that backs it up.
struct Site {
    scratch: Scratch,
    database: PathBuf,
    config: PathBuf,
}

impl Site {
    fn new(backup: &str) -> Site {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let config = scratch.file("sqlitrest.toml", format!("[backup]\n{backup}\n"));
        Site { scratch, database, config }
    }

    fn serve(&self, engine: &str) -> Server {
        serve(engine, &self.database, &["--config", path(&self.config)])
    }

    fn directory(&self) -> PathBuf {
        self.scratch.path("backups")
    }

    /// A backup of the past, with a title that tells which it is.
    fn of_the_past(&self, time: &str) -> PathBuf {
        let _ = fs::create_dir(self.directory());
        let file = self.directory().join(format!("main-scheduled-{time}.db"));
        let ended = run(&["db", "backup", path(&file), "--database", path(&self.database)], &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        file
    }
}

/// The backups in a directory, the oldest first.
fn backups(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "db")).collect();
    paths.sort();
    paths
}

/// The names in a directory that end so.
fn ending(directory: &Path, end: &str) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(end)))
        .count()
}

/// Waits for something to become so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        thread::yield_now();
    }
}

/// Whether a backup is one: undamaged, complete in itself, and what its checksum says.
fn assert_whole(backup: &Path) {
    let sql =
        Connection::open_with_flags(backup, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a database");
    let text = |query: &str| sql.query_row(query, [], |row| row.get::<_, String>(0)).expect(query);
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    assert_eq!(text("PRAGMA journal_mode"), "delete");
    let sums = format!("{}.sha256", path(backup));
    let status = std::process::Command::new("sha256sum")
        .args(["--check", "--status", &sums])
        .current_dir(backup.parent().expect("a directory"))
        .status();
    assert!(status.expect("sha256sum").success(), "{sums}");
}

#[test]
fn on_a_schedule_and_the_last_are_kept() {
    for engine in ENGINES {
        let site = Site::new("directory = \"./backups\"\nevery = \"1s\"\nkeep = 2");
        let mine = ["monday.db", "monday.db.sha256", "main-scheduled-20200101T000000Z.db", "notes.txt"];
        fs::create_dir(site.directory()).expect("a directory");
        mine.iter().for_each(|name| fs::write(site.directory().join(name), "mine").expect("written"));
        let server = site.serve(engine);
        let own = || -> Vec<PathBuf> {
            backups(&site.directory())
                .into_iter()
                .filter(|path| path.with_extension("db.sha256").exists() && !path.ends_with("monday.db"))
                .collect()
        };
        until("a backup at once", || !own().is_empty());
        let first = own()[0].clone();
        assert_whole(&first);
        // Two others, and the first goes.
        until("the first is removed", || !first.exists());
        server.stop();
        let left = own();
        assert!((2..=3).contains(&left.len()), "{left:?}");
        left.iter().for_each(|backup| assert_whole(backup));
        assert_eq!(ending(&site.directory(), ".part"), 0);
        // Files of others, and what looks like one's own and has no checksum, are theirs.
        for name in mine {
            assert_eq!(fs::read_to_string(site.directory().join(name)).expect("there"), "mine", "{engine}");
        }
    }
}

#[test]
fn what_was_missed_is_made_up_for() {
    let hour = 3600;
    let time = |ago: i64| -> String {
        let sql = Connection::open_in_memory().expect("a database");
        sql.query_row("SELECT strftime('%Y%m%dT%H%M%SZ', 'now', ?)", [format!("-{ago} seconds")], |row| {
            row.get(0)
        })
        .expect("a time")
    };
    for (backup, ago, is_due) in [
        ("every = \"24h\"", 25 * hour, true),
        ("every = \"24h\"", 23 * hour, false),
        // Whatever the time is, it was three o'clock since.
        ("at = \"03:00\"", 24 * hour, true),
        ("at = \"03:00\"\ntimezone = \"Asia/Tokyo\"", 24 * hour, true),
        ("every = \"24h\"\ndatabases = [\"main\"]", 48 * hour, true),
    ] {
        let site = Site::new(&format!("directory = \"./backups\"\n{backup}"));
        let past = site.of_the_past(&time(ago));
        // What a server that was killed has left.
        let part = site.directory().join(format!("main-scheduled-{}.db.part", time(hour)));
        fs::write(&part, "half").expect("written");
        let server = site.serve("native");
        if is_due {
            until(backup, || backups(&site.directory()).len() == 2);
        } else {
            // Its thread has looked when it has cleaned up, which the start waits for.
            assert_eq!(get(&server.address, "/albums?id=eq.1").status, 200);
        }
        server.stop();
        assert!(!part.exists());
        assert!(past.exists());
        assert_eq!(backups(&site.directory()).len(), if is_due { 2 } else { 1 }, "{backup}");
    }
}

/// Rows that come in pairs: a copy that has one without the other is of no moment.
#[test]
fn under_load_a_backup_is_of_one_moment_and_restores() {
    for engine in ENGINES {
        let site = Site::new("directory = \"./backups\"\nevery = \"1s\"\nkeep = 0");
        let sql = Connection::open(&site.database).expect("database");
        // Enough of it that writes come in between.
        sql.execute_batch(
            "CREATE TABLE filler (id INTEGER PRIMARY KEY, body BLOB);
             WITH n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000) INSERT INTO filler SELECT n, randomblob(4000) FROM n;",
        )
        .expect("filler");
        drop(sql);
        let server = site.serve(engine);
        let address = server.address.as_str();
        let is_over = AtomicBool::new(false);
        let written: u64 = thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let is_over = &is_over;
                    scope.spawn(move || {
                        let mut written = 0;
                        while !is_over.load(Ordering::Relaxed) {
                            let body = format!(r#"[{{"title":"{writer}"}},{{"title":"{writer}"}}]"#);
                            assert_eq!(reply_to(address, "POST", "/albums", &body).status, 201);
                            written += 1;
                        }
                        written
                    })
                })
                .collect();
            until("three backups", || backups(&site.directory()).len() >= 3);
            is_over.store(true, Ordering::Relaxed);
            writers.into_iter().map(|writer| writer.join().expect("a writer")).sum()
        });
        server.stop();
        let all = backups(&site.directory());
        let mut before = 0;
        for backup in &all {
            assert_whole(backup);
            let rows = count(backup, "albums");
            assert_eq!(rows % 2, 0, "half a request: {rows} ({engine})");
            assert!(rows >= before);
            before = rows;
        }
        assert_eq!(count(&site.database, "albums") as u64, 2 + 2 * written);
        println!("{engine}: {written} writes while {} backups were made", all.len());
        let last = all.last().expect("one");
        let ended = run(&["db", "restore", path(last), "--database", path(&site.database)], &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(count(&site.database, "albums"), before);
        let server = serve(engine, &site.database, &[]);
        assert_eq!(get(&server.address, "/albums?id=eq.1").status, 200);
        server.stop();
    }
}

/// A directory that goes away: it is said, tried again, and what is there stays.
#[test]
fn a_directory_that_goes_away() {
    for engine in ENGINES {
        let site = Site::new("directory = \"./backups\"\nevery = \"1s\"\nkeep = 1");
        let server = site.serve(engine);
        until("a backup", || !backups(&site.directory()).is_empty());
        let aside = site.scratch.path("aside");
        fs::rename(site.directory(), &aside).expect("moved");
        let there = backups(&aside);
        // Its next try fails.
        server.logs("failed, and is tried again");
        assert_eq!(reply_to(&server.address, "POST", "/albums", r#"{"title":"x"}"#).status, 201);
        fs::rename(&aside, site.directory()).expect("moved back");
        until("another backup", || backups(&site.directory()).iter().any(|backup| !there.contains(backup)));
        let ended = server.stop();
        assert_eq!(ended.stderr.matches("backup of main failed, and is tried again").count(), 1, "{ended:?}");
        assert_eq!(ending(&site.directory(), ".part"), 0);
    }
}

#[test]
fn a_full_disk() {
    for engine in ENGINES {
        let site = Site::new("directory = \"./backups\"\nevery = \"1s\"\nkeep = 1");
        fs::create_dir(site.directory()).expect("a directory");
        let Some(disk) = Mount::tmpfs(&site.directory(), "1m") else {
            return eprintln!("not tested: this user may not mount a file system");
        };
        let server = site.serve(engine);
        until("a backup", || !backups(&site.directory()).is_empty());
        // Larger than the disk.
        let row = format!(r#"{{"title":"{}"}}"#, "x".repeat(1 << 20));
        assert_eq!(reply_to(&server.address, "POST", "/albums", &row).status, 201);
        let failure = server.logs("failed, and is tried again");
        assert!(failure.contains("there is no room left on the disk"), "{failure}");
        // The one that was there is, and nothing else.
        let left = backups(&site.directory());
        assert_eq!(left.len(), 1, "{left:?}");
        assert_whole(&left[0]);
        assert_eq!(reply_to(&server.address, "DELETE", "/albums?id=eq.3", "").status, 204);
        drop(server);
        let ended = run(&["db", "vacuum", "--database", path(&site.database)], &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let server = site.serve(engine);
        until("another backup", || {
            backups(&site.directory()).first().is_some_and(|backup| *backup != left[0])
        });
        server.stop();
        assert_eq!(ending(&site.directory(), ".part"), 0, "{engine}");
        drop(disk);
    }
}

/// A server that is killed in the middle leaves no backup that is none, and the next one removes what there is.
#[test]
fn a_kill_in_the_middle() {
    let site = Site::new("directory = \"./backups\"\nevery = \"1s\"\nkeep = 0");
    let sql = Connection::open(&site.database).expect("database");
    sql.execute_batch(
        "CREATE TABLE filler (id INTEGER PRIMARY KEY, body BLOB);
         WITH n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000) INSERT INTO filler SELECT n, randomblob(4000) FROM n;",
    )
    .expect("filler");
    drop(sql);
    for _ in 0..5 {
        let server = site.serve("native");
        until("a backup that is being made", || {
            ending(&site.directory(), ".part") > 0 || !backups(&site.directory()).is_empty()
        });
        server.kill();
        backups(&site.directory()).iter().for_each(|backup| assert_whole(backup));
    }
    let server = site.serve("native");
    until("a backup", || !backups(&site.directory()).is_empty());
    server.stop();
    assert_eq!(ending(&site.directory(), ".part"), 0);
    backups(&site.directory()).iter().for_each(|backup| assert_whole(backup));
}

/// The end of a server does not wait for a backup, and leaves no part of one.
#[test]
fn an_end_in_the_middle() {
    for engine in ENGINES {
        let site = Site::new("directory = \"./backups\"\nat = \"03:00\"");
        let sql = Connection::open(&site.database).expect("database");
        sql.execute_batch(
            "CREATE TABLE filler (id INTEGER PRIMARY KEY, body BLOB);
             WITH n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000) INSERT INTO filler SELECT n, randomblob(4000) FROM n;",
        )
        .expect("filler");
        drop(sql);
        site.serve(engine).stop();
        assert_eq!(ending(&site.directory(), ".part"), 0);
        backups(&site.directory()).iter().for_each(|backup| assert_whole(backup));
    }
}

#[test]
fn a_configuration_that_cannot_be_kept() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    scratch.file("file", "x");
    for (backup, told) in [
        ("", "[backup] names no directory"),
        ("directory = \"b\"\nevry = \"1h\"", "unknown field `evry`"),
        ("directory = \"b\"\nevery = \"1h\"\nat = \"03:00\"", "both every and at"),
        ("directory = \"b\"\nat = \"3 o'clock\"", "is no time of day"),
        ("directory = \"b\"\nat = \"03:00\"\ntimezone = \"Mars\"", "is no time zone"),
        ("directory = \"b\"\ndatabases = [\"other\"]", "there is no [databases.other]"),
        ("directory = \"./none/b\"", "is not there and cannot be made"),
        ("directory = \"./file\"", "cannot be read"),
    ] {
        let config = scratch.file("sqlitrest.toml", format!("[backup]\n{backup}\n"));
        let arguments = [
            "serve",
            path(&database),
            "--engine",
            "native",
            "--listen",
            "127.0.0.1:0",
            "--config",
            path(&config),
        ];
        let ended = run(&arguments, &[]);
        assert_eq!(ended.code, Some(2), "{backup}: {ended:?}");
        assert!(ended.stderr.contains(told), "{backup}: {ended:?}");
    }
}
