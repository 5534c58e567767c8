//! What describes the API: `sqlitrest openapi`, `sqlitrest types typescript`, and the page at `/_docs`.

mod support;

use serde_json::Value as Json;
use support::{ENGINES, Scratch, ask, get, path, reply_to, run, serve_config};

const POLICIES: &str = r#"
[databases.main]
path = "a.db"
[api]
anonymous_role = "reader"
base_path = "/rest/v1"
[auth.jwt]
secret = "reallyreallyreallyreallyverysafe"
[[policies.policy]]
name = "titles"
table = "albums"
operations = ["select"]
[policies.policy.columns]
hidden = ["bytes"]
[[policies.policy]]
name = "editors"
table = "tracks"
roles = ["editor"]
"#;

fn paths(document: &str) -> Vec<String> {
    let document: Json = serde_json::from_str(document).expect("JSON");
    document["paths"].as_object().expect("paths").keys().cloned().collect()
}

#[test]
fn documents_of_the_command_line() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = scratch.file("s.toml", POLICIES);
    let before = std::fs::read(&database).expect("a file");
    let of = |more: &[&str]| run(&[&["openapi", "--config", path(&config)][..], more].concat(), &[]);
    let reader = of(&["--role", "reader"]);
    assert_eq!((reader.code, reader.stderr.as_str()), (Some(0), ""));
    assert_eq!(paths(&reader.stdout), ["/", "/albums", "/_batch"]);
    let document: Json = serde_json::from_str(&reader.stdout).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let row = document["components"]["schemas"]["albums"]["properties"].as_object().expect("a row");
    assert_eq!(row.keys().collect::<Vec<_>>(), ["id", "title"]);
    assert_eq!(paths(&of(&["--role", "editor"]).stdout), ["/", "/albums", "/tracks", "/_batch"]);
    assert_eq!(paths(&of(&[]).stdout), ["/", "/albums", "/tracks", "/_batch"]);
    assert!(of(&["--version", "2.0"]).stdout.starts_with("{\n  \"swagger\": \"2.0\""));
    assert!(of(&["--version", "3.0"]).stdout.starts_with("{\n  \"openapi\": \"3.0.3\""));
    let wrong = of(&["--version", "4.0"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("3.1, 3.0, 2.0"), "{wrong:?}");
    assert_eq!(std::fs::read(&database).expect("a file"), before, "it changes nothing");
}

#[test]
fn types_of_the_command_line() {
    let scratch = Scratch::new();
    scratch.database("a.db");
    let config = scratch.file("s.toml", POLICIES);
    let of = |more: &[&str]| {
        let ended = run(&[&["types", "typescript", "--config", path(&config)][..], more].concat(), &[]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        ended.stdout
    };
    let all = of(&[]);
    assert!(
        all.contains("\n  public: {\n") && all.contains("foreignKeyName: \"tracks_album_id_fkey\""),
        "{all}"
    );
    let reader = of(&["--role", "reader", "--schema", "api"]);
    assert!(reader.contains("\n  api: {\n") && reader.contains("      albums: {\n"), "{reader}");
    assert!(!reader.contains("tracks") && !reader.contains("bytes"), "{reader}");
    let missing = run(&["types", "typescript", "--database", path(&scratch.path("none.db"))], &[]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
}

#[test]
fn the_page_and_the_document_beside_it() {
    let scratch = Scratch::new();
    scratch.database("a.db");
    let config = scratch.file("s.toml", POLICIES);
    for engine in ENGINES {
        let server = serve_config(engine, &config, &[]);
        let page = get(&server.address, "/rest/v1/_docs");
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(
            page.header("content-security-policy").is_some_and(|policy| policy.contains("script-src 'self'"))
        );
        assert!(page.body.contains("data-scheme=\"Bearer\""), "{}", page.body);
        let script = ask(&server.address, "GET", "/rest/v1/_docs/page.js", &[], "");
        assert_eq!((script.status, script.header("x-content-type-options")), (200, Some("nosniff")));
        let viewer =
            ask(&server.address, "HEAD", "/rest/v1/_docs/swagger-ui.js", &["Accept-Encoding: gzip"], "");
        assert_eq!((viewer.status, viewer.header("content-encoding")), (200, Some("gzip")));
        assert_eq!(reply_to(&server.address, "POST", "/rest/v1/_docs", "").status, 405);
        assert_eq!(get(&server.address, "/rest/v1/_docs/nothing").status, 404);
        assert_eq!(get(&server.address, "/_docs").status, 404);
        // What the page asks for: the document of who looks at it.
        assert_eq!(paths(&get(&server.address, "/rest/v1/?openapi=3.1").body), ["/", "/albums", "/_batch"]);
        let token = run(&["token", "--config", path(&config), "--role", "editor"], &[]);
        let field = format!("Authorization: Bearer {}", token.stdout.trim());
        let editor = ask(&server.address, "GET", "/rest/v1/?openapi=3.1", &[&field], "");
        assert_eq!(paths(&editor.body), ["/", "/albums", "/tracks", "/_batch"]);
        server.stop();
    }
}

#[test]
fn the_page_can_be_switched_off() {
    let scratch = Scratch::new();
    scratch.database("a.db");
    for off in ["[api]\ndocs = false\n", "[api]\nopenapi = \"disabled\"\n"] {
        let config = scratch.file("s.toml", format!("{off}[databases.main]\npath = \"a.db\"\n"));
        let server = serve_config("native", &config, &[]);
        let page = get(&server.address, "/_docs");
        assert_eq!(page.status, 404);
        assert!(page.body.contains("PGRST205"), "{}", page.body);
        server.stop();
    }
}
