//! Every tool and resource, as its caller may use it.

use serde_json::{Value as Json, json};

use crate::support::{ENGINES, count};
use crate::{Shop, code};

fn names(list: &Json, name: &str) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|own| own[name].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_reader_sees_what_their_role_does() {
    let shop = Shop::new("");
    for engine in ENGINES {
        let agent = shop.serve(engine);
        let hello = agent.request(
            "initialize",
            &json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } }),
        );
        let hello = &hello["result"];
        assert_eq!(
            (&hello["protocolVersion"], &hello["serverInfo"]["name"]),
            (&json!("2025-06-18"), &json!("sqlitrest"))
        );
        assert!(
            hello["instructions"].as_str().is_some_and(|text| text.contains("list_relations")),
            "{hello:#}"
        );
        let tools = agent.request("tools/list", &json!({}));
        assert_eq!(
            names(&tools["result"]["tools"], "name"),
            ["list_relations", "describe_relation", "read_rows", "call_function", "explain_request"]
        );
        let list = agent.call("list_relations", &json!({}));
        assert_eq!(
            list["relations"],
            json!([{ "name": "items", "kind": "table", "operations": ["select"], "columns": 4, "comment": "What is sold" }])
        );
        // One that writes cannot be called.
        assert_eq!(names(&list["functions"], "name"), ["cheapest", "twice"]);
        let about = agent.call("describe_relation", &json!({ "relation": "items" }));
        assert_eq!(names(&about["columns"], "name"), ["id", "name", "published", "owner"]);
        let rows = agent.call(
            "read_rows",
            &json!({ "relation": "items", "select": "id,name", "filters": [{ "column": "name", "operator": "ilike", "value": "*a*" }], "query": "id=lt.9", "order": "id.desc" }),
        );
        assert_eq!(
            rows,
            json!({ "rows": [{ "id": 2, "name": "bread \"x\"" }, { "id": 1, "name": "apple" }], "truncated": false })
        );
        let called = agent.call(
            "call_function",
            &json!({ "function": "cheapest", "arguments": { "n": 2 }, "select": "id" }),
        );
        assert_eq!(called, json!({ "result": [{ "id": 1 }, { "id": 2 }], "truncated": false }));
        let called =
            agent.call("call_function", &json!({ "function": "twice", "arguments": { "text": "eq.1" } }));
        assert_eq!(called, json!({ "result": "eq.1eq.1", "truncated": false }));
        agent.server.stop();
    }
}

#[test]
fn policies_hold_for_tools() {
    let shop = Shop::new("");
    for engine in ENGINES {
        let mut agent = shop.serve(engine);
        let all = agent.call(
            "read_rows",
            &json!({ "relation": "items", "select": "id", "order": "id", "count": true, "limit": 3 }),
        );
        assert_eq!(
            all,
            json!({
                "rows": [{ "id": 1 }, { "id": 2 }, { "id": 4 }], "total": 4, "truncated": true,
                "note": "There are more rows than these. Narrow the filters, or ask again with offset 3 and an order."
            })
        );
        let hidden = agent.fails(
            "read_rows",
            &json!({ "relation": "items", "filters": [{ "column": "price", "value": 1 }] }),
        );
        assert_eq!(code(&hidden), (403, "42501"));
        for relation in ["secrets", "sqlite_master"] {
            assert_eq!(code(&agent.fails("read_rows", &json!({ "relation": relation }))), (404, "PGRST205"));
            assert_eq!(
                code(&agent.fails("describe_relation", &json!({ "relation": relation }))),
                (404, "PGRST205")
            );
        }
        let explained = agent.call("explain_request", &json!({ "path": "/items?id=eq.1" }));
        // Rules and SQL tell what policies hide, and are the administrator's.
        assert_eq!((&explained["statements"], &explained["role"]), (&json!([]), &json!("reader")));
        assert!(explained["next"].as_array().is_some_and(|next| !next.is_empty()), "{explained:#}");
        agent.token = shop.token("writer", "8");
        let own =
            agent.call("read_rows", &json!({ "relation": "items", "select": "id,price", "order": "id" }));
        assert_eq!(
            own["rows"],
            json!([{ "id": 3, "price": 3.0 }, { "id": 4, "price": 4.0 }, { "id": 5, "price": 5.0 }])
        );
        agent.server.stop();
    }
}

