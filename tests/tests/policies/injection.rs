//! Injection: payloads in every place of a request. None of their text stands in SQL outside quoted names, a value changes no
//! statement, and what reads leaves the file as it is, byte for byte.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::schema::{SchemaCache, read_configured};
use sqlitrest_tests::double::Double;
use sqlitrest_tests::fixture::Fixture;

use super::requests::Request;

/// A word that nothing but a payload contains.
const MARK: &str = "zQ9x";

/// SQL injection of every kind, for SQLite and for what stands before it.
const PAYLOADS: &[&str] = &[
    "' OR '1'='1",
    "' OR 1=1 --",
    "\" OR \"\"=\"",
    "') OR ('1'='1",
    "1; DROP TABLE articles",
    "'; DROP TABLE articles; --",
    "1); DELETE FROM articles; --",
    "' UNION SELECT * FROM private_acl --",
    "' UNION ALL SELECT sql, 1, 1, 1, 1, 1, 1 FROM sqlite_master --",
    "1 UNION SELECT group_concat(sql) FROM sqlite_schema",
    "(SELECT group_concat(salary) FROM members)",
    "CASE WHEN (SELECT count(*) FROM private_acl) > 1 THEN 1 ELSE 1/0 END",
    "1 AND randomblob(1000000000)",
    "1' AND 1=(SELECT 1 FROM (SELECT load_extension('x')))",
    "'; ATTACH DATABASE '/tmp/x.db' AS x; --",
    "'; PRAGMA writable_schema = 1; --",
    "\"; PRAGMA foreign_keys = OFF; --",
    "\"\"",
    "\"",
    "'",
    "''",
    "`",
    "]",
    "[",
    "\\",
    "\\'",
    "%27",
    "%2527",
    "%00",
    "\0",
    "';\0--",
    "/*",
    "*/",
    "/**/OR/**/1=1",
    "--",
    "-- -",
    "#",
    ";",
    ";;",
    "?",
    "?1",
    ":a",
    "@a",
    "$a",
    "$1",
    "x'41'",
    "0x31",
    "char(39)",
    "||",
    "'||(SELECT name FROM members LIMIT 1)||'",
    "id)) UNION SELECT 1 --",
    "1 OR 1=1",
    "1e999",
    "NULL",
    "null; --",
    "true",
    "(",
    ")",
    "((((((((",
    ",",
    ".",
    "..",
    ":",
    "::",
    "::text",
    "!",
    "!inner",
    "->",
    "->>",
    "->>'a'",
    "$.a'",
    "$.\"a",
    "*",
    "{",
    "}",
    "{1,2}",
    "{\"a\": \"'\"}",
    "\u{ff07} OR 1=1",
    "\u{2019} OR 1=1",
    "\u{02bc}",
    "\u{202e}",
    "\u{feff}",
    "\u{1}\u{2}\u{3}",
    "/*rows:abj*/",
    "{row}",
    "{value}",
    "rowid",
    "p.rowid",
    "main.private_acl",
    "sqlite_master",
    "visible articles",
    "visible articles\" AS SELECT 1; --",
    "t0.\"salary\"",
    "\r\nX-Injected: 1",
    "MATCH 'x'",
    "\"finals\" OR body:a",
    "NEAR(a b)",
    "{title} : finals",
];

fn payloads() -> Vec<String> {
    let path = sqlitrest_tests::root().join("tests/fixtures/naughty.json");
    let list: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let naughty = list["strings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
    PAYLOADS.iter().map(|text| (*text).to_owned()).chain(naughty).collect()
}

/// Policies that ask who asks and what the request says, so that payloads come to them, too.
const CONFIG: &str = r#"
[api]
aggregates = true
require_filter = false
[fts.articles]
index = "articles_fts"
columns = ["title", "body"]
[[udf]]
name = "echo"
expose = true
sql = "SELECT title FROM articles WHERE title <> :word"
params = [{ name = "word", type = "text" }]
returns = "setof text"
[policies]
[[policies.policy]]
name = "who asks"
table = "articles"
using = "author_id IS NOT NULL OR author_id = current_user_id() OR title = current_claim('team') OR status = current_role()"
columns = { masked = { body = "coalesce(body, current_claim('app.name'))" } }
[[policies.policy]]
name = "what the request says"
tables = ["members", "notes", "teams", "tags", "article_tags"]
using = "coalesce(request_value('request.headers', 'x-tenant'), '') <> 'none' OR request_value('request.cookies', 'c') = request_value('request.path')"
[databases.main]
hidden = ["private_*", "*_fts*"]
"#;

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn request(
    method: &str,
    path: &str,
    params: &[(&str, &str)],
    headers: &[(&str, &str)],
    body: &str,
) -> Request {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        params: params.iter().map(pair).collect(),
        headers: headers.iter().map(pair).collect(),
        body: body.to_owned(),
        ..Request::default()
    }
}

