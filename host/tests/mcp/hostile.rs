//! What is refused: pages of other origins, messages that are none, tools that are not there, names that would be more than names.

use rusqlite::Connection;
use serde_json::{Value as Json, json};

use crate::support::{ENGINES, ask, count, get};
use crate::{FIELDS, Shop, code};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn problem(body: &str) -> Json {
    serde_json::from_str(body).expect("JSON")
}

#[test]
fn it_is_not_there_unless_it_is_switched_on() {
    let shop = Shop::new("");
    let text =
        std::fs::read_to_string(&shop.config).expect("read").replace("enabled = true\nmax_rows", "max_rows");
    std::fs::write(&shop.config, text).expect("written");
    let agent = shop.serve("native");
    let reply = agent.send(&[], PING);
    assert_eq!((reply.status, problem(&reply.body)["code"].as_str()), (404, Some("PGRST205")), "{reply:?}");
    agent.server.stop();
}

#[test]
fn a_relation_of_the_same_name_is_told_of() {
    let shop = Shop::new("");
    let sql = Connection::open(shop.scratch.path("shop.db")).expect("a database");
    sql.execute_batch("CREATE TABLE _mcp (id INTEGER PRIMARY KEY)").expect("a table");
    for engine in ENGINES {
        let agent = shop.serve(engine);
        assert_eq!(agent.send(&[], PING).status, 200);
        // The table, which nobody may read.
        assert_eq!(get(&agent.server.address, "/%5Fmcp").status, 401);
        let log = agent.server.stop().stderr;
        assert!(log.contains("warning: /_mcp is where agents are served, not the relation"), "{log}");
    }
    let text = crate::CONFIG.replace("enabled = true\nmax_rows", "max_rows");
    std::fs::write(&shop.config, text).expect("written");
    let log = shop.serve("native").server.stop().stderr;
    assert!(!log.contains("/_mcp"), "{log}");
}

#[test]
fn pages_of_other_origins_are_refused() {
    let mut shop = Shop::new("");
    let text = crate::CONFIG
        .replace("[api]", "[middleware]\ncors_origins = [\"*\", \"https://good.example\"]\n[api]");
    shop.config = shop.scratch.file("sqlitrest.toml", text);
    for engine in ENGINES {
        let agent = shop.serve(engine);
        for (origin, status) in [
            ("http://evil.example", 403),
            ("http://evil.example:80", 403),
            ("http://localhost.evil.example", 403),
            ("null", 403),
            ("https://good.example:8443", 403),
            ("http://good.example", 403),
            ("https://good.example", 200),
            ("http://localhost:5173", 200),
            ("http://127.0.0.1:3000", 200),
            ("http://[::1]", 200),
        ] {
            let reply = agent.send(&[&format!("origin: {origin}")], PING);
            assert_eq!(reply.status, status, "{origin}: {reply:?}");
            if status == 403 {
                assert_eq!(problem(&reply.body)["code"], "42501", "{reply:?}");
            }
        }
        agent.server.stop();
    }
}

#[test]
fn who_asks_is_asked_first() {
    let mut shop = Shop::new("");
    let nobody = crate::CONFIG.replace("anonymous_role = \"anon\"\n", "");
    shop.config = shop.scratch.file("sqlitrest.toml", nobody);
    let agent = shop.serve("native");
    let reply = ask(&agent.server.address, "POST", "/_mcp", &FIELDS, PING);
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")), "{reply:?}");
    let wrong = [FIELDS[0], FIELDS[1], "authorization: Bearer nonsense"];
    let reply = ask(&agent.server.address, "POST", "/_mcp", &wrong, PING);
    assert_eq!(reply.status, 401, "{reply:?}");
    assert!(
        reply.header("www-authenticate").is_some_and(|own| own.starts_with("Bearer error=")),
        "{reply:?}"
    );
    // A role that nothing is allowed to has tools, and sees nothing by them.
    let agent = crate::Agent { token: shop.token("stranger", "1"), ..agent };
    assert_eq!(agent.call("list_relations", &json!({}))["relations"], json!([]));
    assert_eq!(code(&agent.fails("read_rows", &json!({ "relation": "items" }))), (403, "42501"));
    agent.server.stop();
}

#[test]
fn there_are_no_sessions() {
    let shop = Shop::new("");
    let agent = shop.serve("native");
    for method in ["GET", "DELETE", "PUT"] {
        let reply = ask(&agent.server.address, method, "/_mcp", &FIELDS, "");
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{method}: {reply:?}");
    }
    assert_eq!(get(&agent.server.address, "/_mcp/more").status, 404);
    // A browser asks with an origin; whoever else asks is answered as with other methods that are not there.
    let reply = ask(&agent.server.address, "OPTIONS", "/_mcp", &[], "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{reply:?}");
    let preflight = ["origin: http://localhost:5173", "access-control-request-method: POST"];
    let reply = ask(&agent.server.address, "OPTIONS", "/_mcp", &preflight, "");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some("*")), "{reply:?}");
    agent.server.stop();
}

