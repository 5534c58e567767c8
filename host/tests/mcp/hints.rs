//! What models get wrong: what is plainly meant is taken, and else the answer says what to write.

use rusqlite::Connection;
use serde_json::{Value as Json, json};

use crate::support::ENGINES;
use crate::{Agent, Shop, code};

/// A tool fails with this code, and what it says to do has these words.
fn hints(agent: &Agent, tool: &str, arguments: &Json, expected: (u64, &str), words: &str) {
    let failure = agent.fails(tool, arguments);
    assert_eq!(code(&failure), expected, "{arguments}: {failure:#}");
    let told = format!("{} {}", failure["message"], failure["hint"]);
    assert!(told.contains(words), "{arguments}: {told}");
}

#[test]
fn what_is_plainly_meant_is_taken() {
    let shop = Shop::new("write = true\n");
    for engine in ENGINES {
        let mut agent = shop.serve(engine);
        let plain = json!({ "rows": [{ "id": 2 }, { "id": 1 }], "truncated": false });
        let filters = json!([{ "column": "id", "operator": "LT", "value": 3 }]);
        for arguments in [
            json!({ "relation": "main.items", "select": ["id"], "order": ["id.desc"], "limit": "3", "filters": filters }),
            json!({ "relation": "items", "select": "id", "order": "id.desc", "filters": filters.to_string(), "offset": null }),
        ] {
            assert_eq!(agent.call("read_rows", &arguments), plain, "{arguments}");
        }
        let about = agent.call("describe_relation", &json!({ "relation": "main.items", "database": "main" }));
        assert_eq!(about["name"], "items");
        let called = json!({ "function": "main.twice", "arguments": "{\"text\":\"a\"}" });
        assert_eq!(agent.call("call_function", &called)["result"], "aa");
        let explained = agent.call("explain_request", &json!({ "path": "GET items?id=eq.1" }));
        assert_eq!(explained["request"], "GET /items?id=eq.1");
        agent.token = shop.token("writer", "7");
        let body = json!({ "name": "fig", "published": true, "owner": "7" }).to_string();
        let explained =
            agent.call("explain_request", &json!({ "method": "POST", "path": "/items", "body": body }));
        assert!(explained["refused"].is_null(), "{explained:#}");
        let written =
            agent.call("write_rows", &json!({ "relation": "items", "operation": "insert", "rows": body }));
        assert_eq!(written["rows"][0]["name"], "fig");
        let gone = json!({ "relation": "items", "operation": "delete", "query": "name=eq.fig" });
        assert_eq!(agent.call("write_rows", &gone)["affected"], 1);
        agent.server.stop();
    }
}

#[test]
fn what_is_not_is_told_how_to_write() {
    let shop = Shop::new("");
    for engine in ENGINES {
        let mut agent = shop.serve(engine);
        let read = |agent: &Agent, name: &str, value: Json, expected: (u64, &str), words: &str| {
            let mut arguments = json!({ "relation": "items" });
            arguments[name] = value;
            hints(agent, "read_rows", &arguments, expected, words);
        };
        let filter = |operator: &str| json!([{ "column": "name", "operator": operator, "value": "a" }]);
        read(&agent, "filters", filter("contains"), (400, "PGRST102"), "ilike, match");
        read(&agent, "filters", json!([{ "value": 1 }]), (400, "PGRST102"), "filters[0].column is missing");
        read(&agent, "limit", json!("all"), (400, "PGRST102"), "limit has to be a whole number");
        read(&agent, "query", json!("id > 3"), (400, "PGRST102"), "id=gt.3");
        read(&agent, "query", json!("name=LIKE.a"), (400, "PGRST100"), "Operators are eq");
        read(&agent, "select", json!("nmae"), (403, "42501"), "describe_relation tells the columns");
        read(&agent, "order", json!("name desc"), (403, "42501"), "name.desc,id");
        read(&agent, "select", json!("name as n"), (403, "42501"), "other:name");
        read(&agent, "select", json!("count(*)"), (400, "PGRST200"), "api.aggregates");
        read(&agent, "relation", json!("itemz"), (404, "PGRST205"), "list_relations");
        let call = |name: &str| json!({ "function": name, "arguments": { "word": "a" } });
        hints(&agent, "call_function", &call("twice"), (404, "PGRST202"), "twice(text text)");
        hints(&agent, "call_function", &call("thrice"), (404, "PGRST202"), "list_relations");
        let explained = agent.call("explain_request", &json!({ "path": "/itemz" }));
        let next = explained["next"].to_string();
        assert!(next.contains("describe_relation") && !next.contains("/_schema"), "{next}");
        agent.token = shop.token("writer", "7");
        read(&agent, "order", json!("name desc"), (400, "42703"), "name.desc,id");
        agent.server.stop();
    }
}

