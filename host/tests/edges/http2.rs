//! HTTP/2, with prior knowledge on a port in the clear.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::header::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Connection, Got, VERSIONS, Version, collect, request, request_of};
use crate::support::{ENGINES, LIMIT, Scratch, assert_no_log, count, path, serve, serve_with};

/// A body in pieces, as they come.
pub struct Pieces(pub Receiver<&'static str>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))))
    }
}

/// What must be the same whatever the version: all but what is said of the connection and the time.
fn lasting(got: &Got) -> (u16, HeaderMap, &str, bool) {
    let mut headers = got.headers.clone();
    for name in ["date", "connection", "transfer-encoding", "content-length", "x-request-id"] {
        headers.remove(name);
    }
    (got.status, headers, got.text(), got.whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_answers_as_of_http_1() {
    let scratch = Scratch::new();
    for engine in ENGINES {
        let server = serve_with(
            engine,
            &scratch.database(&format!("{engine}.db")),
            &[],
            &[("SQLITREST_SERVER_MAX_BODY", "64KiB")],
        );
        let large = format!(r#"{{"id":9,"title":"{}"}}"#, "x".repeat(70 << 10));
        let preflight = [("origin", "https://app.example"), ("access-control-request-method", "GET")];
        // An arrow in the clear would be no target of HTTP/2. What is written is taken back, so that both find the same.
        let requests = [
            ("GET", "/tracks?order=id&select=name,album:albums(title)", &[][..], ""),
            ("HEAD", "/tracks?order=id", &[("prefer", "count=exact")][..], ""),
            ("GET", "/tracks?limit=2&order=id", &[("prefer", "count=exact")][..], ""),
            ("GET", "/tracks?name=in.(%22a%22,%22c%22)&select=name-%3E%3Ex", &[][..], ""),
            ("GET", "/nope", &[][..], ""),
            ("GET", "/tracks?nope=eq.1", &[("origin", "https://app.example")][..], ""),
            ("OPTIONS", "/tracks", &preflight[..], ""),
            ("POST", "/albums", &[("prefer", "return=representation")][..], r#"{"id":7,"title":"Seven"}"#),
            ("DELETE", "/albums?id=eq.7", &[("prefer", "return=representation")][..], ""),
            ("POST", "/albums", &[][..], "[{"),
            ("POST", "/albums", &[][..], &large),
        ];
        let mut answers = Vec::new();
        for version in VERSIONS {
            let mut connection = Connection::open(&server.address, version).await;
            for (method, target, headers, body) in requests {
                answers.push(connection.ask(request(method, target, headers, body)).await);
            }
        }
        let (first, second) = answers.split_at(requests.len());
        for ((one, other), (method, target, ..)) in first.iter().zip(second).zip(requests) {
            assert_eq!(lasting(one), lasting(other), "{engine} {method} {target}");
            assert_eq!(other.header("connection"), None);
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_a_time() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve(engine, &database, &[]);
        let connection = Connection::open(&server.address, Version::Http2).await;
        let mut tasks = JoinSet::new();
        for number in 0..500 {
            let mut sender = connection.another().expect("HTTP/2");
            tasks.spawn(async move {
                std::future::poll_fn(|cx| sender.poll_ready(cx)).await.expect("a connection");
                let id = number % 3 + 1;
                let asked = request("GET", &format!("/tracks?id=eq.{id}&select=id"), &[], "");
                let got = collect(sender.send_request(asked).await.expect("an answer")).await;
                assert_eq!(got.text(), format!("[{{\"id\":{id}}}]"));
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.expect("the right answer");
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_streamed_and_break_off() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let sql = rusqlite::Connection::open(&database).expect("database");
    sql.execute_batch(
        "CREATE VIEW many AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 200000) SELECT n FROM c;
         CREATE VIEW endless AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c;",
    )
    .expect("views");
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_MIDDLEWARE_REQUEST_TIMEOUT", "1s")]);
        let mut connection = Connection::open(&server.address, Version::Http2).await;
        let many = connection.get("/many", &[]).await;
        assert!(many.whole && many.text().ends_with("{\"n\":200000}]"), "{engine}");
        assert_eq!(many.header("content-length"), None);
        let endless = connection.get("/endless", &[]).await;
        assert!(endless.status == 200 && !endless.whole && endless.body.len() > 1 << 20, "{engine}");
        // Only that stream is over.
        assert_eq!(connection.get("/tracks?id=eq.1&select=id", &[]).await.text(), "[{\"id\":1}]");
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_the_host() {
    let scratch = Scratch::new();
    let config = scratch.file(
        "s.toml",
        "[[udf]]\nname = \"host\"\nexpose = true\nreturns = \"scalar text\"\nsql = \"SELECT request_value('request.headers', 'host')\"\n",
    );
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve(engine, &database, &["--config", path(&config)]);
        for version in VERSIONS {
            let mut connection = Connection::open(&server.address, version).await;
            let mut asked = request("GET", "/rpc/host", &[], "");
            if version == Version::Http2 {
                asked.headers_mut().remove("host");
            }
            assert_eq!(connection.ask(asked).await.text(), "\"api.example\"", "{engine} {version:?}");
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_what_has_begun_is_finished() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve(engine, &database, &[]);
        let mut idle = Connection::open(&server.address, Version::Http2).await;
        assert_eq!(idle.get("/tracks", &[]).await.status, 200);
        let mut half = Connection::open(&server.address, Version::Http2).await;
        let (body, pieces) = channel(2);
        body.send("{\"id\":9,").await.expect("room");
        let mut beside = half.another().expect("HTTP/2");
        let begun = tokio::spawn(beside.send_request(request_of("POST", "/albums", Pieces(pieces))));
        // The server has the head of it: another request, which came after it, is answered.
        assert_eq!(half.get("/tracks", &[]).await.status, 200);
        server.signal("TERM");
        // It has begun to end.
        idle.closed().await;
        body.send("\"title\":\"x\"}").await.expect("room");
        drop(body);
        let got = collect(begun.await.expect("no panic").expect("an answer")).await;
        assert_eq!(got.status, 201, "{got:?}");
        half.closed().await;
        let ended = server.wait();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        assert_no_log(&database);
        let sql = rusqlite::Connection::open(&database).expect("database");
        assert_eq!(sql.execute("DELETE FROM albums WHERE id = 9", []).expect("delete"), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_under_load_nothing_is_lost() {
    let scratch = Scratch::new();
    for engine in ENGINES {
        let database = scratch.database(&format!("{engine}.db"));
        let server = serve(engine, &database, &[]);
        let acknowledged = AtomicI64::new(0);
        let (server, known) = (&server, &acknowledged);
        let writes = async |client: i64| {
            for number in 0.. {
                let Ok(stream) = TcpStream::connect(&server.address).await else { return };
                let Ok(mut connection) = Connection::try_over(stream, Version::Http2).await else { return };
                for row in 0.. {
                    let row = format!(r#"{{"name":"load {client} {number} {row}"}}"#);
                    let Ok(answer) = connection.send(request("POST", "/tracks", &[], &row)).await else {
                        break;
                    };
                    assert_eq!(answer.status(), 201);
                    if known.fetch_add(1, Ordering::Relaxed) == 100 {
                        server.signal("TERM");
                    }
                }
            }
        };
        tokio::join!(writes(1), writes(2), writes(3), writes(4));
        let acknowledged = acknowledged.load(Ordering::Relaxed);
        // An answer that was sent may have been lost on the way, but nothing else.
        let written = count(&database, "tracks WHERE name LIKE 'load%'");
        assert!(
            (acknowledged..=acknowledged + 4).contains(&written),
            "{engine}: {written} of {acknowledged}"
        );
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).expect("short").to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The kind of frame that ends a connection, and its words for too much.
const GOAWAY: u8 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The reason that the server gives for ending the connection.
async fn reason(stream: &mut TcpStream) -> Option<u32> {
    loop {
        let mut head = [0; 9];
        timeout(LIMIT, stream.read_exact(&mut head)).await.expect("a frame or the end").ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        timeout(LIMIT, stream.read_exact(&mut payload)).await.expect("the frame").ok()?;
        if head[3] == GOAWAY {
            return Some(u32::from_be_bytes(payload[4..8].try_into().expect("four")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_resets_what_it_begins_is_sent_away() {
    let scratch = Scratch::new();
    let server = serve("native", &scratch.database("a.db"), &[]);
    let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
    for stream in (1..2001).step_by(2) {
        // GET, http, /, and an authority.
        bytes.extend(frame(1, 5, stream, b"\x82\x86\x84\x41\x01x"));
        bytes.extend(frame(3, 0, stream, &8u32.to_be_bytes()));
    }
    let mut attacker = TcpStream::connect(&server.address).await.expect("a connection");
    // It may be sent away before it has sent all.
    let _ = attacker.write_all(&bytes).await;
    assert_eq!(reason(&mut attacker).await, Some(ENHANCE_YOUR_CALM));
    let mut other = Connection::open(&server.address, Version::Http2).await;
    assert_eq!(other.get("/tracks?id=eq.1&select=id", &[]).await.text(), "[{\"id\":1}]");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_end_and_without_sense() {
    let scratch = Scratch::new();
    let server = serve("native", &scratch.database("a.db"), &[]);
    let headers = frame(1, 1, 1, b"\x82\x86\x84\x41\x01x");
    // A list of fields that goes on and on, each piece of it small (CVE-2024-27316).
    let flood =
        [headers, frame(9, 0, 1, &[b"\x40\x01a\x01b".as_slice(); 100].concat()).repeat(1000)].concat();
    let garbage = frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff");
    let unknown = frame(0, 1, 1, b"data of no request");
    for bytes in [flood, garbage, unknown] {
        let mut attacker = TcpStream::connect(&server.address).await.expect("a connection");
        let _ = attacker.write_all(&[PREFACE, &frame(4, 0, 0, &[]), &bytes].concat()).await;
        // None where the connection is cut at once.
        assert_ne!(reason(&mut attacker).await, Some(0));
    }
    let mut other = Connection::open(&server.address, Version::Http2).await;
    assert_eq!(other.get("/tracks?id=eq.1&select=id", &[]).await.text(), "[{\"id\":1}]");
    server.stop();
}
