//! Who may see what: the administrator's port and socket, and the API's own listener.

use crate::http::ask;
use crate::support::{Client, ENGINES, Scratch};
use crate::{AUTH, Observed, start, token};

#[test]
fn on_the_listener_of_the_api_it_is_for_the_administrator() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let config = format!(
            "{AUTH}[debug]\nenabled = true\nadmin_role = \"boss\"\n[auth.roles]\nowner = [\"boss\"]\n"
        );
        let observed = Observed::start(engine, &scratch, &database, &config);
        let [author, boss, owner] = ["author", "boss", "owner"].map(|role| token(&scratch, role));
        for page in [
            "/metrics",
            "/_debug/slow-queries",
            "/_debug/errors",
            "/_debug/pools",
            "/_debug/config",
            "/_schema",
        ] {
            let of = |token| observed.api(page, token);
            let nobody = of(None);
            assert_eq!((nobody.status, nobody.body.contains("42501")), (401, true), "{nobody:?}");
            assert_eq!(of(Some("not.a.token")).status, 401);
            assert_eq!(of(Some(&author)).status, 403);
            assert_eq!((of(Some(&boss)).status, of(Some(&owner)).status), (200, 200));
            assert_eq!(observed.admin(page).status, 200);
        }
        let is_whole = |answer: &crate::http::Answer| answer.json().get("databases").is_some();
        for token in [None, Some("not.a.token"), Some(author.as_str())] {
            let answer = observed.api("/health", token);
            assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"pass"}"#));
        }
        assert!(is_whole(&observed.api("/health", Some(&boss))) && is_whole(&observed.admin("/health")));
        observed.server.stop();
    }
}

#[test]
fn what_is_not_switched_on_is_not_there() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let server = start("native", &scratch, &database, "[admin]\nhealth_on_api = false\n");
    for page in
        ["/health", "/health/live", "/health/ready", "/metrics", "/_debug/slow-queries", "/_debug/errors"]
    {
        assert_eq!(ask(&server.address, "GET", page, &[], "").status, 404, "{page}");
    }
    server.stop();
    let observed = Observed::start("native", &scratch, &database, "[admin]\nhealth_on_api = false\n");
    assert_eq!(observed.admin("/health/ready").status, 200);
    let nothing = observed.admin("/tracks");
    assert_eq!((nothing.status, nothing.body.contains("/health")), (404, true), "{nothing:?}");
    observed.server.stop();
}

/// A page of another origin can have its own name lead to the port, in the browser of who reaches it.
#[test]
fn the_port_does_not_go_by_the_name_of_another() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = "[debug]\nenabled = true\n[admin]\nhosts = [\"metrics.internal\"]\n";
    let observed = Observed::start("native", &scratch, &database, config);
    for page in ["/_debug/config", "/_schema", "/metrics", "/health/live", "/_debug/reload-schema"] {
        for host in ["evil.example", "evil.example:3001", "127.0.0.1.evil.example", "x"] {
            let refused = ask(&observed.admin, "GET", page, &[("host", host)], "");
            assert_eq!(
                (refused.status, &refused.json()["code"]),
                (421, &"08004".into()),
                "{host}: {refused:?}"
            );
            assert!(refused.json()["hint"].as_str().is_some_and(|hint| hint.contains("admin.hosts")));
        }
    }
    let deed = ask(&observed.admin, "POST", "/_debug/explain", &[("host", "evil.example")], "{}");
    assert_eq!(deed.status, 421, "{deed:?}");
    for host in ["127.0.0.1", "10.1.2.3:3001", "[::1]:3001", "localhost:1", "Metrics.Internal:3001"] {
        assert_eq!(ask(&observed.admin, "GET", "/metrics", &[("host", host)], "").status, 200, "{host}");
    }
    // Two of them are not one, and HTTP/1.0 has none.
    let two = [("host", "localhost"), ("host", "evil.example")];
    assert!(matches!(ask(&observed.admin, "GET", "/metrics", &two, "").status, 400 | 421));
    let mut old = Client::connect(&observed.admin);
    assert!(old.send(b"GET /health/live HTTP/1.0\r\n\r\n"));
    assert_eq!(old.reply(false).expect("a reply").status, 200);
    // What is public goes by any name.
    assert_eq!(ask(&observed.api, "GET", "/health/live", &[("host", "api.example")], "").status, 200);
    observed.server.stop();
}