#[test]
fn another_database_is_named() {
    let mut shop = Shop::new("");
    let sql = Connection::open(shop.scratch.path("north.db")).expect("a database");
    sql.execute_batch(
        "CREATE TABLE products (id INTEGER PRIMARY KEY); CREATE TABLE ledgers (id INTEGER PRIMARY KEY)",
    )
    .expect("tables");
    let rule = "[[policies.policy]]\nname = \"products\"\ntable = \"products\"\ndatabase = \"north\"\nroles = [\"reader\"]\n";
    let text = crate::CONFIG
        .replace("[api]", "[databases.north]\npath = \"./north.db\"\n[api]")
        .replace("[comments.table]", &format!("{rule}[comments.table]"));
    shop.config = shop.scratch.file("sqlitrest.toml", text);
    for engine in ENGINES {
        let agent = shop.serve(engine);
        let relation = |name: &str| json!({ "relation": name });
        for tool in ["read_rows", "describe_relation"] {
            hints(&agent, tool, &relation("products"), (404, "PGRST205"), "give database \\\"north\\\"");
            let none = agent.fails(tool, &relation("ledgers"));
            assert!(
                !none.to_string().contains("north"),
                "what a role does not know is not told of: {none:#}"
            );
        }
        assert_eq!(agent.call("read_rows", &relation("north.products"))["rows"], json!([]));
        agent.server.stop();
    }
}

#[test]
fn who_does_not_see_all_columns_is_told_what_they_wrote() {
    let mut shop = Shop::new("");
    let text = crate::CONFIG.replace(
        "check = \"owner = current_user_id()\"",
        "check = \"owner = current_user_id()\"\ncolumns = { hidden = [\"price\"] }",
    );
    shop.config = shop.scratch.file("sqlitrest.toml", format!("{text}write = true\n"));
    for engine in ENGINES {
        let mut agent = shop.serve(engine);
        agent.token = shop.token("writer", "7");
        let write = |arguments: Json| agent.call("write_rows", &arguments)["rows"].clone();
        let row = json!({ "id": 9, "name": "fig", "published": true, "owner": "7" });
        let insert = json!({ "relation": "items", "operation": "insert", "rows": row });
        assert_eq!(write(insert), json!([row]));
        let gone = json!({ "relation": "items", "operation": "delete", "query": "id=eq.9" });
        assert_eq!(write(gone), json!([row]));
        agent.server.stop();
    }
}

#[test]
fn the_server_is_told_of_as_it_is_set_up() {
    for (more, can_write) in [("", false), ("write = true\n", true)] {
        let shop = Shop::new(more);
        let mut agent = shop.serve("native");
        agent.token = shop.token("writer", "7");
        let hello = agent.request(
            "initialize",
            &json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } }),
        );
        let told = hello["result"]["instructions"].as_str().expect("instructions");
        assert_eq!(told.contains("write_rows"), can_write, "{told}");
        assert!(told.contains("at most 3 rows"), "{told}");
        let tools = agent.request("tools/list", &json!({}));
        let tools = tools["result"]["tools"].as_array().expect("tools");
        let reads = tools.iter().find(|tool| tool["name"] == "read_rows").expect("a tool");
        assert_eq!(reads["inputSchema"]["properties"]["limit"]["maximum"], 3);
        let about = agent.call("describe_relation", &json!({ "relation": "items" }));
        let columns = about["columns"].as_array().expect("columns");
        assert!(columns.iter().all(|own| own["writable"] == can_write), "{about:#}");
        agent.server.stop();
    }
}

/// Clients show the message alone.
#[test]
fn a_resource_that_is_not_there_has_its_hint_in_the_message() {
    let shop = Shop::new("");
    let agent = shop.serve("native");
    let read = agent.request("resources/read", &json!({ "uri": "sqlitrest://schema/itemz" }));
    let message = read["error"]["message"].as_str().expect("a message");
    assert!(message.contains("Perhaps you meant the table"), "{read:#}");
    agent.server.stop();
}
