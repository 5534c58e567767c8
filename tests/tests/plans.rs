//! That SQLite finds the indexes for the statements that requests become.

use std::sync::Arc;

use rusqlite::Connection;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::{parse, respond};
use sqlitrest_tests::double::Double;

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, state INT, owner TEXT);";

/// The plan of a request, as a client is told.
fn plan(schema: &str, target: &str) -> String {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&format!("{TABLE}{schema}")).unwrap();
    let config = Config::load("plans", "[api]\nplan = true", []).unwrap();
    let identity = Arc::new(Identity::anonymous(&config));
    let headers: &[(&str, &[u8])] = &[("accept", b"application/vnd.pgrst.plan")];
    let request = Request { method: "GET", target, headers, body: b"" };
    let parsed = parse(&config, &identity, &request).map_err(|response| response.status).unwrap();
    let response = respond(&config, &mut Arc::default(), parsed, &mut Double::new(connection));
    String::from_utf8(response.body).unwrap()
}

#[test]
fn indexes_of_every_kind_are_found() {
    for (index, target, found) in [
        ("t (name)", "/t?name=eq.a&order=id", "USING INDEX i (name=?)"),
        ("t (name)", "/t?name=gt.a&order=state&limit=3", "USING INDEX i (name>?)"),
        ("t (name)", "/t?name=in.(a,b)", "USING INDEX i (name=?)"),
        // The beginning of a pattern is a range.
        ("t (name)", "/t?name=like.abc*", "USING INDEX i (name>? AND name<?)"),
        ("t (name)", "/t?select=id&order=name&limit=5", "USING COVERING INDEX i"),
        // An index of some rows, where the value asked for is one of them.
        ("t (name) WHERE state = 1", "/t?state=eq.1&name=eq.a&order=id", "USING INDEX i (name=?)"),
        ("t (name) WHERE owner IS NULL", "/t?owner=is.null&name=eq.a", "USING INDEX i (name=?)"),
    ] {
        let plan = plan(&format!("CREATE INDEX i ON {index};"), target);
        assert!(plan.contains(found), "{index} {target}\n{plan}");
    }
    let other = plan("CREATE INDEX i ON t (name) WHERE state = 1;", "/t?state=eq.2&name=eq.a");
    assert!(!other.contains("INDEX i"), "{other}");
}