#[test]
fn it_can_be_read_and_no_more() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let observed = Observed::start("native", &scratch, &database, "");
    for address in [&observed.api, &observed.admin] {
        let post = ask(address, "POST", "/health", &[], "{}");
        assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")), "{post:?}");
        let head = ask(address, "HEAD", "/health/live", &[], "");
        assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, Some("17"), ""));
        assert_eq!(head.header("cache-control"), Some("no-store"));
    }
    observed.server.stop();
}

#[test]
fn without_an_administrator_whoever_reaches_it_may_read() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = "[admin]\nmetrics = true\n[debug]\nrequire_admin = false\n";
    let server = start("native", &scratch, &database, config);
    let metrics = ask(&server.address, "GET", "/metrics", &[], "");
    assert_eq!((metrics.status, metrics.body.contains("sqlitrest_build_info")), (200, true));
    server.stop();
}

#[cfg(unix)]
mod socket {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::http::ask_socket;
    use crate::serving;
    use crate::support::{path, run_command};

    #[test]
    fn whoever_may_open_it_is_the_administrator() {
        for engine in ENGINES {
            let scratch = Scratch::new();
            let database = scratch.database("a.db");
            let place = scratch.path("admin.sock");
            // One that an earlier process has left.
            drop(UnixListener::bind(&place).expect("a socket"));
            // Relative to the configuration.
            let config = "[admin]\nunix_socket = \"admin.sock\"\nunix_socket_mode = \"0640\"\n";
            let mut server = start(engine, &scratch, &database, config);
            assert_eq!(server.next_line(), format!("administrator: unix:{}\n", path(&place)));
            let mode = fs::metadata(&place).expect("a socket").permissions().mode();
            assert_eq!(mode & 0o777, 0o640);
            let health = ask_socket(&place, "GET", "/health");
            assert_eq!(health.json()["databases"]["main"]["mode"], "readwrite", "{health:?}");
            let metrics = ask_socket(&place, "GET", "/metrics");
            assert!(metrics.body.contains("sqlitrest_build_info"), "{metrics:?}");

            // It is taken.
            let second = run_command(serving(engine, &scratch, &database, config));
            assert_eq!(second.code, Some(2), "{second:?}");
            assert!(second.stderr.contains("a server listens on unix:"), "{second:?}");
            assert_eq!(ask_socket(&place, "GET", "/health/live").status, 200);
            server.stop();
            assert!(!place.exists());
        }
    }

    #[test]
    fn a_file_is_not_replaced() {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let file = scratch.file("precious.txt", "keep me");
        let config = "[admin]\nunix_socket = \"precious.txt\"\n";
        let ended = run_command(serving("native", &scratch, &database, config));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("is there and is no socket"), "{ended:?}");
        assert_eq!(fs::read_to_string(&file).expect("a file"), "keep me");
    }
}

#[test]
fn what_is_wrong_with_the_configuration_is_said_with_its_place() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = format!("[admin]\nlisten = \"{}\"\n", taken.local_addr().expect("an address"));
    for (config, expected) in [
        ("[log]\nlevel = \"loud\"\n", "sqlitrest.toml:2:9: `loud` is no level: write off, error, warn"),
        ("[log]\nformat = \"xml\"\n", "sqlitrest.toml:2:10: unknown variant `xml`"),
        ("[log]\nslow_querry = \"1s\"\n", "unknown field `slow_querry`"),
        ("[admin]\nunix_socket_mode = \"0888\"\n", "`0888` is no mode of a file: write \"660\""),
        (
            "[admin]\nlisten = \"3001\"\n",
            "sqlitrest.toml:2:1: admin.listen = \"3001\" is no address with a port",
        ),
        (taken.as_str(), "admin.listen = \"127.0.0.1:"),
        ("[telemetry]\nendpont = \"x\"\n", "unknown field `endpont`"),
        ("[telemetry]\nendpoint = \"localhost\"\n", "telemetry.endpoint = \"localhost\" is no address"),
        (
            "[telemetry]\nendpoint = \"http://127.0.0.1:1\"\nsample_ratio = 1.5\n",
            "telemetry.sample_ratio = 1.5 is not between 0 and 1",
        ),
        (
            "[telemetry]\nendpoint = \"http://127.0.0.1:1\"\nheaders = { authorization = \"env:NOT_SET\" }\n",
            "telemetry.headers.authorization: the environment has no variable NOT_SET",
        ),
    ] {
        let ended = crate::support::run_command(crate::serving("native", &scratch, &database, config));
        assert_eq!(ended.code, Some(2), "{config}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{config}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{config}: {}", ended.stderr);
    }
}
