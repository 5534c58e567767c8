//! How many requests somebody may send. Limits are one a second, so that a test is over before there is another.

use std::path::Path;

use tokio::net::TcpSocket;

use crate::client::{Connection, Got, VERSIONS, Version, request};
use crate::support::{ENGINES, Scratch, path, run, serve, serve_with};

const FIRST: &str = "/tracks?id=eq.1&select=id";

/// More requests than any limit here lets pass, even on a machine that is slow.
const MANY: usize = 200;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Asks until it is too much: what came before, and the refusal.
async fn exhaust(connection: &mut Connection, headers: &[(&str, &str)]) -> (Vec<Got>, Got) {
    let mut before = Vec::new();
    for _ in 0..MANY {
        let got = connection.get(FIRST, headers).await;
        if got.status == 429 {
            return (before, got);
        }
        before.push(got);
    }
    panic!("{MANY} requests are not too many");
}

/// A token of this subject that the configuration takes.
fn token(config: &Path, subject: &str) -> String {
    let ended = run(&["token", "--config", path(config), "--role", "user", "--sub", subject], &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    format!("Bearer {}", ended.stdout.trim())
}

#[tokio::test(flavor = "multi_thread")]
async fn by_address() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let environment = [
        ("SQLITREST_MIDDLEWARE_RATE_LIMIT_PER_IP", "1"),
        ("SQLITREST_MIDDLEWARE_RATE_LIMIT_PER_IP_BURST", "3"),
        ("SQLITREST_MIDDLEWARE_CORS_ORIGINS", "[\"https://app.example\"]"),
    ];
    for engine in ENGINES {
        for version in VERSIONS {
            let server = serve_with(engine, &database, &[], &environment);
            let mut connection = Connection::open(&server.address, version).await;
            let (before, refused) = exhaust(&mut connection, &[("origin", "https://app.example")]).await;
            assert!(before.len() >= 3, "{engine} {version:?}");
            for (got, left) in before.iter().zip(["\"ip\";r=2;t=1", "\"ip\";r=1;t=2", "\"ip\";r=0;t=3"]) {
                assert_eq!((got.status, got.header("ratelimit-policy")), (200, Some("\"ip\";q=3;w=3")));
                // On a machine that is slow some of it has come back.
                assert!(got.header("ratelimit") == Some(left) || before.len() > 3, "{got:?}");
            }
            assert_eq!(refused.header("ratelimit-policy"), Some("\"ip\";q=3;w=3"));
            assert_eq!(
                (refused.header("ratelimit"), refused.header("retry-after")),
                (Some("\"ip\";r=0;t=1"), Some("1"))
            );
            assert_eq!(
                refused.text(),
                "{\"code\":\"53400\",\"details\":null,\"hint\":\"Try again in 1 s.\",\"message\":\"There are too many requests of this address\"}"
            );
            // A page may read it.
            assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example"));
            let exposed = refused.header("access-control-expose-headers").expect("fields");
            assert!(exposed.ends_with(", RateLimit-Policy, RateLimit, Retry-After"), "{exposed}");
            // Who looks whether the server is well is not counted.
            for page in ["/health/live", "/health/ready"] {
                let got = connection.get(page, &[]).await;
                assert_eq!((got.status, got.header("ratelimit")), (200, None), "{page}: {got:?}");
            }
            // Neither a connection of its own nor a body helps.
            let mut other = Connection::open(&server.address, version).await;
            let (_, refused) = exhaust(&mut other, &[]).await;
            assert_eq!(refused.status, 429);
            let large = format!("[{}]", "1,".repeat(1 << 20));
            let mut statuses = Vec::new();
            while statuses.last() != Some(&429) && statuses.len() < MANY {
                statuses.push(other.ask(request("POST", "/tracks", &[], &large)).await.status);
            }
            assert_eq!(statuses.last(), Some(&429));
            // Another address has a limit of its own. (Elsewhere than on Linux, loopback is one address.)
            if cfg!(not(target_os = "linux")) {
                server.stop();
                continue;
            }
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind("127.0.0.2:0".parse().expect("an address")).expect("bound");
            let stream =
                socket.connect(server.address.parse().expect("an address")).await.expect("a connection");
            assert_eq!(Connection::over(stream, version).await.get(FIRST, &[]).await.status, 200);
            server.stop();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let limit = ("SQLITREST_MIDDLEWARE_RATE_LIMIT_PER_IP", "1");
    let trusted = ("SQLITREST_MIDDLEWARE_TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[limit, trusted]);
        let mut proxy = Connection::open(&server.address, Version::Http1).await;
        exhaust(&mut proxy, &[("x-forwarded-for", "192.0.2.1")]).await;
        for (field, value, status) in [
            ("x-forwarded-for", "192.0.2.2", 200),
            ("x-forwarded-for", "192.0.2.3, 127.0.0.9", 200),
            ("forwarded", "for=192.0.2.4", 200),
            ("x-forwarded-for", "2001:db8::1", 200),
            ("x-forwarded-for", "2001:db8::2", 429),
            ("x-forwarded-for", "2001:db8:0:1::2", 200),
        ] {
            let got = proxy.get(FIRST, &[(field, value)]).await;
            // The second address of a network is the first one's, if that was less than a second ago.
            assert!(got.status == status || status == 429, "{engine} {field}: {value}");
        }
        // What the client has written itself does not help it.
        exhaust(&mut proxy, &[("x-forwarded-for", "198.51.100.7, 192.0.2.1")]).await;
        server.stop();

        let server = serve_with(engine, &database, &[], &[limit]);
        let mut client = Connection::open(&server.address, Version::Http1).await;
        for number in 0..MANY {
            let address = format!("192.0.2.{number}");
            if client.get(FIRST, &[("x-forwarded-for", &address)]).await.status == 429 {
                break;
            }
            assert!(number + 1 < MANY, "nobody is trusted, so that all of them are one");
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_identity() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = scratch.file(
        "s.toml",
        format!(
            "[api]\nanonymous_role = \"anon\"\n[auth.jwt]\nsecret = \"{SECRET}\"\n\
             [middleware]\nrate_limit_per_identity = 1\nrate_limit_per_identity_burst = 2\n"
        ),
    );
    for engine in ENGINES {
        let server = serve(engine, &database, &["--config", path(&config)]);
        let mut connection = Connection::open(&server.address, Version::Http2).await;
        let (ida, bo) = (token(&config, "ida"), token(&config, "bo"));
        let (before, refused) = exhaust(&mut connection, &[("authorization", &ida)]).await;
        assert!(before.len() >= 2 && before.iter().all(|got| got.status == 200), "{engine}");
        assert_eq!(before[0].header("ratelimit-policy"), Some("\"identity\";q=2;w=2"));
        assert_eq!(before[0].header("ratelimit"), Some("\"identity\";r=1;t=1"));
        assert!(refused.text().contains("too many requests of this user"), "{refused:?}");
        assert_eq!(refused.header("retry-after"), Some("1"));
        // Another token of the same subject is the same identity; another subject is another.
        let again = token(&config, "ida");
        exhaust(&mut connection, &[("authorization", &again)]).await;
        assert_eq!(connection.get(FIRST, &[("authorization", &bo)]).await.status, 200);
        // Nobody in particular has no such limit, and no such fields.
        for _ in 0..10 {
            let got = connection.get(FIRST, &[]).await;
            assert_eq!((got.status, got.header("ratelimit")), (200, None), "{engine}");
        }
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_counted_before_credentials() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = scratch.file(
        "s.toml",
        format!(
            "[auth.jwt]\nsecret = \"{SECRET}\"\n\
             [middleware]\nrate_limit_per_ip = 1\nrate_limit_per_ip_burst = 4\nrate_limit_per_identity = 5\n"
        ),
    );
    for engine in ENGINES {
        let server = serve(engine, &database, &["--config", path(&config)]);
        let mut connection = Connection::open(&server.address, Version::Http1).await;
        let ida = token(&config, "ida");
        let got = connection.get(FIRST, &[("authorization", &ida)]).await;
        assert_eq!(got.header("ratelimit-policy"), Some("\"ip\";q=4;w=4, \"identity\";q=5;w=1"));
        assert_eq!(got.header("ratelimit"), Some("\"ip\";r=3;t=1, \"identity\";r=4;t=1"));
        // Guessing comes to an end.
        let (before, refused) = exhaust(&mut connection, &[("authorization", "Bearer a.b.c")]).await;
        assert!(before.iter().all(|got| got.status == 401), "{engine}");
        assert_eq!(
            refused.header("ratelimit-policy"),
            Some("\"ip\";q=4;w=4"),
            "who it is, is not known then"
        );
        server.stop();
    }
}
