//! What is recorded.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::support::{
    Client, ENGINES, Scratch, command, count, get, path, reply_to, run, run_command, serve,
};
use super::{Site, insert, of_requests, records};

const SIGNING_IN: &str = r#"
[auth.jwt]
secret = "reallyreallyreallyreallyverysafe"
[[policies.policy]]
name = "authors"
table = "albums"
roles = ["author"]
check = "title <> 'forbidden'"
"#;

/// The status of a request with these header fields.
fn send(address: &str, method: &str, target: &str, fields: &str, body: &str) -> u16 {
    let mut client = Client::connect(address);
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{fields}\r\n"
    );
    assert!(client.send((head + body).as_bytes()));
    client.reply(false).expect("a reply").status
}

/// A record without what is different each time.
fn plain(record: &Value) -> Value {
    let mut record = record.clone();
    let members = record.as_object_mut().expect("an object");
    for name in ["seq", "time", "prev", "hash"] {
        members.remove(name).expect(name);
    }
    // One that the server has made is another each time.
    if members.get("request_id").is_some_and(|id| id != "req-1") {
        members.remove("request_id");
    }
    record
}

#[test]
fn who_wrote_what_and_who_was_refused() {
    for engine in ENGINES {
        let site = Site::both("", SIGNING_IN);
        let token = run(&["token", "--role", "author", "--sub", "7", "--config", path(&site.config)], &[]);
        let bearer = format!("authorization: Bearer {}\r\nx-request-id: req-1\r\n", token.stdout.trim());
        let server = site.serve(engine);
        let address = server.address.as_str();
        let body = r#"{"title":"private words"}"#;
        assert_eq!(send(address, "POST", "/albums?select=id", &bearer, body), 201);
        assert_eq!(send(address, "PATCH", "/albums?id=eq.1", &bearer, r#"{"title":"forbidden"}"#), 403);
        assert_eq!(send(address, "GET", "/albums", "authorization: Bearer a.b.c\r\n", ""), 401);
        assert_eq!(send(address, "GET", "/albums", &bearer, ""), 200);
        assert_eq!(send(address, "POST", "/tracks", &bearer, "{}"), 403);
        server.stop();
        let all = records(&site.log());
        let events: Vec<&str> = all.iter().map(|record| record["event"].as_str().expect("text")).collect();
        assert_eq!(events, ["start", "write", "denied", "denied", "denied", "stop"], "{engine}");
        assert_eq!(
            plain(&all[1]),
            json!({
                "event": "write", "request_id": "req-1", "remote": "127.0.0.1", "database": "main", "role": "author",
                "subject": "7", "anonymous": false, "method": "POST", "path": "/albums", "status": 201,
                "acts": [{ "operation": "insert", "relation": "albums", "rows": 1, "key": ["id"], "keys": [[3]] }]
            }),
            "{engine}"
        );
        assert_eq!(
            plain(&all[2]),
            json!({
                "event": "denied", "request_id": "req-1", "remote": "127.0.0.1", "database": "main", "role": "author",
                "subject": "7", "anonymous": false, "method": "PATCH", "path": "/albums", "status": 403, "code": "42501",
                "acts": [{ "operation": "update", "relation": "albums", "rows": 0 }]
            }),
            "{engine}"
        );
        assert_eq!(
            plain(&all[3]),
            json!({
                "event": "denied", "remote": "127.0.0.1", "database": "main", "role": null, "anonymous": true,
                "method": "GET", "path": "/albums", "status": 401, "code": "PGRST301", "acts": []
            }),
            "{engine}"
        );
        assert_eq!((&all[4]["status"], &all[4]["code"]), (&json!(403), &json!("42501")));
        let text = std::fs::read_to_string(site.log()).expect("a log");
        for secret in ["Bearer", "a.b.c", "private words", "select=id", token.stdout.trim()] {
            assert!(!text.contains(secret), "{secret} is in the log ({engine})");
        }
        // The same in the other form, to be asked in SQL.
        let sql = Connection::open(site.table()).expect("a database");
        let rows: String = sql
            .query_row("SELECT group_concat(record, char(10)) || char(10) FROM _sqlitrest_audit", [], |row| {
                row.get(0)
            })
            .expect("rows");
        assert_eq!(rows, text, "{engine}");
        let who = "SELECT role || subject || operation || relation || rows FROM _sqlitrest_audit WHERE event = 'write'";
        assert_eq!(sql.query_row(who, [], |row| row.get(0)), Ok("author7insertalbums1".to_owned()));
        for log in [site.log(), site.table()] {
            let told = site.is_well(&log);
            assert_eq!((&told["records"], &told["last"]), (&json!(6), &json!(6)), "{told}");
        }
        // And `db check` of the database looks at the log of its configuration.
        let ended =
            run(&["db", "check", "--config", path(&site.config), "--database", path(&site.database)], &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.stdout.contains("audit.ndjson: 6 records (1 to 6) in 1 file, unbroken; the last is 6:"),
            "{ended:?}"
        );
        assert!(ended.stdout.contains("audit.db: 6 records"), "{ended:?}");
    }
}

#[test]
fn what_was_sent_and_what_was_read_where_it_is_asked_for() {
    for engine in ENGINES {
        let site = Site::new("file = \"audit.ndjson\"\nvalues = true\nreads = true", "");
        let server = site.serve(engine);
        assert_eq!(insert(&server.address, "x"), 201);
        assert_eq!(get(&server.address, "/albums?id=lt.3").status, 200);
        assert_eq!(get(&server.address, "/none").status, 404);
        server.stop();
        let told = of_requests(&site.log());
        let (write, read) = (&told[0], &told[1]);
        assert_eq!((&write["event"], &write["body"]), (&json!("write"), &json!(r#"{"title":"x"}"#)));
        assert_eq!((&read["event"], &read["query"]), (&json!("read"), &json!("id=lt.3")), "{engine}");
        assert_eq!(
            read["acts"],
            json!([{ "operation": "select", "relation": "albums", "rows": 2 }]),
            "{engine}"
        );
        assert_eq!(told.len(), 2, "{told:?}");
    }
}

/// What tells of the server reads: it is no deed, and rows that it reads are recorded like any others.
#[test]
fn what_pages_about_a_database_have_read() {
    for engine in ENGINES {
        let more = format!("{SIGNING_IN}[debug]\nenabled = true\n[admin]\nlisten = \"127.0.0.1:0\"\n");
        let site = Site::new("file = \"audit.ndjson\"\nreads = true", &more);
        let token = run(&["token", "--role", "admin", "--config", path(&site.config)], &[]);
        let bearer = format!("authorization: Bearer {}\r\n", token.stdout.trim());
        let mut server = site.serve(engine);
        let line = server.next_line();
        let port = line.trim_end().split("http://").nth(1).expect("a port of the administrator").to_owned();
        let check =
            |filter: &str| format!(r#"{{"table":"albums","operation":"select","role":"author"{filter}}}"#);
        for address in [server.address.as_str(), port.as_str()] {
            let ask = |method, target, body: &str| send(address, method, target, &bearer, body);
            // Nothing is run, or no row is looked at.
            assert_eq!(ask("POST", "/_debug/explain", r#"{"request":"GET /albums"}"#), 200);
            assert_eq!(ask("POST", "/_debug/policy-check", &check("")), 200);
            assert_eq!(ask("GET", "/_schema?role=author", ""), 200);
            assert_eq!(ask("GET", "/_debug/config", ""), 200);
            assert_eq!(ask("GET", "/_schema?role=author&table=albums&examples=1", ""), 200);
            assert_eq!(ask("GET", "/_schema?role=author&counts=true&format=text", ""), 200);
            assert_eq!(ask("POST", "/_debug/policy-check", &check(r#","filter":"id=gt.0""#)), 200);
        }
        assert_eq!(send(&port, "POST", "/_debug/reload-schema", &bearer, ""), 200);
        server.stop();
        let told: Vec<Value> = of_requests(&site.log())
            .iter()
            .map(|record| {
                json!([record["event"], record["role"], record["path"], record["database"], record["acts"]])
            })
            .collect();
        let read = |path: &str, rows: u64| {
            let acts = json!([{ "operation": "select", "relation": "albums", "rows": rows }]);
            json!(["read", "admin", path, "main", acts])
        };
        let one = [read("/_schema", 1), read("/_schema", 0), read("/_debug/policy-check", 2)];
        let deed = json!(["admin", "admin", "/_debug/reload-schema", null, []]);
        let expected: Vec<Value> = one.iter().chain(&one).cloned().chain([deed]).collect();
        assert_eq!(told, expected, "{engine}");
    }
}

#[test]
fn refusals_are_left_out_where_they_are_not_wanted() {
    let site = Site::new("file = \"audit.ndjson\"\ndenied = false", SIGNING_IN);
    let server = site.serve("native");
    assert_eq!(get(&server.address, "/albums").status, 401);
    server.stop();
    assert_eq!(of_requests(&site.log()), Vec::<Value>::new());
}

/// A server goes on where the one before has stopped.
#[test]
fn one_chain_for_all_servers() {
    let site = Site::both("key = \"env:AUDIT_KEY\"", "");
    let key = ("AUDIT_KEY", "a key of enough bytes, for all of them");
    let start = || {
        let arguments = [
            "serve",
            path(&site.database),
            "--engine",
            "native",
            "--listen",
            "127.0.0.1:0",
            "--config",
            path(&site.config),
        ];
        super::Server::start(command(&arguments, &[key]))
    };
    for _ in 0..3 {
        let server = start();
        assert_eq!(insert(&server.address, "x"), 201);
        server.stop();
    }
    let all = records(&site.log());
    assert_eq!(all.len(), 9);
    for pair in all.windows(2) {
        assert_eq!(pair[0]["hash"], pair[1]["prev"]);
    }
    let start_record = plain(&all[3]);
    assert_eq!((&start_record["algorithm"], &start_record["clean"]), (&json!("hmac-sha256"), &json!(true)));
    // With the key it is well, without and with another it cannot be said.
    let log = site.log();
    let look = |environment: &[(&str, &str)]| {
        let arguments = ["db", "check", "--audit", path(&log), "--audit-key", "env:AUDIT_KEY"];
        run(&arguments, environment)
    };
    let ended = look(&[key]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("9 records (1 to 9) in 1 file, hashed with a key, unbroken"), "{ended:?}");
    assert_eq!(look(&[("AUDIT_KEY", "another key of enough bytes")]).code, Some(1));
    assert_eq!(look(&[]).code, Some(2));
    let without = run(&["db", "check", "--audit", path(&log)], &[]);
    assert_eq!(without.code, Some(1));
    assert!(
        without.stdout.contains("audit.ndjson:1: record 1 was changed, or it is hashed with a key"),
        "{without:?}"
    );
    // Two at a time would tear it.
    let server = start();
    let arguments = [
        "serve",
        path(&site.database),
        "--engine",
        "native",
        "--listen",
        "127.0.0.1:0",
        "--config",
        path(&site.config),
    ];
    let ended = run_command(command(&arguments, &[key]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("is being written by another server"), "{ended:?}");
    server.stop();
}

#[test]
fn a_configuration_that_cannot_be_kept() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let other = scratch.file("thesis.txt", "my thesis\n");
    for (audit, told) in [
        ("", "[audit] names neither a file nor a database"),
        ("file = \"x\"\nfiel = 1", "unknown field `fiel`"),
        ("file = \"x\"\non_full = \"panic\"", "unknown variant `panic`"),
        ("file = \"x\"\nqueue = 0", "audit.queue must be from 1"),
        ("file = \"x\"\nkey = \"short\"", "audit.key has fewer than 16 bytes"),
        ("file = \"x\"\nkey = \"env:NO_SUCH_KEY\"", "no variable NO_SUCH_KEY"),
        ("file = \"./none/x\"", "of the audit log cannot be used"),
        ("file = \"thesis.txt\"", "is no audit log; name another file"),
        ("database = \"thesis.txt\"", "is no SQLite database; name another file"),
        ("database = \"a.db\"", "which is served"),
        ("database = \"b.db\"", "is a database of something else"),
    ] {
        scratch.database("b.db");
        let config = scratch.file("sqlitrest.toml", format!("[audit]\n{audit}\n"));
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
        assert_eq!(ended.code, Some(2), "{audit}: {ended:?}");
        assert!(ended.stderr.contains(told), "{audit}: {ended:?}");
        std::fs::remove_file(scratch.path("b.db")).expect("removed");
    }
    assert_eq!(std::fs::read_to_string(&other).expect("untouched"), "my thesis\n");
    assert_eq!(count(&database, "albums"), 2);
}

/// The environment sets every key.
#[test]
fn by_environment() {
    let scratch = Scratch::new();
    let (database, log) = (scratch.database("a.db"), scratch.path("audit.ndjson"));
    let arguments = ["serve", path(&database), "--engine", "native", "--listen", "127.0.0.1:0"];
    let environment = [("SQLITREST_AUDIT_FILE", path(&log)), ("SQLITREST_AUDIT_KEY", "12345678901234567890")];
    let server = super::Server::start(command(&arguments, &environment));
    assert_eq!(insert(&server.address, "x"), 201);
    server.stop();
    assert_eq!(of_requests(&log).len(), 1);
}

/// A client that goes before it is answered has its write recorded all the same.
#[test]
fn whose_client_has_gone() {
    for engine in ENGINES {
        let site = Site::new("file = \"audit.ndjson\"", "");
        let server = site.serve(engine);
        for _ in 0..20 {
            let mut client = Client::connect(&server.address);
            assert!(client.request("POST", "/albums", r#"{"title":"gone"}"#));
        }
        // One that waits comes behind those that were there.
        assert_eq!(reply_to(&server.address, "POST", "/albums", r#"{"title":"here"}"#).status, 201);
        server.stop();
        let written = count(&site.database, "albums") - 2;
        assert_eq!(of_requests(&site.log()).len() as i64, written, "{engine}");
    }
}

/// The log and what is recorded are those of the start, whatever is reloaded.
#[cfg(unix)]
#[test]
fn a_reload_does_not_end_it() {
    for engine in ENGINES {
        let site = Site::new("file = \"audit.ndjson\"", "");
        let server = site.serve(engine);
        std::fs::write(&site.config, "[api]\nmax_rows = 1\n").expect("written");
        server.signal("HUP");
        server.logs("[audit] has changed, which is taken up at the next start");
        assert_eq!(insert(&server.address, "x"), 201);
        server.stop();
        assert_eq!(of_requests(&site.log()).len(), 1, "{engine}");
    }
}

#[test]
fn what_an_administrator_has_done() {
    for engine in ENGINES {
        let site = Site::new("file = \"audit.ndjson\"", &format!("{SIGNING_IN}\n[debug]\nenabled = true\n"));
        let server = site.serve(engine);
        let token = |role: &str| {
            let token = run(&["token", "--role", role, "--sub", "1", "--config", path(&site.config)], &[]);
            format!("authorization: Bearer {}\r\n", token.stdout.trim())
        };
        assert_eq!(send(&server.address, "POST", "/_debug/reload-schema", &token("admin"), ""), 200);
        assert_eq!(send(&server.address, "POST", "/_debug/reload-schema", &token("author"), ""), 403);
        server.stop();
        let told = of_requests(&site.log());
        assert_eq!(
            plain(&told[0]),
            json!({
                "event": "admin", "remote": "127.0.0.1", "role": "admin", "subject": "1", "anonymous": false,
                "method": "POST", "path": "/_debug/reload-schema", "status": 200, "acts": []
            }),
            "{engine}"
        );
        assert_eq!((&told[1]["event"], &told[1]["role"]), (&json!("denied"), &json!("author")), "{engine}");
    }
}

#[test]
fn without_a_section_there_is_no_log() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let server = serve("native", &database, &[]);
    assert_eq!(insert(&server.address, "x"), 201);
    server.stop();
    let names = std::fs::read_dir(scratch.path("")).expect("a directory");
    let names: Vec<String> =
        names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(names.iter().filter(|name| name.contains("audit")).count(), 0, "{names:?}");
}
