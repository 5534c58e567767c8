//! What changes while a server runs: its configuration, its policies and its databases. Requests in flight end as they began, none is
//! lost, and what is broken changes nothing.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::scope;

use rusqlite::Connection;
use support::{Client, ENGINES, Reply, Scratch, Server, ask, path, run, serve_config};

const CONFIG: &str = r#"
[server]
watch = false
[databases.main]
path = "main.db"
[api]
anonymous_role = "anon"
[auth]
enabled = true
[auth.jwt]
secret = "env:TEST_SECRET"
[debug]
enabled = true
[attach]
paths = ["./tenants"]
most = 4
[policies]
file = "policies.toml"
"#;

const OPEN: &str = "[[policy]]\nname = \"all\"\ndatabase = \"*\"\ntable = \"*\"\n";
const SECRET: [(&str, &str); 1] = [("TEST_SECRET", "a secret of at least thirty-two bytes")];

struct Site {
    scratch: Scratch,
    server: Server,
    admin: String,
    user: String,
}

impl Site {
    fn new(engine: &str, more: &str) -> Site {
        let scratch = Scratch::new();
        scratch.database("main.db");
        fs::create_dir(scratch.path("tenants")).expect("directory");
        scratch.database("tenants/a.db");
        scratch.database("outside.db");
        scratch.file("policies.toml", OPEN);
        let config = scratch.file("sqlitrest.toml", CONFIG.to_owned() + more);
        let token = |role: &str| {
            let ended = run(&["token", "--role", role, "--config", path(&config)], &SECRET);
            format!("authorization: Bearer {}", ended.stdout.trim())
        };
        let (admin, user) = (token("admin"), token("user"));
        Site { server: serve_config(engine, &config, &SECRET), scratch, admin, user }
    }

    fn config(&self) -> PathBuf {
        self.scratch.path("sqlitrest.toml")
    }

    fn ask(&self, who: Option<&str>, method: &str, target: &str, body: &str) -> Reply {
        let fields: Vec<&str> = who.into_iter().collect();
        ask(&self.server.address, method, target, &fields, body)
    }

    fn deed(&self, method: &str, target: &str, body: &str) -> Reply {
        self.ask(Some(&self.admin), method, target, body)
    }

    fn get_of(&self, schema: &str, target: &str) -> Reply {
        ask(&self.server.address, "GET", target, &[&format!("accept-profile: {schema}")], "")
    }
}

