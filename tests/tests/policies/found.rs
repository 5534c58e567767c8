//! What the random tests have found, each by itself: some of it shows in one of ten thousand cases.

use sqlitrest_runtime::identity::Identity;

use super::oracle::open;
use super::requests::Request;
use super::run::{Core, Reply};

const SQL: &str = "
    CREATE TABLE parents (id TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;
    CREATE TABLE children (id INTEGER PRIMARY KEY, n INTEGER, parent_id TEXT REFERENCES parents (id));
    INSERT INTO parents VALUES ('a', 1), ('b', 2);
    INSERT INTO children VALUES (1, 1, 'a'), (2, 2, 'a');
";

/// The answer to a request under rules, on a database of its own.
fn answer(rules: &str, method: &str, target: &str, body: &str) -> Reply {
    let config = format!("[api]\nrequire_filter = false\n[policies]\n{rules}");
    let mut core = Core::new(open(SQL), &config);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let params = query.split('&').filter_map(|pair| pair.split_once('='));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        params: params.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        headers: vec![header("content-type", "application/json"), header("prefer", "return=representation")],
        body: body.to_owned(),
        ..Request::default()
    };
    core.send(&Identity { role: Some("reader".to_owned()), ..Identity::default() }, &request)
}

fn denied(reply: &Reply, what: &str) {
    assert_eq!(reply.status, 403, "{reply:?}");
    assert_eq!(reply.error(), Some(("42501".to_owned(), format!("permission denied for table {what}"))));
}

#[test]
fn a_delete_tells_what_it_deletes() {
    let rules = r#"
        [[policies.policy]]
        name = "all are seen"
        table = "children"
        operations = ["select"]
        [[policies.policy]]
        name = "some may go"
        table = "children"
        operations = ["delete"]
        using = "n = 1"
    "#;
    let reply = answer(rules, "DELETE", "/children?id=gt.0&select=id", "");
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"[{"id":1}]"#));
}

#[test]
fn a_key_that_is_hidden_orders_and_finds_nothing() {
    let rules = "[[policies.policy]]\nname = \"no keys\"\ntable = \"parents\"\ncolumns = { hidden = [\"id\"], writable = [\"id\", \"n\"] }";
    let reply = answer(rules, "GET", "/parents", "");
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"[{"n":1},{"n":2}]"#));
    let changes = r#"[{"id": "a", "n": 5}, {"id": "z", "n": 6}]"#;
    denied(&answer(rules, "PATCH", "/parents?select=n", changes), "parents");
}

#[test]
fn an_embed_of_what_is_refused_is_refused() {
    let rules = "[[policies.policy]]\nname = \"children\"\ntable = \"children\"";
    denied(&answer(rules, "GET", "/children?select=id,parents(n)", ""), "parents");
    denied(&answer(rules, "GET", "/children?select=id,parents!inner()", ""), "parents");
}
