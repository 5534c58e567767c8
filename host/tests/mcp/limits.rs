//! How much an agent may have at once, and that it is told where there is more.

use rusqlite::Connection;
use serde_json::json;

use crate::support::{ENGINES, LIMIT};
use crate::{Shop, code};

#[test]
fn rows_are_cut_and_it_is_said() {
    let shop = Shop::new("");
    let sql = Connection::open(shop.scratch.path("shop.db")).expect("a database");
    let row = |id: i32| format!("INSERT INTO items VALUES ({id}, 'n{id}', NULL, 1, NULL);");
    sql.execute_batch(&(10..21).map(row).collect::<String>()).expect("rows");
    for engine in ENGINES {
        let agent = shop.serve(engine);
        for arguments in [
            json!({ "relation": "items", "select": "id", "order": "id" }),
            json!({ "relation": "items", "select": "id", "order": "id", "limit": 3 }),
            json!({ "relation": "items", "select": "id", "order": "id", "limit": 1_000_000 }),
        ] {
            let cut = agent.call("read_rows", &arguments);
            assert_eq!(
                (&cut["rows"], &cut["truncated"]),
                (&json!([{ "id": 1 }, { "id": 2 }, { "id": 4 }]), &json!(true))
            );
            assert!(cut["note"].as_str().is_some_and(|note| note.contains("offset 3")), "{cut:#}");
        }
        let next = agent.call(
            "read_rows",
            &json!({ "relation": "items", "select": "id", "order": "id", "offset": 3, "limit": 2 }),
        );
        assert_eq!(
            (&next["rows"], &next["truncated"]),
            (&json!([{ "id": 5 }, { "id": 10 }]), &json!(true)),
            "{next:#}"
        );
        assert!(next["note"].as_str().is_some_and(|note| note.contains("offset 5")), "{next:#}");
        let last = agent.call(
            "read_rows",
            &json!({ "relation": "items", "select": "id", "order": "id", "offset": 13, "limit": 2 }),
        );
        assert_eq!(last, json!({ "rows": [{ "id": 19 }, { "id": 20 }], "truncated": false }));
        let called = agent.call(
            "call_function",
            &json!({ "function": "cheapest", "arguments": { "n": 9 }, "select": "id", "limit": 2 }),
        );
        assert_eq!(
            (&called["result"], &called["truncated"]),
            (&json!([{ "id": 1 }, { "id": 2 }]), &json!(true))
        );
        let called = agent.call("call_function", &json!({ "function": "cheapest", "arguments": { "n": 9 } }));
        assert_eq!(
            (called["result"].as_array().map(Vec::len), &called["truncated"]),
            (Some(3), &json!(true))
        );
        agent.server.stop();
    }
}

#[test]
fn bytes_are_cut_and_it_is_said() {
    let shop = Shop::new("max_bytes = \"2KiB\"\n");
    let sql = Connection::open(shop.scratch.path("shop.db")).expect("a database");
    sql.execute_batch("UPDATE items SET name = name || printf('%.*c', 900, 'x') WHERE id < 5; UPDATE items SET name = printf('%.*c', 9000000, 'y') WHERE id = 5")
        .expect("rows");
    for engine in ENGINES {
        let agent = shop.serve(engine);
        let cut = agent.call("read_rows", &json!({ "relation": "items", "order": "id" }));
        assert_eq!(
            (cut["rows"].as_array().map(Vec::len), &cut["truncated"]),
            (Some(2), &json!(true)),
            "{cut:#}"
        );
        assert!(cut["note"].as_str().is_some_and(|note| note.contains("2048 bytes")), "{cut:#}");
        let large = agent
            .call("read_rows", &json!({ "relation": "items", "filters": [{ "column": "id", "value": 5 }] }));
        assert_eq!((&large["rows"], &large["truncated"]), (&json!([]), &json!(true)));
        let note = large["note"].as_str().expect("a note");
        assert!(
            note.contains("2048 bytes") && note.contains("offset 1") && !note.contains("offset 0"),
            "{note}"
        );
        let twice = json!({ "function": "twice", "arguments": { "text": "z".repeat(5_000) } });
        assert_eq!(code(&agent.fails("call_function", &twice)), (400, "54001"));
        agent.server.stop();
    }
}

/// The API has a limit of its own, and does not say that it was reached.
#[test]
fn what_the_api_cuts_is_said() {
    let mut shop = Shop::new("");
    let text = crate::CONFIG.replace("[api]", "[api]\nmax_rows = 2");
    shop.config = shop.scratch.file("sqlitrest.toml", text);
    for engine in ENGINES {
        let agent = shop.serve(engine);
        for limit in [2, 3] {
            let read = |count: bool, offset: u64| {
                let page = json!({ "relation": "items", "select": "id", "order": "id", "limit": limit, "count": count, "offset": offset });
                agent.call("read_rows", &page)
            };
            let cut = read(false, 0);
            assert_eq!((&cut["rows"], &cut["truncated"]), (&json!([{ "id": 1 }, { "id": 2 }]), &json!(true)));
            assert!(cut["note"].as_str().is_some_and(|note| note.contains("offset 2")), "{cut:#}");
            // Of what is counted it is known that this is the end.
            let last = read(true, 2);
            assert_eq!(last, json!({ "rows": [{ "id": 4 }, { "id": 5 }], "total": 4, "truncated": false }));
        }
        agent.server.stop();
    }
}

