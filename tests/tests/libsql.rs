//! The scenarios, and what else engines do, on a database of a libSQL server: the same replies as on a file, but for what its SQLite is too
//! old for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sqlitrest::{Config, Engine, Request};
use sqlitrest_tests::fixture::Fixture;
use sqlitrest_tests::scenario::{Exchange, File, show_answer};
use sqlitrest_tests::sqld::Sqld;

/// What differs, by the file and how the scenario or its request begins, and why: sqld has SQLite 3.45, and ours is newer.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("debug/administrator.case", "POST /_debug/explain", "its plans number their steps otherwise"),
    ("debug/advice.case", "rows that refer to those", "its plans number their steps otherwise"),
    (
        "beyond/keyset.case",
        "GET /visits?select=page&order=at",
        "JSON, in which a server answers, has no infinite numbers",
    ),
    ("read/exact.case", "GET /numbers?order=id", "JSON, in which a server answers, has no infinite numbers"),
    (
        "read/edges.case",
        "GET /staff?select=boss!inner(",
        "its own parser has less room for what is inside of something else",
    ),
    ("read/edges.case", "JSON with a NUL is a string", "its json_valid() takes a NUL for the end"),
    ("read/edges.case", "POST /raising", "its RAISE() takes no expression"),
    ("read/operators.case", "GET /docs?select=id&body=imatch", "its regular expressions know no (?i)"),
    ("read/operators.case", "GET /docs?select=id&body=not.imatch", "its regular expressions know no (?i)"),
];

/// Of what a fixture has, what such a SQLite does not take: the message of RAISE is a literal before 3.47.
const TOO_NEW: [(&str, &str, &str); 1] = [("edges", "CREATE TRIGGER raising_insert", "END;")];

fn case_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            case_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "case") {
            found.push(path);
        }
    }
}

fn fixture(name: &str) -> String {
    let mut text = Fixture::text(name);
    for (fixture, begin, end) in TOO_NEW {
        if fixture == name {
            let from = text.find(begin).unwrap();
            let length = text[from..].find(end).unwrap() + end.len();
            text.replace_range(from..from + length, "");
        }
    }
    text
}

fn config(sqld: &Sqld, extra: &str) -> Config {
    let table = if extra.contains("[databases.main]") { "" } else { "[databases.main]" };
    // The name that the component has for it.
    Config::load("/sqlitrest.toml", &format!("{extra}\n{table}\nurl = {:?}\n", sqld.url()), []).unwrap()
}

