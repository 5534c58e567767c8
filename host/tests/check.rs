//! `sqlitrest check`: all that is wrong at once, with file and line, for people and for machines; and what each command says of bad input.

#[path = "check/refused.rs"]
mod refused;
mod support;

use std::net::TcpListener;
use std::path::Path;

use serde_json::Value as Json;
use support::{Ended, Scratch, path, run};
use toml::{Table, Value};

/// A free port, so that nothing else on the machine is told of.
const PORT: (&str, &str) = ("SQLITREST_SERVER_PORT", "0");

fn check(config: &Path, more: &[&str]) -> Ended {
    run(&[&["check", "--config", path(config)][..], more].concat(), &[PORT])
}

fn json(ended: &Ended) -> Json {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn a_configuration_that_can_be_served() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let before = std::fs::read(&database).expect("a file");
    let config = scratch.file(
        "s.toml",
        "[[udf]]\nname = \"f\"\nexpose = true\nsql = \"SELECT :a AS a\"\nparams = [{ name = \"a\" }]\n",
    );
    let well = check(&config, &["--database", path(&database)]);
    assert_eq!((well.code, well.stderr.as_str()), (Some(0), ""), "{well:?}");
    assert!(
        well.stdout.ends_with("a.db, 2 tables, 0 views, 0 policies, 1 functions\nit can be served\n"),
        "{well:?}"
    );
    let told = json(&check(&config, &["--database", path(&database), "--json"]));
    assert_eq!((&told["ok"], &told["functions"]), (&true.into(), &1.into()), "{told}");
    assert_eq!(told["config"], path(&config));
    let own = &told["databases"][0];
    assert_eq!((&own["name"], &own["tables"], &own["views"]), (&"main".into(), &2.into(), &0.into()));
    assert_eq!(std::fs::read(&database).expect("a file"), before, "it changes nothing");
}

