//! TLS: what is spoken, what stops the start, and another certificate while connections live on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use sqlitrest::listener::Listener;
use sqlitrest::server::{self, Limits};
use sqlitrest::tls::{Section, Tls};
use sqlitrest::{Config, Engine, Guest, Origin, Serving, exchange};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::client::{Connection, VERSIONS, Version, shake_hands, trusting};
use crate::support::{ENGINES, LIMIT, Scratch, guest, path, run, serve, serve_with};

const FIRST: &str = "/tracks?id=eq.1&select=id";
const FIRST_BODY: &str = "[{\"id\":1}]";

/// A certificate of `localhost` and its key, as files of this name; and what trusts it.
fn make(scratch: &Scratch, name: &str) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    scratch.file(&format!("{name}.pem"), made.cert.pem());
    scratch.file(&format!("{name}.key"), made.signing_key.serialize_pem());
    made.cert.der().clone()
}

const CONFIG: &str = "[tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_both() {
    let scratch = Scratch::new();
    let (database, certificate) = (scratch.database("a.db"), make(&scratch, "a"));
    // The files' paths are relative to it.
    let config = scratch.file("s.toml", CONFIG);
    for engine in ENGINES {
        let server = serve(engine, &database, &["--config", path(&config)]);
        assert!(server.line.contains(" on https://127.0.0.1:"), "{}", server.line);
        for tls in [&TLS12, &TLS13] {
            for (protocols, expected) in [
                (&["h2", "http/1.1"][..], Version::Http2),
                (&["http/1.1"][..], Version::Http1),
                (&[][..], Version::Http1),
            ] {
                let connector = trusting(&certificate, protocols, &[tls]);
                let stream = shake_hands(&connector, &server.address).await.expect("a handshake");
                let spoken = stream.get_ref().1;
                assert_eq!(spoken.protocol_version(), Some(tls.version));
                let is_http2 = spoken.alpn_protocol() == Some(&b"h2"[..]);
                assert_eq!(is_http2, expected == Version::Http2, "{engine} {protocols:?}");
                let mut connection = Connection::over(stream, expected).await;
                assert_eq!(connection.get(FIRST, &[]).await.text(), FIRST_BODY);
                // Raw arrows pass with HTTP/1.1 here, too.
                let all = connection
                    .get("/tracks?order=id&select=id,name,album:albums(title)", &[("accept-encoding", "br")])
                    .await;
                assert_eq!(all.status, 200);
            }
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_no_tls_hinders_nobody() {
    let scratch = Scratch::new();
    let (database, certificate) = (scratch.database("a.db"), make(&scratch, "a"));
    let config = scratch.file("s.toml", CONFIG);
    let environment = [("SQLITREST_SERVER_HEADER_TIMEOUT", "500ms")];
    let server = serve_with("native", &database, &["--config", path(&config)], &environment);
    let mut others = Vec::new();
    for bytes in [
        &b""[..],
        b"GET /tracks HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\x16\x03\x01\0\x05\x01\0\0\x01\x03",
    ] {
        let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
        stream.write_all(bytes).await.expect("sent");
        others.push(stream);
    }
    let connector = trusting(&certificate, &["h2"], &[&TLS13]);
    let stream = shake_hands(&connector, &server.address).await.expect("a handshake");
    let mut connection = Connection::over(stream, Version::Http2).await;
    assert_eq!(connection.get(FIRST, &[]).await.text(), FIRST_BODY);
    for mut stream in others {
        let mut told = Vec::new();
        let _ =
            timeout(LIMIT, stream.read_to_end(&mut told)).await.expect("an end, however long the handshake");
        assert!(!told.starts_with(b"HTTP"), "{told:?}");
    }
    // A client that trusts another certificate ends the handshake itself.
    let other = make(&scratch, "b");
    assert!(shake_hands(&trusting(&other, &[], &[&TLS13]), &server.address).await.is_err());
    let ended = server.stop();
    assert_eq!(ended.stderr, "");
}

#[test]
fn what_is_wrong_with_certificate_or_key_stops_the_start() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for name in ["a", "b"] {
        make(&scratch, name);
    }
    scratch.file("text.pem", "no PEM");
    scratch.file("broken.key", "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n");
    for (text, words) in [
        ("certificate = \"a.pem\"\nkey = \"b.key\"", "b.key is not the key of tls.certificate"),
        ("certificate = \"none.pem\"\nkey = \"a.key\"", "none.pem cannot be read"),
        ("certificate = \"a.pem\"\nkey = \"none.key\"", "none.key cannot be read"),
        ("certificate = \"text.pem\"\nkey = \"a.key\"", "text.pem has no certificate in PEM"),
        ("certificate = \"a.pem\"\nkey = \"text.pem\"", "text.pem has no private key in PEM"),
        ("certificate = \"a.pem\"\nkey = \"broken.key\"", "broken.key is broken PEM"),
        ("certificate = \"a.pem\"", "s.toml:1:1: missing field `key`"),
        ("certificate = \"a.pem\"\nkey = \"a.key\"\ncypher = 1", "s.toml:4:1: unknown field `cypher`"),
    ] {
        let config = scratch.file("s.toml", format!("[tls]\n{text}\n"));
        let arguments = [
            "serve",
            path(&database),
            "--config",
            path(&config),
            "--listen",
            "127.0.0.1:0",
            "--engine",
            "native",
        ];
        let ended = run(&arguments, &[]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{text}: {ended:?}");
        assert!(ended.stderr.contains(words) && ended.stderr.lines().count() == 1, "{words}: {ended:?}");
        assert!(!ended.stderr.contains("!!"), "no word of what is in it: {ended:?}");
        let checked = run(&["check", "--config", path(&config), "--database", path(&database)], &[]);
        assert_eq!(checked.code, Some(2), "{text}: {checked:?}");
        // It tells the line and not the column.
        let words = words.rsplit(": ").next().unwrap_or(words);
        assert!(format!("{}{}", checked.stdout, checked.stderr).contains(words), "{text}: {checked:?}");
    }
}

/// A server in this process.
async fn site(engine: &str, database: &Path, tls: &Arc<Tls>) -> (String, oneshot::Sender<()>) {
    let text =
        format!("[server]\nport = 0\nengine = \"{engine}\"\n[databases.main]\npath = {:?}\n", path(database));
    let config = Config::load("", &text, []).expect("valid");
    let made = match engine {
        "native" => Engine::native(&config),
        _ => Engine::component(&config, &Guest::File(guest().to_owned())),
    };
    let serving = Serving::new(made.expect("an engine")).expect("rules");
    let limits = Limits::new(&config).expect("limits");
    let listener = Listener::bind(&config.server, Some(Arc::clone(tls))).await.expect("a port");
    let address = listener.to_string().strip_prefix("https://").expect("TLS").to_owned();
    let (stop, stopped) = oneshot::channel::<()>();
    let answer = move |peer, request| exchange(Arc::clone(&serving), peer, Origin::Api, request);
    tokio::spawn(async move {
        let shutdown = async { drop(stopped.await) };
        server::run(vec![listener], &limits, answer, shutdown).await
    });
    (address, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_while_connections_live_on() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let files = |name: &str| -> (PathBuf, PathBuf) {
        (scratch.path(&format!("{name}.pem")), scratch.path(&format!("{name}.key")))
    };
    for engine in ENGINES {
        let (old, new) = (make(&scratch, "now"), make(&scratch, "next"));
        let (certificate, key) = files("now");
        let tls =
            Arc::new(Tls::new(&Section { certificate: certificate.clone(), key: key.clone() }).expect("TLS"));
        let (address, _stop) = site(engine, &database, &tls).await;
        let (trusts_old, trusts_new) =
            (trusting(&old, &["h2"], &[&TLS13]), trusting(&new, &["h2"], &[&TLS13]));
        let mut connections = Vec::new();
        for version in VERSIONS {
            let protocol = if version == Version::Http2 { "h2" } else { "http/1.1" };
            let stream =
                shake_hands(&trusting(&old, &[protocol], &[&TLS13]), &address).await.expect("a handshake");
            connections.push(Connection::over(stream, version).await);
        }
        for broken in ["", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"] {
            fs::write(&certificate, broken).expect("a file");
            assert!(tls.reload().is_err());
            assert!(shake_hands(&trusts_old, &address).await.is_ok(), "the old one is kept");
        }
        let (next_certificate, next_key) = files("next");
        fs::copy(&next_certificate, &certificate).expect("a copy");
        let error = tls.reload().expect_err("the key is the old one's").to_string();
        assert!(error.contains("is not the key of"), "{error}");
        fs::copy(&next_key, &key).expect("a copy");
        tls.reload().expect("another certificate");
        assert!(shake_hands(&trusts_new, &address).await.is_ok());
        assert!(shake_hands(&trusts_old, &address).await.is_err());
        for connection in &mut connections {
            assert_eq!(connection.get(FIRST, &[]).await.text(), FIRST_BODY, "{engine}");
        }
    }
}
