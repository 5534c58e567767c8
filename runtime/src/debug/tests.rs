//! What needs no database: who is told, which page a path is, the schema as text, the indexes that a plan could use.

use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::json;

use super::asked::{Asked, Supposed};
use super::candidates::candidates;
use super::describe::{Scope, describe};
use super::{Page, Standing, admit, advice, index, not_allowed, text};
use crate::config::Config;
use crate::http::Request;
use crate::identity::Identity;
use crate::schema::{ColumnType, ForeignKey, Relation, SchemaCache, Writable};

const CONFIG: &str = r#"
[debug]
enabled = true
[auth.jwt]
secret = "a-secret-of-at-least-thirty-two-bytes"
[auth.roles]
owner = ["admin"]
[comments]
schema = "The newsroom"
[comments.table]
posts = "What is\nwritten"
[comments.column]
"posts.status" = "draft or published"
[[udf]]
name = "top"
expose = true
sql = "SELECT 1 LIMIT :n"
params = [{ name = "n", type = "integer", default = 10 }]
description = "The newest"
[[policies.policy]]
name = "readers"
table = "posts"
operations = ["select"]
roles = ["reader"]
using = "status = 'published'"
[policies.policy.columns]
hidden = ["author_id"]
masked = { title = "'***'" }
[[policies.policy]]
name = "writers"
table = "*"
roles = ["writer"]
"#;

fn config() -> Config {
    Config::load("sqlitrest.toml", CONFIG, []).unwrap()
}

fn relation(name: &str, columns: &[(&str, &str)]) -> Relation {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut relation = Relation::of_columns(name, &names);
    for (column, (_, declared)) in relation.columns.iter_mut().zip(columns) {
        (column.declared_type, column.column_type) = ((*declared).to_owned(), ColumnType::of(declared));
        column.writable = true;
    }
    relation.columns[0].is_rowid = true;
    relation.primary_key = vec![0];
    relation.writable = Writable { insert: true, update: true, delete: true };
    relation
}

/// Posts of users.
fn schema() -> Arc<SchemaCache> {
    let mut posts = relation(
        "posts",
        &[("id", "INTEGER"), ("author_id", "INTEGER"), ("title", "TEXT"), ("status", "TEXT"), ("at", "TEXT")],
    );
    posts.columns[3].default = Some("'draft'".to_owned());
    posts.columns[3].not_null = true;
    posts.foreign_keys.push(ForeignKey {
        name: "posts_author_id_fkey".to_owned(),
        columns: vec![1],
        target: 0,
        target_columns: vec![0],
        unique: false,
        derived: false,
        hidden: false,
    });
    let mut users = relation("users", &[("id", "INTEGER"), ("name", "TEXT"), ("email", "TEXT")]);
    users.unique_keys.push(vec![2]);
    let mut schema = SchemaCache { referrers: vec![vec![(1, 0)], Vec::new()], ..SchemaCache::default() };
    for relation in [users, posts] {
        schema.names.insert(relation.name.clone(), schema.relations.len());
        schema.relations.push(relation);
    }
    Arc::new(schema)
}

fn check_text(role: Option<&str>, expected: Expect) {
    let (config, schema) = (config(), schema());
    let known = role.map_or_else(|| Arc::clone(&schema), |role| schema.for_role(&config, Some(role)));
    let scope = if role.is_some() { Scope::Role(role) } else { Scope::Whole };
    expected.assert_eq(&text::compact(&describe(&config, &known, scope)));
}

