//! Every file that is not a database to serve stops the start, and none is made or changed.

mod support;

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use support::{ENGINES, Scratch, assert_no_log, count, get, path, reply_to, run, serve, serve_with};

/// Must not start, and say why in one sentence, on both engines.
fn check(database: &Path, expected: &str) {
    for engine in ENGINES {
        let mut arguments = vec!["serve", path(database), "--engine", engine, "--listen", "127.0.0.1:0"];
        if engine == "component" {
            arguments.extend(["--guest", path(support::guest())]);
        }
        let ended = run(&arguments, &[("SQLITREST_POOL_BUSY_TIMEOUT", "50ms")]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert_eq!(ended.stdout, "", "{ended:?}");
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        assert!(ended.stderr.starts_with("sqlitrest: "), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_missing_file_is_not_made() {
    let scratch = Scratch::new();
    let missing = scratch.path("missing.db");
    check(&missing, "there is no file");
    assert!(!missing.exists());
    check(&scratch.path("no/where.db"), "there is no file");
}

#[test]
fn a_directory() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("d.db")).expect("directory");
    check(&scratch.path("d.db"), "is a directory");
}

#[test]
fn no_database() {
    let scratch = Scratch::new();
    let text = "this is a text of more than one hundred bytes, ".repeat(100);
    let file = scratch.file("text.db", &text);
    check(&file, "is not a SQLite database");
    assert_eq!(fs::read_to_string(&file).expect("file"), text);
    check(&scratch.file("short.db", "x"), "is not a SQLite database");
    if Path::new("/dev/null").exists() {
        check(Path::new("/dev/null"), "is not a regular file");
    }
}

#[test]
fn damaged_databases() {
    let scratch = Scratch::new();
    let whole = fs::read(scratch.database("whole.db")).expect("database");
    check(&scratch.file("cut.db", &whole[..whole.len() / 2]), "is damaged");
    let mut torn = whole.clone();
    // The header of the schema's page, behind the file's own header.
    torn[100..108].fill(0x55);
    check(&scratch.file("torn.db", &torn), "is damaged");
    let mut header = whole;
    header[16..18].fill(0x33);
    check(&scratch.file("header.db", &header), "is not a SQLite database");
}

#[test]
fn locked_by_another_process() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let other = Connection::open(&database).expect("database");
    other.execute_batch("BEGIN EXCLUSIVE").expect("lock");
    check(&database, "is locked by another process");
    other.execute_batch("ROLLBACK").expect("unlock");
    serve("native", &database, &[]).stop();
}

#[test]
fn locked_while_serving() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_POOL_BUSY_TIMEOUT", "50ms")]);
        let other = Connection::open(&database).expect("database");
        other.execute_batch("BEGIN IMMEDIATE").expect("lock");
        let reply = reply_to(&server.address, "POST", "/albums", r#"{"id":9,"title":"x"}"#);
        assert_eq!(reply.status, 503, "{reply:?}");
        assert_eq!(get(&server.address, "/albums?id=eq.9").body, "[]");
        other.execute_batch("ROLLBACK").expect("unlock");
        let reply = reply_to(&server.address, "POST", "/albums", r#"{"id":9,"title":"x"}"#);
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(reply_to(&server.address, "DELETE", "/albums?id=eq.9", "").status, 204);
        drop(other);
        server.stop();
        assert_no_log(&database);
    }
}

#[test]
fn an_empty_file_is_an_empty_database() {
    let scratch = Scratch::new();
    let server = serve("native", &scratch.file("empty.db", ""), &[]);
    assert!(server.line.contains("(0 tables)"), "{}", server.line);
    assert_eq!(get(&server.address, "/t").status, 404);
    server.stop();
}

#[test]
fn odd_names_of_files() {
    let scratch = Scratch::new();
    let database = scratch.database("a b?c#d%20ß'\"e.db");
    let server = serve("native", &database, &[]);
    assert_eq!(get(&server.address, "/tracks?id=eq.1&select=name").body, r#"[{"name":"a"}]"#);
    server.stop();
}

/// As a user who may not write, which root always may.
#[cfg(unix)]
mod as_nobody {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;
    use support::{Server, command_of, run_command};

    const NOBODY: u32 = 65534;

    fn mode(file: &Path, mode: u32) {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("permissions");
    }

    fn command_as_nobody(scratch: &Scratch, arguments: &[&str]) -> std::process::Command {
        // A copy, since the directory of the build may be closed to others.
        let binary = scratch.path("sqlitrest");
        fs::copy(env!("CARGO_BIN_EXE_sqlitrest"), &binary).expect("copy");
        mode(&binary, 0o755);
        let mut theirs = command_of(&binary, arguments, &[]);
        if fs::metadata(scratch.path("")).expect("scratch").uid() == 0 {
            theirs.uid(NOBODY).gid(NOBODY);
        }
        theirs
    }

    fn serves_for_reading(scratch: &Scratch, database: &Path) {
        let arguments = ["serve", path(database), "--engine", "native", "--listen", "127.0.0.1:0"];
        let server = Server::start(command_as_nobody(scratch, &arguments));
        assert_eq!(get(&server.address, "/tracks?id=eq.1&select=name").body, r#"[{"name":"a"}]"#);
        let reply = reply_to(&server.address, "DELETE", "/tracks?id=eq.1", "");
        assert_eq!((reply.status, reply.body.contains("25006")), (405, true), "{reply:?}");
        let line = server.line.clone();
        server.stop();
        assert!(line.contains("read-only"), "{line}");
        assert_eq!(count(database, "tracks"), 3);
    }

    #[test]
    fn a_file_that_cannot_be_written() {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        mode(&database, 0o444);
        serves_for_reading(&scratch, &database);
    }

    #[test]
    fn a_file_in_wal_mode_in_a_directory_that_cannot_be_written() {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let sql = Connection::open(&database).expect("database");
        sql.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).expect("wal");
        drop(sql);
        mode(&database, 0o444);
        mode(&scratch.path(""), 0o555);
        serves_for_reading(&scratch, &database);
        mode(&scratch.path(""), 0o755);
    }

    #[test]
    fn a_file_that_cannot_be_read() {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        mode(&database, 0o000);
        let arguments = ["serve", path(&database), "--engine", "native", "--listen", "127.0.0.1:0"];
        let ended = run_command(command_as_nobody(&scratch, &arguments));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("cannot be opened"), "{ended:?}");
    }
}