/// Mistakes of every kind, each of which alone would stop the start or be said there.
#[test]
fn all_that_is_wrong_at_once() {
    let scratch = Scratch::new();
    scratch.database("a.db");
    scratch.file(
        "policies.toml",
        "[[policy]]\nname = \"a\"\ntable = \"nope\"\n[[policy]]\nname = \"b\"\ntable = \"tracks\"\nusing = \"nope = 1\"\n",
    );
    let config = scratch.file(
        "s.toml",
        r#"[server]
prot = 1
max_body = "ten"
[databases.main]
path = "a.db"
[pool]
readers_per_db = 0
[api]
root = "hom"
[auth.jwt]
algorithm = "RS256"
secret = "no key"
[auth.apikey]
source = "file:none.toml"
[policies]
file = "policies.toml"
bypass_roles = "file:nobody.txt"
[[udf]]
name = "home"
expose = true
sql = "SELECT missing(1)"
returns = "scalar text"
[[udf]]
name = "writes"
readonly = false
sql = "INSERT INTO gone VALUES (:a)"
params = [{ name = "a", type = "integer" }]
returns = "void"
[[computed_column]]
table = "tracks"
name = "loud"
sql = "upper({row}.nam)"
[[computed_column]]
table = "gone"
name = "x"
sql = "1"
[[computed_relationship]]
table = "albums"
name = "first_track"
target = "tracks"
sql = "SELECT * FROM tracks WHERE album = {row}.id"
[fts.tracks]
index = "tracks_fts"
columns = ["name"]
[comments.table]
trakcs = "?"
"#,
    );
    let ended = check(&config, &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let (file, policies) = (path(&config).to_owned(), scratch.path("policies.toml"));
    for (kind, place, words) in [
        ("error", format!("{file}:2"), "unknown field `prot`, expected one of"),
        ("error", format!("{file}:3"), "`ten` is not a size"),
        ("error", format!("{file}:7"), "pool.readers_per_db must be at least 1"),
        ("error", format!("{file}:9"), "api.root = \"hom\" is none of the exposed functions; perhaps home"),
        ("error", format!("{file}:12"), "auth.jwt.secret"),
        ("error", format!("{file}:14"), "none.toml cannot be read"),
        ("error", format!("{file}:17"), "policies.bypass_roles: "),
        ("error", "policies.toml:1".to_owned(), "policy \"a\": there is no exposed table or view nope"),
        ("error", "policies.toml:7".to_owned(), "policy \"b\", tracks: using: there is no column nope"),
        ("warning", format!("{file}:18"), "function home: no such function: missing"),
        ("warning", format!("{file}:23"), "function writes: no such table: gone"),
        ("warning", format!("{file}:29"), "computed_column loud: no such column"),
        ("warning", format!("{file}:33"), "computed_column x: there is no gone"),
        ("warning", format!("{file}:37"), "computed_relationship first_track: no such column"),
        ("warning", format!("{file}:42"), "fts tracks: no such table"),
        ("warning", format!("{file}:45"), "comments.table: there is no table, view or function trakcs"),
    ] {
        let told = ended.stdout.lines().any(|line| {
            line.strip_prefix(&format!("{kind}: "))
                .is_some_and(|line| line.contains(&format!("{place}: ")) && line.contains(words))
        });
        assert!(told, "{kind} {place} {words} is not in\n{}", ended.stdout);
    }
    assert!(ended.stderr.ends_with(" errors\n"), "{ended:?}");
    assert!(policies.exists());

    let told = json(&check(&config, &["--json"]));
    assert_eq!(told["ok"], false);
    let first = &told["errors"][0];
    assert_eq!((&first["file"], &first["line"]), (&file.as_str().into(), &2.into()), "{told}");
    let errors = told["errors"].as_array().expect("a list").len();
    let warnings = told["warnings"].as_array().expect("a list").len();
    let strict = json(&check(&config, &["--json", "--strict"]));
    assert_eq!(strict["errors"].as_array().expect("a list").len(), errors + warnings);
    assert_eq!(strict["warnings"], serde_json::json!([]));
}

#[test]
fn warnings_are_errors_where_that_is_wanted() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = scratch.file("s.toml", "[comments.table]\ngone = \"?\"\n");
    let of = ["--database", path(&database)];
    assert_eq!(check(&config, &of).code, Some(0));
    let strict = check(&config, &[&of[..], &["--strict"]].concat());
    assert_eq!((strict.code, strict.stderr.as_str()), (Some(2), "sqlitrest: 1 error\n"), "{strict:?}");
}

