//! Starting: what is printed, what wins over what, and every way in which it must not begin.

mod support;

use std::net::TcpListener;

use support::{ENGINES, Scratch, Server, command, get, guest, path, run, serve, serve_with};

#[test]
fn both_engines_start_on_a_free_port_and_give_the_same_bytes() {
    let scratch = Scratch::new();
    let database = scratch.database("music.db");
    let replies = ENGINES.map(|engine| {
        let server = serve(engine, &database, &[]);
        let begin = format!("sqlitrest {}: serving ", env!("CARGO_PKG_VERSION"));
        assert!(server.line.starts_with(&begin), "{}", server.line);
        assert!(server.line.contains("music.db (2 tables) on http://127.0.0.1:"), "{}", server.line);
        assert!(server.line.ends_with(&format!(", engine {engine}\n")), "{}", server.line);
        let replies = [
            "/albums?order=id",
            "/tracks?select=name,album:albums(title)&limit=2&order=id",
            "/tracks?id=eq.2&select=id",
            "/nope",
            "/tracks?nope=eq.1",
            "/tracks?select=(",
            "/",
        ]
        .map(|target| get(&server.address, target));
        let ended = server.stop();
        assert!(ended.stdout.contains("open for reading and writing"), "{ended:?}");
        replies
    });
    assert_eq!(replies[0][0].status, 200);
    assert_eq!(
        replies[0][0].body,
        r#"[{"id":1,"title":"One","bytes":"AP8="},{"id":2,"title":"Two \"2\"","bytes":null}]"#
    );
    let server = format!("sqlitrest/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(replies[0][0].header("server"), Some(server.as_str()));
    assert_eq!(replies[0][3].status, 404);
    assert_eq!(replies[0], replies[1]);
}

#[test]
fn what_the_configuration_defines_and_the_database_lacks_is_said_at_the_start() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = scratch.file(
        "s.toml",
        "[[computed_column]]\ntable = \"nope\"\nname = \"x\"\nsql = \"1\"\n\
         [[udf]]\nname = \"f\"\nexpose = true\nsql = \"SELECT missing(1) AS a\"\nreturns = \"record\"\n",
    );
    let server = serve("native", &database, &["--config", path(&config)]);
    assert_eq!(get(&server.address, "/tracks?limit=1").status, 200);
    let ended = server.stop();
    assert!(ended.stderr.contains("warning: computed_column x: there is no nope"), "{ended:?}");
    assert!(ended.stderr.contains("warning: function f: no such function: missing"), "{ended:?}");

    let wrong = scratch.file("w.toml", "[[udf]]\nname = \"f\"\nsql = \"SELECT 1\"\nreturns = \"some\"\n");
    let ended = run(&["serve", path(&database), "--config", path(&wrong)], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("function f: returns = \"some\" is none of"), "{ended:?}");
}

#[test]
fn flag_over_environment_over_file() {
    let scratch = Scratch::new();
    scratch.database("a.db");
    let config = scratch.file(
        "s.toml",
        "[server]\nengine = \"native\"\nport = 0\nhost = \"127.0.0.1\"\n[databases.main]\npath = \"a.db\"\nhidden = [\"tracks\"]\n",
    );
    // The path in the file is relative to the file, not to the working directory.
    let server = Server::start(command(&["serve", "--config", path(&config)], &[]));
    assert!(server.line.contains("engine native"), "{}", server.line);
    assert_eq!(get(&server.address, "/tracks").status, 404);
    let ended = server.stop();
    assert!(!ended.stdout.contains("no configuration file"), "{ended:?}");

    let by_environment = [("SQLITREST_DATABASES_MAIN_HIDDEN", "[]"), ("SQLITREST_CONFIG", path(&config))];
    let server = Server::start(command(&["serve"], &by_environment));
    assert_eq!(get(&server.address, "/tracks").status, 200);
    server.stop();

    let other = scratch.database("b.db");
    let flags = ["serve", path(&other), "--config", path(&config), "--listen", "localhost:0"];
    let server = Server::start(command(&flags, &[("SQLITREST_SERVER_PORT", "1")]));
    assert!(server.line.contains("b.db"), "{}", server.line);
    server.stop();
}

