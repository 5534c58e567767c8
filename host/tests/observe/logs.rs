//! The log: that each line is one, which request it is about, and what is not in it.

use std::io::Read as _;
use std::process::Command;

use serde_json::Value as Json;

use crate::http::ask;
use crate::support::{Client, ENGINES, LIMIT, Scratch};
use crate::{Observed, serving, start};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Every line as JSON.
fn lines(log: &str) -> Vec<Json> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// A database that has no more rows than its first page tells: reading it fails inside.
fn damaged(scratch: &Scratch) -> std::path::PathBuf {
    let path = scratch.path("damaged.db");
    let sql = rusqlite::Connection::open(&path).expect("a database");
    sql.execute_batch(
        "PRAGMA page_size = 512; CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
         WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100) INSERT INTO t SELECT n, printf('%0100d', n) FROM c;",
    )
    .expect("a table");
    drop(sql);
    let mut bytes = std::fs::read(&path).expect("a file");
    // Every page but that of the schema.
    bytes[512..].fill(0x55);
    std::fs::write(&path, bytes).expect("written");
    path
}

#[test]
fn as_json_each_line_is_one_and_names_its_request() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = damaged(&scratch);
        let config = "[log]\nformat = \"json\"\nrequests = true\n[debug]\nenabled = true\n";
        let observed = Observed::start(engine, &scratch, &database, config);
        let get = |target: &str, headers: &[(&str, &str)]| ask(&observed.api, "GET", target, headers, "");
        let given = get("/nope?a=eq.hunter2", &[("x-request-id", "given/1")]);
        assert_eq!((given.status, given.header("x-request-id")), (404, Some("given/1")));
        let insane = get("/nope", &[("x-request-id", "a b\"c")]);
        let made = insane.header("x-request-id").expect("a name").to_owned();
        assert!(made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{made}");
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let broken = get("/t", &[("x-request-id", "broken-1"), ("traceparent", &parent)]);
        assert_eq!(broken.status, 500, "{broken:?}");
        assert!(!broken.body.contains("malformed"), "{broken:?}");
        get("/nope", &[("traceparent", "00-no-trace-01")]);

        let page = observed.admin("/_debug/errors").json();
        let errors = &page["errors"];
        assert_eq!((&errors[0]["request"], &errors[0]["request_id"]), (&"GET /t".into(), &"broken-1".into()));
        assert!(errors[0]["cause"].as_str().is_some_and(|cause| cause.contains("malformed")), "{errors}");
        assert!(page["next"][0].as_str().is_some_and(|next| next.contains("\"broken-1\"")), "{page}");
        assert!(observed.admin("/metrics").body.contains("sqlitrest_internal_errors_total 1"));

        let ended = observed.server.stop();
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
        let lines = lines(&ended.stderr);
        let of = |id: &str| lines.iter().filter(|line| line["request_id"] == id).collect::<Vec<_>>();
        let [request] = of("given/1")[..] else { panic!("not one line: {}", ended.stderr) };
        assert_eq!((&request["target"], &request["level"]), (&"sqlitrest::request".into(), &"INFO".into()));
        assert_eq!(
            (&request["method"], &request["path"], &request["status"]),
            (&"GET".into(), &"/nope".into(), &404.into())
        );
        assert!(
            request["duration_ms"].is_f64() && request["bytes"].as_u64() == Some(given.body.len() as u64),
            "{request}"
        );
        assert_eq!(of(&made).len(), 1, "{}", ended.stderr);
        let [error, _] = of("broken-1")[..] else { panic!("not two lines: {}", ended.stderr) };
        assert_eq!((&error["level"], &error["trace_id"]), (&"ERROR".into(), &TRACE.into()));
        assert!(error["message"].as_str().is_some_and(|text| text.starts_with("GET /t: ")), "{error}");
        // What is no traceparent is none.
        assert_eq!(lines.iter().filter(|line| line.get("trace_id").is_some()).count(), 2);
    }
}

#[test]
fn for_people_it_is_as_it_was() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = damaged(&scratch);
        let server = start(engine, &scratch, &database, "");
        let broken = ask(&server.address, "GET", "/t?id=eq.5", &[("x-request-id", "b1")], "");
        assert_eq!((broken.status, broken.header("x-request-id")), (500, Some("b1")));
        let log = server.stop().stderr;
        let line = log.lines().find(|line| line.contains("malformed"));
        let line = line.unwrap_or_else(|| panic!("no line: {log}"));
        assert!(line.starts_with("sqlitrest: GET /t: ") && line.ends_with(" request_id=b1"), "{line}");
    }
}

#[test]
fn what_is_asked_of_a_path_is_for_those_who_look_for_a_fault() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for (level, is_told) in [("info", false), ("debug", true), ("debug,sqlitrest::request=info", false)] {
        let server =
            start("native", &scratch, &database, &format!("[log]\nlevel = \"{level}\"\nrequests = true\n"));
        assert_eq!(ask(&server.address, "GET", "/tracks?name=eq.hunter2", &[], "").status, 200);
        let log = server.stop().stderr;
        assert!(log.contains("sqlitrest: request method=GET path=/tracks status=200 duration_ms="), "{log}");
        assert_eq!(log.contains("hunter2"), is_told, "{level}: {log}");
    }
    for level in ["warn", "off"] {
        let server =
            start("native", &scratch, &database, &format!("[log]\nlevel = \"{level}\"\nrequests = true\n"));
        assert_eq!(ask(&server.address, "GET", "/tracks", &[], "").status, 200);
        assert_eq!(server.stop().stderr, "", "{level}");
    }
}

#[test]
fn a_start_that_fails_is_a_line_too() {
    let scratch = Scratch::new();
    let missing = scratch.path("missing.db");
    let ended =
        crate::support::run_command(serving("native", &scratch, &missing, "[log]\nformat = \"json\"\n"));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let [line] = &lines(&ended.stderr)[..] else { panic!("not one line: {ended:?}") };
    assert!(line["message"].as_str().is_some_and(|text| text.contains("there is no file")), "{line}");
}

/// Nobody reads its log: neither requests nor the end wait for that.
#[test]
fn a_full_pipe_stops_nothing() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = "[log]\nrequests = true\n[server]\nport = 0\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    let mut command: Command = serving("native", &scratch, &database, config);
    let mut child = command.spawn().expect("a process");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut address = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).expect("a line");
        line.split("http://").nth(1).and_then(|rest| rest.split([',', '\n']).next()).expect(&line).to_owned()
    };
    let (api, admin) = (address(), address());
    let mut client = Client::connect(&api);
    // More than the pipe and the queue have room for.
    for _ in 0..100 {
        assert!(client.send("GET /tracks?id=eq.1 HTTP/1.1\r\nhost: x\r\n\r\n".repeat(150).as_bytes()));
        for _ in 0..150 {
            assert_eq!(client.reply(false).expect("a reply").status, 200);
        }
    }
    let metrics = ask(&admin, "GET", "/metrics", &[], "").body;
    let lost = metrics.lines().find_map(|line| line.strip_prefix("sqlitrest_log_lines_dropped_total "));
    let lost: u64 = lost.and_then(|count| count.parse().ok()).expect("a number");
    assert!(lost > 0, "nothing is lost");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().expect("kill").success());
    let begun = std::time::Instant::now();
    let status = loop {
        assert!(begun.elapsed() < LIMIT, "it does not end");
        if let Some(status) = child.try_wait().expect("wait") {
            break status;
        }
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(0));
    let mut log = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut log).expect("a log");
    assert!(log.lines().count() > 100);
}