#[test]
fn functions_are_cut_and_it_is_said() {
    let mut shop = Shop::new("");
    let function = |at: i32| {
        let about = "a".repeat(100);
        format!(
            "[[udf]]\nname = \"f{at}\"\nexpose = true\nsql = \"SELECT 1\"\nreturns = \"scalar integer\"\ndescription = \"{about}\"\n"
        )
    };
    let functions: String = (0..30).map(function).collect();
    let text = format!("{}max_bytes = \"2KiB\"\n{functions}", crate::CONFIG);
    shop.config = shop.scratch.file("sqlitrest.toml", text);
    for engine in ENGINES {
        let agent = shop.serve(engine);
        let list = agent.call("list_relations", &json!({}));
        let size = list["functions"].to_string().len() + list["relations"].to_string().len();
        assert!(size <= 2_050, "{size}: {list:#}");
        assert!(list["functions"].as_array().is_some_and(|own| own.len() > 2), "{list:#}");
        assert_eq!((&list["relations"][0]["name"], &list["truncated"]), (&json!("items"), &json!(true)));
        let note = "These are the first of 1 relations and 32 functions; ";
        assert!(list["note"].as_str().is_some_and(|own| own.starts_with(note)), "{list:#}");
        agent.server.stop();
    }
}

#[test]
fn arguments_are_no_larger_than_a_body_may_be() {
    let mut shop = Shop::new("");
    shop.config =
        shop.scratch.file("sqlitrest.toml", format!("{}\n[server]\nmax_body = \"256KiB\"\n", crate::CONFIG));
    let agent = shop.serve("native");
    let relation = "x".repeat(270_000);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "read_rows", "arguments": { "relation": relation } } });
    assert_eq!(agent.send(&[], &body.to_string()).status, 413);
    let values = vec![1; 32_767];
    let many = json!({ "relation": "items", "select": "id", "filters": [{ "column": "id", "operator": "in", "value": values }] });
    let failure = agent.fails("read_rows", &many);
    assert_eq!(code(&failure), (400, "54001"), "{failure:#}");
    agent.server.stop();
}

#[test]
fn a_write_is_no_larger_than_a_read() {
    let shop = Shop::new("write = true\n");
    for engine in ENGINES {
        let mut agent = shop.serve(engine);
        agent.token = shop.token("writer", "7");
        let rows: Vec<_> = (100..104)
            .map(|id| json!({ "id": id, "name": id.to_string(), "published": true, "owner": "7" }))
            .collect();
        let insert =
            |rows: &[serde_json::Value]| json!({ "relation": "items", "operation": "insert", "rows": rows });
        assert_eq!(code(&agent.fails("write_rows", &insert(&rows))), (400, "PGRST102"));
        assert_eq!(agent.call("write_rows", &insert(&rows[..3]))["affected"], 3);
        // Five are the writer's, and three are the most.
        let all = json!({ "relation": "items", "operation": "delete", "query": "id=gt.0" });
        assert_eq!(code(&agent.fails("write_rows", &all)), (400, "PGRST124"));
        let more =
            json!({ "relation": "items", "operation": "delete", "query": "id=gt.0", "max_affected": 1_000 });
        let refused = agent.fails("write_rows", &more);
        assert_eq!(code(&refused), (400, "PGRST124"));
        assert!(
            refused["hint"].as_str().is_some_and(|hint| hint.contains("3 rows are the most")),
            "{refused:#}"
        );
        let some = json!({ "relation": "items", "operation": "delete", "query": "id=gte.100" });
        assert_eq!(agent.call("write_rows", &some)["affected"], 3);
        agent.server.stop();
    }
}