#[test]
fn messages_that_are_none() {
    let shop = Shop::new("");
    for engine in ENGINES {
        let agent = shop.serve(engine);
        let batch = format!("[{PING},{PING}]");
        for (body, code) in [
            ("", -32700),
            ("{", -32700),
            ("\u{0}", -32700),
            ("null", -32600),
            (batch.as_str(), -32600),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, -32600),
        ] {
            let reply = agent.send(&[], body);
            assert_eq!(
                (reply.status, &problem(&reply.body)["error"]["code"]),
                (400, &json!(code)),
                "{body}: {reply:?}"
            );
        }
        let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"read_rows","arguments":{{"relation":{deep}}}}}}}"#
        );
        assert!((400..500).contains(&agent.send(&[], &deep).status));
        let version = ["accept: application/json, text/event-stream", "mcp-protocol-version: 1999-01-01"];
        let reply = ask(&agent.server.address, "POST", "/_mcp", &version, PING);
        assert_eq!(reply.status, 400, "{reply:?}");
        let reply = ask(&agent.server.address, "POST", "/_mcp", &["accept: text/html"], PING);
        assert_eq!(
            (reply.status, problem(&reply.body)["code"].as_str()),
            (406, Some("PGRST107")),
            "{reply:?}"
        );
        let notified = agent.send(&[], r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        assert_eq!((notified.status, notified.body.as_str()), (202, ""));
        // A method or a tool that is not there is an error of the protocol.
        let unknown = agent.request("no/such", &json!({}));
        assert_eq!(unknown["error"]["code"], -32601, "{unknown:#}");
        for tool in ["drop_everything", "write_rows", ""] {
            let unknown = agent.request("tools/call", &json!({ "name": tool, "arguments": {} }));
            assert_eq!(unknown["error"]["code"], -32602, "{unknown:#}");
        }
        // Nobody fills the log by such.
        let log = agent.server.stop().stderr;
        assert!(!log.contains("rmcp"), "{log}");
    }
}

#[test]
fn names_are_names_and_values_are_values() {
    let shop = Shop::new("");
    for engine in ENGINES {
        let agent = shop.serve(engine);
        for relation in [
            "items; DROP TABLE items",
            "items\"--",
            "items?select=price",
            "../items",
            "rpc/wipe",
            "_batch",
            "_schema",
            "_debug/errors",
            "_mcp",
            "items\u{0}",
            "rpc",
            ".",
        ] {
            let failure = agent.fails("read_rows", &json!({ "relation": relation }));
            assert_eq!(code(&failure), (404, "PGRST205"), "{relation:?}: {failure:#}");
        }
        assert_eq!(code(&agent.fails("read_rows", &json!({ "relation": "" }))), (400, "PGRST102"));
        let none = |filter: Json| {
            agent.call("read_rows", &json!({ "relation": "items", "filters": [filter] }))["rows"].clone()
        };
        assert_eq!(none(json!({ "column": "name", "value": "x' OR 1=1 --" })), json!([]));
        assert_eq!(none(json!({ "column": "name", "value": "x&id=gt.0" })), json!([]));
        assert_eq!(
            none(json!({ "column": "name", "operator": "in", "value": ["x\")", "or=(id.gt.0)"] })),
            json!([])
        );
        let one = none(json!({ "column": "name", "operator": "in", "value": ["bread \"x\"", "y"] }));
        assert_eq!(one[0]["id"], 2);
        for wrong in [
            json!({ "relation": "items", "limit": -1 }),
            json!({ "relation": "items", "limit": "all" }),
            json!({ "relation": "items", "where": "1=1" }),
            json!({ "relation": "items", "query": "limit=1000" }),
            json!({ "relation": "items", "filters": [{ "column": "limit", "value": 9 }] }),
            json!({ "relation": "items", "filters": "id=eq.1" }),
            json!({ "relation": ["items"] }),
            json!({}),
        ] {
            assert_eq!(code(&agent.fails("read_rows", &wrong)), (400, "PGRST102"), "{wrong}");
        }
        let condition =
            json!({ "relation": "items", "filters": [{ "column": "id", "operator": "like", "value": {} }] });
        assert_eq!(code(&agent.fails("read_rows", &condition)), (400, "PGRST102"));
        assert_eq!(code(&agent.fails("call_function", &json!({ "function": "wipe" }))), (405, "25006"));
        assert_eq!(code(&agent.fails("call_function", &json!({ "function": "nothing" }))), (404, "PGRST202"));
        assert_eq!(count(&shop.scratch.path("shop.db"), "items"), 5, "nothing was written");
        agent.server.stop();
    }
}
