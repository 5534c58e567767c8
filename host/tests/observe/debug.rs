//! `/_schema` and `/_debug/*` of a running server: who is told what, indexes that help, the configuration without its secrets, pools.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value as Json, json};

use crate::http::{Answer, ask};
use crate::support::{ENGINES, Scratch};
use crate::{AUTH, Observed, SECRET, token};

/// What the API answers an administrator who sends this.
fn post(observed: &Observed, token: &str, path: &str, body: &Json) -> Answer {
    let bearer = format!("Bearer {token}");
    ask(&observed.api, "POST", path, &[("authorization", &bearer)], &body.to_string())
}

fn texts(json: &Json) -> Vec<&str> {
    json.as_array().expect("a list").iter().filter_map(Json::as_str).collect()
}

/// Says what to do next, as every answer does.
fn has_next(answer: &Answer) -> bool {
    answer.json()["next"].as_array().is_some_and(|next| !next.is_empty() && next.iter().all(Json::is_string))
}

#[test]
fn everything_in_the_index_is_there_and_says_what_to_do_next() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let config = format!("{AUTH}[debug]\nenabled = true\n");
        let observed = Observed::start(engine, &scratch, &database, &config);
        let admin = token(&scratch, "admin");
        let index = observed.api("/_debug", Some(&admin));
        assert!(index.status == 200 && has_next(&index), "{index:?}");
        assert_eq!(index.header("cache-control"), Some("no-store"));
        let index = index.json();
        let topics = index["topics"].as_array().expect("topics");
        assert_eq!(topics.len(), 10, "{index:#}");
        for topic in topics {
            let path = topic["path"].as_str().expect("a path");
            // With no body a POST is not understood, but it is there.
            let answer = match topic["method"].as_str() {
                Some("GET") => observed.api(path, Some(&admin)),
                _ => post(&observed, &admin, path, &json!({})),
            };
            let expected = if path.ends_with("explain") || path.ends_with("check") { 400 } else { 200 };
            assert_eq!(answer.status, expected, "{path}: {answer:?}");
            // What was there before has a form of its own.
            let is_older = ["/_debug/databases", "/_debug/reload-schema"].contains(&path);
            assert!(is_older || expected == 400 || has_next(&answer), "{path}: {answer:?}");
            let author = token(&scratch, "author");
            let bearer = format!("Bearer {author}");
            let method = topic["method"].as_str().expect("a method");
            let refused = ask(&observed.api, method, path, &[("authorization", &bearer)], "");
            assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("42501")), "{path}");
        }
        let head = ask(&observed.admin, "HEAD", "/_schema", &[], "");
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        let whole = observed.admin("/_schema").body.len().to_string();
        assert_eq!(head.header("content-length"), Some(whole.as_str()));
        observed.server.stop();
    }
}

#[test]
fn what_is_not_switched_on_is_an_unknown_path() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let observed = Observed::start("native", &scratch, &database, "");
    for path in
        ["/_schema", "/_debug", "/_debug/explain", "/_debug/policy-check", "/_debug/pools", "/_debug/config"]
    {
        for method in ["GET", "POST"] {
            let unknown = ask(&observed.api, method, "/_debug/unknown", &[], "{}");
            let answer = ask(&observed.api, method, path, &[], "{}");
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
            assert!(path == "/_schema" || path == "/_debug" || answer.body == unknown.body, "{answer:?}");
            assert_eq!(ask(&observed.admin, method, path, &[], "{}").status, 404);
        }
    }
    observed.server.stop();
}

/// What explaining a request advises.
fn advice(observed: &Observed, request: &str) -> Json {
    let body = json!({ "request": request }).to_string();
    let answer = ask(&observed.admin, "POST", "/_debug/explain", &[], &body);
    assert!(answer.status == 200 && has_next(&answer), "{answer:?}");
    answer.json()
}

fn indexes(explained: &Json) -> Vec<&str> {
    explained["advice"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|own| own["create_index"].as_str())
        .collect()
}

