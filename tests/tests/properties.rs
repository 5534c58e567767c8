//! What must hold for any request: no text of it stands in SQL outside quoted names, no answer is a 500, and both engines
//! give the same bytes.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config as RunnerConfig, TestRunner};
use sqlitrest::{Engine, Request};
use sqlitrest_runtime::config::DatabaseFile;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::schema::{SchemaCache, read_schema};
use sqlitrest_tests::double::Double;
use sqlitrest_tests::fixture::Fixture;

/// A word that nothing but a request contains.
const MARK: &str = "zQ9x";

/// Text as an attacker writes it, with the mark in it.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "'",
        "\"",
        "`",
        "]",
        "[",
        ";",
        "--",
        "/*",
        "*/",
        "\\",
        "%",
        "_",
        "*",
        "(",
        ")",
        ",",
        ".",
        ":",
        "::",
        "!",
        "\0",
        "\n",
        " ",
        " OR 1=1",
        " UNION SELECT ",
        "NULL",
        "\u{1}",
        "\u{2}",
        "\u{3}",
        "é",
        "漢",
        "\u{202e}",
        "?1",
        "$1",
    ]);
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| {
        let middle = pieces.len() / 2;
        let mut text: String = pieces[..middle].concat();
        text.push_str(MARK);
        text.push_str(&pieces[middle..].concat());
        text
    })
}

fn column() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["id", "name", "album_id", "milliseconds", "price", "explicit", "length", "position"])
            .prop_map(str::to_owned),
        1 => hostile(),
    ]
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        hostile(),
        any::<i64>().prop_map(|i| i.to_string()),
        Just("true".to_owned()),
        Just("1.5".to_owned())
    ]
}

fn operation() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(vec!["eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike"]);
    prop_oneof![
        (operator, value()).prop_map(|(operator, value)| format!("{operator}.{value}")),
        prop::collection::vec(value(), 0..4).prop_map(|values| format!(
            "in.({})",
            values.iter().map(|v| quoted(v)).collect::<Vec<_>>().join(",")
        )),
        prop::sample::select(vec!["is.null", "is.true", "not.is.false", "is.unknown", "not.eq.1"])
            .prop_map(str::to_owned),
    ]
}

fn select() -> impl Strategy<Value = String> {
    let item = (column(), prop::option::of(hostile()))
        .prop_map(|(name, alias)| match alias {
            Some(alias) => format!("{}:{}", quoted(&alias), quoted(&name)),
            None => quoted(&name),
        })
        .boxed();
    let embed =
        (hostile(), prop::sample::select(vec!["albums", "genres", "playlists", "reviews"]), item.clone())
            .prop_map(|(alias, target, item)| format!("{}:{target}({item})", quoted(&alias)));
    let items = prop::collection::vec(prop_oneof![3 => item, 1 => embed, 1 => Just("*".to_owned())], 1..5)
        .prop_map(|v| v.join(","));
    let whole = prop::sample::select(vec!["", "", "", "distinct(", "count(),"]);
    (whole, items).prop_map(|(whole, items)| match whole {
        "distinct(" => format!("distinct({items})"),
        whole => format!("{whole}{items}"),
    })
}

fn parameter() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => select().prop_map(|s| format!("select={}", percent(&s))),
        4 => (column(), operation()).prop_map(|(c, o)| format!("{}={}", percent(&quoted(&c)), percent(&o))),
        1 => (column(), operation()).prop_map(|(c, o)| format!("or={}", percent(&format!("(id.gt.5,{}.{o})", quoted(&c))))),
        1 => (column(), prop::sample::select(vec!["", ".desc", ".asc.nullsfirst", ".desc.nullslast"]))
            .prop_map(|(c, d)| format!("order={}", percent(&format!("{}{d}", quoted(&c))))),
        1 => (column(), prop::sample::select(vec!["count()", "albums(count())", "id.max().desc", "albums(title)"]))
            .prop_map(|(c, o)| format!("order={}", percent(&format!("{o},{}", quoted(&c))))),
        1 => (column(), column()).prop_map(|(a, b)| format!("{}={}", percent(&quoted(&a)), percent(&format!("lte(col).{}", quoted(&b))))),
        1 => (value(), any::<i16>()).prop_map(|(v, n)| format!("after={}", percent(&format!("({},{n})", quoted(&v))))),
        1 => any::<i8>().prop_map(|n| format!("limit={n}")),
        1 => any::<i16>().prop_map(|n| format!("offset={n}")),
        1 => hostile().prop_map(|h| percent(&h)),
        1 => (hostile(), hostile()).prop_map(|(k, v)| format!("{}={}", percent(&k), percent(&v))),
    ]
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Method, target and body.
fn request() -> impl Strategy<Value = (&'static str, String, String)> {
    let relation = prop_oneof![9 => Just("tracks".to_owned()), 1 => hostile().prop_map(|h| percent(&h))];
    let query = prop::collection::vec(parameter(), 0..5).prop_map(|p| p.join("&"));
    let body = prop::collection::vec((column(), value()), 0..4).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(k, v)| {
                format!("{}:{}", serde_json::Value::from(k.as_str()), serde_json::Value::from(v.as_str()))
            })
            .collect();
        let row = format!("{{{}}}", members.join(","));
        match members.len() {
            // Several rows, each by its key; rows inside rows.
            2 => format!("[{row},{row}]"),
            3 => format!("{{{},\"genres\":{row},\"playlists\":[{row}]}}", members[0]),
            _ => row,
        }
    });
    let method =
        prop::sample::select(vec!["GET", "GET", "GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"]);
    (method, relation, query, body).prop_map(|(method, relation, query, body)| {
        let body = if matches!(method, "POST" | "PATCH") { body } else { String::new() };
        (method, format!("/{relation}?{query}"), body)
    })
}

