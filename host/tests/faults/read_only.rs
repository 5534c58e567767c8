//! What may not be written: the file, its directory, the whole file system; from the start, or while it is served.
//!
//! Permissions mean nothing to root, so where the tests run as root the server runs as nobody. That a file system becomes read-only while
//! a file on it is open for writing cannot be had on purpose: the system refuses it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use super::support::{
    ENGINES, Mount, Reply, Scratch, Server, command_of, count, get, guest, path, reply_to, serve,
};

const NOBODY: u32 = 65534;

fn insert(address: &str) -> Reply {
    reply_to(address, "POST", "/albums", r#"{"title":"written"}"#)
}

fn assert_serves_for_reading(server: Server) {
    assert!(server.line.contains("read-only"), "{}", server.line);
    assert_eq!(get(&server.address, "/tracks?id=eq.1&select=name").body, r#"[{"name":"a"}]"#);
    let reply = insert(&server.address);
    assert_eq!((reply.status, reply.body.contains("\"25006\"")), (405, true), "{reply:?}");
    server.stop();
}

fn mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("permissions");
}

/// Serves as somebody whom permissions hold.
fn serve_as_nobody(scratch: &Scratch, engine: &str, database: &Path) -> Server {
    // Copies, since the directory of the build may be closed to others.
    let copy = |from: &Path, name: &str| -> PathBuf {
        let to = scratch.path(name);
        if !to.exists() {
            fs::copy(from, &to).expect("a copy");
            mode(&to, 0o755);
        }
        to
    };
    let binary = copy(Path::new(env!("CARGO_BIN_EXE_sqlitrest")), "sqlitrest");
    let guest = copy(guest(), "guest.cwasm");
    let arguments =
        ["serve", path(database), "--engine", engine, "--listen", "127.0.0.1:0", "--guest", path(&guest)];
    let mut command = command_of(&binary, &arguments, &[]);
    if fs::metadata(scratch.path("")).expect("scratch").uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    Server::start(command)
}

#[test]
fn a_file_system_for_reading() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        // In WAL mode, and closed as it should be.
        serve(engine, &database, &[]).stop();
        let Some(_mount) = Mount::read_only(&scratch.path("")) else {
            return eprintln!("not tested: this user may not mount a file system");
        };
        assert_serves_for_reading(serve(engine, &database, &[]));
    }
}

/// What is open stays open; what was acknowledged is found by the next, who may not write.
#[test]
fn permissions_that_change_while_it_is_served() {
    for engine in ENGINES {
        let (programs, scratch) = (Scratch::new(), Scratch::new());
        let database = scratch.database("a.db");
        let directory = scratch.path("");
        if fs::metadata(&directory).expect("scratch").uid() == 0 {
            for file in [&database, &directory] {
                chown(file, Some(NOBODY), Some(NOBODY)).expect("chown");
            }
        }
        let server = serve_as_nobody(&programs, engine, &database);
        let mut written = 0;
        assert_eq!(insert(&server.address).status, 201);
        mode(&database, 0o444);
        mode(&directory, 0o555);
        for _ in 0..20 {
            let reply = insert(&server.address);
            match reply.status {
                201 => written += 1,
                _ => assert!(reply.body.contains("\"25006\""), "{reply:?}"),
            }
            assert_eq!(get(&server.address, "/tracks?id=eq.1&select=name").body, r#"[{"name":"a"}]"#);
        }
        server.stop();
        assert_serves_for_reading(serve_as_nobody(&programs, engine, &database));
        // And with permissions again, also of the log, to which SQLite has given those of the database.
        mode(&directory, 0o755);
        for file in fs::read_dir(&directory).expect("files") {
            mode(&file.expect("a file").path(), 0o644);
        }
        let server = serve_as_nobody(&programs, engine, &database);
        assert_eq!(insert(&server.address).status, 201);
        server.stop();
        assert_eq!(count(&database, "albums WHERE title = 'written'"), 1 + written + 1);
    }
}

/// Another file in its place that may not be written is served for reading, without a restart.
#[test]
fn a_file_for_reading_in_its_place() {
    for engine in ENGINES {
        let (programs, scratch) = (Scratch::new(), Scratch::new());
        let (database, other) = (scratch.database("a.db"), scratch.database("b.db"));
        let directory = scratch.path("");
        if fs::metadata(&directory).expect("scratch").uid() == 0 {
            for file in [&database, &other, &directory] {
                chown(file, Some(NOBODY), Some(NOBODY)).expect("chown");
            }
        }
        let sql = rusqlite::Connection::open(&other).expect("database");
        sql.execute("UPDATE tracks SET name = 'other'", []).expect("update");
        drop(sql);
        mode(&other, 0o444);
        let server = serve_as_nobody(&programs, engine, &database);
        assert_eq!(insert(&server.address).status, 201);
        fs::rename(&other, &database).expect("replaced");
        super::replaced::wait_for(
            &server.address,
            "/tracks?id=eq.1&select=name",
            r#"[{"name":"other"}]"#,
            &[r#"[{"name":"a"}]"#],
        );
        let reply = insert(&server.address);
        assert_eq!((reply.status, reply.body.contains("\"25006\"")), (405, true), "{reply:?}");
        server.stop();
    }
}
