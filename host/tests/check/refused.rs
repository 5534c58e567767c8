//! What is taken in every form, what `check` and `serve` refuse in the same words, and what no message says.

use super::support::{Scratch, path, run};
use super::{PORT, check};

/// Every list, in every form.
#[test]
fn lists_may_be_elsewhere() {
    let scratch = Scratch::new();
    let text = |list: &str| {
        format!(
            "[databases.main]\npath = \"a.db\"\nattach = {list}\n[databases.logs]\npath = \"b.db\"\n[attach]\npaths = \"file:./l.txt\"\n[backup]\ndirectory = \"./backups\"\ndatabases = {list}\n"
        )
    };
    scratch.database("a.db");
    scratch.database("b.db");
    scratch.file("l.txt", "./data\n# ours\n./more\n");
    for (list, environment) in [("\"env:LST\"", ("LST", "logs")), ("\"logs,\"", PORT), ("[\"logs\"]", PORT)] {
        let config = scratch.file("s.toml", text(list));
        let ended = run(&["check", "--config", path(&config)], &[environment, PORT]);
        assert_eq!(ended.code, Some(0), "{list}: {ended:?}");
    }
    let config = scratch.file("s.toml", text("\"env:LST\""));
    for command in ["check", "serve"] {
        let ended = run(&[command, "--config", path(&config)], &[("LST", "nope"), PORT]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        for (line, words) in [
            (3, "databases.main.attach: there is no [databases.nope]"),
            (10, "backup.databases: there is no [databases.nope]"),
        ] {
            let place = format!("{}:{line}", path(&config));
            assert!(said.contains(&place) && said.contains(words), "{place} {words}: {ended:?}");
        }
    }
    let lists = [("SQLITREST_ATTACH_PATHS", "./a, ./b"), ("SQLITREST_BACKUP_DATABASES", "main, logs"), PORT];
    let config = scratch.file("s.toml", text("[\"logs\"]"));
    let ended = run(&["check", "--config", path(&config)], &lists);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// `check` finds what `serve` refuses, and both say where it stands.
#[test]
fn what_stops_the_start_is_found_before() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for (line, text, words) in [
        (2, "[admin]\nlisten = \"banana\"", "admin.listen = \"banana\" is no address with a port"),
        (2, "[admin]\nlisten = \"\"", "admin.listen = \"\" is no address with a port"),
        (2, "[admin]\nlisten = \"192.0.2.1:0\"", "admin.listen = \"192.0.2.1:0\": "),
        (2, "[admin]\nunix_socket = \"nodir/x.sock\"", "nodir/x.sock: the directory is not there"),
        (2, "[admin]\nhosts = [\"http://a\"]", "admin.hosts: \"http://a\" is no name of a host"),
        (2, "[server]\nunix_socket = \"nodir/s.sock\"", "nodir/s.sock: the directory is not there"),
        (2, "[telemetry]\nendpoint = \"banana\"", "telemetry.endpoint = \"banana\" is no address"),
        (2, "[telemetry]\nendpoint = \"\"", "telemetry.endpoint = \"\" is no address"),
        (2, "[telemetry]\nendpoint = \"ftp://x\"", "telemetry.endpoint = \"ftp://x\" is no address"),
        (2, "[telemetry]\nsample_ratio = -5", "telemetry.sample_ratio = -5 is not between 0 and 1"),
        (
            3,
            "[telemetry]\nendpoint = \"http://127.0.0.1:1\"\nheaders = { \"a b\" = \"x\" }",
            "telemetry.headers.a b is no header field",
        ),
        (
            3,
            "[telemetry]\nendpoint = \"http://127.0.0.1:1\"\nheaders = { a = \"env:NOPE\" }",
            "the environment has no variable NOPE",
        ),
    ] {
        let config = scratch.file("s.toml", text);
        let place = format!("{}:{line}", path(&config));
        let checked = check(&config, &["--database", path(&database)]);
        let served = run(&["serve", path(&database), "--config", path(&config)], &[PORT]);
        for (ended, said) in [(&checked, &checked.stdout), (&served, &served.stderr)] {
            assert_eq!(ended.code, Some(2), "{text}: {ended:?}");
            assert!(said.contains(&place) && said.contains(words), "{place} {words}: {ended:?}");
        }
        assert_eq!(checked.stdout.matches("error: ").count(), 1, "{checked:?}");
    }
}

/// A secret that stands where it does not belong is not repeated.
#[test]
fn no_message_repeats_a_value() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for (text, words) in [
        ("[telemetry]\nheaders = \"Authorization: Bearer S3CR3T\"", "invalid type: a text, expected a table"),
        ("[auth]\njwt = \"S3CR3T\"", "invalid type: a text, expected a table"),
        ("[auth.jwt]\nsecret = 5318008", "invalid type: a whole number, expected a text"),
        ("[audit]\nfile = \"a\"\nkey = 5318008", "invalid type: a whole number, expected a text"),
        (
            "[auth.jwt]\njwks_url = \"http://me:S3CR3T@example.com/keys\"",
            "\"http://***@example.com/keys\" is not https",
        ),
        (
            "[telemetry]\nendpoint = \"ftp://me:S3CR3T@example.com\"",
            "\"ftp://***@example.com\" is no address",
        ),
        (
            "[api]\nproxy_uri = \"https://me:S3CR3T@example.com\"",
            "\"https://***@example.com\" is no absolute URL",
        ),
    ] {
        let config = scratch.file("s.toml", text);
        let checked = check(&config, &["--database", path(&database)]);
        let served = run(&["serve", path(&database), "--config", path(&config)], &[PORT]);
        for (ended, said) in [(&checked, &checked.stdout), (&served, &served.stderr)] {
            assert!(said.contains(words), "{words}: {ended:?}");
            let all = format!("{}{}", ended.stdout, ended.stderr);
            assert!(
                !all.contains("S3CR3T") && !all.contains("5318008") && !all.contains("struct "),
                "{ended:?}"
            );
        }
    }
}

#[test]
fn nobody_has_the_role_that_is_none() {
    for arguments in [
        &["apikey", "new", "--role", ""][..],
        &["user", "add", "ida", "--role", ""],
        &["token", "--role", ""],
    ] {
        let ended = run(arguments, &[]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("a value is required for '--role <ROLE>'"), "{ended:?}");
    }
}
