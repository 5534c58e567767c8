//! Several databases: each a schema with its own mode, policies and functions, and what one may read of another.

mod support;

use rusqlite::Connection;
use support::{ENGINES, Reply, Scratch, Server, ask, path, run, serve_config};

const CONFIG: &str = r#"
[databases.shop]
path = "shop.db"
attach = ["logs"]
[databases.logs]
path = "logs.db"
mode = "readonly"
hidden = ["secret*"]

[[udf]]
name = "visits"
expose = true
sql = "SELECT count(*) AS n FROM logs.visits WHERE customer = :customer"
params = [{ name = "customer", type = "integer" }]
returns = "setof record"
[[udf]]
name = "pages"
expose = true
database = "logs"
sql = "SELECT DISTINCT page FROM visits ORDER BY 1"
[[computed_column]]
table = "customers"
name = "visited"
type = "boolean"
sql = "EXISTS (SELECT 1 FROM logs.visits WHERE customer = {row}.id)"
[[computed_relationship]]
table = "customers"
name = "visits"
target = "logs.visits"
sql = "SELECT * FROM logs.visits WHERE customer = {row}.id"
[column_types."logs.visits"]
page = "JSON"
"#;

/// A shop and its logs, in a directory.
fn shop(scratch: &Scratch) {
    let sql = Connection::open(scratch.path("shop.db")).expect("new");
    sql.execute_batch(
        "CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT);
         INSERT INTO customers VALUES (1, 'Ann'), (2, 'Bob');
         CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT);",
    )
    .expect("shop");
    let sql = Connection::open(scratch.path("logs.db")).expect("new");
    sql.execute_batch(
        "CREATE TABLE visits(id INTEGER PRIMARY KEY, customer INT, page TEXT);
         INSERT INTO visits VALUES (1, 1, '\"/a\"'), (2, 1, '\"/b\"');
         CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT);
         INSERT INTO notes VALUES (1, 'of the logs');
         CREATE TABLE secrets(id INTEGER PRIMARY KEY);",
    )
    .expect("logs");
}

fn get(server: &Server, target: &str, schema: Option<&str>) -> Reply {
    let field = schema.map(|schema| format!("accept-profile: {schema}"));
    let fields: Vec<&str> = field.iter().map(String::as_str).collect();
    ask(&server.address, "GET", target, &fields, "")
}

#[test]
fn each_is_a_schema() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        shop(&scratch);
        let server = serve_config(engine, &scratch.file("sqlitrest.toml", CONFIG), &[]);
        // The first is the default one, though another comes before it in the alphabet.
        assert!(server.line.contains("shop.db (2 tables)"), "{}", server.line);
        assert!(server.line.contains("logs.db (3 tables, read-only)"), "{}", server.line);
        for schema in [None, Some("shop"), Some("public")] {
            let reply = get(&server, "/customers?select=name&order=id", schema);
            assert_eq!(reply.body, r#"[{"name":"Ann"},{"name":"Bob"}]"#, "{engine}");
            assert_eq!(reply.header("content-profile"), Some("shop"));
        }
        let reply = get(&server, "/visits?select=page&order=id", Some("logs"));
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (200, r#"[{"page":"/a"},{"page":"/b"}]"#),
            "{engine}"
        );
        assert_eq!(reply.header("content-profile"), Some("logs"));
        assert_eq!(get(&server, "/notes", Some("logs")).body, r#"[{"id":1,"text":"of the logs"}]"#);
        assert_eq!(get(&server, "/notes", None).body, "[]");
        // Neither has what the other has.
        assert_eq!(get(&server, "/visits", None).status, 404);
        assert_eq!(get(&server, "/customers", Some("logs")).status, 404);
        assert_eq!(get(&server, "/secrets", Some("logs")).status, 404);
        let reply = get(&server, "/customers", Some("other"));
        assert_eq!(reply.status, 406);
        assert!(reply.body.contains("Only the following schemas are exposed: shop, logs"), "{}", reply.body);
        assert_eq!(reply.header("content-profile"), None);
        server.stop();
    }
}