#[test]
fn the_schema_is_a_resource() {
    let shop = Shop::new("");
    let agent = shop.serve("native");
    let listed = agent.request("resources/list", &json!({}));
    assert_eq!(
        names(&listed["result"]["resources"], "uri"),
        ["sqlitrest://schema", "sqlitrest://schema/items"]
    );
    let templates = agent.request("resources/templates/list", &json!({}));
    assert_eq!(
        names(&templates["result"]["resourceTemplates"], "uriTemplate"),
        ["sqlitrest://schema/{relation}"]
    );
    for uri in ["sqlitrest://schema", "sqlitrest://schema/items"] {
        let read = agent.request("resources/read", &json!({ "uri": uri }));
        let text = read["result"]["contents"][0]["text"].as_str().expect("a text");
        assert!(text.contains("\ntable items (select): What is sold\n- id INTEGER primary key"), "{text}");
        assert!(!text.contains("price") && !text.contains("secrets") && !text.contains("wipe"), "{text}");
    }
    for uri in ["sqlitrest://schema/secrets", "file:///etc/passwd", "sqlitrest://schema?database=none"] {
        let read = agent.request("resources/read", &json!({ "uri": uri }));
        assert!(read["error"]["code"].as_i64().is_some_and(|code| code < 0), "{uri}: {read:#}");
    }
    agent.server.stop();
}

#[test]
fn writing_is_switched_on_and_held_to_policies() {
    for engine in ENGINES {
        let shop = Shop::new("write = true\n");
        let mut agent = shop.serve(engine);
        agent.token = shop.token("writer", "7");
        let write = |arguments: Json| agent.call("write_rows", &arguments);
        let inserted = write(
            json!({ "relation": "items", "operation": "insert", "rows": { "name": "fig", "published": false, "owner": "7" } }),
        );
        assert_eq!(
            (&inserted["affected"], &inserted["rows"][0]["id"]),
            (&json!(1), &json!(6)),
            "{inserted:#}"
        );
        let updated = write(
            json!({ "relation": "items", "operation": "update", "rows": { "price": 9 }, "filters": [{ "column": "id", "operator": "in", "value": [1, 6] }] }),
        );
        assert_eq!(updated["affected"], 2);
        let upserted = write(
            json!({ "relation": "items", "operation": "upsert", "on_conflict": "name", "returning": false,
            "rows": [{ "name": "fig", "published": true, "owner": "7" }] }),
        );
        assert_eq!(upserted, json!({ "affected": 1, "truncated": false }));
        let deleted = write(json!({ "relation": "items", "operation": "delete", "query": "name=eq.fig" }));
        assert_eq!((&deleted["affected"], &deleted["rows"][0]["published"]), (&json!(1), &json!(true)));
        assert_eq!(
            write(
                json!({ "relation": "items", "operation": "delete", "filters": [{ "column": "id", "value": 3 }] })
            )["affected"],
            0
        );
        let fails = |arguments: Json| agent.fails("write_rows", &arguments);
        let others = fails(
            json!({ "relation": "items", "operation": "insert", "rows": { "name": "gum", "published": true, "owner": "8" } }),
        );
        assert_eq!(code(&others), (403, "42501"));
        let twice = fails(
            json!({ "relation": "items", "operation": "insert", "rows": { "name": "apple", "published": true, "owner": "7" } }),
        );
        assert_eq!(code(&twice), (409, "23505"));
        for wrong in [
            json!({ "relation": "items", "operation": "delete" }),
            json!({ "relation": "items", "operation": "update", "rows": { "price": 1 }, "filters": [] }),
            json!({ "relation": "items", "operation": "insert" }),
            json!({ "relation": "items", "operation": "drop", "rows": {} }),
            json!({ "relation": "items", "operation": "delete", "filter": [{ "column": "id", "value": 1 }] }),
        ] {
            assert_eq!(code(&fails(wrong)), (400, "PGRST102"));
        }
        assert_eq!(count(&shop.scratch.path("shop.db"), "items"), 5);
        let wiped = agent.call("call_function", &json!({ "function": "wipe" }));
        assert_eq!(wiped, json!({ "result": null, "truncated": false }));
        assert_eq!(count(&shop.scratch.path("shop.db"), "items"), 3);
        agent.server.stop();
    }
}