#[test]
fn rows_inside_of_others_count_and_values_do_not() {
    let mut shop = Shop::new("");
    let sql = Connection::open(shop.scratch.path("shop.db")).expect("a database");
    sql.execute_batch(
        "CREATE TABLE parts (id INTEGER PRIMARY KEY, item_id INTEGER REFERENCES items (id), meta JSON)",
    )
    .expect("a table");
    let rule = "[[policies.policy]]\nname = \"parts\"\ntable = \"parts\"\nroles = [\"writer\"]\n";
    let text = crate::CONFIG.replace("[comments.table]", &format!("{rule}[comments.table]"));
    shop.config = shop.scratch.file("sqlitrest.toml", format!("{text}write = true\n"));
    for engine in ENGINES {
        let mut agent = shop.serve(engine);
        agent.token = shop.token("writer", "7");
        let item = |id: i32, parts: &[i32]| {
            let parts: Vec<_> = parts.iter().map(|id| json!({ "id": id })).collect();
            let row =
                json!({ "id": id, "name": id.to_string(), "published": true, "owner": "7", "parts": parts });
            json!({ "relation": "items", "operation": "insert", "rows": row })
        };
        let refused = agent.fails("write_rows", &item(100, &[1, 2, 3]));
        assert_eq!(code(&refused), (400, "PGRST102"));
        assert!(
            refused["message"].as_str().is_some_and(|own| own.starts_with("there are 4 rows")),
            "{refused:#}"
        );
        let written = agent.call("write_rows", &item(101, &[1, 2]));
        assert_eq!((&written["rows"][0]["id"], &written["affected"]), (&json!(101), &json!(1)));
        assert!(
            written["note"].as_str().is_some_and(|note| note.contains("2 inside of them were written")),
            "{written:#}"
        );
        let meta = json!([{ "a": 1 }, { "a": 2 }, { "a": 3 }, { "a": 4 }]);
        let part = json!({ "relation": "parts", "operation": "insert", "rows": { "id": 9, "meta": meta } });
        let written = agent.call("write_rows", &part);
        assert_eq!((&written["rows"][0]["meta"], &written["note"]), (&meta, &json!(null)));
        let ids: String = sql
            .query_row("SELECT group_concat(id) FROM (SELECT id FROM parts ORDER BY id)", [], |row| {
                row.get(0)
            })
            .expect("parts");
        assert_eq!(ids, "1,2,9", "{engine}");
        sql.execute_batch("DELETE FROM parts; DELETE FROM items WHERE id > 99").expect("as it was");
        agent.server.stop();
    }
}

/// A function that never ends.
const ENDLESS: &str = r#"
[[udf]]
name = "endless"
expose = true
sql = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c"
returns = "scalar integer"
"#;

#[test]
fn what_takes_too_long_is_given_up() {
    let mut shop = Shop::new("");
    let text = format!("{}timeout = \"200ms\"\n{ENDLESS}", crate::CONFIG);
    shop.config = shop.scratch.file("sqlitrest.toml", text);
    for engine in ENGINES {
        let agent = shop.serve(engine);
        let late = agent.fails("call_function", &json!({ "function": "endless" }));
        assert_eq!(code(&late), (504, "57014"));
        assert!(
            late["hint"].as_str().is_some_and(|hint| hint.starts_with("Call it with arguments")),
            "{late:#}"
        );
        assert_eq!(agent.call("list_relations", &json!({}))["relations"][0]["name"], "items");
        agent.server.stop();
    }
}

/// Where a log is kept, too, though the call is a POST.
#[test]
fn what_is_given_up_holds_no_connection() {
    let mut shop = Shop::new("");
    let more = format!(
        "timeout = \"200ms\"\n{ENDLESS}[audit]\nfile = {:?}\n[pool]\nreaders_per_db = 1\n[middleware]\nrequest_timeout = \"1h\"\n",
        shop.scratch.path("audit.ndjson")
    );
    shop.config = shop.scratch.file("sqlitrest.toml", format!("{}{more}", crate::CONFIG));
    for engine in ENGINES {
        let agent = shop.serve(engine);
        assert_eq!(code(&agent.fails("call_function", &json!({ "function": "endless" }))), (504, "57014"));
        let list = json!({ "name": "list_relations", "arguments": {} });
        let begun = std::time::Instant::now();
        while agent.request("tools/call", &list)["result"]["isError"] == true {
            assert!(begun.elapsed() < LIMIT, "the connection is not free");
        }
        agent.server.stop();
    }
}

#[test]
fn a_reload_changes_what_agents_may() {
    let shop = Shop::new("");
    let agent = shop.serve("native");
    let names = |agent: &crate::Agent| {
        agent.request("tools/list", &json!({}))["result"]["tools"].as_array().map(Vec::len)
    };
    assert_eq!(names(&agent), Some(5));
    std::fs::write(&shop.config, format!("{}write = true\n", crate::CONFIG)).expect("written");
    agent.server.signal("HUP");
    agent.server.logs("SIGHUP: the configuration is read again");
    assert_eq!(names(&agent), Some(6));
    agent.server.stop();
}

#[test]
fn settings_that_cannot_be_meant() {
    for (setting, word) in [
        ("max_rows = 0", "mcp.max_rows"),
        ("max_bytes = 5", "mcp.max_bytes"),
        ("timeout = \"0ms\"", "mcp.timeout"),
        ("writes = true", "unknown field `writes`"),
    ] {
        let shop = Shop::new("");
        let text = crate::CONFIG.replace("max_rows = 3", setting);
        std::fs::write(&shop.config, text).expect("written");
        let ended =
            crate::run(&["serve", "--config", crate::path(&shop.config), "--listen", "127.0.0.1:0"], &[]);
        assert!(ended.code == Some(2) && ended.stderr.contains(word), "{setting}: {ended:?}");
    }
}
