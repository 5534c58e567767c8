//! The disk is full: who writes is told so, who reads does not notice, and with room again all goes on.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::Command;
use std::thread;

use rusqlite::Connection;

use super::support::{ENGINES, Mount, Reply, Scratch, Server, assert_no_log, count, get, reply_to, serve};

/// A row of so many bytes.
fn insert(address: &str, bytes: usize) -> Reply {
    reply_to(address, "POST", "/albums", &format!(r#"{{"title":"{}"}}"#, "x".repeat(bytes)))
}

/// Writes where there is room for nothing large, by many at once; `room` makes it.
fn write_without_room(server: Server, database: &Path, room: impl FnOnce()) {
    let address = server.address.as_str();
    let is_full = |reply: &Reply| {
        let is_told = (reply.status, reply.header("retry-after")) == (503, Some("1"));
        assert!(is_told && reply.body.contains("\"53100\""), "{reply:?}");
    };
    is_full(&insert(address, 1_000_000));
    // Those that fit may be written, whoever else waits with them.
    let written: i64 = thread::scope(|scope| {
        let asked: Vec<_> = [1_000_000, 10, 10, 1_000_000, 10, 10, 10, 1_000_000]
            .map(|bytes| scope.spawn(move || (bytes, insert(address, bytes))))
            .into();
        asked
            .into_iter()
            .map(|asked| match asked.join().expect("a client") {
                (10, Reply { status: 201, .. }) => 1,
                (_, reply) => {
                    is_full(&reply);
                    0
                }
            })
            .sum()
    });
    assert_eq!(get(address, "/tracks?id=eq.1&select=name").body, r#"[{"name":"a"}]"#);
    room();
    assert_eq!(insert(address, 1_000_000).status, 201);
    assert_eq!(insert(address, 10).status, 201);
    server.stop();
    assert_no_log(database);
    // Two that were there at first, and one written before there was no room.
    assert_eq!(count(database, "albums"), 2 + 1 + written + 2);
    let sql = Connection::open(database).expect("database");
    let integrity: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(integrity, "ok");
}

/// A file system of its own, which only root can have.
#[test]
fn a_full_disk() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let Some(_disk) = Mount::tmpfs(&scratch.path(""), "4m") else {
            return eprintln!("not tested: this user may not mount a file system");
        };
        let database = scratch.database("a.db");
        let server = serve(engine, &database, &[]);
        assert_eq!(insert(&server.address, 10).status, 201);
        let filler = scratch.path("filler");
        fill(&filler);
        write_without_room(server, &database, || fs::remove_file(&filler).expect("room"));
    }
}

/// Takes what room there is.
fn fill(filler: &Path) {
    let mut file = fs::File::create(filler).expect("a file");
    let page = [0; 4096];
    loop {
        match file.write_all(&page) {
            Ok(()) => {}
            Err(error) => break assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}"),
        }
    }
}

/// A limit for the size of files, which for a process is like a full disk; the system also sends it a signal, which ends who does
/// not expect it.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_may_not_grow() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let server = serve(engine, &database, &[]);
        assert_eq!(insert(&server.address, 10).status, 201);
        let process = server.id().to_string();
        let limit = |bytes: &str| {
            let limit = format!("--fsize={bytes}:");
            let status = Command::new("prlimit").args(["--pid", &process, &limit]).status();
            assert!(status.expect("prlimit of util-linux").success());
        };
        limit("200000");
        write_without_room(server, &database, || limit("unlimited"));
    }
}
