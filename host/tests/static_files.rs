//! Files beside the API (`[static]`): what is served, what is not, and that nothing outside the directory ever is.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Client, ENGINES, Reply, Scratch, Server, ask, get, path, reply_to, run, serve_config};

const INDEX: &str = "<!doctype html>\n<title>Hello</title>\n";
const SECRET: &str = "nobody is to read this";

/// A project whose API is below `/api`, and the path of its configuration. `more` stands at the end of that.
fn project(scratch: &Scratch, more: &str) -> PathBuf {
    scratch.database("a.db");
    let public = scratch.path("public");
    for folder in ["docs", "empty", "api/tracks", ".hidden"] {
        fs::create_dir_all(public.join(folder)).expect("a folder");
    }
    for (name, text) in [
        ("index.html", INDEX),
        ("app.js", "let a = 1\n"),
        ("Straße 1.txt", "eins\n"),
        ("docs/index.html", "docs\n"),
        ("docs/data.unknown", "data\n"),
        ("api/tracks/x", "not the API's\n"),
        (".env", SECRET),
        (".hidden/x", SECRET),
    ] {
        fs::write(public.join(name), text).expect("a file");
    }
    scratch.file("secret.txt", SECRET);
    let text = format!(
        "[databases.main]\npath = \"a.db\"\n[api]\nbase_path = \"/api\"\n[static]\ndirectory = \"public\"\n{more}"
    );
    scratch.file("sqlitrest.toml", text)
}