#[test]
fn a_signal_reads_everything_again() {
    for engine in ENGINES {
        let site = Site::new(engine, "");
        assert_eq!(site.ask(None, "GET", "/albums?select=id", "").body, r#"[{"id":1},{"id":2}]"#);
        site.scratch.file("policies.toml", format!("{OPEN}using = \"id = 2\"\n"));
        site.server.signal("HUP");
        site.server.logs("SIGHUP: the configuration is read again");
        assert_eq!(site.ask(None, "GET", "/albums?select=id", "").body, r#"[{"id":2}]"#, "{engine}");
        // Broken files, policies that do not fit, and databases that are not there change nothing.
        for (file, text, expected) in [
            ("policies.toml", "[[policy]]\nnmae = \"x\"\n".to_owned(), "policies.toml:2"),
            ("policies.toml", "[[policy]]\nname = \"x\"\ntable = \"albms\"\n".to_owned(), "perhaps albums"),
            ("sqlitrest.toml", format!("{CONFIG}[databases.b]\npath = \"none.db\"\n"), "none.db"),
            ("sqlitrest.toml", format!("{CONFIG}[api]\n"), "sqlitrest.toml:"),
        ] {
            let before = fs::read_to_string(site.scratch.path(file)).expect("file");
            site.scratch.file(file, text);
            site.server.signal("HUP");
            let line = site.server.logs("SIGHUP: what was read before is kept");
            assert!(line.contains(expected), "{line}");
            assert_eq!(site.ask(None, "GET", "/albums?select=id", "").body, r#"[{"id":2}]"#, "{engine}");
            let reply = site.deed("POST", "/_debug/reload-schema", "");
            assert_eq!(reply.status, 422, "{reply:?}");
            assert!(reply.body.contains(expected), "{}", reply.body);
            site.scratch.file(file, before);
        }
        let text = fs::read_to_string(site.config()).expect("file");
        site.scratch.file("sqlitrest.toml", text.replace("watch = false", "watch = true"));
        let reply = site.deed("POST", "/_debug/reload-schema", "");
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(
            reply.body.contains("server.watch has changed, which is taken up at the next start"),
            "{}",
            reply.body
        );
        site.server.stop();
    }
}

#[test]
fn changed_files_are_noticed() {
    for engine in ENGINES {
        let site = Site::new(engine, "");
        site.server.signal("TERM");
        assert_eq!(site.server.wait().code, Some(0));
        let text = CONFIG.replace("watch = false", "watch = true");
        let config = site.scratch.file("sqlitrest.toml", text);
        let server = serve_config(engine, &config, &SECRET);
        let get = || ask(&server.address, "GET", "/albums?select=id", &[], "").body;
        // Written in place, and replaced as editors do.
        site.scratch.file("policies.toml", format!("{OPEN}using = \"id = 2\"\n"));
        server.logs("files have changed: the configuration is read again");
        assert_eq!(get(), r#"[{"id":2}]"#, "{engine}");
        let new = site.scratch.file("policies.toml~", format!("{OPEN}using = \"id = 1\"\n"));
        fs::rename(new, site.scratch.path("policies.toml")).expect("renamed");
        server.logs("files have changed: the configuration is read again");
        assert_eq!(get(), r#"[{"id":1}]"#, "{engine}");
        site.scratch.file("policies.toml", "[[policy]\n");
        server.logs("files have changed: what was read before is kept");
        assert_eq!(get(), r#"[{"id":1}]"#, "{engine}");
        server.stop();
    }
}

/// Tells those who make load to stop, also where the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn reloading_loses_no_request() {
    for engine in ENGINES {
        let site = Site::new(engine, "");
        let (end, reads, writes) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        scope(|scope| {
            let _ends = Ends(&end);
            for thread in 0..3 {
                let (site, end, reads, writes) = (&site, &end, &reads, &writes);
                scope.spawn(move || {
                    let mut client = Client::connect(&site.server.address);
                    for at in 0.. {
                        if end.load(Ordering::Relaxed) {
                            return;
                        }
                        let id = 1_000 + thread * 1_000_000 + at;
                        let row = format!(r#"{{"id":{id},"title":"t"}}"#);
                        assert!(client.request("POST", "/albums", &row));
                        assert_eq!(client.reply(false).expect("a reply").status, 201);
                        assert!(client.request("GET", &format!("/albums?id=eq.{id}&select=id"), ""));
                        let reply = client.reply(false).expect("a reply");
                        assert_eq!((reply.status, reply.body), (200, format!(r#"[{{"id":{id}}}]"#)));
                        writes.fetch_add(1, Ordering::Relaxed);
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let text = fs::read_to_string(site.config()).expect("file");
            for round in 0..40 {
                // What is opened anew, what only the core goes by, and nothing at all.
                let more = match round % 3 {
                    0 => format!("[pool]\nreaders_per_db = {}\n", 2 + round % 4),
                    1 => format!("[[udf]]\nname = \"f{round}\"\nexpose = true\nsql = \"SELECT 1\"\n"),
                    _ => String::new(),
                };
                site.scratch.file("sqlitrest.toml", format!("{text}{more}"));
                let reply = site.deed("POST", "/_debug/reload-schema", "");
                assert_eq!(reply.status, 200, "{engine}: {reply:?}");
            }
        });
        let written = writes.load(Ordering::Relaxed);
        assert!(written > 0 && reads.load(Ordering::Relaxed) > 0);
        site.server.stop();
        let all = support::count(&site.scratch.path("main.db"), "albums");
        assert_eq!(all, 2 + i64::try_from(written).expect("few"), "{engine}");
    }
}

#[test]
fn only_the_administrator_may() {
    let site = Site::new("native", "");
    for (method, target) in [
        ("POST", "/_debug/reload-schema"),
        ("GET", "/_debug/databases"),
        ("POST", "/_debug/databases"),
        ("DELETE", "/_debug/databases/main"),
    ] {
        assert_eq!(site.ask(None, method, target, "").status, 401, "{method} {target}");
        let reply = site.ask(Some(&site.user), method, target, "");
        assert_eq!(reply.status, 403, "{method} {target}");
        assert!(reply.body.contains("42501"), "{}", reply.body);
        let wrong = site.ask(Some("authorization: Bearer x.y.z"), method, target, "");
        assert_eq!(wrong.status, 401, "{method} {target}");
    }
    assert_eq!(site.deed("GET", "/_debug/reload-schema", "").status, 405);
    assert_eq!(site.deed("PUT", "/_debug/databases", "").status, 405);
    assert_eq!(site.deed("GET", "/_debug/databases/main", "").status, 405);
    site.server.stop();
    // Where nobody signs in, nobody is the administrator; where it is off, there is nothing.
    let scratch = Scratch::new();
    scratch.database("main.db");
    let main = "[databases.main]\npath = \"main.db\"\n";
    for (debug, expected) in [("[debug]\nenabled = true\nrequire_admin = false\n", 401), ("", 404)] {
        let config = scratch.file("sqlitrest.toml", format!("{main}{debug}"));
        let server = serve_config("native", &config, &[]);
        let reply = ask(&server.address, "POST", "/_debug/reload-schema", &[], "");
        assert_eq!(reply.status, expected, "{reply:?}");
        server.stop();
    }
}

#[test]
fn databases_come_and_go() {
    for engine in ENGINES {
        let site = Site::new(engine, "");
        let reply = site.deed("POST", "/_debug/databases", r#"{"name":"a","path":"a.db"}"#);
        assert_eq!((reply.status, reply.header("location")), (201, Some("/_debug/databases/a")), "{reply:?}");
        assert_eq!(site.get_of("a", "/albums?select=id").body, r#"[{"id":1},{"id":2}]"#, "{engine}");
        let list = site.deed("GET", "/_debug/databases", "").body;
        let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
        assert_eq!((&list[0]["name"], &list[0]["default"]), (&"main".into(), &true.into()), "{list}");
        assert_eq!((&list[1]["name"], &list[1]["tables"]), (&"a".into(), &2.into()), "{list}");
        assert_eq!(site.deed("POST", "/_debug/databases", r#"{"name":"a","path":"a.db"}"#).status, 409);
        // It outlives a reload.
        assert_eq!(site.deed("POST", "/_debug/reload-schema", "").status, 200);
        assert_eq!(site.get_of("a", "/albums?select=id").status, 200);
        assert_eq!(site.deed("DELETE", "/_debug/databases/a", "").status, 200);
        assert_eq!(site.get_of("a", "/albums").status, 406, "{engine}");
        assert_eq!(site.deed("DELETE", "/_debug/databases/a", "").status, 404);
        assert_eq!(site.deed("DELETE", "/_debug/databases/main", "").status, 409);
        assert_eq!(site.ask(None, "GET", "/albums?select=id", "").status, 200);
        site.server.stop();
    }
}

#[test]
fn what_may_not_be_attached() {
    let site = Site::new("native", "");
    let outside = site.scratch.path("outside.db");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&outside, site.scratch.path("tenants/link.db")).expect("link");
    site.scratch.file("tenants/text.db", "no database, but more than a hundred bytes of text. ".repeat(9));
    let attach = |name: &str, file: &str| {
        let body = serde_json::json!({ "name": name, "path": file }).to_string();
        site.deed("POST", "/_debug/databases", &body)
    };
    for file in ["../outside.db", path(&outside), "link.db", "none.db", "", ".", "/etc/passwd"] {
        let reply = attach("x", file);
        assert_eq!(reply.status, 403, "{file}: {reply:?}");
        assert!(reply.body.contains("no such file in a directory of attach.paths"), "{}", reply.body);
    }
    assert_eq!(attach("x", "text.db").status, 422);
    for name in ["", "main", "temp", "public", "a b", "a\"b", "a\r\nb", "ä", &"x".repeat(64)] {
        let status = attach(name, "a.db").status;
        assert!(matches!(status, 409 | 422), "{name:?}: {status}");
    }
    for body in [
        "",
        "[]",
        "{}",
        r#"{"name":"x"}"#,
        r#"{"name":"x","path":"a.db","more":1}"#,
        r#"{"name":"x","path":1}"#,
    ] {
        assert_eq!(site.deed("POST", "/_debug/databases", body).status, 400, "{body}");
    }
    for name in ["a1", "a2", "a3"] {
        assert_eq!(attach(name, "a.db").status, 201, "{name}");
    }
    let full = attach("a4", "a.db");
    assert_eq!(full.status, 422);
    assert!(full.body.contains("attach.most"), "{}", full.body);
    site.server.stop();
}

#[test]
fn what_is_persisted_is_there_at_the_next_start() {
    let site = Site::new("native", "# the end\n");
    let body = r#"{"name":"a","path":"a.db","mode":"readonly","hidden":["tracks"],"persist":true}"#;
    assert_eq!(site.deed("POST", "/_debug/databases", body).body, r#"{"ok":true,"warnings":[]}"#);
    let config = site.config();
    let text = fs::read_to_string(&config).expect("file");
    assert!(text.contains("[databases.a]") && text.contains("mode = \"readonly\""), "{text}");
    assert!(text.contains("# the end") && text.contains("[attach]\npaths = [\"./tenants\"]"), "{text}");
    site.server.stop();
    let server = serve_config("native", &config, &SECRET);
    let field = "accept-profile: a";
    assert_eq!(ask(&server.address, "GET", "/albums?select=id", &[field], "").status, 200);
    assert_eq!(ask(&server.address, "GET", "/tracks", &[field], "").status, 404);
    let gone = ask(&server.address, "DELETE", "/_debug/databases/a?persist=true", &[&site.admin], "");
    assert_eq!((gone.status, gone.body.as_str()), (200, r#"{"ok":true,"warnings":[]}"#));
    assert!(!fs::read_to_string(&config).expect("file").contains("databases.a"));
    server.stop();
}

/// Threads and open files of a process.
/// How many POSIX locks somebody has on a file.
#[cfg(target_os = "linux")]
fn locks(file: &Path) -> usize {
    use std::os::unix::fs::MetadataExt as _;
    let inode = format!(":{} ", fs::metadata(file).expect("a file").ino());
    let looked = || {
        let locks = fs::read_to_string("/proc/locks").expect("locks");
        locks.lines().filter(|line| line.contains("POSIX") && line.contains(&inode)).count()
    };
    // It is read in pieces, and leaves some out where others come and go meanwhile. A lock that was let go does not come back.
    (0..8).map(|_| looked()).max().unwrap_or_default()
}

/// Without them other processes take the log for one that nobody uses, and delete it with what was written last.
#[cfg(target_os = "linux")]
#[test]
fn no_lock_on_a_database_is_let_go() {
    for engine in ENGINES {
        let site = Site::new(engine, "[backup]\ndirectory = \"./backups\"\nevery = \"1h\"\n");
        let (main, second) = (site.scratch.path("main.db"), site.scratch.path("tenants/a.db"));
        site.server.logs("backup of main");
        assert!(locks(&main) > 0, "{engine}: after a backup");
        for name in ["a", "b"] {
            let body = format!(r#"{{"name":"{name}","path":"a.db"}}"#);
            assert_eq!(site.deed("POST", "/_debug/databases", &body).status, 201);
            assert!(locks(&second) > 0, "{engine}: attached as {name}");
        }
        let text = fs::read_to_string(site.config()).expect("file");
        site.scratch.file("sqlitrest.toml", format!("{text}[pool]\nreaders_per_db = 3\n"));
        site.server.signal("HUP");
        site.server.logs("SIGHUP: the configuration is read again");
        assert_eq!(site.get_of("b", "/albums?select=id").status, 200);
        for file in [&main, &second] {
            assert!(locks(file) > 0, "{engine}: {} after a reload", file.display());
        }
        // What looks at a database as others do leaves the log where it is.
        let other = Connection::open(&main).expect("database");
        other.query_row("SELECT count(*) FROM albums", [], |_| Ok(())).expect("read");
        other.close().expect("closed");
        assert!(site.scratch.path("main.db-wal").exists(), "{engine}");
        site.server.stop();
    }
}

#[test]
fn a_file_that_is_gone_opens_nothing() {
    for engine in ENGINES {
        let site = Site::new(engine, "");
        site.scratch.file("policies.toml", format!("{OPEN}using = \"id = 2\"\n"));
        assert_eq!(site.deed("POST", "/_debug/reload-schema", "").status, 200);
        fs::rename(site.config(), site.scratch.path("away.toml")).expect("renamed");
        site.server.signal("HUP");
        let line = site.server.logs("SIGHUP: what was read before is kept");
        assert!(line.contains("sqlitrest.toml cannot be read"), "{line}");
        assert_eq!(site.ask(None, "GET", "/albums?select=id", "").body, r#"[{"id":2}]"#, "{engine}");
        // What a reload lets go is said.
        let open = CONFIG.replace("[policies]\nfile = \"policies.toml\"\n", "");
        site.scratch.file("sqlitrest.toml", open);
        let reply = site.deed("POST", "/_debug/reload-schema", "");
        assert!(reply.body.contains("no more [policies]: every role may do everything"), "{}", reply.body);
        site.server.stop();
    }
}

#[test]
fn a_reload_that_fails_detaches_nothing() {
    for engine in ENGINES {
        let site = Site::new(engine, "");
        assert_eq!(site.deed("POST", "/_debug/databases", r#"{"name":"a","path":"a.db"}"#).status, 201);
        let broken = "[databases.a]\npath = \"tenants/a.db\"\n[databases.broken]\npath = \"none.db\"\n";
        site.scratch.file("sqlitrest.toml", format!("{CONFIG}{broken}"));
        assert_eq!(site.deed("POST", "/_debug/reload-schema", "").status, 422);
        site.scratch.file("sqlitrest.toml", CONFIG);
        assert_eq!(site.deed("POST", "/_debug/reload-schema", "").status, 200);
        assert_eq!(site.get_of("a", "/albums?select=id").status, 200, "{engine}");
        site.server.stop();
    }
}

#[test]
fn who_attaches_at_the_same_time_is_told_the_truth() {
    for engine in ENGINES {
        let site = Site::new(engine, "");
        let together = |bodies: Vec<String>| {
            let statuses: Vec<u16> = scope(|scope| {
                let asked = bodies.iter().map(|body| {
                    let site = &site;
                    scope.spawn(move || site.deed("POST", "/_debug/databases", body).status)
                });
                let asked: Vec<_> = asked.collect();
                asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
            });
            statuses.iter().filter(|status| **status == 201).count()
        };
        let same = (0..8).map(|_| r#"{"name":"same","path":"a.db","persist":true}"#.to_owned());
        assert_eq!(together(same.collect()), 1, "{engine}: one of a name");
        // Two are there, of four.
        let many = (0..8).map(|number| format!(r#"{{"name":"t{number}","path":"a.db","persist":true}}"#));
        assert_eq!(together(many.collect()), 2, "{engine}: no more than attach.most");
        // All that is told to be persisted is.
        let file = fs::read_to_string(site.config()).expect("file");
        assert_eq!(file.matches("path = ").count(), 4, "{file}");
        assert_eq!(site.deed("POST", "/_debug/reload-schema", "").status, 200);
        assert_eq!(site.deed("POST", "/_debug/databases", r#"{"name":"SAME","path":"a.db"}"#).status, 409);
        // What is detached and stays in the file comes back with it, which is told.
        let reply = site.deed("DELETE", "/_debug/databases/same", "");
        assert!(reply.body.contains("?persist=true"), "{reply:?}");
        site.server.stop();
    }
}

#[test]
fn files_are_watched_while_a_database_beside_them_is_written() {
    for engine in ENGINES {
        let site = Site::new(engine, "");
        site.server.signal("TERM");
        assert_eq!(site.server.wait().code, Some(0));
        let text = CONFIG.replace("watch = false", "watch = true");
        let config = site.scratch.file("sqlitrest.toml", &text);
        let server = serve_config(engine, &config, &SECRET);
        let end = AtomicBool::new(false);
        scope(|scope| {
            let _ends = Ends(&end);
            let (address, end) = (&server.address, &end);
            let admin = &site.admin;
            scope.spawn(move || {
                let mut client = Client::connect(address);
                while !end.load(Ordering::Relaxed) {
                    assert!(client.request_with("PATCH", "/albums?id=eq.1", &[admin], r#"{"title":"x"}"#));
                    assert_eq!(client.reply(false).expect("a reply").status, 204);
                }
            });
            // Another file than before, and then what is in that.
            site.scratch.file("others.toml", OPEN);
            site.scratch.file("sqlitrest.toml", text.replace("policies.toml", "others.toml"));
            server.logs("files have changed: the configuration is read again");
            site.scratch.file("others.toml", format!("{OPEN}using = \"id = 2\"\n"));
            server.logs("files have changed: the configuration is read again");
            let reply = ask(address, "GET", "/albums?select=id", &[], "");
            assert_eq!(reply.body, r#"[{"id":2}]"#, "{engine}");
            end.store(true, Ordering::Relaxed);
        });
        server.stop();
    }
}

fn held(id: u32) -> (usize, usize) {
    let count = |what: &str| fs::read_dir(format!("/proc/{id}/{what}")).map_or(0, Iterator::count);
    (count("task"), count("fd"))
}

/// Waits until a process holds no more than it did. (It closes what nobody uses beside its answers.)
fn settles(id: u32, before: (usize, usize)) {
    let begun = std::time::Instant::now();
    while held(id).0 > before.0 || held(id).1 > before.1 {
        assert!(begun.elapsed() < support::LIMIT, "{:?} before, {:?} now", before, held(id));
        std::thread::yield_now();
    }
}

/// The resident memory of a process, in bytes.
fn resident(id: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().expect("a number") << 10
}

#[test]
fn a_thousand_cycles_leak_nothing() {
    if !Path::new("/proc/self/fd").exists() {
        return;
    }
    for engine in ENGINES {
        let site = Site::new(engine, "[pool]\nreaders_per_db = 2\n");
        let id = site.server.id();
        let mut administrator = Client::connect(&site.server.address);
        let mut deed = |method: &str, target: &str, body: &str| {
            assert!(administrator.request_with(method, target, &[&site.admin], body));
            administrator.reply(false).expect("a reply").status
        };
        let end = AtomicBool::new(false);
        scope(|scope| {
            let _ends = Ends(&end);
            for schema in ["main", "a"] {
                let (site, end) = (&site, &end);
                scope.spawn(move || {
                    let mut client = Client::connect(&site.server.address);
                    let field = format!("accept-profile: {schema}");
                    while !end.load(Ordering::Relaxed) {
                        assert!(client.request_with("GET", "/albums?select=id", &[&field], ""));
                        let reply = client.reply(false).expect("a reply");
                        // Now there is such a database, now there is none; those of `main` are never in doubt.
                        let expected = if reply.status == 200 { r#"[{"id":1},{"id":2}]"# } else { "" };
                        assert!(reply.status == 200 || (schema == "a" && reply.status == 406), "{reply:?}");
                        assert!(reply.status != 200 || reply.body == expected, "{reply:?}");
                    }
                });
            }
            let mut cycle = || {
                assert_eq!(deed("POST", "/_debug/databases", r#"{"name":"a","path":"a.db"}"#), 201);
                assert_eq!(deed("DELETE", "/_debug/databases/a", ""), 200);
            };
            // What is made once is made by then.
            (0..50).for_each(|_| cycle());
            let (before, memory) = (held(id), resident(id));
            (0..1_000).for_each(|_| cycle());
            settles(id, before);
            let grown = resident(id).saturating_sub(memory);
            // A database that stays takes more than 100 KiB: a thousand of them would be 100 MiB.
            assert!(grown < 32 << 20, "{engine}: {grown} bytes more");
        });
        let sql = Connection::open(site.scratch.path("tenants/a.db")).expect("free");
        sql.execute_batch("BEGIN EXCLUSIVE; COMMIT").expect("nobody has it");
        site.server.stop();
    }
}