fn engines(sqld: &Sqld, extra: &str) -> Vec<Engine> {
    let config = config(sqld, extra);
    vec![Engine::native(&config).unwrap(), Engine::component(&config, &sqlitrest_tests::guest()).unwrap()]
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios() {
    let Some(sqld) = Sqld::start() else { return };
    let mut files = Vec::new();
    case_files(&sqlitrest_tests::root().join("tests/cases"), &mut files);
    files.sort();
    let only = std::env::var("CASE").unwrap_or_default();
    let (mut count, mut differ, mut failures) = (0, vec![false; DIFFERENT.len()], Vec::new());
    for path in files.iter().filter(|path| path.to_string_lossy().contains(&only)) {
        let file = File::parse(&std::fs::read_to_string(path).unwrap());
        let fixture = fixture(&file.fixture);
        sqld.load(&fixture);
        let engines = engines(&sqld, &file.config);
        let mut is_pristine = true;
        for scenario in &file.scenarios {
            for engine in &engines {
                if !std::mem::replace(&mut is_pristine, true) {
                    sqld.load(&fixture);
                }
                for exchange in &scenario.exchanges {
                    count += 1;
                    is_pristine &= reads(exchange) && !file.config.contains("pre_request");
                    let answer = exchange.with_request(|request| block_on(engine.handle(request)));
                    let answer = show_answer(&answer, &file.hidden);
                    let begin = exchange.request.lines().next().unwrap_or_default();
                    if answer == exchange.reply {
                        continue;
                    }
                    let path = path.to_string_lossy();
                    let known = DIFFERENT.iter().position(|(file, what, _)| {
                        path.ends_with(file) && (scenario.title.starts_with(what) || begin.starts_with(what))
                    });
                    match known {
                        Some(known) => differ[known] = true,
                        None => failures.push(format!(
                            "{path}: {} › {begin} ({})\nexpected {}\ngot      {answer}",
                            scenario.title,
                            engine.name(),
                            exchange.reply
                        )),
                    }
                }
            }
        }
    }
    println!("{count} requests in {} files", files.len());
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    for (known, differs) in DIFFERENT.iter().zip(differ) {
        assert!(differs || !only.is_empty(), "{known:?} does not differ any more");
    }
}

/// Whether a request leaves the database as it is.
fn reads(exchange: &Exchange) -> bool {
    ["GET ", "HEAD ", "OPTIONS "].iter().any(|method| exchange.request.starts_with(method))
}

async fn send(engine: &Engine, method: &str, target: &str, body: &str) -> (u16, String) {
    let headers: &[(&str, &[u8])] =
        &[("content-type", b"application/json"), ("prefer", b"return=representation")];
    let answer = engine.handle(&Request { method, target, headers, body: body.as_bytes() }).await;
    (answer.status, String::from_utf8(answer.body).unwrap())
}

async fn get(engine: &Engine, target: &str) -> (u16, String) {
    send(engine, "GET", target, "").await
}

/// A stream that holds the lock, by its baton.
fn hold(sqld: &Sqld) -> String {
    let begin = json!([{ "type": "execute", "stmt": { "sql": "BEGIN IMMEDIATE" } }]);
    let answer = sqld.pipeline(None, &begin);
    answer["baton"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn let_go(sqld: &Sqld, baton: &str) {
    sqld.pipeline(Some(baton), &json!([{ "type": "close" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_exact() {
    let Some(sqld) = Sqld::start() else { return };
    sqld.load("CREATE TABLE v (id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB)");
    for engine in engines(&sqld, "") {
        let rows = r#"[{"id":1,"i":9223372036854775807,"r":0.1,"t":"a\u0000\"ß","b":"AP8B"},{"id":2,"i":-9223372036854775808,"r":5e-324,"t":"","b":""},{"id":3,"i":null,"r":1.7976931348623157e308,"t":null,"b":null}]"#;
        let (status, body) = send(&engine, "POST", "/v", rows).await;
        assert_eq!(status, 201, "{body}");
        let value: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(rows).unwrap());
        let exact = get(&engine, "/v?select=i,r,t,b&i=eq.9223372036854775807&r=eq.0.1&b=eq.AP8B").await;
        assert_eq!(exact.1, r#"[{"i":9223372036854775807,"r":0.1,"t":"a\u0000\"ß","b":"AP8B"}]"#);
        // Text that is not UTF-8 the server does not send as text.
        sqld.execute("INSERT INTO v (id, t, b) VALUES (4, CAST(x'61ff62' AS TEXT), x'ff')");
        let odd = get(&engine, "/v?select=id,t,b&order=id.desc&limit=2").await;
        assert_eq!(
            odd,
            (200, "[{\"id\":4,\"t\":\"a\u{fffd}b\",\"b\":\"/w==\"},{\"id\":3,\"t\":null,\"b\":null}]".into())
        );
        assert_eq!(get(&engine, "/v?r=eq.Infinity").await.0 / 100, 4);
        assert_eq!(send(&engine, "DELETE", "/v?id=gt.0", "").await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_somebody_changes_is_seen_by_the_next_request() {
    let Some(sqld) = Sqld::start() else { return };
    for engine in engines_of(&sqld, "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)") {
        sqld.load("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
        assert_eq!(get(&engine, "/t").await, (200, r#"[{"id":1}]"#.into()));
        // What it knows of the schema refuses these, and the server is asked whether that holds.
        assert_eq!(get(&engine, "/u").await.0, 404);
        sqld.execute(
            "CREATE TABLE u (id INTEGER PRIMARY KEY); ALTER TABLE t ADD COLUMN n TEXT DEFAULT 'new'",
        );
        assert_eq!(get(&engine, "/u").await, (200, "[]".into()));
        assert_eq!(get(&engine, "/t?n=eq.new").await, (200, r#"[{"id":1,"n":"new"}]"#.into()));
        sqld.execute("ALTER TABLE t RENAME COLUMN n TO m; DROP TABLE u");
        assert_eq!(
            send(&engine, "POST", "/t", r#"{"id":2,"m":"x"}"#).await,
            (201, r#"[{"id":2,"m":"x"}]"#.into())
        );
        assert_eq!(send(&engine, "POST", "/u", r#"{"id":2}"#).await.0, 404);
        assert_eq!(sqld.query("SELECT count(*) FROM t"), [["2"]]);
    }
}

fn engines_of(sqld: &Sqld, sql: &str) -> Vec<Engine> {
    sqld.load(sql);
    engines(sqld, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_lock_is_told_in_time_and_who_reads_does_not_wait() {
    let Some(sqld) = Sqld::start() else { return };
    sqld.load("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    for (number, engine) in engines(&sqld, "[middleware]\nrequest_timeout = \"1s\"\n").iter().enumerate() {
        let row = format!(r#"{{"id":{number}}}"#);
        let baton = hold(&sqld);
        let (status, body) = send(engine, "POST", "/t", &row).await;
        assert!(status == 504 && body.contains("57014"), "{status} {body}");
        assert_eq!(get(engine, &format!("/t?id=eq.{number}")).await, (200, "[]".into()));
        let_go(&sqld, &baton);
        // The one that was given up may have the lock for a moment yet.
        let mut answer = send(engine, "POST", "/t", &row).await;
        while answer.0 == 504 {
            answer = send(engine, "POST", "/t", &row).await;
        }
        assert_eq!(answer.0, 201, "{answer:?}");
    }
    assert_eq!(sqld.query("SELECT count(*) FROM t"), [["2"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_has_written_nothing() {
    let Some(sqld) = Sqld::start() else { return };
    let slow = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT); CREATE TABLE log (n INT);
        CREATE TRIGGER slow AFTER INSERT ON t BEGIN
            INSERT INTO log WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT NEW.n) SELECT max(n) FROM c;
        END;";
    sqld.load(slow);
    for engine in engines(&sqld, "[middleware]\nrequest_timeout = \"500ms\"\n") {
        let (status, body) = send(&engine, "POST", "/t", r#"{"id":1,"n":3000000}"#).await;
        assert!(status == 504 && body.contains("57014"), "{status} {body}");
        // Behind it in the line for the lock, so that it has come to its end.
        sqld.execute("INSERT INTO log VALUES (0); DELETE FROM log");
        assert_eq!(sqld.query("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM log)"), [["0", "0"]]);
        assert_eq!(send(&engine, "POST", "/t", r#"{"id":1,"n":1}"#).await.0, 201);
        sqld.execute("DELETE FROM t; DELETE FROM log");
    }
}

/// The server has one lock, and ends by itself only after five seconds a transaction that nobody goes on with.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_out_of_time_between_statements_keeps_no_lock() {
    let Some(sqld) = Sqld::start() else { return };
    sqld.load("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 0)");
    let one = r#"{"method":"PATCH","path":"/t?id=eq.1","body":{"n":1}}"#;
    let many = format!("[{}]", vec![one; 1_000].join(","));
    let hasty = engines(&sqld, "[middleware]\nrequest_timeout = \"100ms\"\n");
    let patient = engines(&sqld, "[middleware]\nrequest_timeout = \"3s\"\n");
    for (hasty, patient) in hasty.iter().zip(&patient) {
        for _ in 0..5 {
            assert_eq!(send(hasty, "POST", "/_batch", &many).await.0, 504, "{}", hasty.name());
            assert_eq!(sqld.query("SELECT n FROM t"), [["0"]]);
            let (status, body) = send(patient, "PATCH", "/t?id=eq.1", r#"{"n":0}"#).await;
            assert_eq!(status, 200, "{}: {body}", patient.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_undo_the_whole_request() {
    let Some(sqld) = Sqld::start() else { return };
    let sql = "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT UNIQUE CHECK (length(name) < 5));
        CREATE TABLE b (id INTEGER PRIMARY KEY, a INT REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED);";
    for engine in engines_of(&sqld, sql) {
        for (target, body, status, code) in [
            ("/a", r#"[{"name":"x"},{"name":"x"}]"#, 409, "23505"),
            ("/a", r#"[{"name":"y"},{"name":"too long"}]"#, 400, "23514"),
            // It is found at the commit.
            ("/b", r#"{"a":77}"#, 409, "23503"),
        ] {
            let answer = send(&engine, "POST", target, body).await;
            assert!(answer.0 == status && answer.1.contains(code), "{target} {answer:?}");
        }
        assert_eq!(sqld.query("SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)"), [["0"]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_to_read_writes_nothing() {
    let Some(sqld) = Sqld::start() else { return };
    sqld.load("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    let udf = "[[udf]]\nname = \"f\"\nexpose = true\nreadonly = true\nsql = \"INSERT INTO t DEFAULT VALUES RETURNING id\"\nreturns = \"setof integer\"\n";
    for engine in engines(&sqld, udf) {
        let answer = get(&engine, "/rpc/f").await;
        assert!(answer.0 == 405 && answer.1.contains("25006"), "{answer:?}");
        assert_eq!(sqld.query("SELECT count(*) FROM t"), [["0"]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_a_time_lose_nothing() {
    let Some(sqld) = Sqld::start() else { return };
    for engine in engines_of(&sqld, "CREATE TABLE t (id INTEGER PRIMARY KEY)") {
        sqld.execute("DELETE FROM t");
        let engine = std::sync::Arc::new(engine);
        let mut tasks = tokio::task::JoinSet::new();
        for id in 0..100 {
            let engine = std::sync::Arc::clone(&engine);
            tasks.spawn(async move {
                assert_eq!(send(&engine, "POST", "/t", &format!(r#"{{"id":{id}}}"#)).await.0, 201);
                let found = get(&engine, &format!("/t?id=eq.{id}")).await;
                assert_eq!(found, (200, format!(r#"[{{"id":{id}}}]"#)));
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        assert_eq!(sqld.query("SELECT count(*) FROM t"), [["100"]]);
        engine.close(Duration::from_secs(5)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn embeds_to_a_depth_of_seven() {
    let Some(sqld) = Sqld::start() else { return };
    let staff = "CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INT REFERENCES staff (id)); INSERT INTO staff VALUES (1, 1)";
    let deep = |depth| format!("/staff?select={}id{}", "boss(".repeat(depth), ")".repeat(depth));
    for engine in engines_of(&sqld, staff) {
        let body = format!("[{}{{\"id\":1}}{}]", "{\"boss\":".repeat(7), "}".repeat(7));
        assert_eq!(get(&engine, &deep(7)).await, (200, body));
        let (status, body) = get(&engine, &deep(8)).await;
        assert!(status == 400 && body.contains("54001"), "{status} {body}");
    }
}