#[test]
fn an_index_is_advised_that_then_is_used() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let observed = Observed::start(engine, &scratch, &database, "[debug]\nenabled = true\n");
        let by_album = r#"CREATE INDEX "tracks_album_id_idx" ON "tracks" ("album_id");"#;
        for request in [
            "GET /albums?select=title,tracks(name)",
            "GET /tracks?album_id=eq.1",
            "DELETE /tracks?album_id=eq.1",
        ] {
            let explained = advice(&observed, request);
            assert_eq!(indexes(&explained), [by_album], "{request}: {explained:#}");
            let advice = &explained["advice"][0];
            assert_eq!(advice["columns"], json!(["album_id"]));
            assert!(texts(&advice["before"]).iter().any(|line| line.starts_with("SCAN ")), "{advice}");
            let after = texts(&advice["after"]);
            assert!(
                after.iter().any(|line| line.contains("INDEX tracks_album_id_idx (album_id=?)")),
                "{advice}"
            );
            assert!(texts(&explained["next"]).iter().any(|next| next.contains(by_album)), "{explained:#}");
        }
        let sorted = advice(&observed, "GET /tracks?album_id=eq.1&order=name.desc");
        let both = r#"CREATE INDEX "tracks_album_id_name_idx" ON "tracks" ("album_id", "name" DESC);"#;
        assert_eq!(indexes(&sorted), [both], "{sorted:#}");
        for request in
            ["GET /tracks?id=eq.1", "GET /tracks?name=ilike.*a*", "GET /tracks", "POST /albums?columns=title"]
        {
            let explained = advice(&observed, request);
            assert_eq!(explained["advice"], json!([]), "{request}: {explained:#}");
        }
        // Nothing was made or written.
        let sql = Connection::open(&database).expect("a database");
        let count = |sql: &Connection, of: &str| -> i64 {
            sql.query_row(of, [], |row| row.get(0)).expect("a number")
        };
        assert_eq!(count(&sql, "SELECT count(*) FROM sqlite_schema WHERE type = 'index'"), 0);
        assert_eq!(count(&sql, "SELECT count(*) FROM tracks"), 3);
        sql.execute_batch(by_album).expect("an index");
        let explained = advice(&observed, "GET /albums?select=title,tracks(name)");
        assert_eq!(explained["advice"], json!([]), "{explained:#}");
        drop(sql);
        observed.server.stop();
    }
}

#[test]
fn indexes_that_help_together_or_for_what_refers() {
    const CONFIG: &str = "[api]\naggregates = true\nmax_rows = 100\n[debug]\nenabled = true\n";
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let observed = Observed::start(engine, &scratch, &database, CONFIG);
        let by_album = r#"CREATE INDEX "tracks_album_id_idx" ON "tracks" ("album_id");"#;
        let by_name = r#"CREATE INDEX "tracks_name_idx" ON "tracks" ("name");"#;
        let both = r#"CREATE INDEX "tracks_album_id_name_idx" ON "tracks" ("album_id", "name");"#;
        let advised: [(&str, &[&str]); 8] = [
            ("DELETE /albums?id=eq.1", &[by_album]),
            ("GET /tracks?album_id=eq.1&id=gt.1", &[by_album]),
            ("GET /tracks?album_id=eq.1&order=id.desc", &[by_album]),
            ("GET /tracks?or=(album_id.eq.1,name.eq.a)", &[by_name, by_album]),
            ("GET /tracks?name=like.a*", &[by_name]),
            ("GET /tracks?select=album_id,name.max()", &[both]),
            ("GET /tracks?or=(album_id.eq.1,name.ilike.*a*)", &[]),
            ("GET /tracks?id=gt.1&order=id.desc", &[]),
        ];
        for (request, expected) in advised {
            let explained = advice(&observed, request);
            assert_eq!(indexes(&explained), expected, "{request}: {explained:#}");
        }
        // A page that ends is none to do anything about.
        let page = advice(&observed, "GET /tracks?limit=2");
        assert_eq!(
            texts(&page["next"]),
            ["Nothing: tracks is read no further than the page goes."],
            "{page:#}"
        );
        observed.server.stop();
    }
}