#[test]
fn what_is_wrong_with_the_command_is_said_in_one_sentence() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let database = path(&database);
    let bad_key = scratch.file("key.toml", "[server]\nprot = 1\n");
    let bad_value = scratch.file("value.toml", "[server]\nmax_body = \"ten\"\n");
    let text = scratch.file("text.wasm", "no component");
    let proxies =
        scratch.file("proxies.toml", "[middleware]\ntrusted_proxies = [\"lan\"]\n[server]\nport = 0\n");
    let head = scratch.file("head.toml", "[server]\nmax_header_size = \"1KiB\"\nport = 0\n");
    let cases: &[(&[&str], &str)] = &[
        (&["serve"], "type `sqlitrest serve FILE.db`"),
        (&["serve", database, "--config", "/nowhere.toml"], "/nowhere.toml cannot be read"),
        (&["serve", database, "--config", path(&bad_key)], "key.toml:2:1: unknown field `prot`"),
        (&["serve", database, "--config", path(&bad_value)], "value.toml:2:12: `ten` is not a size"),
        (&["serve", database, "--listen", "3000"], "write 127.0.0.1:3000"),
        (&["serve", database, "--listen", "unix:"], "write unix:./sqlitrest.sock"),
        (
            &["serve", database, "--engine", "native", "--config", path(&proxies)],
            "`lan` is no network; write \"10.0.0.0/8\"",
        ),
        (
            &["serve", database, "--engine", "native", "--config", path(&head)],
            "server.max_header_size must be at least 4 KiB",
        ),
        (&["serve", database, "--engine", "native", "--listen", "256.0.0.1:0"], "cannot listen on 256.0.0.1"),
        (&["serve", database, "--guest", "/nowhere.wasm"], "/nowhere.wasm cannot be read"),
        (&["serve", database, "--guest", path(&text)], "text.wasm is not a component"),
    ];
    for (arguments, expected) in cases {
        let ended = run(arguments, &[]);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert!(ended.stderr.contains(expected), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
    }
    let ended = run(&["serve", database], &[("SQLITREST_SERVER_PROT", "1")]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("perhaps SQLITREST_SERVER_PORT"), "{ended:?}");
    for arguments in [&["serve", database, "--engine", "nativ"][..], &["serve", "--nope"], &["nope"]] {
        let ended = run(arguments, &[]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.starts_with("error: "), "{ended:?}");
    }
}

#[test]
fn a_component_that_is_damaged_does_not_run() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let whole = std::fs::read(guest()).expect("compiled component");
    let half = scratch.file("half.cwasm", &whole[..whole.len() / 2]);
    let ended = run(&["serve", path(&database), "--guest", path(&half)], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("half.cwasm"), "{ended:?}");
    // A component of another kind, without our handler.
    let other = scratch.file("other.wasm", [0, 97, 115, 109, 13, 0, 1, 0]);
    let ended = run(&["serve", path(&database), "--guest", path(&other)], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("does not fit this host"), "{ended:?}");
}

#[test]
fn a_port_in_use() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("address").to_string();
    let ended = run(&["serve", path(&database), "--engine", "native", "--listen", &address], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let port = taken.local_addr().expect("address").port();
    assert!(ended.stderr.contains(&format!("port {port} of 127.0.0.1 is in use")), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

#[test]
fn read_only_by_configuration() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_DATABASES_MAIN_MODE", "readonly")]);
        assert!(server.line.contains("read-only"), "{}", server.line);
        assert_eq!(get(&server.address, "/tracks?id=eq.1&select=name").body, r#"[{"name":"a"}]"#);
        let reply = support::reply_to(&server.address, "DELETE", "/tracks?id=eq.1", "");
        assert_eq!(reply.status, 405, "{reply:?}");
        server.stop();
        assert_eq!(support::count(&database, "tracks"), 3);
    }
}
