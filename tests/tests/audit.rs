//! What the core tells its shell of a request for a record: the same on both engines, and nothing of it in the answer.

use serde_json::{Value, json};
use sqlitrest::{Answer, Engine, Request};
use sqlitrest_tests::fixture::Fixture;
use sqlitrest_tests::spin::Spin;

const SQL: &str = "
    CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT, of INTEGER REFERENCES items (id));
    INSERT INTO items VALUES (1, 'a', 'me', NULL), (2, 'b', 'you', NULL), (3, 'c', 'me', 1);
    CREATE TABLE codes (code TEXT PRIMARY KEY, n INTEGER);
    INSERT INTO codes VALUES ('x', 1), ('y', 2);
    CREATE TABLE pairs (a TEXT, b INTEGER, n INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
    INSERT INTO pairs VALUES ('p', 1, 0);
    CREATE TABLE bare (n INTEGER);
    CREATE TABLE blobs (id BLOB PRIMARY KEY, n INTEGER);
    CREATE VIEW mine AS SELECT id, name FROM items WHERE owner = 'me';
    CREATE VIEW shouted AS SELECT id, upper(name) AS name FROM items;
    CREATE TRIGGER shout INSTEAD OF INSERT ON shouted BEGIN INSERT INTO items (name) VALUES (lower(NEW.name)); END;
    CREATE TABLE log (id INTEGER PRIMARY KEY, what TEXT);
    CREATE TRIGGER noted AFTER INSERT ON bare BEGIN INSERT INTO log (what) VALUES ('bare'); END;";

const CONFIG: &str = r#"
    [api]
    anonymous_role = "anon"
    tx_end = "commit-allow-override"
    require_filter = false
    [[policies.policy]]
    name = "all"
    table = "*"
    except = ["items", "mine"]
    [[policies.policy]]
    name = "one's own"
    table = "items"
    using = "name <> 'b'"
    check = "name <> 'forbidden'"
    [[policies.policy]]
    name = "the view of it"
    table = "mine"
    using = "name <> 'b'"
    [[policies.policy]]
    name = "no more"
    table = "items"
    kind = "restrictive"
    operations = ["delete"]
    using = "id <> 3"
    [[udf]]
    name = "add"
    expose = true
    readonly = false
    sql = "INSERT INTO bare (n) VALUES (:n) RETURNING n"
    params = [{ name = "n", type = "integer" }]
    returns = "setof record"
    [[udf]]
    name = "touch"
    expose = true
    readonly = false
    sql = "UPDATE codes SET n = n + 1"
    returns = "void"
    [[udf]]
    name = "secret"
    expose = true
    sql = "SELECT 1 AS one"
    returns = "setof record"
    roles = ["nobody"]
"#;

/// A configuration that asks for what is told.
fn audited(reads: bool) -> String {
    format!("{CONFIG}\n[audit]\nfile = \"never opened\"\nreads = {reads}\n")
}

async fn send(engine: &Engine, request: &str, prefer: &str, body: &str) -> Answer {
    let (method, target) = request.split_once(' ').unwrap();
    let headers: &[(&str, &[u8])] =
        &[("content-type", b"application/json"), ("prefer", prefer.as_bytes()), ("content-profile", b"main")];
    engine.handle(&Request { method, target, headers, body: body.as_bytes() }).await
}

fn acts(answer: &Answer) -> Value {
    serde_json::to_value(&answer.acts).unwrap()
}

/// What a request is answered with and tells, on each engine on a copy of its own.
async fn check(reads: bool, (request, prefer, body): (&str, &str, &str), status: u16, told: Value) {
    let fixture = Fixture::of_sql(SQL);
    let quiet = Fixture::of_sql(SQL);
    for (engine, silent) in fixture.engines(&audited(reads)).iter().zip(quiet.engines(CONFIG)) {
        let mut answer = send(engine, request, prefer, body).await;
        let name = engine.name();
        assert_eq!(answer.status, status, "{request} ({name}): {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(acts(&answer), told, "{request} {prefer} ({name})");
        // Nothing of it is in the answer, and nothing is told that nobody asked for.
        answer.acts.clear();
        assert_eq!(answer, send(&silent, request, prefer, body).await, "{request} ({name})");
    }
}

fn written(operation: &str, relation: &str, key: &[&str], keys: Value) -> Value {
    let rows = keys.as_array().unwrap().len();
    json!({ "operation": operation, "relation": relation, "rows": rows, "key": key, "keys": keys })
}

#[tokio::test(flavor = "multi_thread")]
async fn which_rows_were_written() {
    let id = &["id"];
    let rows = "return=representation";
    let two = r#"[{"name":"d"},{"name":"e"}]"#;
    for prefer in ["", "return=headers-only", rows] {
        let told = written("insert", "items", id, json!([[4], [5]]));
        check(false, ("POST /items", prefer, two), 201, json!([told])).await;
        let told = written("update", "items", id, json!([[1], [3]]));
        let status = if prefer == rows { 200 } else { 204 };
        check(false, ("PATCH /items?id=gt.0", prefer, r#"{"of":1}"#), status, json!([told])).await;
        let told = written("delete", "pairs", &["a", "b"], json!([["p", 1]]));
        check(false, ("DELETE /pairs", prefer, ""), status, json!([told])).await;
        // By what people know them, and not by the rowid that SQLite has beside it.
        let told = written("update", "codes", &["code"], json!([["x"], ["y"]]));
        check(false, ("PATCH /codes", prefer, r#"{"n":7}"#), status, json!([told])).await;
    }
    // Behind an update of the key it is the new one.
    let told = written("update", "codes", &["code"], json!([["z"]]));
    check(false, ("PATCH /codes?code=eq.x", "", r#"{"code":"z"}"#), 204, json!([told])).await;
    let told = written("insert", "blobs", id, json!([["AP8="]]));
    check(false, ("POST /blobs", "", r#"{"id":"AP8="}"#), 201, json!([told])).await;
    let told = written("insert", "bare", &["rowid"], json!([[1]]));
    check(false, ("POST /bare", "", r#"{"n":1}"#), 201, json!([told])).await;
    let none = json!({ "operation": "delete", "relation": "items", "rows": 0 });
    check(false, ("DELETE /items?id=eq.99", "", ""), 204, json!([none])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_trees_and_views() {
    let id = &["id"];
    let merge = "resolution=merge-duplicates";
    let told = written("upsert", "items", id, json!([[1], [9]]));
    let body = r#"[{"id":1,"name":"aa"},{"id":9,"name":"z"}]"#;
    check(false, ("POST /items", merge, body), 201, json!([told])).await;
    let told = written("upsert", "items", id, json!([[1]]));
    check(false, ("PUT /items?id=eq.1", "", r#"{"id":1,"name":"aa"}"#), 204, json!([told])).await;
    // What is passed over is not written.
    let told = written("insert", "items", id, json!([[9]]));
    check(false, ("POST /items", "resolution=ignore-duplicates", body), 201, json!([told])).await;
    // Of a tree every row, by relation.
    let body = r#"[{"name":"p","items":[{"name":"q"},{"name":"r"}]}]"#;
    let told = written("insert", "items", id, json!([[4], [5], [6]]));
    check(false, ("POST /items", "", body), 201, json!([told])).await;
    // A simple view is its table's, and says which.
    let mut told = written("update", "mine", id, json!([[1], [3]]));
    told["table"] = json!("items");
    check(false, ("PATCH /mine?id=gt.0", "", r#"{"name":"m"}"#), 409, json!([])).await;
    let mut one = written("update", "mine", id, json!([[1]]));
    one["table"] = json!("items");
    check(false, ("PATCH /mine?id=eq.1", "", r#"{"name":"m"}"#), 204, json!([one])).await;
    // What a trigger writes in the place of a view is not known, but the row that it was asked for.
    let told =
        json!({ "operation": "insert", "relation": "shouted", "rows": 1, "key": ["id"], "keys": [[null]] });
    check(false, ("POST /shouted", "", r#"{"name":"LOUD"}"#), 201, json!([told])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_and_batches() {
    let called = |name: &str, rows: Value| json!({ "operation": "call", "relation": name, "rows": rows });
    check(false, ("POST /rpc/add", "", r#"{"n":5}"#), 200, json!([called("add", json!(1))])).await;
    check(false, ("POST /rpc/touch", "", "{}"), 204, json!([called("touch", Value::Null)])).await;
    let batch = r#"[
        {"method":"POST","path":"/bare","body":[{"n":1},{"n":2}]},
        {"method":"GET","path":"/codes"},
        {"method":"POST","path":"/rpc/touch","body":{}},
        {"method":"DELETE","path":"/items?id=eq.1"}]"#;
    let (bare, touch) =
        (written("insert", "bare", &["rowid"], json!([[1], [2]])), called("touch", Value::Null));
    let gone = written("delete", "items", &["id"], json!([[1]]));
    check(false, ("POST /_batch", "", batch), 409, json!([])).await;
    let batch = batch.replace("id=eq.1", "id=eq.99");
    let none = json!({ "operation": "delete", "relation": "items", "rows": 0 });
    check(false, ("POST /_batch", "", &batch), 200, json!([bare, touch, none])).await;
    let read = json!({ "operation": "select", "relation": "codes", "rows": 2 });
    check(true, ("POST /_batch", "", &batch), 200, json!([bare, read, touch, none])).await;
    drop(gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_is_no_write() {
    check(false, ("POST /bare", "tx=rollback", r#"{"n":1}"#), 201, json!([])).await;
    check(false, ("POST /items", "", r#"{"name":"a"}"#), 409, json!([])).await;
    check(false, ("GET /codes", "", ""), 200, json!([])).await;
    check(false, ("POST /codes?x=y", "", "{"), 400, json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_where_they_are_asked_for() {
    let read = |rows: Value| json!([{ "operation": "select", "relation": "codes", "rows": rows }]);
    check(true, ("GET /codes?n=gt.1", "", ""), 200, read(json!(1))).await;
    check(true, ("HEAD /codes", "", ""), 200, read(json!(2))).await;
    check(true, ("GET /nothing", "", ""), 404, json!([])).await;
    check(true, ("OPTIONS /codes", "", ""), 200, json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_what_it_would_have_done() {
    let refused = |operation: &str| json!([{ "operation": operation, "relation": "items", "rows": 0 }]);
    // What a policy keeps from being written.
    check(false, ("POST /items", "", r#"{"name":"forbidden"}"#), 401, refused("insert")).await;
    check(false, ("POST /rpc/secret", "", "{}"), 401, json!([])).await;
    let batch = r#"[{"method":"DELETE","path":"/codes"},{"method":"POST","path":"/items","body":{"name":"forbidden"}}]"#;
    check(false, ("POST /_batch", "", batch), 401, refused("insert")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_are_counted() {
    let body: Vec<Value> = (0..150).map(|n| json!({ "n": n })).collect();
    let body = Value::from(body).to_string();
    let fixture = Fixture::of_sql(SQL);
    for engine in fixture.engines(&audited(false)) {
        let answer = send(&engine, "POST /bare", "", &body).await;
        let act = &answer.acts[0];
        assert_eq!((act.rows, act.keys.len(), act.more), (Some(150), 100, 50), "{}", engine.name());
    }
}

/// Where no log is kept nothing is served that is to be recorded.
#[tokio::test(flavor = "multi_thread")]
async fn no_other_host_serves_without_a_log() {
    let fixture = Fixture::of_sql(SQL);
    let get = Request { method: "GET", target: "/codes", headers: &[], body: b"" };
    let spin = Spin::new(&fixture.path("spin"), &fixture.config_text("spin", CONFIG));
    assert_eq!(spin.handle(&get).await.status, 200);
    let spin = Spin::new(&fixture.path("spin"), &fixture.config_text("spin", &audited(false)));
    let answer = spin.handle(&get).await;
    assert_eq!((answer.status, answer.header("proxy-status")), (500, Some("SQLitREST; error=PGRSTX00")));
}