fn get(params: &[(&str, &str)]) -> Request {
    request("GET", "/articles", params, &[], "")
}

/// Requests with a payload where a value stands: their statements are those of any other value.
fn values(p: &str) -> Vec<Request> {
    let q = &quoted(p);
    let body = |value: serde_json::Value| value.to_string();
    let json = ("content-type", "application/json");
    vec![
        get(&[("title", &format!("eq.{p}"))]),
        get(&[("title", &format!("not.neq.{p}"))]),
        get(&[("title", &format!("in.({q},{q})"))]),
        get(&[("title", &format!("eq(any).{{{q}}}"))]),
        get(&[("title", &format!("isdistinct.{p}"))]),
        get(&[("or", &format!("(title.eq.{q},body.gt.{q})"))]),
        get(&[("meta->>source", &format!("eq.{p}"))]),
        get(&[("members.name", &format!("eq.{p}")), ("select", "id,members!inner(name)")]),
        request("GET", "/members", &[], &[("x-tenant", p), ("cookie", &format!("c={p}"))], ""),
        request("GET", "/rpc/echo", &[("word", p)], &[], ""),
        request("POST", "/rpc/echo", &[], &[json], &body(json!({ "word": p }))),
        request("POST", "/articles", &[], &[json], &body(json!({ "author_id": 7, "title": p, "body": p }))),
        request(
            "POST",
            "/articles",
            &[("on_conflict", "id")],
            &[json, ("prefer", "resolution=merge-duplicates")],
            &body(json!({ "id": 2, "author_id": 7, "title": p })),
        ),
        request("PATCH", "/articles", &[("title", &format!("eq.{p}"))], &[json], &body(json!({ "body": p }))),
        request(
            "PATCH",
            "/articles",
            &[("on_conflict", "id")],
            &[json],
            &body(json!([{ "id": 1, "body": p }])),
        ),
        request(
            "DELETE",
            "/notes",
            &[("note", &format!("eq.{p}"))],
            &[("prefer", "return=representation")],
            "",
        ),
        request(
            "POST",
            "/articles",
            &[],
            &[("content-type", "text/csv")],
            &format!("author_id,title\n7,\"{}\"\n", p.replace('"', "\"\"")),
        ),
    ]
}

