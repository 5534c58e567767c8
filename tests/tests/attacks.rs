//! Attacks on what a server has: time, memory and connections. Each is answered or cut off in bounded time, and others are
//! served meanwhile. Real sockets, both engines.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sqlitrest::server::{self, Limits};
use sqlitrest::{Config, Origin, Serving, exchange};
use sqlitrest_tests::fixture::Fixture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long somebody else's request may wait while a server is attacked.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an attack may go on, statements being stopped after a second.
const LONGEST: Duration = Duration::from_secs(30);

const SQL: &str = "
    CREATE TABLE a (id INTEGER PRIMARY KEY, s TEXT);
    CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a (id), s TEXT);
    CREATE TABLE guarded (id INTEGER PRIMARY KEY, s TEXT);
    CREATE TABLE docs (id INTEGER PRIMARY KEY, data JSON);
    CREATE TABLE log (id INTEGER PRIMARY KEY, s TEXT);
    INSERT INTO a (s) VALUES (replace(hex(zeroblob(20000)), '00', 'ax'));
    WITH n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 400) INSERT INTO b (a_id, s) SELECT 1, 'xxxxxxxxxx' FROM n;
    INSERT INTO guarded (s) SELECT s FROM b;
";

const CONFIG: &str = r#"
    [api]
    aggregates = true
    anonymous_role = "reader"
    [middleware]
    request_timeout = "1s"
    [[policies.policy]]
    name = "all"
    tables = ["a", "b", "docs", "log"]
    [[policies.policy]]
    name = "what takes long to find out"
    table = "guarded"
    using = "(SELECT count(*) FROM b x JOIN b y ON x.id <> y.id JOIN b z ON z.id <> y.id WHERE x.s || y.s || z.s = guarded.s) = 0"
"#;

/// A server on a free port, until it is dropped.
struct Site {
    address: SocketAddr,
    engine: &'static str,
    _fixture: Fixture,
    _stop: oneshot::Sender<()>,
}

async fn sites() -> Vec<Site> {
    let mut sites = Vec::new();
    for at in 0..2 {
        let fixture = Fixture::of_sql(SQL);
        let engine = fixture.engines(CONFIG).swap_remove(at);
        let config: Config = fixture.config(engine.name(), CONFIG);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let name = engine.name();
        let serving = Serving::new(engine).unwrap();
        tokio::spawn(async move {
            let shutdown = async move {
                let _ = stopped.await;
            };
            let limits = Limits::new(&config).unwrap();
            let answer = move |peer, request| exchange(serving.clone(), peer, Origin::Api, request);
            server::run(vec![listener.into()], &limits, answer, shutdown).await
        });
        sites.push(Site { address, engine: name, _fixture: fixture, _stop: stop });
    }
    sites
}

