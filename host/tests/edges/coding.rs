//! Content codings: what is decoded is what would have been sent plain, and tags go round.

use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::client::{Connection, Got, VERSIONS, Version, request};
use crate::support::{Client, ENGINES, LIMIT, Scratch, path, serve, serve_with};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// Rows of some kilobytes, of a megabyte and of as many as are asked for.
fn database(scratch: &Scratch) -> std::path::PathBuf {
    let database = scratch.database("a.db");
    let sql = rusqlite::Connection::open(&database).expect("database");
    sql.execute_batch(
        "CREATE TABLE words(id INTEGER PRIMARY KEY, word TEXT, number REAL);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO words SELECT i, 'word number ' || (i * i % 9973), i / 7.0 FROM n;
         CREATE VIEW many AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 200000)
         SELECT n, 'row ' || n AS name FROM c;
         CREATE VIEW endless AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)
         SELECT n, hex(zeroblob(50)) AS zeros FROM c;",
    )
    .expect("rows");
    database
}

async fn accepting(connection: &mut Connection, target: &str, accepted: &str, more: &[(&str, &str)]) -> Got {
    connection.get(target, &[&[("accept-encoding", accepted)][..], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn decoded_it_is_the_same() {
    let scratch = Scratch::new();
    let database = database(&scratch);
    for engine in ENGINES {
        let server = serve(engine, &database, &[]);
        for version in VERSIONS {
            let mut connection = Connection::open(&server.address, version).await;
            for (target, headers, is_streamed) in [
                ("/words?order=id&limit=100", &[][..], false),
                ("/words?order=id&limit=100", &[("prefer", "count=exact")][..], false),
                ("/words?order=id", &[("accept", "text/csv"), ("prefer", "count=exact")][..], false),
                ("/words?order=id&limit=9000", &[("accept", "application/x-ndjson")][..], false),
                ("/many", &[][..], true),
                ("/many", &[("accept", "text/csv")][..], true),
            ] {
                let plain = connection.get(target, headers).await;
                assert!(plain.whole && plain.header("content-encoding").is_none());
                assert_eq!(plain.header("content-length").is_none(), is_streamed, "{target}");
                assert_eq!(plain.header("vary"), Some("Accept, Prefer, Range, Accept-Encoding"));
                let mut tags = vec![plain.header("etag").map(str::to_owned)];
                for coding in CODINGS {
                    let coded = accepting(&mut connection, target, coding, headers).await;
                    assert_eq!((coded.status, coded.whole), (plain.status, true));
                    assert_eq!(
                        coded.header("content-encoding"),
                        Some(coding),
                        "{engine} {version:?} {target}"
                    );
                    assert!(coded.body.len() < plain.body.len() / 2, "{coding} {}", coded.body.len());
                    assert!(coded.plain() == plain.body, "{engine} {version:?} {target} {coding}");
                    assert_eq!(coded.header("vary"), plain.header("vary"));
                    assert_eq!(coded.header("content-range"), plain.header("content-range"));
                    tags.push(coded.header("etag").map(str::to_owned));
                }
                if !is_streamed {
                    tags.sort();
                    tags.dedup();
                    assert!(
                        tags.len() == 4 && tags[0].is_some(),
                        "each coding has a tag of its own: {tags:?}"
                    );
                }
            }
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rows_come_before_the_last() {
    let scratch = Scratch::new();
    let database = database(&scratch);
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_MIDDLEWARE_REQUEST_TIMEOUT", "2s")]);
        for version in VERSIONS {
            for coding in CODINGS {
                let mut connection = Connection::open(&server.address, version).await;
                let asked = request("GET", "/endless", &[("accept-encoding", coding)], "");
                let response = connection.send(asked).await.expect("an answer");
                let (head, mut body) = response.into_parts();
                let mut got = Got { status: 200, headers: head.headers, body: Vec::new(), whole: false };
                // There is no last one: these are here before the server knows that.
                while got.plain().len() < 100_000 {
                    let frame =
                        timeout(LIMIT, body.frame()).await.expect("rows").expect("rows").expect("rows");
                    got.body.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                assert!(
                    got.plain().starts_with(b"[{\"n\":1,\"zeros\":\"0000"),
                    "{engine} {version:?} {coding}"
                );
                // And it breaks off, which a client notices.
                let rest = timeout(LIMIT, async {
                    while let Some(frame) = body.frame().await {
                        if frame.is_err() {
                            return true;
                        }
                    }
                    false
                });
                assert!(rest.await.expect("an end"), "{engine} {version:?} {coding}");
            }
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_go_round() {
    let scratch = Scratch::new();
    let database = database(&scratch);
    for engine in ENGINES {
        let server = serve(engine, &database, &[]);
        let mut connection = Connection::open(&server.address, Version::Http1).await;
        let target = "/words?id=lte.50&order=id";
        for coding in ["identity", "gzip", "br", "zstd"] {
            let got = accepting(&mut connection, target, coding, &[]).await;
            let tag = got.header("etag").expect("a tag").to_owned();
            assert_eq!(tag.ends_with(&format!("-{coding}\"")), coding != "identity", "{tag}");
            // Nothing has changed, whatever is accepted now.
            for accepted in [coding, "identity"] {
                let same = accepting(&mut connection, target, accepted, &[("if-none-match", &tag)]).await;
                assert_eq!((same.status, same.body.len()), (304, 0), "{engine} {coding}");
                assert_eq!(
                    (same.header("etag"), same.header("vary")),
                    (Some(tag.as_str()), Some("Accept, Prefer, Range, Accept-Encoding"))
                );
                assert_eq!(same.header("content-encoding"), None);
            }
            // A write on the condition of what was read goes on, and the tag is old then.
            let patch = |number: i32| {
                let body = format!("{{\"number\":{number}.5}}");
                request("PATCH", target, &[("if-match", &tag)], &body)
            };
            let number = i32::try_from(coding.len()).expect("short");
            assert_eq!(connection.ask(patch(number)).await.status, 204, "{engine} {coding}");
            assert_eq!(connection.ask(patch(-number)).await.status, 412, "{engine} {coding}");
            let changed = accepting(&mut connection, target, coding, &[("if-none-match", &tag)]).await;
            assert_eq!(changed.status, 200, "{engine} {coding}");
            let changed = changed.plain();
            assert!(String::from_utf8_lossy(&changed).contains(&format!("\"number\":{number}.5")));
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_says_what_get_says() {
    let scratch = Scratch::new();
    let database = database(&scratch);
    for engine in ENGINES {
        let server = serve(engine, &database, &[]);
        for version in VERSIONS {
            let mut connection = Connection::open(&server.address, version).await;
            for (target, accepted) in
                [("/words?limit=100", "gzip"), ("/words?limit=1", "gzip"), ("/words?limit=100", "identity")]
            {
                let asked = |method| request(method, target, &[("accept-encoding", accepted)], "");
                let get = connection.ask(asked("GET")).await;
                let head = connection.ask(asked("HEAD")).await;
                assert_eq!((head.status, head.body.len()), (get.status, 0));
                for name in ["content-encoding", "vary", "etag", "content-type", "content-range"] {
                    assert_eq!(head.header(name), get.header(name), "{engine} {version:?} {target} {name}");
                }
                // The length may be left out, and not be wrong.
                let length = head.header("content-length");
                assert!(length.is_none() || length == get.header("content-length"), "{head:?}");
                assert_eq!(length.is_none(), get.header("content-encoding").is_some(), "{head:?}");
            }
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_as_it_is() {
    let scratch = Scratch::new();
    let database = database(&scratch);
    let config = scratch.file(
        "s.toml",
        "[[udf]]\nname = \"cookie\"\nexpose = true\nreturns = \"scalar text\"\nsql = \"SELECT hex(zeroblob(2000))\"\n\
         response_headers = [[\"Set-Cookie\", \"session=1\"]]\n\
         [[udf]]\nname = \"token\"\nexpose = true\nreturns = \"scalar text\"\nsql = \"SELECT hex(zeroblob(2000))\"\n\
         response_headers = [[\"Cache-Control\", \"no-store\"]]\n\
         [[udf]]\nname = \"picture\"\nexpose = true\nreturns = \"scalar blob\"\nsql = \"SELECT zeroblob(4000)\"\nmedia_type = \"image/png\"\n\
         [[udf]]\nname = \"page\"\nexpose = true\nreturns = \"scalar text\"\nsql = \"SELECT hex(zeroblob(2000))\"\nmedia_type = \"text/html\"\n",
    );
    for engine in ENGINES {
        let server = serve(engine, &database, &["--config", path(&config)]);
        let mut connection = Connection::open(&server.address, Version::Http1).await;
        for (target, accept) in [
            ("/words?limit=1", "*/*"),
            ("/rpc/cookie", "*/*"),
            ("/rpc/token", "*/*"),
            ("/rpc/picture", "image/png"),
        ] {
            let got = accepting(&mut connection, target, "gzip, br, zstd", &[("accept", accept)]).await;
            assert_eq!((got.status, got.header("content-encoding")), (200, None), "{engine} {target}");
        }
        let page = accepting(&mut connection, "/rpc/page", "gzip", &[("accept", "text/html")]).await;
        assert_eq!((page.header("content-encoding"), page.plain()), (Some("gzip"), vec![b'0'; 4000]));
        let short = accepting(&mut connection, "/words?limit=1", "gzip, identity;q=0", &[]).await;
        assert_eq!(short.header("content-encoding"), Some("gzip"), "who takes nothing else");
        let liked =
            accepting(&mut connection, "/words?limit=100", "zstd;q=0.5, gzip;q=0.8, br;q=0.1", &[]).await;
        assert_eq!(liked.header("content-encoding"), Some("gzip"));
        // Of HTTP/1.0 the end of a body is that of the connection.
        let mut old = Client::connect(&server.address);
        assert!(old.send(b"GET /words?limit=100 HTTP/1.0\r\naccept-encoding: gzip\r\n\r\n"));
        let reply = old.reply(false).expect("a reply");
        assert_eq!((reply.status, reply.header("content-encoding")), (200, None));
        server.stop();

        let off = [("SQLITREST_MIDDLEWARE_COMPRESSION", "false")];
        let server = serve_with(engine, &database, &[], &off);
        let mut connection = Connection::open(&server.address, Version::Http1).await;
        let got = accepting(&mut connection, "/words?limit=100", "gzip", &[]).await;
        assert_eq!(
            (got.header("content-encoding"), got.header("vary")),
            (None, Some("Accept, Prefer, Range")),
            "{engine}"
        );
        server.stop();
        let less = [("SQLITREST_MIDDLEWARE_COMPRESSION_MIN_SIZE", "100KiB")];
        let server = serve_with(engine, &database, &[], &less);
        let mut connection = Connection::open(&server.address, Version::Http1).await;
        let of = async |connection: &mut Connection, limit: usize| {
            let got = accepting(connection, &format!("/words?limit={limit}"), "gzip", &[]).await;
            got.header("content-encoding").is_some()
        };
        assert!(!of(&mut connection, 100).await && of(&mut connection, 5000).await, "{engine}");
        server.stop();
    }
}
