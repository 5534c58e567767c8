//! The served file replaced, moved or deleted, and its write-ahead log deleted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use rusqlite::Connection;

use super::support::{ENGINES, LIMIT, Reply, Scratch, assert_no_log, count, get, path, reply_to, serve};

fn insert(address: &str, title: &str) -> Reply {
    reply_to(address, "POST", "/albums", &format!(r#"{{"title":"{title}"}}"#))
}

/// Says that there is nothing to serve, in the words of the API.
fn is_unreachable(reply: &Reply) -> bool {
    (reply.status, reply.header("retry-after")) == (503, Some("1")) && reply.body.contains("\"PGRST000\"")
}

/// Asks until the answer is this, and holds that every answer before it is one of `before` or that there is nothing to serve.
pub fn wait_for(address: &str, target: &str, wanted: &str, before: &[&str]) {
    let begun = Instant::now();
    loop {
        let reply = get(address, target);
        if reply.body == wanted {
            return;
        }
        assert!(before.contains(&reply.body.as_str()) || is_unreachable(&reply), "{reply:?}");
        assert!(begun.elapsed() < LIMIT, "it stays {reply:?}");
    }
}

fn wait_until_unreachable(address: &str) {
    let begun = Instant::now();
    while !is_unreachable(&get(address, "/albums")) {
        assert!(begun.elapsed() < LIMIT, "it is still served");
    }
}

fn beside(database: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path(database)))
}

fn assert_whole(database: &Path) {
    let sql = Connection::open(database).expect("database");
    let integrity: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(integrity, "ok");
}

const TITLES: &str = "/albums?id=lte.2&order=id&select=title";
const OLD: &str = r#"[{"title":"One"},{"title":"Two \"2\""}]"#;

/// Another database whose schema has the same version, and other columns at other places.
fn other(scratch: &Scratch) -> PathBuf {
    let other = scratch.path("other.db");
    let sql = Connection::open(&other).expect("database");
    sql.execute_batch(
        "CREATE TABLE tracks(id INTEGER PRIMARY KEY, seconds REAL);
         CREATE TABLE albums(title TEXT NOT NULL, year INTEGER, id INTEGER PRIMARY KEY);
         INSERT INTO albums VALUES ('Other', 2000, 1);",
    )
    .expect("tables");
    other
}

fn schema_version(database: &Path) -> i64 {
    let sql = Connection::open(database).expect("database");
    sql.query_row("PRAGMA schema_version", [], |row| row.get(0)).expect("a version")
}

#[test]
fn another_file_in_its_place_is_served() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let other = other(&scratch);
        assert_eq!(schema_version(&database), schema_version(&other));
        let server = serve(engine, &database, &[]);
        let address = server.address.as_str();
        // Every instance and connection knows the old schema.
        assert_eq!(get(address, TITLES).body, OLD);
        for _ in 0..50 {
            assert_eq!(insert(address, "before").status, 201);
        }
        // The old file stays under another name, so that it can be looked at.
        let old = scratch.path("old.db");
        fs::hard_link(&database, &old).expect("a link");
        fs::rename(&other, &database).expect("replaced");
        wait_for(address, TITLES, r#"[{"title":"Other"}]"#, &[OLD]);
        for _ in 0..20 {
            assert_eq!(
                get(address, "/albums?select=*&id=eq.1").body,
                r#"[{"title":"Other","year":2000,"id":1}]"#
            );
            assert_eq!(get(address, "/tracks?select=name").status, 400);
        }
        assert_eq!(insert(address, "after").status, 201);
        server.stop();
        assert_no_log(&database);
        assert_whole(&database);
        assert_eq!(count(&database, "albums"), 2);
        // What was acknowledged before is in the old file, without a log.
        assert_whole(&old);
        assert_eq!(count(&old, "albums WHERE title = 'before'"), 50);
    }
}