/// The reply to a target that is sent as it is.
fn raw(address: &str, method: &str, target: &str) -> Reply {
    let mut client = Client::connect(address);
    assert!(client.send(format!("{method} {target} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()));
    client.reply(method == "HEAD").expect("a reply")
}

#[test]
fn files_beside_the_api() {
    let scratch = Scratch::new();
    let config = project(&scratch, "");
    for engine in ENGINES {
        let server = serve_config(engine, &config, &[]);
        let at = |target| get(&server.address, target);
        let index = at("/");
        assert_eq!((index.status, index.body.as_str()), (200, INDEX));
        let fields = ["content-type", "x-content-type-options", "cache-control", "server"];
        assert_eq!(
            fields.map(|name| index.header(name).unwrap_or_default()),
            ["text/html; charset=utf-8", "nosniff", "no-cache", "sqlitrest/0.1.0"]
        );
        assert_eq!(at("/index.html?v=2").body, INDEX);
        assert_eq!(at("/app.js").header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(at("/Stra%C3%9Fe%201.txt").body, "eins\n");
        assert_eq!(at("/docs/data.unknown").header("content-type"), Some("application/octet-stream"));
        assert_eq!(at("/docs/").body, "docs\n");
        let moved = at("/docs?a=1");
        assert_eq!((moved.status, moved.header("location")), (301, Some("/docs/?a=1")));
        // What the API has is the API's, whatever files there are.
        assert_eq!(at("/api/tracks?id=eq.1&select=name").body, r#"[{"name":"a"}]"#);
        assert_eq!(at("/api/tracks/x").status, 404);
        assert!(at("/health/live").body.contains("pass"));
        server.stop();
    }
}

#[test]
fn who_has_it_is_not_sent_it_again() {
    let scratch = Scratch::new();
    let config = project(&scratch, "[middleware]\ncompression_min_size = \"1B\"\n");
    let server = serve_config("native", &config, &[]);
    let tag = get(&server.address, "/app.js").header("etag").expect("a tag").to_owned();
    let with = |fields: &[&str]| ask(&server.address, "GET", "/app.js", fields, "");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let reply = with(&[&format!("if-none-match: {known}")]);
        assert_eq!(
            (reply.status, reply.body.as_str(), reply.header("etag")),
            (304, "", Some(&*tag)),
            "{known}"
        );
    }
    // A coded answer has a tag of its own, by which it is known, too.
    let coded = ask(&server.address, "HEAD", "/app.js", &["accept-encoding: gzip"], "");
    let coded = coded.header("etag").expect("a tag").to_owned();
    assert_eq!(coded, format!("{}-gzip\"", tag.trim_end_matches('"')));
    assert_eq!(with(&[&format!("if-none-match: {coded}"), "accept-encoding: gzip"]).status, 304);
    let head = reply_to(&server.address, "HEAD", "/docs/data.unknown", "");
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    fs::write(scratch.path("public/app.js"), "let a = 22\n").expect("a file");
    let fresh = with(&[&format!("if-none-match: {tag}")]);
    assert_eq!((fresh.status, fresh.body.as_str()), (200, "let a = 22\n"));
    server.stop();
}

/// Larger than what is read at once, which is sent in pieces.
#[test]
fn a_large_file_is_whole() {
    let scratch = Scratch::new();
    let config = project(&scratch, "");
    let text: String = (0..300_000).map(|n| format!("{n}\n")).collect();
    fs::write(scratch.path("public/large.txt"), &text).expect("a file");
    fs::write(scratch.path("public/none.txt"), "").expect("a file");
    let server = serve_config("native", &config, &[]);
    let reply = get(&server.address, "/large.txt");
    assert!(reply.status == 200 && reply.whole && reply.body == text, "{} bytes", reply.body.len());
    let head = reply_to(&server.address, "HEAD", "/large.txt", "");
    assert_eq!(head.header("content-length"), Some(&*text.len().to_string()));
    let none = get(&server.address, "/none.txt");
    assert_eq!((none.status, none.body.as_str()), (200, ""));
    // Of HTTP/1.0, which has no chunks.
    let mut client = Client::connect(&server.address);
    assert!(client.send(b"GET /large.txt HTTP/1.0\r\n\r\n"));
    assert_eq!(client.reply(false).expect("a reply").body.len(), text.len());
    server.stop();
}

#[test]
fn nothing_outside_is_reached() {
    let scratch = Scratch::new();
    let config = project(&scratch, "");
    let public = scratch.path("public");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("../secret.txt", public.join("out.txt")).expect("a link");
        symlink(scratch.path("secret.txt"), public.join("absolute.txt")).expect("a link");
        symlink("..", public.join("up")).expect("a link");
        symlink("nowhere", public.join("broken")).expect("a link");
        symlink("app.js", public.join("inside.js")).expect("a link");
        symlink(".env", public.join("env.txt")).expect("a link");
    }
    let server = serve_config("native", &config, &[]);
    for target in [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/docs/../app.js",
        "/./app.js",
        "/%2e%2e/secret.txt",
        "/%2E%2e%2Fsecret.txt",
        "/..%2fsecret.txt",
        "/docs/%2e%2e/%2e%2e/secret.txt",
        "/..%5csecret.txt",
        "/docs\\..\\..\\secret.txt",
        "/app.js%00",
        "/app.js%00.html",
        "/%00",
        "//app.js",
        "/docs//index.html",
        "/.env",
        "/%2eenv",
        "/.hidden/x",
        "/.hidden/",
        "/APP.JS",
        "/Index.html",
        "/app.js/",
        "/app.js/x",
        "/app.js.",
        "/app.js%20",
        "/empty",
        "/empty/",
        "/nothing",
        "/%ff",
        "/%",
        "/a.db",
        "/sqlitrest.toml",
        "/%252e%252e/secret.txt",
        "/Api/tracks",
        "/api2",
        "/out.txt",
        "/absolute.txt",
        "/up/secret.txt",
        "/up/",
        "/up",
        "/broken",
    ] {
        let reply = raw(&server.address, "GET", target);
        assert_eq!(reply.status, 404, "{target}: {reply:?}");
        assert!(!reply.body.contains(SECRET) && reply.header("etag").is_none(), "{target}: {reply:?}");
        assert!(reply.body.contains("\"PGRST125\""), "{target}: {reply:?}");
    }
    let long = raw(&server.address, "GET", &format!("/{}", "x".repeat(5_000)));
    assert_eq!(long.status, 404);
    // A target with a scheme and a host is that of a proxy; its path counts.
    assert_eq!(raw(&server.address, "GET", "http://x/../secret.txt").status, 404);
    assert_eq!(raw(&server.address, "GET", "http://x/app.js").status, 200);
    #[cfg(unix)]
    {
        assert_eq!(get(&server.address, "/inside.js").body, "let a = 1\n", "links inside are followed");
        // Whoever has made this link has given the file another name.
        assert_eq!(get(&server.address, "/env.txt").body, SECRET);
        fifo(&public);
        assert_eq!(get(&server.address, "/fifo").status, 404, "what is no file is not opened");
    }
    // Files are read and nothing else.
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        assert_eq!(reply_to(&server.address, method, "/app.js", "{}").status, 404, "{method}");
    }
    assert_eq!(fs::read_to_string(public.join("app.js")).expect("a file"), "let a = 1\n");
    server.stop();
}

#[cfg(unix)]
fn fifo(public: &Path) {
    let made = std::process::Command::new("mkfifo").arg(public.join("fifo")).status().expect("mkfifo");
    assert!(made.success());
}

/// Who must sign in for the API need not for the page that lets them.
#[test]
fn files_are_for_everybody_and_the_api_is_not() {
    let scratch = Scratch::new();
    let more = "[auth.jwt]\nsecret = \"reallyreallyreallyreallyverysafe\"\n[audit]\nfile = \"audit.ndjson\"\nreads = true\n";
    let server = serve_config("native", &project(&scratch, more), &[]);
    assert_eq!(get(&server.address, "/").status, 200);
    let nothing = get(&server.address, "/favicon.ico");
    assert_eq!((nothing.status, nothing.header("www-authenticate")), (404, None));
    assert_eq!(get(&server.address, "/api/tracks").status, 401);
    server.stop();
    let log = fs::read_to_string(scratch.path("audit.ndjson")).expect("a log");
    assert_eq!(log.lines().filter(|line| line.contains("\"denied\"")).count(), 1, "{log}");
}

#[test]
fn off_unless_it_is_configured_and_taken_up_by_a_reload() {
    let scratch = Scratch::new();
    let config = project(&scratch, "");
    let with = fs::read_to_string(&config).expect("text");
    let without = with.replace("[static]\ndirectory = \"public\"\n", "");
    fs::write(&config, &without).expect("written");
    let server = serve_config("native", &config, &[]);
    assert_eq!(get(&server.address, "/app.js").status, 404);
    fs::write(&config, &with).expect("written");
    server.logs("the configuration is read again");
    assert_eq!(get(&server.address, "/app.js").status, 200);
    // What would be wrong at the start is wrong now, and changes nothing.
    fs::write(&config, with.replace("\"public\"", "\"nowhere\"")).expect("written");
    let line = server.logs("what was read before is kept");
    assert!(line.contains("is no directory"), "{line}");
    assert_eq!(get(&server.address, "/app.js").status, 200);
    // Another directory of that name is that from now on.
    fs::rename(scratch.path("public"), scratch.path("old")).expect("renamed");
    assert_eq!(get(&server.address, "/app.js").status, 404);
    fs::create_dir(scratch.path("public")).expect("a directory");
    scratch.file("public/app.js", "new\n");
    assert_eq!(get(&server.address, "/app.js").body, "new\n");
    server.stop();
}

/// What stops the start, in one sentence that says what to do; `check` says the same.
#[test]
fn what_cannot_be_meant() {
    let scratch = Scratch::new();
    let config = project(&scratch, "");
    let good = fs::read_to_string(&config).expect("text");
    fs::write(scratch.path("public/jwt.secret"), "reallyreallyreallyreallyverysafe").expect("written");
    fs::copy(scratch.path("a.db"), scratch.path("public/a.db")).expect("copied");
    for (text, told) in [
        (
            good.replace("base_path = \"/api\"", "base_path = \"\""),
            "static.directory: the API has every path",
        ),
        (good.replace("\"public\"", "\"nowhere\""), "static.directory: "),
        (good.replace("\"public\"", "\"secret.txt\""), "is no directory; make it"),
        (good.replace("\"public\"", "\".\""), "static.directory: everybody could read "),
        (good.replace("\"a.db\"", "\"public/a.db\""), "static.directory: everybody could read "),
        (format!("{good}[auth.jwt]\nsecret = \"file:public/jwt.secret\"\n"), "jwt.secret, which is below "),
        (format!("{good}[audit]\nfile = \"public/audit.ndjson\"\n"), "audit.ndjson, which is below "),
        (format!("{good}[backup]\ndirectory = \"public/docs\"\n"), "docs, which is below "),
        (good.replace("directory = ", "folder = "), "unknown field `folder`"),
    ] {
        fs::write(&config, &text).expect("written");
        let ended =
            run(&["serve", "--config", path(&config), "--engine", "native", "--listen", "127.0.0.1:0"], &[]);
        assert!(ended.code == Some(2) && ended.stderr.contains(told), "{told}: {ended:?}");
        let ended = run(&["check", "--config", path(&config)], &[("SQLITREST_SERVER_PORT", "0")]);
        assert!(ended.code == Some(2) && ended.stdout.contains(told), "{told}: {ended:?}");
    }
    let environment = [("SQLITREST_STATIC_DIRECTORY", path(&scratch.path("public/docs")).to_owned())];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    fs::write(&config, good.replace("\"public\"", "\"nowhere\"")).expect("written");
    let server: Server = serve_config("native", &config, &environment);
    assert_eq!(get(&server.address, "/").body, "docs\n");
    server.stop();
}

/// What the server tells of itself and what agents ask stand beside the API, where files are.
#[test]
fn the_servers_own_pages_are_no_files() {
    let scratch = Scratch::new();
    let more = "[auth.jwt]\nsecret = \"reallyreallyreallyreallyverysafe\"\n[debug]\nenabled = true\n[mcp]\nenabled = true\n";
    let config = project(&scratch, more);
    for engine in ENGINES {
        let server = serve_config(engine, &config, &[]);
        for page in ["/_schema?format=text", "/_debug", "/_debug/config", "/_debug/pools", "/_mcp"] {
            assert_eq!(get(&server.address, page).status, 401, "{engine}: {page}");
        }
        assert_eq!(get(&server.address, "/_schemas").status, 404, "a file that is not there");
        server.stop();
    }
}
