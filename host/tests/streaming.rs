//! Answers that are sent while they are read.

mod support;

use support::{Client, ENGINES, Reply, Scratch, get, reply_to, serve, serve_with};

const MANY: &str =
    "CREATE VIEW many AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 200000)
    SELECT n, 'row ' || n AS name FROM c;
    CREATE VIEW endless AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)
    SELECT n, hex(zeroblob(50)) AS zeros FROM c;
    CREATE VIEW never AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) AS n FROM c;";

fn database(scratch: &Scratch) -> std::path::PathBuf {
    let database = scratch.database("a.db");
    let sql = rusqlite::Connection::open(&database).expect("database");
    sql.execute_batch(MANY).expect("views");
    database
}

fn ask(address: &str, headers: &str, target: &str) -> Reply {
    let mut client = Client::connect(address);
    assert!(client.send(format!("GET {target} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()));
    client.reply(false).expect("a reply")
}

#[test]
fn what_is_streamed_is_what_is_there() {
    let scratch = Scratch::new();
    let database = database(&scratch);
    let mut answers = Vec::new();
    for engine in ENGINES {
        let server = serve(engine, &database, &[]);
        let json = ask(&server.address, "", "/many");
        assert_eq!(json.header("transfer-encoding"), Some("chunked"), "{engine}");
        // What goes by all of the rows is not there before they are.
        for absent in ["content-length", "content-range", "etag"] {
            assert_eq!(json.header(absent), None, "{engine}");
        }
        let rows: Vec<serde_json::Value> = serde_json::from_str(&json.body).expect("JSON");
        assert_eq!(rows.len(), 200_000);
        assert_eq!(rows[199_999], serde_json::json!({"n": 200_000, "name": "row 200000"}));
        let csv = ask(&server.address, "accept: text/csv\r\n", "/many");
        assert_eq!((csv.body.lines().count(), csv.body.lines().next()), (200_001, Some("n,name")));
        assert_eq!(csv.body.lines().last(), Some("200000,row 200000"));
        let lines = ask(&server.address, "accept: application/x-ndjson\r\n", "/many?select=n");
        assert!(lines.body.ends_with("{\"n\":199999}\n{\"n\":200000}\n"));
        // One that needs all rows for its head is whole, and so is a small one.
        for (headers, target) in [
            ("prefer: count=exact\r\n", "/many"),
            ("if-none-match: \"x\"\r\n", "/many"),
            ("", "/many?limit=5000"),
        ] {
            let whole = ask(&server.address, headers, target);
            assert!(whole.header("content-length").is_some(), "{engine} {headers}");
            assert!(whole.header("content-range").is_some(), "{engine} {headers}");
            assert!(json.body.starts_with(&whole.body[..whole.body.len() - 1]), "{engine} {headers}");
        }
        answers.push((json, csv, lines));
        server.stop();
    }
    assert!(answers[0] == answers[1], "the engines differ");
}

#[test]
fn who_leaves_gives_the_connection_back() {
    let scratch = Scratch::new();
    let database = database(&scratch);
    for engine in ENGINES {
        // One of the two may be long.
        let server = serve_with(engine, &database, &[], &[("SQLITREST_POOL_READERS_PER_DB", "2")]);
        for _ in 0..5 {
            let mut client = Client::connect(&server.address);
            assert!(client.request("GET", "/endless", ""));
            client.read(100_000);
            // What is asked meanwhile is answered, writes too.
            assert_eq!(get(&server.address, "/tracks?id=eq.1&select=name").body, r#"[{"name":"a"}]"#);
            let row = r#"{"id":77,"title":"meanwhile"}"#;
            assert_eq!(reply_to(&server.address, "POST", "/albums", row).status, 201);
            assert_eq!(reply_to(&server.address, "DELETE", "/albums?id=eq.77", "").status, 204);
        }
        let all = get(&server.address, "/many?select=n");
        assert!(all.whole && all.body.ends_with("{\"n\":200000}]"), "{engine}");
        server.stop();
    }
}

#[test]
fn rows_that_take_too_long_break_off() {
    let scratch = Scratch::new();
    let database = database(&scratch);
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_MIDDLEWARE_REQUEST_TIMEOUT", "300ms")]);
        let reply = get(&server.address, "/endless");
        // It has begun well, and what is missing is noticed.
        assert!(reply.status == 200 && !reply.whole && reply.body.len() > 1 << 20, "{engine}");
        assert_eq!(get(&server.address, "/tracks?id=eq.1&select=name").body, r#"[{"name":"a"}]"#);
        server.stop();
    }
}

#[test]
fn who_leaves_before_there_are_rows_gives_the_connection_back() {
    let scratch = Scratch::new();
    let database = database(&scratch);
    for engine in ENGINES {
        // One of the two may be long.
        let server = serve_with(engine, &database, &[], &[("SQLITREST_POOL_READERS_PER_DB", "2")]);
        for _ in 0..3 {
            let mut client = Client::connect(&server.address);
            assert!(client.request("GET", "/never", ""));
            std::thread::sleep(std::time::Duration::from_millis(100));
            drop(client);
            assert_eq!(
                get(&server.address, "/many?select=n&limit=1&n=eq.9999").body,
                r#"[{"n":9999}]"#,
                "{engine}"
            );
        }
        server.stop();
    }
}

#[test]
fn a_client_of_http_1_0_gets_all_or_an_error() {
    let scratch = Scratch::new();
    let database = database(&scratch);
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_MIDDLEWARE_REQUEST_TIMEOUT", "1s")]);
        let ask = |target: &str| {
            let mut client = Client::connect(&server.address);
            assert!(client.send(format!("GET {target} HTTP/1.0\r\nhost: x\r\n\r\n").as_bytes()));
            client.reply(false).expect("a reply")
        };
        let all = ask("/many?select=n");
        assert_eq!(all.header("content-length"), Some(all.body.len().to_string().as_str()), "{engine}");
        assert!(all.body.ends_with("{\"n\":200000}]"), "{engine}");
        let endless = ask("/endless");
        assert!(matches!(endless.status, 400 | 500), "{engine} {}", endless.status);
        server.stop();
    }
}
