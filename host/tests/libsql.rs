//! A database on a libSQL server, as an operator meets it: a server that goes and comes, tokens, commands, and what is refused.

mod support;

// The tests of engines use the rest of it.
#[allow(dead_code)]
#[path = "../../tests/src/sqld.rs"]
mod sqld;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::prelude::{Claims, Duration, Ed25519KeyPair, EdDSAKeyPairLike as _};
use serde_json::{Value as Json, json};
use sqld::Sqld;
use support::{ENGINES, Reply, Scratch, Server, ask, get, path, reply_to, run, serve_config};

/// What opens the pages of the administrator, on a port of their own.
const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n[debug]\nenabled = true\n";

const TABLES: &str =
    "CREATE TABLE albums (id INTEGER PRIMARY KEY, title TEXT NOT NULL); INSERT INTO albums VALUES (1, 'One');
    CREATE VIEW titles AS SELECT title FROM albums";

fn config(scratch: &Scratch, database: &str, more: &str) -> std::path::PathBuf {
    scratch.file("sqlitrest.toml", format!("[databases.main]\n{database}\n{more}"))
}

fn at(sqld: &Sqld) -> String {
    format!("url = {:?}", sqld.url())
}

/// Where the administrator asks, which the second line tells.
fn admin(server: &mut Server) -> String {
    let line = server.next_line();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split([',', '\n']).next());
    address.unwrap_or_else(|| panic!("no listener in {line:?}")).to_owned()
}

/// What the administrator's port answers, which goes by few names.
fn page_of(address: &str, target: &str) -> Reply {
    ask(address, "GET", target, &["host: localhost"], "")
}

fn json_of(address: &str, method: &str, target: &str, body: &str) -> (u16, Json) {
    let reply = ask(address, method, target, &["host: localhost"], body);
    let json = serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{target} {reply:?}"));
    (reply.status, json)
}