/// SQL without its quoted names.
fn without_names(sql: &str) -> String {
    // A doubled quote ends one name and begins the next, which is as good.
    sql.split('"').step_by(2).collect()
}

/// What lets requests come as far as they can.
const ALLOWED: &str = "[api]\naggregates = true\nrequire_filter = false";

#[test]
fn no_text_of_a_request_stands_in_sql() {
    let fixture = Fixture::new("music");
    let config = fixture.config("double", ALLOWED);
    let mut db = Double::new(rusqlite::Connection::open(fixture.path("double")).unwrap());
    let schema: std::sync::Arc<SchemaCache> =
        read_schema(&mut db, &DatabaseFile::at(String::new())).unwrap().into();
    let compiled = Cell::new(0);
    let mut runner =
        TestRunner::new(RunnerConfig { cases: 5_000, failure_persistence: None, ..RunnerConfig::default() });
    let result = runner.run(&request(), |(method, target, body)| {
        let headers: [(&str, &[u8]); 2] =
            [("prefer", b"return=representation, count=exact, links=keyset"), ("if-none-match", b"\"x\"")];
        let request = Request { method, target: &target, headers: &headers, body: body.as_bytes() };
        let Ok(parsed) = sqlitrest_runtime::parse(&config, &Identity::anonymous(&config).into(), &request)
        else {
            return Ok(());
        };
        let Ok((_, program)) = sqlitrest_runtime::plan(&config, &schema, &parsed) else { return Ok(()) };
        for step in &program.steps {
            for statement in step.statements() {
                let sql = without_names(&statement.sql);
                prop_assert!(!sql.contains(MARK), "{sql}");
                prop_assert!(!sql.contains([';', '`', '\\', '\0']) && !sql.contains("--"), "{sql}");
                prop_assert_eq!(statement.sql.matches('"').count() % 2, 0);
                // It is SQL, and one statement of it.
                let prepared = db.connection.prepare(&statement.sql);
                prop_assert!(prepared.is_ok(), "{}: {:?}", statement.sql, prepared.err());
            }
        }
        compiled.set(compiled.get() + 1);
        Ok(())
    });
    result.unwrap();
    // The property says little where most requests are refused before they become SQL.
    assert!(compiled.get() > 500, "only {} of 5,000 requests became SQL", compiled.get());
}

#[test]
fn engines_agree_and_never_fail_inside() {
    let fixture = Fixture::new("music");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let engines: Vec<Engine> = runtime.block_on(async { fixture.engines(ALLOWED) });
    let mut runner =
        TestRunner::new(RunnerConfig { cases: 1_500, failure_persistence: None, ..RunnerConfig::default() });
    let result = runner.run(&request(), |(method, target, body)| {
        let headers: [(&str, &[u8]); 2] =
            [("prefer", b"return=representation, count=exact, links=keyset"), ("if-none-match", b"\"x\"")];
        let request = Request { method, target: &target, headers: &headers, body: body.as_bytes() };
        let answers: Vec<_> =
            engines.iter().map(|engine| runtime.block_on(engine.handle(&request))).collect();
        prop_assert_eq!(&answers[0], &answers[1]);
        let answer = &answers[0];
        prop_assert!(answer.status < 500, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        if !answer.body.is_empty() {
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&answer.body);
            prop_assert!(json.is_ok(), "{}", String::from_utf8_lossy(&answer.body));
        }
        Ok(())
    });
    result.unwrap();
}