#[test]
fn the_configuration_is_told_without_its_secrets() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        scratch.file("keys.toml", "");
        scratch.file("collector.txt", "c0llect0r");
        let config = format!(
            "{AUTH}[auth.apikey]\nsource = \"file:./keys.toml\"\n[log]\nrequests = true\nslow_query = \"1s\"\n[debug]\nenabled = true\n\
             [audit]\nfile = \"./audit.ndjson\"\nkey = \"a-key-of-the-audit-log\"\n\
             [telemetry]\nendpoint = \"http://127.0.0.1:9\"\nheaders = {{ authorization = \"file:collector.txt\", x-token = \"pl41n\" }}\n\
             [backup]\ndirectory = \"./backups\"\nat = \"03:00\"\ntimezone = \"Europe/Berlin\"\n"
        );
        let observed = Observed::start(engine, &scratch, &database, &config);
        let answer = observed.admin("/_debug/config");
        assert!(answer.status == 200 && has_next(&answer), "{answer:?}");
        for secret in [SECRET, "a-key-of-the-audit-log", "c0llect0r", "pl41n"] {
            assert!(!answer.body.contains(secret), "{secret} is in {}", answer.body);
        }
        let told = answer.json();
        for (pointer, expected) in [
            ("/auth/jwt/secret", json!("(set)")),
            ("/audit/key", json!("(set)")),
            ("/audit/queue", json!(10_000)),
            ("/telemetry/headers", json!({ "authorization": "(set)", "x-token": "(set)" })),
            ("/log/requests", json!(true)),
            ("/log/format", json!("human")),
            ("/backup/at", json!("03:00")),
            ("/backup/timezone", json!("Europe/Berlin")),
            ("/api/anonymous_role", json!("anon")),
            ("/policies/policy/0/name", json!("all")),
        ] {
            assert_eq!(told["configuration"].pointer(pointer), Some(&expected), "{pointer} in {told:#}");
        }
        let changed = texts(&told["changed"]);
        for key in
            ["debug.enabled", "log.requests", "log.slow_query", "admin.listen", "audit.key", "backup.at"]
        {
            assert!(changed.contains(&key), "{key}: {changed:?}");
        }
        for key in [
            "pool.readers_per_db",
            "databases.main.mode",
            "auth.jwt.leeway",
            "log.format",
            "mcp.max_rows",
            "audit.queue",
        ] {
            assert!(!changed.contains(&key), "{key}: {changed:?}");
        }
        observed.server.stop();
    }
}

#[test]
fn pools_and_errors() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let config = "[pool]\nreaders_per_db = 3\n[debug]\nenabled = true\n";
        let observed = Observed::start(engine, &scratch, &database, config);
        let pools = observed.admin("/_debug/pools").json();
        let main = &pools["databases"][0];
        assert_eq!((&pools["engine"], &main["name"]), (&json!(engine), &json!("main")), "{pools:#}");
        assert_eq!(main["readers"]["size"], 3);
        assert_eq!((&main["readers"]["waiting"], &main["is_there"]), (&json!(0), &json!(true)));
        assert_eq!(pools.get("component").is_some(), engine == "component");
        let errors = observed.admin("/_debug/errors").json();
        assert_eq!((&errors["count"], &errors["errors"]), (&json!(0), &json!([])), "{errors:#}");
        std::fs::rename(&database, scratch.path("away.db")).expect("moved");
        let pools = observed.admin("/_debug/pools").json();
        assert_eq!(pools["databases"][0]["is_there"], false, "{pools:#}");
        assert!(texts(&pools["next"])[0].starts_with("main: the file is not where it was"), "{pools:#}");
        std::fs::rename(scratch.path("away.db"), &database).expect("moved back");
        observed.server.stop();
    }
}

/// Rows of one's own: everybody those that are theirs.
const OWN: &str = r#"
[api]
anonymous_role = "anon"
[auth.jwt]
secret = "a-secret-of-at-least-thirty-two-bytes"
[policies]
[[policies.policy]]
name = "the first"
table = "tracks"
operations = ["select"]
roles = ["anon"]
using = "id = 1"
[[policies.policy]]
name = "all"
table = "*"
roles = ["admin"]
[policies.policy.columns]
masked = { name = "'***'" }
[debug]
enabled = true
"#;

