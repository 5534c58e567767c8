//! What connections may have: how many there are, how long they may do nothing, how large a head is.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Connection, VERSIONS, Version, request};
use crate::support::{Client, ENGINES, LIMIT, Scratch, get, serve_with};

const FIRST: &str = "/tracks?id=eq.1&select=id";
const FIRST_BODY: &str = "[{\"id\":1}]";

/// Asks on connections of its own until one is served: a place has come free, which is that of the connection that comes back.
async fn served(address: &str, version: Version) -> Connection {
    let asks = async {
        loop {
            let mut connection = Connection::open(address, version).await;
            match connection.status(FIRST).await {
                Some(200) => return connection,
                // One that is refused may be closed before it has asked.
                status => assert!(matches!(status, None | Some(503)), "{status:?}"),
            }
        }
    };
    timeout(LIMIT, asks).await.expect("a place")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_is_told_so() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_SERVER_MAX_CONNECTIONS", "2")]);
        for version in VERSIONS {
            let one = served(&server.address, version).await;
            let mut two = served(&server.address, version).await;
            let mut three = Connection::open(&server.address, version).await;
            let refused = three.get(FIRST, &[]).await;
            assert_eq!(
                (refused.status, refused.header("retry-after")),
                (503, Some("1")),
                "{engine} {version:?}"
            );
            assert!(refused.text().contains("\"code\":\"53300\""), "{refused:?}");
            three.closed().await;
            assert_eq!(two.get(FIRST, &[]).await.text(), FIRST_BODY, "others are served");
            drop(one);
            drop(served(&server.address, version).await);
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_nothing_is_closed() {
    let scratch = Scratch::new();
    let environment = [("SQLITREST_SERVER_HEADER_TIMEOUT", "500ms")];
    let server = serve_with("native", &scratch.database("a.db"), &[], &environment);
    let mut begun = Vec::new();
    for bytes in [
        "",
        "G",
        "GET /tracks HTTP/1.1\r\nho",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
        "GET /tracks?id=eq.1&select=id HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
        stream.write_all(bytes.as_bytes()).await.expect("sent");
        begun.push(stream);
    }
    let mut idle = Connection::open(&server.address, Version::Http2).await;
    assert_eq!(idle.get(FIRST, &[]).await.text(), FIRST_BODY);
    for mut stream in begun {
        let mut told = Vec::new();
        // A reset is an end as well.
        let _ = timeout(LIMIT, stream.read_to_end(&mut told)).await.expect("an end");
    }
    idle.closed().await;
    assert_eq!(get(&server.address, FIRST).body, FIRST_BODY);
    server.stop();
}

/// Who asks for much and reads nothing of it does not keep its place: it is the only one.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_is_cut_off() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let sql = rusqlite::Connection::open(&database).expect("database");
    sql.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
         INSERT INTO albums SELECT i, hex(zeroblob(500000)), NULL FROM n",
    )
    .expect("rows");
    let environment =
        [("SQLITREST_SERVER_HEADER_TIMEOUT", "500ms"), ("SQLITREST_SERVER_MAX_CONNECTIONS", "1")];
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &environment);
        // As it comes, and as a whole.
        for headers in [&[][..], &[("prefer", "count=exact")][..]] {
            for version in VERSIONS {
                let mut lazy = served(&server.address, version).await;
                let asked = request("GET", "/albums?id=gte.10", headers, "");
                let answer = lazy.send(asked).await.expect("an answer");
                assert!(answer.status().is_success(), "{answer:?}");
                drop(served(&server.address, version).await);
                drop((lazy, answer));
            }
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_limits() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let environment = [("SQLITREST_SERVER_MAX_HEADER_SIZE", "8KiB"), ("SQLITREST_SERVER_MAX_HEADERS", "10")];
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &environment);
        for version in VERSIONS {
            let status = async |headers: &[(&str, &str)]| {
                let mut connection = Connection::open(&server.address, version).await;
                connection.get(FIRST, headers).await.status
            };
            let (short, long) = ("x".repeat(6 << 10), "x".repeat(9 << 10));
            assert_eq!(status(&[("x-a", &short)]).await, 200, "{engine} {version:?}");
            assert_eq!(status(&[("x-a", &long)]).await, 431, "{engine} {version:?}");
            assert_eq!(status(&[("x-a", &short), ("x-b", &short)]).await, 431, "{engine} {version:?}");
            let names: Vec<String> = (0..8).map(|number| format!("x-{number}")).collect();
            let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "y")).collect();
            assert_eq!(status(&fields).await, 200, "with two more it is ten");
            let more = [&fields[..], &[("x-last", "y")]].concat();
            // With HTTP/1.1 hyper has an answer of its own, which says nothing.
            let mut connection = Connection::open(&server.address, version).await;
            let got = connection.get(FIRST, &more).await;
            assert_eq!(got.status, 431, "{engine} {version:?}");
            assert!(got.text().contains("\"code\":\"54001\""), "{engine} {version:?}: {got:?}");
        }
        server.stop();
        let server = serve_with(engine, &database, &[], &[]);
        for version in VERSIONS {
            let names: Vec<String> = (0..101).map(|number| format!("x-{number}")).collect();
            let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "y")).collect();
            let mut connection = Connection::open(&server.address, version).await;
            let got = connection.get(FIRST, &fields).await;
            assert!(got.status == 431 && got.text().contains("\"54001\""), "{engine} {version:?}: {got:?}");
        }
        let target = format!("/tracks?name=eq.{}", "x".repeat(66_000));
        assert_eq!(get(&server.address, &target).status, 414);
        let mut client = Client::connect(&server.address);
        assert!(
            client.send(format!("GET /tracks HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(140 << 10)).as_bytes())
        );
        assert_eq!(client.reply(false).expect("a reply").status, 431);
        server.stop();
    }
}