/// The status and the body of an answer; 0 where the connection was closed without one.
async fn send(address: SocketAddr, method: &str, target: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // A server that has heard enough may close before it has read all.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// Somebody else's request.
async fn others_are_served(site: &Site, meanwhile: &str) {
    let began = Instant::now();
    let answer = timeout(PATIENCE, send(site.address, "GET", "/b?id=eq.1&select=id", "")).await;
    let (status, body) =
        answer.unwrap_or_else(|_| panic!("{}: nobody is served while {meanwhile}", site.engine));
    assert_eq!((status, body.as_str()), (200, "[{\"id\":1}]"), "{}: while {meanwhile}", site.engine);
    assert!(began.elapsed() < PATIENCE);
}

/// Memory of this process in KiB, by its name in `/proc/self/status`.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

struct Attack {
    what: &'static str,
    method: &'static str,
    target: String,
    body: String,
    answers: &'static [u16],
}

fn get(what: &'static str, target: impl Into<String>, answers: &'static [u16]) -> Attack {
    Attack { what, method: "GET", target: target.into(), body: String::new(), answers }
}

fn post(what: &'static str, target: &str, body: String, answers: &'static [u16]) -> Attack {
    Attack { what, method: "POST", target: target.to_owned(), body, answers }
}

fn embeds(n: usize, open: &str) -> String {
    let mut text = "id".to_owned();
    for level in (0..n).rev() {
        let name = if level % 2 == 0 { "b" } else { "a" };
        text = format!("{open}{name}({text})");
    }
    text
}

fn attacks() -> Vec<Attack> {
    let nested = |open: &str, inner: &str, close: &str, n: usize| open.repeat(n) + inner + &close.repeat(n);
    let many = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let mut rows = String::from("[");
    for i in 0..20_000 {
        let _ = write!(rows, "{}{{\"s\":\"{i}\"}}", if i > 0 { "," } else { "" });
    }
    rows.push(']');
    vec![
        get("a policy takes long", "/guarded?select=id", &[504]),
        get("a policy takes long, and is counted", "/guarded?select=count()", &[504]),
        get("a policy takes long for every row that fits", "/guarded?id=gt.0&s=like.*x*", &[504]),
        get("embeds multiply", format!("/a?select={}", embeds(7, "")), &[400, 504]),
        get(
            "inner embeds multiply",
            format!("/a?select={}&b.a.b.a.b.a.s=eq.none", embeds(7, "").replace('(', "!inner(")),
            &[200, 400, 504],
        ),
        get("spreads multiply", format!("/a?select={}", embeds(7, "...")), &[400, 504]),
        get("a pattern that repeats repeats", "/a?s=match.(((a{1,100}){1,100}){1,100}){1,100}", &[200]),
        get("a pattern that goes back", "/a?s=match.^(a|x|(a|x)*)*$", &[200]),
        get("a pattern of alternatives", "/a?s=imatch.(x%2Bx%2B)%2By", &[200]),
        get("a pattern of stars", format!("/a?s=like.{}", "*a*x".repeat(200)), &[200, 504]),
        get("a long list", format!("/a?select=id&id=in.({})", many(10_000)), &[200]),
        get("many lists", format!("/a?select=id&{}", format!("id=in.({})&", many(300)).repeat(40)), &[200]),
        get(
            "a deep tree",
            format!("/a?select=id&or={}", nested("(id.eq.1,and", "(id.eq.2)", ")", 63)),
            &[200, 400],
        ),
        get("a tree that is too deep", format!("/a?or={}", "(id.eq.1,and".repeat(4_000)), &[400]),
        get("a path that is too deep", format!("/docs?data{}=eq.1", "->a".repeat(10_000)), &[400]),
        get("a select without an end", format!("/a?select={}", "b(a(".repeat(10_000)), &[400]),
        post("a deep body", "/log", nested("[", "", "]", 1_000_000), &[400]),
        post("a deep body of objects", "/log", nested("{\"a\":", "1", "}", 500_000), &[400]),
        post(
            "a deep value",
            "/docs",
            format!("{{\"data\":{}}}", nested("[", "", "]", 1_000_000)),
            &[201, 400],
        ),
        post(
            "a deep batch",
            "/_batch",
            nested("[{\"method\":\"POST\",\"path\":\"/_batch\",\"body\":", "1", "}]", 50_000),
            &[400, 404],
        ),
        post("many rows", "/log", rows, &[201]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn what_takes_too_much_is_cut_off() {
    let mut wrong = String::new();
    for site in sites().await {
        for attack in attacks() {
            let began = Instant::now();
            // More at once than there are connections to the database.
            let mut running = JoinSet::new();
            let count = if attack.body.is_empty() { 8 } else { 2 };
            for _ in 0..count {
                let (address, target, body) = (site.address, attack.target.clone(), attack.body.clone());
                let method = attack.method;
                running.spawn(async move { send(address, method, &target, &body).await });
            }
            others_are_served(&site, attack.what).await;
            while let Some(answer) = timeout(LONGEST, running.join_next()).await.expect("an end") {
                let (status, body) = answer.unwrap();
                // Where it may take too long, it may also come to nothing while others do.
                let answers = match attack.answers.contains(&504) {
                    true => [attack.answers, &[503]].concat(),
                    false => attack.answers.to_vec(),
                };
                if !answers.contains(&status) {
                    let body: String = body.chars().take(300).collect();
                    let _ = writeln!(wrong, "{}: {}: {status} {body}", site.engine, attack.what);
                }
            }
            println!("{}: {}: {:?}", site.engine, attack.what, began.elapsed());
            assert!(began.elapsed() < LONGEST, "{}: {} took {:?}", site.engine, attack.what, began.elapsed());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // Answers are at most 256 MiB; the component's instances have memories of their own.
    let most = memory("VmHWM:");
    assert!(most < 6 << 20, "{most} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn slow_and_silent_clients_keep_nobody_out() {
    let nightly = std::env::var_os("SQLITREST_NIGHTLY").is_some();
    // Each needs two file descriptors here: this process is both sides.
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open_files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    let most: usize = open_files.unwrap_or(1_024_usize).saturating_sub(400) / 2;
    let wanted = if nightly { 10_000 } else { 1_000 };
    for site in sites().await {
        let before = memory("VmRSS:");
        let mut idle = Vec::new();
        for number in 0..wanted.min(most) {
            let mut stream = TcpStream::connect(site.address).await.unwrap();
            // A fifth begins a head, a fifth a body, and the others are silent.
            let begun: &[u8] = match number % 5 {
                0 => b"GET /b HTTP/1.1\r\nhost: x\r\nx-slow: ",
                1 => b"POST /log HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"s\":\"",
                _ => b"",
            };
            stream.write_all(begun).await.unwrap();
            idle.push(stream);
        }
        others_are_served(&site, "connections are open").await;
        // Byte by byte, heads and bodies go on and on.
        for stream in idle.iter_mut().step_by(5).take(100) {
            stream.write_all(b"a").await.unwrap();
        }
        for stream in idle.iter_mut().skip(1).step_by(5).take(100) {
            stream.write_all(b"a").await.unwrap();
        }
        others_are_served(&site, "clients are slow").await;
        // A write does not wait for a body that does not come.
        let written = timeout(PATIENCE, send(site.address, "POST", "/log", "{\"s\":\"quick\"}")).await;
        assert_eq!(written.expect("in time").0, 201, "{}", site.engine);
        let grown = memory("VmRSS:").saturating_sub(before) / u64::try_from(idle.len()).unwrap();
        assert!(grown < 200, "{}: {grown} KiB for each connection", site.engine);
        println!("{}: {} connections, {grown} KiB each", site.engine, idle.len());
        drop(idle);
        others_are_served(&site, "they are gone").await;
    }
}