fn own(scratch: &Scratch, database: &Path, engine: &str) -> Observed {
    // A mask is about tracks alone, which have the column.
    Observed::start(engine, scratch, database, &OWN.replace("table = \"*\"", "table = \"tracks\""))
}

#[test]
fn rows_are_those_of_who_asks() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let observed = own(&scratch, &database, engine);
        let admin = token(&scratch, "admin");
        let tracks = |answer: &Answer| -> Json {
            let told = answer.json();
            let found =
                told["relations"].as_array().and_then(|all| all.iter().find(|own| own["name"] == "tracks"));
            found.unwrap_or_else(|| panic!("{answer:?}")).clone()
        };
        let whole = observed.api("/_schema?counts=true&examples=2", Some(&admin));
        let own = tracks(&whole);
        assert_eq!((&own["rows"], &own["examples"][0]["name"]), (&json!(3), &json!("***")), "{own:#}");
        // What the administrator's own role may not read is told of, and not read.
        let albums = whole.json()["relations"].as_array().expect("a list")[0].clone();
        assert_eq!((albums["name"].as_str(), albums.get("rows")), (Some("albums"), None), "{albums:#}");
        assert!(albums["unread"].as_str().is_some_and(|why| why.contains("permission denied")), "{albums:#}");
        let other = observed.api("/_schema?role=anon&counts=true", Some(&admin));
        assert_eq!(tracks(&other)["rows"], 1);
        assert_eq!(other.json()["relations"].as_array().map(Vec::len), Some(1), "{other:?}");
        // Whoever reaches the port has shown nothing: rows are nobody's, structure and rules are everybody's.
        assert_eq!(tracks(&observed.admin("/_schema?counts=true"))["rows"], 1);
        assert_eq!(observed.admin("/_schema?role=admin").status, 200);
        assert_eq!(observed.admin("/_schema?role=admin&counts=true").status, 401);
        let check = json!({ "table": "tracks", "operation": "select", "role": "admin", "filter": "id=gt.0" });
        let by_port = ask(&observed.admin, "POST", "/_debug/policy-check", &[], &check.to_string());
        assert_eq!(by_port.status, 401, "{by_port:?}");
        let checked = post(&observed, &admin, "/_debug/policy-check", &check).json();
        assert_eq!(checked["rows"], json!({ "all": 3, "seen": 3, "allowed": 3 }), "{checked:#}");
        assert_eq!(
            (&checked["decision"], &checked["columns"]["masked"]),
            (&json!("allowed"), &json!(["name"]))
        );
        observed.server.stop();
    }
}

/// Nothing that tells of the server writes, not even what is run before every request.
#[test]
fn rows_are_unread_where_what_comes_before_them_writes() {
    const CONFIG: &str = r#"
[api]
pre_request = "visit"
[[udf]]
name = "visit"
readonly = false
sql = "UPDATE albums SET title = 'seen' WHERE id = 2"
returns = "void"
[debug]
enabled = true
"#;
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let observed = Observed::start(engine, &scratch, &database, CONFIG);
        for target in ["/_schema?counts=true", "/_schema?examples=1"] {
            let told = observed.admin(target).json();
            let tracks = &told["relations"][1];
            assert_eq!((tracks.get("rows"), tracks.get("examples")), (None, None), "{tracks:#}");
            let why = tracks["unread"].as_str().unwrap_or_default();
            assert!(why.starts_with("api.pre_request writes"), "{tracks:#}");
        }
        let title = "/albums?select=title&id=eq.2";
        let sql = Connection::open(&database).expect("a database");
        let now: String =
            sql.query_row("SELECT title FROM albums WHERE id = 2", [], |row| row.get(0)).expect("a row");
        assert_eq!(now, "Two \"2\"");
        assert_eq!(observed.api(title, None).body, r#"[{"title":"seen"}]"#);
        drop(sql);
        observed.server.stop();
    }
}