#[test]
fn what_is_no_toml_or_not_there() {
    let scratch = Scratch::new();
    let config = scratch.file("s.toml", "[server]\nport = \n");
    let ended = check(&config, &["--json"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let told = json(&ended);
    assert_eq!(told["errors"][0]["line"], 2, "{told}");
    let ended = run(&["check", "--config", "/nowhere.toml"], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stdout.contains("error: the configuration file /nowhere.toml cannot be read"), "{ended:?}");
    let nothing = run(&["check"], &[PORT]);
    assert!(nothing.stdout.contains("error: no database is named"), "{nothing:?}");
    let gone = check(&scratch.file("g.toml", "[databases.main]\npath = \"gone.db\"\n"), &[]);
    assert!(
        gone.code == Some(2) && gone.stdout.contains("gone.db; sqlitrest serves a database that exists"),
        "{gone:?}"
    );
}

#[test]
fn addresses_that_cannot_be_had() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("address").port();
    let config = scratch.file("s.toml", format!("[server]\nhost = \"127.0.0.1\"\nport = {port}\n"));
    let ended = run(&["check", "--config", path(&config), "--database", path(&database)], &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let words = format!("s.toml:3: server.port: port {port} of 127.0.0.1 is in use");
    assert!(ended.stdout.contains(&words), "{ended:?}");
    let config = scratch.file("h.toml", "[server]\nhost = \"256.0.0.1\"\nport = 0\n");
    let ended = run(&["check", "--config", path(&config), "--database", path(&database)], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stdout.contains("h.toml:2: server.host: cannot listen on 256.0.0.1"), "{ended:?}");
}

#[test]
fn what_stands_before_the_api() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = scratch.file(
        "s.toml",
        "[server]\nmax_connections = 0\n[middleware]\ntrusted_proxies = [\"lan\"]\n[tls]\ncertificate = \"none.pem\"\nkey = \"none.key\"\n",
    );
    let edges = check(&config, &["--database", path(&database)]);
    for words in ["server.max_connections must be", "`lan` is no network", "none.pem cannot be read"] {
        assert!(edges.stdout.contains(words), "{words}: {edges:?}");
    }
    assert!(run(&["completions", "bash"], &[]).stdout.contains("migrate"));
}

#[test]
fn mistakes_of_the_environment_name_the_variable() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for (name, value, words) in [
        ("SQLITREST_SERVER_PORT", "x", "a whole number up to 65535"),
        ("SQLITREST_API_TX_END", "never", "unknown variant `never`"),
        ("SQLITREST_POOL_READERS_PER_DB", "0", "pool.readers_per_db must be at least 1"),
        ("SQLITREST_SERVER_PROT", "1", "perhaps SQLITREST_SERVER_PORT"),
        ("SQLITREST_LOG_REQUESTS", "perhaps", "invalid type: a text, expected true or false"),
        ("SQLITREST_TELEMETRY_SAMPLE_RATIO", "all", "invalid type: a text, expected a number"),
        ("SQLITREST_TELEMETRY_ENDPOINT", "banana", "telemetry.endpoint = \"banana\" is no address"),
        ("SQLITREST_ADMIN_LISTEN", "banana", "admin.listen = \"banana\" is no address with a port"),
        ("SQLITREST_AUDIT_QUEUE", "many", "expected a whole number, not below 0"),
        ("SQLITREST_BACKUP_AT", "noon", "`noon` is no time of day"),
    ] {
        let ended = run(&["serve", path(&database)], &[(name, value)]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(&format!("environment: {name}")), "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
    // What looks like something else is a text where a text is wanted.
    for (name, value) in [
        ("SQLITREST_MIDDLEWARE_CORS_ORIGINS", "https://a.example, https://b.example"),
        ("SQLITREST_API_OPENAPI_VERSION", "3.1"),
        ("SQLITREST_AUTH_JWT_AUDIENCE", "123"),
        ("SQLITREST_TELEMETRY_SERVICE_NAME", "123"),
        ("SQLITREST_API_ANONYMOUS_ROLE", "1"),
    ] {
        let ended = run(&["check", "--database", path(&database)], &[(name, value), PORT]);
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
    }
}

/// The sample that sets every key.
fn sample() -> Table {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/sqlitrest.toml");
    toml::from_str(&std::fs::read_to_string(file).expect("the sample")).expect("TOML")
}

/// Every place of a value: tables and lists of tables are gone into.
fn places(value: &Value, at: &[String], found: &mut Vec<Vec<String>>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) if list.iter().all(Value::is_table) && !list.is_empty() => {
            list.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect()
        }
        _ => return,
    };
    for (key, value) in inner {
        let place: Vec<String> = at.iter().cloned().chain([key]).collect();
        places(value, &place, found);
        found.push(place);
    }
}

fn value_at<'v>(root: &'v mut Value, place: &[String]) -> &'v mut Value {
    place.iter().fold(root, |value, key| match value {
        Value::Table(table) => table.get_mut(key).expect("a key"),
        Value::Array(list) => list.get_mut(key.parse::<usize>().expect("a number")).expect("an element"),
        other => panic!("{other} has no {key}"),
    })
}

/// A value of a type that the key does not take.
fn wrong(value: &Value) -> Value {
    match value {
        Value::Table(_) => Value::Integer(1),
        _ => Value::Table(Table::from_iter([("wrong".to_owned(), Value::Boolean(true))])),
    }
}