/// Requests with a payload anywhere.
fn anywhere(p: &str) -> Vec<Request> {
    let q = &quoted(p);
    let json = ("content-type", "application/json");
    let csv = ("content-type", "text/csv");
    let percent = super::requests::percent(p);
    let body = |value: serde_json::Value| value.to_string();
    let mut all = vec![
        request("GET", &format!("/{percent}"), &[], &[], ""),
        request("GET", &format!("/rpc/{percent}"), &[("a", p)], &[], ""),
        request("GET", &format!("/articles/{percent}"), &[], &[], ""),
        request("POST", "/_batch", &[], &[json], &body(json!([{ "method": p, "path": p, "body": p }]))),
        get(&[(p, p)]),
        get(&[(p, "eq.1")]),
        get(&[(q, "eq.1")]),
        get(&[("title", p)]),
        get(&[("title", &format!("{p}.1"))]),
        get(&[("title", &format!("eq({p}).1"))]),
        get(&[("title", &format!("eq(col).{p}"))]),
        get(&[("title", &format!("is.{p}"))]),
        get(&[("title", &format!("in.({p})"))]),
        get(&[("title", &format!("like.{p}"))]),
        get(&[("title", &format!("ilike.*{p}*"))]),
        get(&[("title", &format!("match.{p}"))]),
        get(&[("meta", &format!("cs.{p}"))]),
        get(&[("meta", &format!("ov.{{{q}}}"))]),
        get(&[("meta", &format!("eq.{p}"))]),
        get(&[("id", &format!("eq.{p}"))]),
        get(&[("body", &format!("fts.{p}"))]),
        get(&[("body", &format!("wfts.{p}"))]),
        get(&[("body", &format!("plfts({p}).a"))]),
        get(&[(&format!("meta->{p}"), "eq.1")]),
        get(&[(&format!("meta->>{q}"), "eq.1")]),
        get(&[("or", &format!("({p})"))]),
        get(&[("and", &format!("(title.{p},id.eq.1)"))]),
        get(&[("select", p)]),
        get(&[("select", q)]),
        get(&[("select", &format!("{p}:id"))]),
        get(&[("select", &format!("{q}:id"))]),
        get(&[("select", &format!("id::{p}"))]),
        get(&[("select", &format!("meta->{p}"))]),
        get(&[("select", &format!("meta->>{q}"))]),
        get(&[("select", &format!("{q}:members({q}:name)"))]),
        get(&[("select", &format!("members!{p}(name)"))]),
        get(&[("select", &format!("id.{p}()"))]),
        get(&[("select", &format!("{q}:id.sum(),{q}:title"))]),
        get(&[("select", &format!("...members({q}:name)"))]),
        get(&[("order", p)]),
        get(&[("order", &format!("{q}.desc"))]),
        get(&[("order", &format!("id.{p}"))]),
        get(&[("order", &format!("meta->>{q}"))]),
        get(&[("limit", p)]),
        get(&[("offset", p)]),
        get(&[("order", "title,id"), ("limit", "1"), ("after", &format!("({q},1)"))]),
        get(&[("order", "title,id"), ("limit", "1"), ("after", p)]),
        get(&[("columns", p), ("on_conflict", p)]),
        request("POST", "/articles", &[("columns", p)], &[json], &body(json!({ "title": "x" }))),
        request("POST", "/articles", &[("columns", q)], &[json], &body(json!({ p: "x" }))),
        request(
            "POST",
            "/articles",
            &[("on_conflict", p)],
            &[json, ("prefer", "resolution=merge-duplicates")],
            "{}",
        ),
        request("POST", "/articles", &[], &[json], &body(json!({ p: p }))),
        request("POST", "/articles", &[], &[json], &body(json!({ "title": { p: [p] }, "meta": { p: p } }))),
        request(
            "POST",
            "/articles",
            &[],
            &[json],
            &body(json!({ "title": "x", "notes": [{ p: p }], p: [{ "a": 1 }] })),
        ),
        request("POST", "/articles", &[], &[json], p),
        request("PATCH", "/articles", &[("id", "eq.1")], &[json], &body(json!({ p: p, "meta": [p] }))),
        request("PUT", "/articles", &[("id", &format!("eq.{p}"))], &[json], &body(json!({ "id": p }))),
        request("POST", "/articles", &[], &[csv], &format!("{p},title\n{p},{p}\n")),
        request(
            "POST",
            "/articles",
            &[],
            &[("content-type", "application/x-www-form-urlencoded")],
            &format!("{percent}={percent}&title={percent}"),
        ),
        request("POST", "/articles", &[], &[("content-type", "application/x-ndjson")], p),
        request("POST", "/articles", &[], &[("content-type", p)], "{}"),
    ];
    for header in [
        "prefer",
        "range",
        "range-unit",
        "accept",
        "accept-profile",
        "content-profile",
        "if-none-match",
        "if-match",
        "x-tenant",
        "cookie",
        "origin",
        "authorization",
        "accept-language",
        "x-http-method-override",
    ] {
        all.push(request("GET", "/members", &[("select", "id,name")], &[(header, p)], ""));
    }
    for prefer in
        ["count=", "return=", "resolution=", "timezone=", "max-affected=", "tx=", "missing=", "handling="]
    {
        all.push(request("GET", "/members", &[], &[("prefer", &format!("{prefer}{p}"))], ""));
    }
    all
}

fn claims(p: &str) -> Identity {
    let claims = json!({ "sub": p, "team": p, "role": p, "app": { "name": p } });
    let serde_json::Value::Object(claims) = claims else { unreachable!("an object") };
    Identity { role: Some(p.to_owned()), claims, is_anonymous: false }
}

/// SQL without its quoted names.
fn without_names(sql: &str) -> String {
    // A doubled quote ends one name and begins the next, which is as good.
    sql.split('"').step_by(2).collect::<Vec<_>>().join("\u{0}")
}

/// The core over a file.
struct Site {
    config: sqlitrest::Config,
    db: Double,
    schema: Arc<SchemaCache>,
}

impl Site {
    fn new(connection: Connection, config: sqlitrest::Config) -> Site {
        sqlitrest::functions::register(&connection).unwrap();
        let mut db = Double::new(connection);
        let schema = read_configured(&config, &mut db).unwrap();
        let misfits = sqlitrest_runtime::policy::check(&config, &schema);
        assert!(misfits.is_empty(), "{misfits:?}");
        Site { config, db, schema: Arc::new(schema) }
    }

    /// The statements that a request becomes, and the answer to it where it only reads.
    fn send(&mut self, who: &Identity, request: &Request) -> (Option<Vec<String>>, u16, String) {
        self.db.statements.clear();
        let who = Arc::new(who.clone());
        request.send(|raw| {
            let parsed = match sqlitrest_runtime::parse(&self.config, &who, raw) {
                Ok(parsed) => parsed,
                Err(response) => return (None, response.status, String::new()),
            };
            let planned = sqlitrest_runtime::plan(&self.config, &self.schema, &parsed);
            let statements = planned.ok().map(|(_, program)| {
                let steps = program.steps.iter().flat_map(|step| step.statements());
                steps.map(|statement| statement.sql.clone()).collect::<Vec<_>>()
            });
            if parsed.access() == sqlitrest_runtime::Access::Write {
                return (statements, 0, String::new());
            }
            let response = sqlitrest_runtime::respond(&self.config, &mut self.schema, parsed, &mut self.db);
            (statements, response.status, String::from_utf8_lossy(&response.body).into_owned())
        })
    }
}