/// Where the API itself asks for none.
#[test]
fn what_is_for_an_embed_finds_no_rows_to_write() {
    let mut shop = Shop::new("");
    let text = crate::CONFIG.replace("[api]", "[api]\nrequire_filter = false");
    shop.config = shop.scratch.file("sqlitrest.toml", format!("{text}write = true\n"));
    for engine in ENGINES {
        let mut agent = shop.serve(engine);
        agent.token = shop.token("writer", "7");
        for (name, value) in
            [("query", json!("tracks.limit=5")), ("filters", json!([{ "column": "tracks.id", "value": 1 }]))]
        {
            for operation in ["update", "delete"] {
                let mut arguments =
                    json!({ "relation": "items", "operation": operation, "returning": false });
                arguments[name] = value.clone();
                if operation == "update" {
                    arguments["rows"] = json!({ "price": 0 });
                }
                let refused = agent.fails("write_rows", &arguments);
                assert_eq!(code(&refused), (400, "PGRST102"), "{arguments}");
                assert!(
                    refused["message"].as_str().is_some_and(|own| own.contains("need a condition")),
                    "{refused:#}"
                );
            }
        }
        assert_eq!(count(&shop.scratch.path("shop.db"), "items"), 5);
        agent.server.stop();
    }
}

#[test]
fn what_tools_do_is_recorded() {
    let mut shop = Shop::new("write = true\n");
    let log = shop.scratch.path("audit.ndjson");
    // There is room for one record: that of the tool, and not one of its message beside it.
    let text = format!("{}write = true\n[audit]\nfile = {log:?}\nqueue = 1\n", crate::CONFIG);
    shop.config = shop.scratch.file("sqlitrest.toml", text);
    let mut agent = shop.serve("native");
    agent.token = shop.token("writer", "7");
    agent.call(
        "write_rows",
        &json!({ "relation": "items", "operation": "delete", "filters": [{ "column": "id", "value": 1 }] }),
    );
    let refused = json!({ "relation": "items", "operation": "insert", "rows": { "name": "gum", "published": true, "owner": "8" } });
    agent.fails("write_rows", &refused);
    assert_eq!(agent.send(&["origin: http://evil.example"], "{}").status, 403);
    agent.token = "wrong".to_owned();
    assert_eq!(agent.send(&[], "{}").status, 401);
    agent.server.stop();
    let text = std::fs::read_to_string(log).expect("the log");
    let entries: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<[&Json; 5]> = entries
        .iter()
        .filter(|entry| entry["path"].is_string())
        .map(|entry| [&entry["event"], &entry["method"], &entry["path"], &entry["status"], &entry["subject"]])
        .collect();
    let expected = [
        [json!("write"), json!("DELETE"), json!("/items"), json!(200), json!("7")],
        [json!("denied"), json!("POST"), json!("/items"), json!(403), json!("7")],
        [json!("denied"), json!("POST"), json!("/_mcp"), json!(403), json!("7")],
        [json!("denied"), json!("POST"), json!("/_mcp"), json!(401), json!(null)],
    ];
    assert_eq!(told, expected.iter().map(|entry| entry.each_ref()).collect::<Vec<_>>(), "{text}");
}