/// Where everybody must sign in, the port still tells what is no row, and the socket everything.
#[cfg(unix)]
#[test]
fn nobody_need_sign_in_where_only_the_administrator_comes() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let closed = AUTH.replace("anonymous_role = \"anon\"", "");
        let config = format!("{closed}[debug]\nenabled = true\n[admin]\nunix_socket = \"admin.sock\"\n");
        let observed = Observed::start(engine, &scratch, &database, &config);
        assert_eq!(observed.api("/_schema", None).status, 401);
        for page in ["/_schema", "/_debug", "/_debug/config", "/_debug/pools"] {
            let told = observed.admin(page);
            assert_eq!(told.status, 200, "{page}: {told:?}");
        }
        assert_eq!(advice(&observed, "GET /tracks?id=eq.1")["advice"], json!([]));
        let check = json!({ "table": "tracks", "operation": "select", "role": "author" }).to_string();
        let checked = ask(&observed.admin, "POST", "/_debug/policy-check", &[], &check);
        assert_eq!(checked.json()["decision"], "allowed", "{checked:?}");
        // A wrong credential is one here, too.
        let wrong = ask(&observed.admin, "GET", "/_schema", &[("authorization", "Bearer not.a.token")], "");
        assert_eq!(wrong.status, 401, "{wrong:?}");
        // The API lets nobody in who could read rows.
        let rows = "/_schema?table=tracks&counts=true";
        assert_eq!(observed.admin(rows).status, 401);
        let bearer = format!("Bearer {}", token(&scratch, "author"));
        let own = ask(&observed.admin, "GET", rows, &[("authorization", &bearer)], "");
        assert_eq!(own.json()["relations"][0]["rows"], 3, "{own:?}");
        let by_socket = crate::http::ask_socket(&scratch.path("admin.sock"), "GET", rows);
        assert_eq!(by_socket.json()["relations"][0]["rows"], 3, "{by_socket:?}");
        observed.server.stop();
    }
}

#[cfg(unix)]
#[test]
fn whoever_may_open_the_socket_is_the_administrator() {
    use crate::http::ask_socket;
    use crate::start;

    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = "[debug]\nenabled = true\n[admin]\nunix_socket = \"admin.sock\"\n";
    let mut server = start("native", &scratch, &database, config);
    server.next_line();
    let place = scratch.path("admin.sock");
    let schema = ask_socket(&place, "GET", "/_schema?format=text&role=anyone&counts=true");
    assert!(schema.status == 200 && schema.body.contains("\n- 3 rows\n"), "{schema:?}");
    assert_eq!(schema.header("content-type"), Some("text/plain; charset=utf-8"));
    server.stop();
}

#[test]
fn of_several_databases_it_is_the_one_that_is_named() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let other = scratch.path("b.db");
        Connection::open(&other)
            .expect("new")
            .execute_batch("CREATE TABLE others(id INTEGER PRIMARY KEY, n INT)")
            .expect("a table");
        let config = format!(
            "[debug]\nenabled = true\n[databases.main]\npath = \"a.db\"\n[databases.second]\npath = {other:?}\n"
        );
        let observed = Observed::start(engine, &scratch, &database, &config);
        let names = |answer: Answer| -> Vec<String> {
            let told = answer.json();
            let all = told["relations"].as_array().expect("a list").clone();
            all.iter().filter_map(|own| own["name"].as_str().map(str::to_owned)).collect()
        };
        assert_eq!(names(observed.admin("/_schema")), ["albums", "tracks"]);
        assert_eq!(names(observed.admin("/_schema?database=second")), ["others"]);
        let by_field = ask(&observed.admin, "GET", "/_schema", &[("accept-profile", "second")], "");
        assert_eq!(names(by_field), ["others"]);
        let unknown = observed.admin("/_schema?database=third");
        assert_eq!((unknown.status, unknown.json()["code"].as_str()), (406, Some("PGRST106")), "{unknown:?}");
        let body = json!({ "database": "second", "request": "GET /others?n=eq.1" }).to_string();
        let explained = ask(&observed.admin, "POST", "/_debug/explain", &[], &body).json();
        assert_eq!(
            indexes(&explained),
            [r#"CREATE INDEX "others_n_idx" ON "others" ("n");"#],
            "{explained:#}"
        );
        observed.server.stop();
    }
}