/// Runs `serve`, which must end with a sentence that has the file and a line in which the key stands.
fn refused(scratch: &Scratch, table: &Value, key: &str) {
    let text = toml::to_string(table).expect("TOML");
    let config = scratch.file("wrong.toml", &text);
    let ended = run(&["serve", "--config", path(&config), "--listen", "127.0.0.1:0"], &[]);
    assert_eq!(ended.code, Some(2), "{key}: {ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{key}: {ended:?}");
    let begin = format!("sqlitrest: {}:", path(&config));
    let rest = ended.stderr.strip_prefix(&begin).unwrap_or_else(|| panic!("{key}: {ended:?}"));
    let line: usize = rest.split(':').next().and_then(|line| line.parse().ok()).expect("a line");
    let shown = text.lines().nth(line - 1).unwrap_or_default();
    let section = text.lines().take(line).filter(|line| line.starts_with('[')).last().unwrap_or_default();
    assert!(format!("{section}{shown}").contains(key), "{key}: line {line} is {shown:?}: {}", ended.stderr);
}

#[test]
fn every_key_with_a_wrong_type() {
    let scratch = Scratch::new();
    let mut root = Value::Table(sample());
    let mut found = Vec::new();
    places(&root, &[], &mut found);
    // Anything is a default.
    let is_any =
        |place: &[String]| place.ends_with(&["default".to_owned()]) && place.contains(&"params".to_owned());
    let mut tried = 0;
    for place in found.into_iter().filter(|place| !is_any(place)) {
        let key = place.iter().rev().find(|key| key.parse::<usize>().is_err()).expect("a key").clone();
        let value = value_at(&mut root, &place);
        let bad = wrong(value);
        let good = std::mem::replace(value, bad);
        refused(&scratch, &root, &key);
        *value_at(&mut root, &place) = good;
        tried += 1;
    }
    assert!(tried > 100, "only {tried}");
}

#[test]
fn an_unknown_key_in_every_section() {
    let scratch = Scratch::new();
    let root = Value::Table(sample());
    let mut found = vec![Vec::new()];
    places(&root, &[], &mut found);
    // Their keys are names that are anybody's to choose.
    let free = [
        "databases",
        "fts",
        "column_types",
        "comments.table",
        "comments.column",
        "auth.roles",
        "telemetry.headers",
    ];
    let mut tried = 0;
    for place in found {
        let mut wrong = root.clone();
        let names: Vec<&str> =
            place.iter().filter(|key| key.parse::<usize>().is_err()).map(String::as_str).collect();
        let name = names.join(".");
        let is_free = free.contains(&name.as_str())
            || name.starts_with("column_types.")
            || name.ends_with("column_types")
            || name.ends_with("masked");
        let Value::Table(table) = value_at(&mut wrong, &place) else { continue };
        if is_free {
            continue;
        }
        table.insert("no_such_key".to_owned(), Value::Integer(1));
        refused(&scratch, &wrong, "no_such_key");
        tried += 1;
    }
    assert!(tried > 15, "only {tried}");
}