/// What a client was told to be written is in one of the two files, and in the new one alone from when the first was.
#[test]
fn replaced_under_load() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let other = other(&scratch);
        let (old, server) = (scratch.path("old.db"), serve(engine, &database, &[]));
        fs::hard_link(&database, &old).expect("a link");
        let (address, is_over) = (server.address.as_str(), AtomicBool::new(false));
        let acknowledged: Vec<String> = thread::scope(|scope| {
            let (is_over, mut clients) = (&is_over, Vec::new());
            for client in 0..8 {
                clients.push(scope.spawn(move || {
                    let mut acknowledged = Vec::new();
                    for number in 0.. {
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                        let title = format!("{client}-{number}");
                        let reply = insert(address, &title);
                        match reply.status {
                            201 => acknowledged.push(title),
                            _ => assert!(is_unreachable(&reply), "{reply:?}"),
                        }
                    }
                    acknowledged
                }));
            }
            fs::rename(&other, &database).expect("replaced");
            wait_for(
                address,
                "/albums?id=eq.1&select=title",
                r#"[{"title":"Other"}]"#,
                &[r#"[{"title":"One"}]"#],
            );
            assert_eq!(insert(address, "last").status, 201);
            is_over.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
        });
        server.stop();
        for file in [&old, &database] {
            assert_whole(file);
        }
        let there = |file: &Path, title: &str| count(file, &format!("albums WHERE title = '{title}'"));
        assert_eq!((there(&old, "last"), there(&database, "last")), (0, 1));
        for title in acknowledged {
            assert_eq!(there(&old, &title) + there(&database, &title), 1, "{title}");
        }
    }
}

#[test]
fn a_deleted_file_is_missed_until_there_is_one_again() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let backup = scratch.path("backup.db");
        fs::copy(&database, &backup).expect("a copy");
        let server = serve(engine, &database, &[]);
        let address = server.address.as_str();
        assert_eq!(insert(address, "in the log").status, 201);
        fs::remove_file(&database).expect("removed");
        // A write notices at once.
        let reply = insert(address, "nowhere");
        assert!(is_unreachable(&reply), "{reply:?}");
        wait_until_unreachable(address);
        // The beginning of a file is not taken for it, and nothing is written into it.
        let whole = fs::read(&backup).expect("backup");
        fs::write(&database, &whole[..5_000]).expect("written");
        for _ in 0..50 {
            for reply in [get(address, "/albums"), insert(address, "too early")] {
                assert!(is_unreachable(&reply), "{reply:?}");
            }
        }
        assert!(fs::read(&database).expect("a file") == whole[..5_000]);
        fs::write(&database, &whole).expect("written");
        wait_for(address, TITLES, OLD, &[]);
        assert_eq!(count(&database, "albums"), 2);
        assert_eq!(insert(address, "again").status, 201);
        server.stop();
        assert_no_log(&database);
        assert_whole(&database);
        assert_eq!(count(&database, "albums"), 3);
    }
}

#[test]
fn a_file_that_comes_back_has_all_that_was_written() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let server = serve(engine, &database, &[]);
        let address = server.address.as_str();
        assert_eq!(insert(address, "before").status, 201);
        let elsewhere = scratch.path("elsewhere.db");
        fs::rename(&database, &elsewhere).expect("moved");
        wait_until_unreachable(address);
        // Without the log, which stays where it was.
        assert_eq!(count(&elsewhere, "albums WHERE title = 'before'"), 1);
        fs::rename(&elsewhere, &database).expect("moved");
        wait_for(address, "/albums?title=eq.before&select=title", r#"[{"title":"before"}]"#, &[]);
        assert_eq!(insert(address, "after").status, 201);
        server.stop();
        assert_no_log(&database);
        assert_whole(&database);
        assert_eq!(count(&database, "albums"), 4);
    }
}

#[test]
fn a_deleted_log_loses_nothing() {
    for engine in ENGINES {
        for gone in [["-wal"].as_slice(), &["-shm"], &["-wal", "-shm"]] {
            let scratch = Scratch::new();
            let database = scratch.database("a.db");
            let server = serve(engine, &database, &[]);
            let address = server.address.as_str();
            assert_eq!(insert(address, "before").status, 201);
            for end in gone {
                fs::remove_file(beside(&database, end)).expect("removed");
            }
            // It is noticed before this is answered, and put right.
            assert_eq!(insert(address, "after").status, 201);
            let of_four = r#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#;
            assert_eq!(get(address, "/albums?select=id").body, of_four);
            assert_eq!(insert(address, "last").status, 201);
            server.kill();
            assert_whole(&database);
            assert_eq!(count(&database, "albums"), 5, "{engine} {gone:?}");
        }
    }
}

/// Nobody writes; it is noticed all the same.
#[test]
fn a_deleted_log_is_noticed_without_a_write() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let server = serve("native", &database, &[]);
    assert_eq!(insert(&server.address, "before").status, 201);
    let log = beside(&database, "-wal");
    fs::remove_file(&log).expect("removed");
    let begun = Instant::now();
    while !log.exists() {
        assert!(begun.elapsed() < LIMIT, "there is no log");
        thread::yield_now();
    }
    server.kill();
    assert_eq!(count(&database, "albums"), 3);
}