#[test]
fn a_server_that_goes_away_and_comes_back() {
    for engine in ENGINES {
        let Some(mut sqld) = Sqld::start() else { return };
        sqld.load(TABLES);
        let scratch = Scratch::new();
        let server = serve_config(engine, &config(&scratch, &at(&sqld), ""), &[]);
        let served = format!("serving {} (1 tables, 1 views) on http://", sqld.url());
        assert!(server.line.contains(&served), "{}", server.line);
        let rows = || get(&server.address, "/albums?select=title");
        assert_eq!((rows().status, rows().body.as_str()), (200, r#"[{"title":"One"}]"#));
        assert_eq!(get(&server.address, "/health/ready").status, 200);
        sqld.kill();
        for reply in [rows(), reply_to(&server.address, "POST", "/albums", r#"{"title":"Two"}"#)] {
            assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{reply:?}");
            assert!(reply.body.contains("PGRST000") && !reply.body.contains(sqld.address()), "{reply:?}");
        }
        assert_eq!(get(&server.address, "/health/ready").status, 503);
        sqld.resume();
        assert_eq!(rows().status, 200);
        assert_eq!(reply_to(&server.address, "POST", "/albums", r#"{"title":"Two"}"#).status, 201);
        assert_eq!(get(&server.address, "/health/ready").status, 200);
        assert_eq!(sqld.query("SELECT group_concat(title) FROM albums"), [["One,Two"]]);
        let ended = server.stop();
        assert!(ended.stderr.contains("unable to open database"), "{ended:?}");
    }
}

/// A key, and a token that is signed with it.
fn key_and_token() -> (String, String) {
    let pair = Ed25519KeyPair::generate();
    let token = pair.sign(Claims::create(Duration::from_hours(1))).expect("signed");
    (URL_SAFE_NO_PAD.encode(pair.public_key().to_bytes()), token)
}

#[test]
fn tokens() {
    let Some(mut sqld) = Sqld::start() else { return };
    sqld.load(TABLES);
    let ((key, token), (_, wrong)) = (key_and_token(), key_and_token());
    sqld.kill();
    sqld.demand(&key);
    sqld.resume();
    let scratch = Scratch::new();
    let by_file = format!("{}\nauth_token = \"file:./token\"", at(&sqld));
    let settings = config(&scratch, &by_file, &format!("[log]\nlevel = \"trace\"\nrequests = true\n{ADMIN}"));
    for refused in ["", "none", &wrong, "two words"] {
        scratch.file("token", refused);
        let ended = run(&["serve", "--config", path(&settings), "--engine", "native"], &[]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("auth_token") && !ended.stderr.contains(wrong.as_str()), "{ended:?}");
    }
    let environment = [("LIBSQL_TOKEN", token.as_str())];
    let by_environment = Scratch::new();
    let by_environment_too =
        config(&by_environment, &format!("{}\nauth_token = \"env:LIBSQL_TOKEN\"", at(&sqld)), "");
    let ended = run(&["schema", "--config", path(&by_environment_too)], &environment);
    assert!(ended.code == Some(0) && ended.stdout.contains("albums"), "{ended:?}");
    for engine in ENGINES {
        scratch.file("token", &token);
        let mut server = serve_config(engine, &settings, &[]);
        let admin = admin(&mut server);
        assert_eq!(get(&server.address, "/albums").status, 200);
        // The server wants another one, which stands in the file before anybody has told us.
        let (other_key, other) = key_and_token();
        sqld.kill();
        sqld.demand(&other_key);
        sqld.resume();
        let reply = get(&server.address, "/albums");
        assert_eq!(reply.status, 503, "{reply:?}");
        scratch.file("token", format!("{other}\n"));
        while get(&server.address, "/albums").status != 200 {}
        let pages = ["/health", "/metrics", "/_debug/databases", "/_debug/pools", "/_debug/errors"];
        let told = pages.map(|page| page_of(&admin, page).body);
        let configured = page_of(&admin, "/_debug/config").body;
        assert!(configured.contains(r#""auth_token":"file:"#), "{configured}");
        let ended = server.stop();
        for secret in [&token, &other] {
            let all = format!("{told:?}{configured}{ended:?}");
            assert!(!all.contains(secret.as_str()), "{all}");
        }
        assert!(ended.stderr.contains("it refuses the token"), "{ended:?}");
        // As it was, for the other engine.
        sqld.kill();
        sqld.demand(&key);
        sqld.resume();
    }
}

#[test]
fn commands() {
    let Some(sqld) = Sqld::start() else { return };
    sqld.load(TABLES);
    let scratch = Scratch::new();
    let settings = config(&scratch, &at(&sqld), "[server]\nport = 0\n");
    let of = |arguments: &[&str]| run(&[arguments, &["--config", path(&settings)]].concat(), &[]);
    let ended = of(&["check"]);
    assert!(ended.code == Some(0) && ended.stdout.contains("1 tables, 1 views"), "{ended:?}");
    let ended = of(&["schema"]);
    assert!(ended.code == Some(0) && ended.stdout.contains("titles"), "{ended:?}");
    let ended = of(&["explain", "GET /albums?id=eq.1"]);
    assert!(ended.code == Some(0) && ended.stdout.contains("SEARCH"), "{ended:?}");
    let ended = of(&["schema", "--counts", "--examples", "1"]);
    assert!(ended.code == Some(0) && ended.stdout.contains("1 rows"), "{ended:?}");
    for made in [&["openapi"][..], &["types", "typescript"]] {
        let ended = of(made);
        assert!(ended.code == Some(0) && ended.stdout.contains("albums"), "{made:?} {ended:?}");
    }
    let (file, directory) = (scratch.path("copy.db"), scratch.path("migrations"));
    let (copy, directory) = (path(&file), path(&directory));
    for command in [
        &["info"][..],
        &["check"],
        &["backup", copy],
        &["restore", copy],
        &["vacuum"],
        &["migrate", directory],
        &["migrate", "--create", directory],
    ] {
        let ended = of(&[&["db"][..], command].concat());
        assert!(ended.code == Some(2) && ended.stderr.contains("is on a server"), "{command:?} {ended:?}");
    }
    assert!(!file.exists());
    // Typed, with what the environment says of it.
    let ended = run(&["schema", "--database", &sqld.url()], &[]);
    assert!(ended.code == Some(0) && ended.stdout.contains("albums"), "{ended:?}");
}

#[test]
fn readonly() {
    let Some(sqld) = Sqld::start() else { return };
    sqld.load(TABLES);
    let scratch = Scratch::new();
    let settings = config(&scratch, &format!("{}\nmode = \"readonly\"", at(&sqld)), "");
    for engine in ENGINES {
        let server = serve_config(engine, &settings, &[]);
        assert!(server.line.contains("read-only"), "{}", server.line);
        assert_eq!(get(&server.address, "/titles").status, 200);
        let reply = reply_to(&server.address, "POST", "/albums", r#"{"title":"Two"}"#);
        assert!(reply.status == 405 && reply.body.contains("25006"), "{reply:?}");
        server.stop();
    }
}

#[test]
fn beside_a_file() {
    let Some(sqld) = Sqld::start() else { return };
    sqld.load(TABLES);
    let scratch = Scratch::new();
    scratch.database("b.db");
    let attach = "[attach]\npaths = [\".\"]\n[auth.jwt]\nsecret = \"01234567890123456789012345678901\"\n[api]\nanonymous_role = \"anybody\"\n";
    let settings =
        config(&scratch, &at(&sqld), &format!("[databases.file]\npath = \"b.db\"\n{attach}{ADMIN}"));
    let token = run(&["token", "--config", path(&settings), "--role", "admin"], &[]).stdout;
    let token = format!("authorization: Bearer {}", token.trim());
    for engine in ENGINES {
        let mut server = serve_config(engine, &settings, &[]);
        let admin = admin(&mut server);
        let deed = |target: &str, body: &str| ask(&admin, "POST", target, &["host: localhost", &token], body);
        let of = |schema: &str| {
            support::ask(
                &server.address,
                "GET",
                "/albums?select=id",
                &[&format!("accept-profile: {schema}")],
                "",
            )
            .body
        };
        assert_eq!((of("main").as_str(), of("file").as_str()), (r#"[{"id":1}]"#, r#"[{"id":1},{"id":2}]"#));
        let told = page_of(&admin, "/_debug/databases").body;
        assert!(told.contains(&sqld.url()), "{told}");
        let body = json!({ "name": "other", "url": sqld.url(), "auth_token": "t0ken" }).to_string();
        let refused = deed("/_debug/databases", &body);
        assert!(refused.status == 422 && refused.body.contains("configuration file"), "{refused:?}");
        let metrics = page_of(&admin, "/metrics").body;
        let counted = r#"db_client_operation_duration_seconds_count{db_system_name="sqlite",db_namespace="main",db_operation_name="SELECT"}"#;
        assert!(metrics.contains(counted), "{metrics}");
        // It goes on with the same databases.
        assert_eq!(deed("/_debug/reload-schema", "").status, 200);
        assert_eq!(of("main"), r#"[{"id":1}]"#);
        server.stop();
    }
}

#[test]
fn pages_for_who_builds_on_it() {
    let Some(sqld) = Sqld::start() else { return };
    sqld.load(TABLES);
    let scratch = Scratch::new();
    let settings = config(&scratch, &at(&sqld), ADMIN);
    for engine in ENGINES {
        let mut server = serve_config(engine, &settings, &[]);
        let admin = admin(&mut server);
        let (_, pools) = json_of(&admin, "GET", "/_debug/pools", "");
        let main = &pools["databases"][0];
        assert_eq!(
            (&main["path"], &main["requests"]["waiting"]),
            (&json!(sqld.url()), &json!(0)),
            "{pools:#}"
        );
        assert!(main.get("wal").is_none() && main.get("is_there").is_none(), "{pools:#}");
        let schema = page_of(&admin, "/_schema?format=text&counts=true&examples=1").body;
        assert!(schema.contains("albums") && schema.contains("One"), "{schema}");
        let body = json!({ "request": "GET /albums?title=eq.One" }).to_string();
        let (status, explained) = json_of(&admin, "POST", "/_debug/explain", &body);
        assert_eq!(status, 200, "{explained:#}");
        assert!(explained["statements"][0]["plan"][0]["detail"].is_string(), "{explained:#}");
        let (_, told) = json_of(&admin, "GET", "/_debug/config", "");
        assert_eq!(told["configuration"]["databases"]["main"]["url"], json!(sqld.url()), "{told:#}");
        server.stop();
    }
}

/// None of these asks anybody.
#[test]
fn what_cannot_be_served() {
    let scratch = Scratch::new();
    scratch.database("a.db");
    std::fs::create_dir(scratch.path("public")).expect("a directory");
    scratch.file("public/t", "t0ken");
    for (text, words) in [
        ("url = \"libsql://a.b\"\npath = \"a.db\"", "databases.main.url and path exclude each other"),
        ("url = \"libsql://a.b\"\nreplica = \"./r.db\"", "databases.main.replica an embedded replica needs"),
        ("path = \"a.db\"\nauth_token = \"t0ken\"", "databases.main.auth_token is for a server"),
        ("url = \"ws://a.b\"", "is none of libsql://HOST"),
        ("url = \"libsql://a.b?authToken=t0ken\"", "auth_token = \"env:NAME\""),
        ("url = \"libsql://a.b\"\nauth_token = \"env:NO_SUCH_VARIABLE\"", "no variable NO_SUCH_VARIABLE"),
        ("url = \"libsql://a.b\"\nattach = [\"c\"]\n[databases.c]\npath = \"a.db\"", "SQLite attaches files"),
        ("path = \"a.db\"\nattach = [\"c\"]\n[databases.c]\nurl = \"libsql://a.b\"", "SQLite attaches files"),
        (
            "url = \"libsql://a.b\"\n[backup]\ndirectory = \"b\"\ndatabases = [\"main\"]",
            "keep its own copies",
        ),
        ("url = \"libsql://a.b\"\n[backup]\ndirectory = \"b\"", "[backup] has nothing to copy"),
        (
            "url = \"libsql://a.b\"\nauth_token = \"file:./public/t\"\n[static]\ndirectory = \"public\"",
            "everybody could read",
        ),
    ] {
        let settings = config(&scratch, text, "");
        let ended = run(&["serve", "--config", path(&settings), "--engine", "native"], &[]);
        assert_eq!(ended.code, Some(2), "{text} {ended:?}");
        assert!(ended.stderr.contains(words) && !ended.stderr.contains("t0ken"), "{text} {ended:?}");
    }
    // Nobody is there, and who is there speaks something else.
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("bound");
    let answers = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        loop {
            let (mut stream, _) = other.accept().expect("a connection");
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi");
        }
    });
    let serve = |url: &str| {
        let settings = config(&scratch, &format!("url = {url:?}"), "");
        run(&["serve", "--config", path(&settings), "--engine", "native"], &[])
    };
    let ended = serve(&format!("http://{address}"));
    assert!(ended.code == Some(2) && ended.stderr.contains("does not speak Hrana"), "{ended:?}");
    // By TLS it is no server either.
    let ended = serve(&format!("libsql://{address}"));
    assert!(ended.code == Some(2) && ended.stderr.contains("cannot be served"), "{ended:?}");
    drop(answers);
    let ended = serve("http://127.0.0.1:9");
    assert!(ended.code == Some(2) && ended.stderr.contains("cannot be served"), "{ended:?}");
}