#[test]
fn a_schema_as_text() {
    check_text(
        None,
        expect![[r#"
            schema main: The newsroom

            table users (select, insert, update, delete)
            - id INTEGER primary key
            - name TEXT
            - email TEXT unique
            - embeds posts, one-to-many by posts_author_id_fkey (id = author_id)

            table posts (select, insert, update, delete): What is written
            - id INTEGER primary key
            - author_id INTEGER
            - title TEXT
            - status TEXT not null default 'draft': draft or published
            - at TEXT
            - embeds users, many-to-one by posts_author_id_fkey (author_id = id)

            function top(n integer = 10) returns setof record: The newest
        "#]],
    );
}

#[test]
fn a_schema_as_a_role_knows_it() {
    check_text(
        Some("reader"),
        expect![[r#"
            schema main, as reader knows it: The newsroom

            table posts (select): What is written
            - id INTEGER primary key
            - title TEXT masked
            - status TEXT not null default 'draft': draft or published
            - at TEXT

            function top(n integer = 10) returns setof record: The newest
        "#]],
    );
}

/// The indexes that a request of a role without rules could use.
fn check_candidates(request: &str, expected: Expect) {
    let config = Config::load("", "[api]\naggregates = true\n", []).unwrap();
    let schema = schema();
    let asked = Asked {
        request: request.to_owned(),
        headers: Vec::new(),
        body: if request.starts_with('P') { "{\"title\": \"x\"}".to_owned() } else { String::new() },
        identity: Arc::default(),
    };
    let request = asked.parse(&config).unwrap().unwrap();
    let (plan, _) = crate::plan(&config, &schema, &request).unwrap();
    let mut told = String::new();
    for own in candidates(&schema, &plan).into_iter().flatten() {
        let columns: Vec<String> = own
            .columns
            .iter()
            .map(|(name, descends)| format!("{name}{}", if *descends { " desc" } else { "" }))
            .collect();
        told += &format!("{} ({}): {}\n", own.name, columns.join(", "), own.reason);
    }
    expected.assert_eq(&told);
}

#[test]
fn indexes_that_a_plan_could_use() {
    check_candidates("GET /posts", expect![""]);
    check_candidates("GET /posts?title=like.*x*", expect![""]);
    check_candidates(
        "GET /posts?status=eq.x&order=at.desc",
        expect![[r#"
            posts_status_at_idx (status, at desc): Rows of posts are found and sorted by status, at, for which there is no index
            posts_status_idx (status): A filter finds rows of posts by status, for which there is no index
            posts_at_idx (at): Rows of posts are sorted by at, for which there is no index
        "#]],
    );
    check_candidates(
        "GET /users?select=name,posts(title)&posts.at=gt.2024",
        expect![[r#"
            posts_author_id_at_idx (author_id, at): A filter finds rows of posts by author_id, at, for which there is no index
            posts_author_id_idx (author_id): An embed finds rows of posts by author_id, for which there is no index
            posts_at_idx (at): A filter finds rows of posts by at, for which there is no index
        "#]],
    );
    check_candidates(
        "PATCH /posts?author_id=in.(1,2)",
        expect![[r#"
            posts_author_id_idx (author_id): A filter finds rows of posts by author_id, for which there is no index
        "#]],
    );
}

#[test]
fn indexes_by_what_rows_are_grouped_referred_to_and_begin_with() {
    check_candidates(
        "DELETE /users?id=eq.1",
        expect![[r#"
            posts_author_id_idx (author_id): A foreign key finds rows of posts by author_id, for which there is no index
        "#]],
    );
    check_candidates(
        "GET /posts?or=(status.eq.a,at.gt.b)",
        expect![[r#"
            posts_status_idx (status): A filter finds rows of posts by status, for which there is no index
            posts_at_idx (at): A filter finds rows of posts by at, for which there is no index
            posts_status_idx (status): One or the other of several filters finds rows of posts by status, for which there is no index
            posts_at_idx (at): One or the other of several filters finds rows of posts by at, for which there is no index
        "#]],
    );
    check_candidates(
        "GET /posts?title=like.Fin*",
        expect![[r#"
            posts_title_idx (title): A filter finds rows of posts by title, for which there is no index
        "#]],
    );
    check_candidates(
        "GET /posts?select=status,count(),at.max()",
        expect![[r#"
            posts_status_at_idx (status, at): Rows of posts are grouped by status, at, for which there is no index
        "#]],
    );
    // The rowid stands at the end of every index.
    check_candidates(
        "GET /posts?status=eq.x&id=gt.5&order=id.desc",
        expect![[r#"
            posts_status_idx (status): A filter finds rows of posts by status, for which there is no index
        "#]],
    );
    check_candidates("GET /posts?id=gt.5&order=id.desc", expect![""]);
}

#[test]
fn what_a_line_of_a_plan_reads_from_end_to_end() {
    let sql = r#"WITH "visible posts" AS (SELECT 1 FROM main."posts" AS "the row") SELECT 1 FROM "visible posts" AS t0, "users" AS t1"#;
    for (line, expected) in [
        ("SCAN t0", Some("posts")),
        ("SCAN t1 USING COVERING INDEX a", Some("users")),
        ("SCAN the row", Some("posts")),
        ("SCAN other", Some("other")),
        ("SCAN k VIRTUAL TABLE INDEX 1:", None),
        ("SCAN CONSTANT ROW", None),
        ("SEARCH t0 USING INDEX a (b=?)", None),
    ] {
        assert_eq!(advice::scanned_relation(sql, line), expected, "{line}");
    }
}

#[test]
fn who_may_be_told() {
    let mut config = config();
    let standing = |config: &Config, identity: Identity| {
        admit(config, &Arc::new(identity))
            .map(|viewer| viewer.standing)
            .map_err(|error| error.problem().status)
    };
    let of = |role: &str| Identity { role: Some(role.to_owned()), ..Identity::default() };
    let nobody = || Identity { is_anonymous: true, ..of("admin") };
    assert_eq!(standing(&config, of("admin")), Ok(Standing::Administrator));
    assert_eq!(standing(&config, of("owner")), Ok(Standing::Administrator));
    assert_eq!(standing(&config, of("writer")), Err(403));
    assert_eq!(standing(&config, nobody()), Err(401));
    config.debug.require_admin = false;
    assert_eq!(standing(&config, of("writer")), Ok(Standing::Reader));
    // Where nobody signs in, nobody is the administrator.
    config.auth = None;
    assert_eq!(standing(&config, of("admin")), Ok(Standing::Reader));
}

#[test]
fn pages() {
    let mut config = config();
    let request = |method, target| Request { method, target, headers: &[], body: b"" };
    for (target, expected) in [
        ("/_schema?format=text", Some(Page::Schema)),
        ("/_debug", Some(Page::Index)),
        ("/_debug/", Some(Page::Index)),
        ("/_debug/explain", Some(Page::Explain)),
        ("/_debug/policy-check", Some(Page::PolicyCheck)),
        ("/_debug/config", Some(Page::Config)),
        ("/_schema/", None),
        ("/_debug/pools", None),
        ("/posts", None),
    ] {
        assert_eq!(Page::of(&config, &request("GET", target)), expected, "{target}");
    }
    assert!(not_allowed(Page::Schema, &request("HEAD", "")).is_none());
    let refusal = not_allowed(Page::Explain, &request("GET", "")).unwrap();
    assert!(refusal.status == 405 && refusal.headers.contains(&("allow".into(), "POST".to_owned())));
    config.debug.enabled = false;
    assert_eq!(Page::of(&config, &request("GET", "/_schema")), None);
    let told: serde_json::Value = serde_json::from_slice(&index(&[]).body).unwrap();
    assert_eq!(told["topics"][0]["path"], "/_schema");
}

#[test]
fn which_database_a_page_is_about() {
    let text =
        "[debug]\nenabled = true\n[databases.main]\npath = \"a.db\"\n[databases.logs]\npath = \"b.db\"\n";
    let config = Config::load("", text, []).unwrap();
    let of = |page: Page, target: &str, profile: &str, body: &str| {
        let fields: [(&str, &[u8]); 2] =
            [("accept-profile", profile.as_bytes()), ("content-profile", profile.as_bytes())];
        let (headers, method) = (&fields[..], page.methods().split(", ").next().unwrap());
        let request = Request { method, target, headers, body: body.as_bytes() };
        page.database(&config, &request).ok().map(str::to_owned)
    };
    assert_eq!(of(Page::Schema, "/_schema", "logs", "").as_deref(), Some("logs"));
    assert_eq!(of(Page::Schema, "/_schema?database=logs", "main", "").as_deref(), Some("logs"));
    assert_eq!(
        of(Page::Explain, "/_debug/explain", "main", r#"{"database":"logs"}"#).as_deref(),
        Some("logs")
    );
    assert_eq!(of(Page::PolicyCheck, "/_debug/policy-check", "none", "{}"), None);
    // What is about no database has none that could be wrong.
    for page in [Page::Index, Page::Config] {
        assert_eq!(of(page, page.path(), "none", "").as_deref(), Some("main"), "{page:?}");
    }
}

#[test]
fn who_is_supposed_to_ask() {
    let mut config = config();
    config.api.anonymous_role = Some("anon".to_owned());
    let of = |supposed: serde_json::Value| {
        let supposed: Supposed = serde_json::from_value(supposed).unwrap();
        (supposed.is_any(), supposed.identity(&config))
    };
    let (is_any, nobody) = of(json!({}));
    assert!(!is_any && nobody.is_anonymous && nobody.role.as_deref() == Some("anon"));
    let (is_any, nobody) = of(json!({ "anonymous": true, "role": "boss" }));
    assert!(is_any && nobody.is_anonymous && nobody.role.as_deref() == Some("anon"));
    let (is_any, somebody) = of(json!({ "sub": 7, "claims": { "team": "a" } }));
    assert!(is_any && !somebody.is_anonymous);
    assert_eq!(json!(somebody.claims), json!({ "team": "a", "sub": 7, "role": "anon" }));
}

#[test]
fn who_contradicts_themselves() {
    for (supposed, expected) in [
        (json!({ "anonymous": true, "role": "boss" }), Some("anonymous")),
        (json!({ "anonymous": true, "claims": { "team": "a" } }), Some("anonymous")),
        (json!({ "role": "" }), Some("role")),
        (json!({ "role": "staff", "claims": { "role": "admin" } }), Some("role")),
        (json!({ "sub": 7, "claims": { "sub": "7" } }), Some("sub")),
        (json!({ "role": "staff", "sub": 7, "claims": { "role": "staff", "sub": 7 } }), None),
        (json!({ "anonymous": true }), None),
        (json!({}), None),
    ] {
        let told = serde_json::from_value::<Supposed>(supposed.clone()).unwrap().fits().err();
        assert_eq!(told.as_deref().and_then(|told| told.split(':').next()), expected, "{supposed}");
    }
}

#[test]
fn a_whole_path_means_the_same() {
    let config = Config::load("", "[api]\nbase_path = \"/rest/v1\"\n", []).unwrap();
    for target in ["/posts?id=eq.1", "/rest/v1/posts?id=eq.1"] {
        let request = format!("GET {target}");
        let asked = Asked { request, headers: Vec::new(), body: String::new(), identity: Arc::default() };
        assert_eq!(asked.parse(&config).unwrap().unwrap().relation, "posts");
    }
}
