//! HTTP on the wire: what is too large, too slow, half sent or odd must neither hang nor spoil the connection.

mod support;

use support::{Client, ENGINES, Scratch, get, serve, serve_with};

const FIRST: &str = "/tracks?id=eq.1&select=name";
const FIRST_BODY: &str = r#"[{"name":"a"}]"#;

/// The connection must still work.
fn assert_alive(client: &mut Client) {
    assert!(client.request("GET", FIRST, ""));
    assert_eq!(client.reply(false).expect("a reply").body, FIRST_BODY);
}

#[test]
fn a_connection_serves_many_requests_in_order() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve(engine, &database, &[]);
        let mut client = Client::connect(&server.address);
        let mut requests = String::new();
        for id in [3, 1, 2] {
            requests += &format!("GET /tracks?id=eq.{id}&select=id HTTP/1.1\r\nhost: x\r\n\r\n");
        }
        assert!(client.send(requests.as_bytes()));
        for id in [3, 1, 2] {
            assert_eq!(client.reply(false).expect("a reply").body, format!("[{{\"id\":{id}}}]"));
        }
        assert!(client.request("HEAD", FIRST, ""));
        let reply = client.reply(true).expect("a reply");
        assert_eq!(reply.header("content-length"), Some("14"), "{reply:?}");
        assert_alive(&mut client);
        server.stop();
    }
}

#[test]
fn raw_quotes_and_arrows_in_a_target() {
    let scratch = Scratch::new();
    let server = serve("native", &scratch.database("a.db"), &[]);
    let reply = get(&server.address, r#"/tracks?name=in.("a","c")&select=name&order=name"#);
    assert_eq!(reply.body, r#"[{"name":"a"},{"name":"c"}]"#);
    let reply = get(&server.address, "/tracks?select=name->>x<y`z");
    // The member's name has come through as it was sent.
    assert_eq!((reply.status, reply.body.contains("{\"x<y`z\":null}")), (200, true), "{reply:?}");
    server.stop();
}

#[test]
fn a_request_line_of_100_kb() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve(engine, &database, &[]);
        for target in
            [format!("/{}", "x".repeat(100_000)), format!("/tracks?name=eq.{}", "\"".repeat(50_000))]
        {
            let mut client = Client::connect(&server.address);
            assert!(client.send(format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()));
            let status = client.reply(false).expect("a reply").status;
            assert!([414, 431].contains(&status), "{status}");
        }
        // One of 60 kB is still a request.
        let reply = get(&server.address, &format!("/tracks?name=eq.{}", "x".repeat(60_000)));
        assert_eq!((reply.status, reply.body.as_str()), (200, "[]"));
        server.stop();
    }
}

#[test]
fn a_large_answer_is_whole() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let sql = rusqlite::Connection::open(&database).expect("database");
    sql.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 159)
         INSERT INTO albums SELECT i, hex(zeroblob(500000)), NULL FROM n",
    )
    .expect("rows");
    drop(sql);
    for engine in ENGINES {
        let server = serve(engine, &database, &[]);
        let mut client = Client::connect(&server.address);
        for rows in [1, 150] {
            assert!(client.request("GET", &format!("/albums?id=gte.10&select=title&limit={rows}"), ""));
            let reply = client.reply(false).expect("a reply");
            assert_eq!((reply.status, reply.body.len()), (200, 1 + rows * (1_000_000 + 13)), "{engine}");
        }
        assert_alive(&mut client);
        server.stop();
    }
}

#[test]
fn what_is_not_http() {
    let scratch = Scratch::new();
    let server = serve("native", &scratch.database("a.db"), &[]);
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"GET /tracks HTTP/9.9\r\n\r\n",
        b"GET /tr\xffacks HTTP/1.1\r\n\r\n",
        b"POST /tracks HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"\r\n\r\nhello\r\n\r\n",
    ] {
        let mut client = Client::connect(&server.address);
        assert!(client.send(bytes));
        let reply = client.reply(false).expect("a reply");
        assert_eq!(reply.status, 400, "{bytes:?}");
        assert!(client.is_closed(), "{bytes:?}");
    }
    assert_eq!(get(&server.address, FIRST).body, FIRST_BODY);
    server.stop();
}