#[test]
fn each_has_its_mode_and_its_functions() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        shop(&scratch);
        let server = serve_config(engine, &scratch.file("sqlitrest.toml", CONFIG), &[]);
        let post = |schema: &str| {
            let field = format!("content-profile: {schema}");
            ask(
                &server.address,
                "POST",
                "/notes",
                &[&field, "prefer: return=representation"],
                r#"{"id":7,"text":"x"}"#,
            )
        };
        let written = post("shop");
        assert_eq!((written.status, written.body.as_str()), (201, r#"[{"id":7,"text":"x"}]"#), "{engine}");
        assert_eq!(written.header("content-profile"), Some("shop"));
        assert_eq!(post("logs").status, 405);
        // Of a write it is the Content-Profile that counts, of a read the Accept-Profile.
        let beside = ask(&server.address, "GET", "/notes?id=eq.7", &["content-profile: logs"], "");
        assert_eq!(beside.body, r#"[{"id":7,"text":"x"}]"#);
        assert_eq!(get(&server, "/rpc/pages", Some("logs")).body, r#"[{"page":"\"/a\""},{"page":"\"/b\""}]"#);
        assert_eq!(get(&server, "/rpc/pages", None).status, 404);
        assert_eq!(get(&server, "/rpc/visits?customer=1", Some("logs")).status, 404);
        server.stop();
    }
}

#[test]
fn one_reads_another() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        shop(&scratch);
        let server = serve_config(engine, &scratch.file("sqlitrest.toml", CONFIG), &[]);
        assert_eq!(get(&server, "/rpc/visits?customer=1", None).body, r#"[{"n":2}]"#, "{engine}");
        let target = "/customers?select=name,visited,visits(id,page)&visits.order=id.desc&order=id";
        let expected = r#"[{"name":"Ann","visited":true,"visits":[{"id":2,"page":"\"/b\""},{"id":1,"page":"\"/a\""}]},{"name":"Bob","visited":false,"visits":[]}]"#;
        assert_eq!(get(&server, target, None).body, expected, "{engine}");
        // Another process writes to the logs and changes their schema.
        let sql = Connection::open(scratch.path("logs.db")).expect("logs");
        sql.execute_batch(
            "ALTER TABLE visits ADD COLUMN at TEXT; INSERT INTO visits VALUES (3, 2, NULL, 'now')",
        )
        .expect("changed");
        let target = "/customers?select=visits(id,at)&id=eq.2";
        assert_eq!(get(&server, target, None).body, r#"[{"visits":[{"id":3,"at":"now"}]}]"#, "{engine}");
        server.stop();
    }
}

#[test]
fn who_reads_another_has_a_log_of_its_own() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        shop(&scratch);
        let server = serve_config(engine, &scratch.file("s.toml", CONFIG), &[]);
        for (file, expected) in [("shop.db", "wal"), ("logs.db", "delete")] {
            let sql = Connection::open(scratch.path(file)).expect("database");
            let mode: String = sql.query_row("PRAGMA journal_mode", [], |row| row.get(0)).expect("mode");
            assert_eq!(mode, expected, "{engine} {file}");
        }
        server.stop();
    }
}

#[test]
fn policies_are_of_one() {
    const POLICIES: &str = r#"
[policies]
[[policies.policy]]
name = "everyone reads the shop"
table = "*"
operations = ["select"]
[[policies.policy]]
name = "pages are no secret, customers are"
database = "logs"
table = "visits"
operations = ["select"]
using = "customer = 1"
[policies.policy.columns]
hidden = ["customer"]
"#;
    for engine in ENGINES {
        let scratch = Scratch::new();
        shop(&scratch);
        let config = "[databases.shop]\npath = \"shop.db\"\n[databases.logs]\npath = \"logs.db\"\n"
            .to_owned()
            + POLICIES;
        let server = serve_config(engine, &scratch.file("sqlitrest.toml", config), &[]);
        assert_eq!(get(&server, "/customers?select=id", None).body, r#"[{"id":1},{"id":2}]"#, "{engine}");
        let visits = get(&server, "/visits?id=eq.1", Some("logs"));
        assert_eq!(visits.body, r#"[{"id":1,"page":"\"/a\""}]"#, "{engine}");
        // What no rule of its own allows is refused, whatever those of the other say.
        assert_eq!(get(&server, "/notes", Some("logs")).status, 401, "{engine}");
        server.stop();
    }
}

#[test]
fn no_rule_holds_in_another() {
    let scratch = Scratch::new();
    shop(&scratch);
    let policies = "[policies]\ndefault_action = \"allow\"\n";
    for (what, sql) in [
        ("qualified", "SELECT count(*) AS n FROM logs.visits"),
        ("quoted", "SELECT count(*) AS n FROM \"LOGS\".visits"),
        ("found by SQLite", "SELECT count(*) AS n FROM customers, Visits"),
    ] {
        let config = format!(
            "[databases.shop]\npath = \"shop.db\"\nattach = [\"logs\"]\n[databases.logs]\npath = \"logs.db\"\n{policies}[[udf]]\nname = \"f\"\nexpose = true\nsql = '{sql}'\n"
        );
        let check = |text: &str| {
            let file = scratch.file("sqlitrest.toml", text);
            run(&["serve", "--config", path(&file), "--engine", "native", "--listen", "127.0.0.1:0"], &[])
        };
        let ended = check(&config);
        assert_eq!(ended.code, Some(2), "{what}: {ended:?}");
        assert!(ended.stderr.contains("function f reads an attached database"), "{what}: {}", ended.stderr);
        let file = scratch.file("sqlitrest.toml", config + "security = \"definer\"\n");
        let server = serve_config("native", &file, &[]);
        assert_eq!(get(&server, "/rpc/f", None).status, 200, "{what}");
        server.stop();
    }
}

#[test]
fn what_cannot_be() {
    let scratch = Scratch::new();
    shop(&scratch);
    let two = "[databases.shop]\npath = \"shop.db\"\n[databases.logs]\npath = \"logs.db\"\n";
    for (text, expected) in [
        ("attach = [\"log\"]\n", "databases.logs.attach: there is no [databases.log]; perhaps logs"),
        ("attach = [\"logs\"]\n", "databases.logs.attach names the database itself"),
        (
            "[[udf]]\nname = \"f\"\nsql = \"SELECT 1\"\ndatabase = \"lgos\"\n",
            "function f: database = \"lgos\", but there is no [databases.lgos]; perhaps logs",
        ),
        ("[databases.third]\n", "databases.third has no path"),
        ("[databases.third]\npath = \"none.db\"\n", "none.db"),
    ] {
        let file = scratch.file("sqlitrest.toml", format!("{two}{text}"));
        let ended =
            run(&["serve", "--config", path(&file), "--engine", "native", "--listen", "127.0.0.1:0"], &[]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{text}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{text}: {}", ended.stderr);
    }
}