#[test]
fn no_payload_becomes_sql() {
    let fixture = Fixture::new("newsroom");
    let path = fixture.path("double");
    let config = fixture.config("double", CONFIG);
    let mut site = Site::new(Connection::open(&path).unwrap(), config);
    let before = std::fs::read(&path).unwrap();
    let usual: Vec<Option<Vec<String>>> =
        values(MARK).iter().map(|request| site.send(&claims(MARK), request).0).collect();
    assert!(usual.iter().all(Option::is_some), "every value makes statements: {usual:?}");
    let (mut sent, mut compiled) = (0_u32, 0_u32);
    for payload in payloads() {
        // A value is a value: the statements are the same for every one.
        for (request, usual) in values(&payload).iter().zip(&usual) {
            let (statements, status, body) = site.send(&claims(&payload), request);
            let show = || {
                format!(
                    "{payload:?}\n{} {}\n{:?}\n{}",
                    request.method,
                    request.target(),
                    request.headers,
                    request.body
                )
            };
            assert!(status < 500, "{}\n{status} {body}", show());
            sent += 1;
            let Some(statements) = statements else { continue };
            compiled += 1;
            assert_eq!(Some(&statements), usual.as_ref(), "{}", show());
        }
        for marked in [format!("{payload}{MARK}"), format!("{MARK}{payload}")] {
            for request in anywhere(&marked) {
                let (statements, status, body) = site.send(&claims(&marked), &request);
                let show = || {
                    format!(
                        "{payload:?}\n{} {}\n{:?}\n{}",
                        request.method,
                        request.target(),
                        request.headers,
                        request.body
                    )
                };
                assert!(status < 500, "{}\n{status} {body}", show());
                for words in [
                    "syntax error",
                    "no such column",
                    "unrecognized token",
                    "no such table",
                    "malformed MATCH",
                ] {
                    let is_told = body.contains(words) && !payload.contains(words);
                    assert!(!is_told, "SQLite's words reach the client: {}\n{body}", show());
                }
                sent += 1;
                let executed = site.db.statements.iter().map(|(sql, _)| sql);
                for sql in statements.iter().flatten().chain(executed) {
                    let bare = without_names(sql);
                    assert!(!bare.contains(MARK), "{}\n{sql}", show());
                    assert_eq!(sql.matches('"').count() % 2, 0, "{}\n{sql}", show());
                }
                // Each is SQL, and one statement of it.
                for sql in statements.iter().flatten() {
                    compiled += 1;
                    let prepared = site.db.connection.prepare(sql);
                    assert!(prepared.is_ok(), "{}\n{sql}: {:?}", show(), prepared.err());
                }
            }
        }
    }
    assert!(std::fs::read(&path).unwrap() == before, "the file is as it was");
    println!("{sent} requests with payloads, {compiled} statements");
    assert!(compiled > 10_000, "only {compiled} of {sent} became SQL");
}

#[test]
fn payloads_are_stored_and_found_as_they_are() {
    let fixture = Fixture::new("newsroom");
    let mut site = super::run::Core::new(
        Connection::open(fixture.path("double")).unwrap(),
        &fixture.config_text("double", CONFIG),
    );
    let who = claims("x");
    let schema =
        |site: &super::run::Core| super::oracle::rows_of(&site.db.connection, "SELECT * FROM sqlite_schema");
    let before = schema(&site);
    for (number, payload) in payloads().iter().enumerate() {
        let json = ("content-type", "application/json");
        let id = (number + 1_000).to_string();
        let row = json!({ "id": number + 1_000, "article_id": 1, "note": payload }).to_string();
        let stored = site.send(&who, &request("POST", "/notes", &[], &[json], &row));
        assert_eq!(stored.status, 201, "{payload:?}: {stored:?}");
        let found = site.send(
            &who,
            &request(
                "GET",
                "/notes",
                &[("select", "note"), ("id", &format!("eq.{id}")), ("note", &format!("eq.{payload}"))],
                &[],
                "",
            ),
        );
        let rows: serde_json::Value = serde_json::from_str(&found.body).unwrap();
        assert_eq!(rows, json!([{ "note": payload }]), "{payload:?}");
        let gone = site.send(
            &who,
            &request(
                "DELETE",
                "/notes",
                &[("note", &format!("eq.{payload}"))],
                &[("prefer", "count=exact")],
                "",
            ),
        );
        assert_eq!(gone.header("content-range"), Some("*/1"), "{payload:?}: {gone:?}");
    }
    assert_eq!(schema(&site), before);
}