#[test]
fn a_body_over_the_limit() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let row = |size: usize| format!(r#"{{"id":9,"title":"{}"}}"#, "x".repeat(size - 19));
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_SERVER_MAX_BODY", "64KiB")]);
        let mut client = Client::connect(&server.address);
        // By its length, before it is sent; then whole; then in chunks.
        for size in [(64 << 10) + 1, 8 << 20] {
            client.request("POST", "/albums", &row(size));
            let reply = client.reply(false).expect("a reply");
            assert_eq!(reply.status, 413, "{reply:?}");
            assert!(reply.body.contains("larger than 65536 bytes"), "{reply:?}");
            assert_alive(&mut client);
        }
        let mut chunked = b"POST /albums HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..100 {
            chunked.extend(format!("400\r\n{}\r\n", "x".repeat(1024)).bytes());
        }
        chunked.extend(b"0\r\n\r\n");
        assert!(client.send(&chunked));
        assert_eq!(client.reply(false).expect("a reply").status, 413);
        assert_alive(&mut client);
        // A client that asks first is told before it sends.
        let head =
            "POST /albums HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\nexpect: 100-continue\r\n\r\n";
        assert!(client.send(head.as_bytes()));
        assert_eq!(client.reply(false).expect("a reply").status, 413);
        // At the limit it is served.
        let mut client = Client::connect(&server.address);
        assert!(client.request("POST", "/albums", &row(64 << 10)));
        assert_eq!(client.reply(false).expect("a reply").status, 201);
        assert_eq!(support::reply_to(&server.address, "DELETE", "/albums?id=eq.9", "").status, 204);
        server.stop();
    }
}

#[test]
fn a_body_that_asks_whether_to_continue() {
    let scratch = Scratch::new();
    let server = serve("native", &scratch.database("a.db"), &[]);
    let mut client = Client::connect(&server.address);
    let body = r#"{"id":9,"title":"x"}"#;
    let head = format!(
        "POST /albums HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    assert!(client.send(head.as_bytes()));
    assert_eq!(client.reply(false).expect("a reply").status, 100);
    assert!(client.send(body.as_bytes()));
    assert_eq!(client.reply(false).expect("a reply").status, 201);
    server.stop();
}

#[test]
fn slow_and_half_requests_hold_nothing() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_POOL_READERS_PER_DB", "1")]);
        // Many that have sent half a head or half a body, as many as there could be connections or instances.
        let mut slow = Vec::new();
        for number in 0..100 {
            let mut client = Client::connect(&server.address);
            let half = match number % 2 {
                0 => "GET /tracks HTTP/1.1\r\nho",
                _ => {
                    "POST /albums HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{\"id\":9,"
                }
            };
            assert!(client.send(half.as_bytes()));
            slow.push(client);
        }
        assert_eq!(get(&server.address, FIRST).body, FIRST_BODY);
        let reply = support::reply_to(&server.address, "POST", "/albums", r#"{"id":10,"title":"x"}"#);
        assert_eq!(reply.status, 201);
        // They can go on.
        let mut last = slow.pop().expect("one");
        assert!(last.send(b"\"title\":\"y\"}"));
        assert_eq!(last.reply(false).expect("a reply").status, 201, "the last of the slow ones");
        let reply = support::reply_to(&server.address, "DELETE", "/albums?id=gte.9", "");
        assert_eq!(reply.status, 204);
        // One that breaks off in the middle of its body writes nothing.
        drop(slow);
        assert_eq!(get(&server.address, "/albums?id=gte.9").body, "[]");
        server.stop();
    }
}

#[test]
fn the_stages_are_timed_where_that_is_wanted() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_API_SERVER_TIMING", "true")]);
        for target in [FIRST, "/nothing"] {
            let reply = get(&server.address, target);
            let timing = reply.header("server-timing").expect("a server-timing").to_owned();
            let stages: Vec<(&str, f64)> = timing
                .split(", ")
                .filter_map(|stage| stage.split_once(";dur="))
                .map(|(name, dur)| (name, dur.parse().expect("milliseconds")))
                .collect();
            let names: Vec<&str> = stages.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, ["jwt", "parse", "plan", "transaction", "response"], "{timing}");
            assert!(stages.iter().all(|(_, dur)| *dur >= 0.0) && stages[2].1 > 0.0, "{timing}");
        }
        server.stop();
        let server = serve(engine, &database, &[]);
        assert_eq!(get(&server.address, FIRST).header("server-timing"), None);
        server.stop();
    }
}