#[test]
fn commands_tell_machines_what_they_tell_people() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let told = json(&run(&["schema", "--database", path(&database), "--json"], &[]));
    let tracks = told["relations"].as_array().expect("a list").iter().find(|own| own["name"] == "tracks");
    let tracks = tracks.expect("tracks");
    assert_eq!(tracks["primary_key"], serde_json::json!(["id"]));
    assert_eq!(tracks["operations"], serde_json::json!(["select", "insert", "update", "delete"]));
    let name = &tracks["columns"][1];
    assert_eq!(
        (&name["name"], &name["type"], &name["not_null"]),
        (&"name".into(), &"TEXT".into(), &true.into())
    );
    let to_albums = &tracks["relationships"][0];
    assert_eq!((&to_albums["name"], &to_albums["cardinality"]), (&"albums".into(), &"many-to-one".into()));
    assert_eq!(to_albums["columns"], serde_json::json!([["album_id", "id"]]));
    let unknown = run(&["schema", "--database", path(&database), "--table", "track"], &[]);
    assert!(unknown.code != Some(0) && unknown.stderr.contains("Perhaps you meant"), "{unknown:?}");
    let text = run(&["schema", "--database", path(&database)], &[]).stdout;
    for words in [
        "table tracks (select, insert, update, delete)\n",
        "\n  id        INTEGER  primary key, not null\n",
        "  → albums, many-to-one by tracks_album_id_fkey (album_id = id)\n",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }

    let keys = scratch.path("keys.toml");
    let of = ["--file", path(&keys), "--json"];
    let made = json(&run(
        &[&["apikey", "new", "--role", "editor", "--sub", "ci", "--expires", "90d"][..], &of].concat(),
        &[],
    ));
    let key = made["key"].as_str().expect("a key");
    assert!(key.starts_with("sqr_"), "{made}");
    let listed = run(&[&["apikey", "list"][..], &of].concat(), &[]);
    let list = json(&listed);
    assert_eq!(
        (&list[0]["id"], &list[0]["role"], &list[0]["subject"]),
        (&made["id"], &"editor".into(), &"ci".into())
    );
    assert!(list[0].get("hash").is_none() && !listed.stdout.contains(&key[20..]), "{list}");
    let text = run(&["apikey", "list", "--file", path(&keys)], &[]).stdout;
    assert!(text.starts_with(&format!("{}  editor  ci  ", made["id"].as_str().expect("text"))), "{text}");
    let none = run(&["user", "list", "--file", path(&scratch.path("none.toml"))], &[]);
    assert_eq!(none.code, Some(2), "{none:?}");
}

/// What a role does not see is not in what it is shown.
#[test]
fn a_schema_as_a_role_knows_it() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = scratch.file(
        "s.toml",
        "[[udf]]\nname = \"f\"\nexpose = true\nsql = \"SELECT 1 AS a\"\nroles = [\"editor\"]\n\
         [[policies.policy]]\nname = \"a\"\ntable = \"tracks\"\noperations = [\"select\"]\nroles = [\"reader\"]\n\
         [policies.policy.columns]\nhidden = [\"album_id\"]\n[comments.table]\ntracks = \"What is heard\"\n",
    );
    let as_role = |role: &str| {
        let of =
            ["schema", "--config", path(&config), "--database", path(&database), "--json", "--role", role];
        json(&run(&of, &[]))
    };
    let reader = as_role("reader");
    assert_eq!(reader["relations"].as_array().expect("a list").len(), 1, "{reader}");
    let tracks = &reader["relations"][0];
    assert_eq!((&tracks["name"], &tracks["comment"]), (&"tracks".into(), &"What is heard".into()));
    assert_eq!(tracks["operations"], serde_json::json!(["select"]));
    let names: Vec<&str> =
        tracks["columns"].as_array().expect("a list").iter().filter_map(|own| own["name"].as_str()).collect();
    assert_eq!(names, ["id", "name"]);
    assert_eq!(
        (&tracks["relationships"], &reader["functions"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    assert_eq!(as_role("editor")["functions"][0]["name"], "f");
    assert_eq!(as_role("editor")["relations"], serde_json::json!([]));
}

#[test]
fn help_tells_of_examples_and_exit_codes() {
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["init", "--help"],
        &["check", "--help"],
        &["schema", "--help"],
        &["explain", "--help"],
        &["policy", "test", "--help"],
        &["token", "--help"],
        &["apikey", "--help"],
        &["user", "--help"],
        &["db", "--help"],
        &["db", "info", "--help"],
        &["db", "check", "--help"],
        &["db", "backup", "--help"],
        &["db", "restore", "--help"],
        &["db", "vacuum", "--help"],
        &["db", "migrate", "--help"],
    ] {
        let ended = run(command, &[]);
        assert_eq!(ended.code, Some(0), "{command:?}");
        for words in ["Examples:\n  sqlitrest ", "Exit codes: 0 "] {
            assert!(ended.stdout.contains(words), "{command:?}: {}", ended.stdout);
        }
    }
    let ended = run(&["serv"], &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("'serve'"), "{ended:?}");
}
