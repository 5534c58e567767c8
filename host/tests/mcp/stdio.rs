//! `sqlitrest mcp`: one identity, messages on lines, and nothing else on standard output.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use rusqlite::Connection;
use serde_json::{Value as Json, json};

use crate::Shop;
use crate::support::{ENGINES, assert_no_log, command, count, guest, path, run};

struct Agent {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Agent {
    fn start(shop: &Shop, engine: &str, more: &[&str]) -> Agent {
        let mut arguments = vec!["mcp", "--config", path(&shop.config), "--engine", engine];
        if engine == "component" {
            arguments.extend(["--guest", path(guest())]);
        }
        arguments.extend(more);
        let mut command = command(&arguments, &[]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary starts");
        let from = BufReader::new(child.stdout.take().expect("piped"));
        let to = child.stdin.take();
        let mut agent = Agent { child, to, from };
        agent.say(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#);
        let hello = agent.hear().expect("an answer");
        assert_eq!(hello["result"]["serverInfo"]["name"], "sqlitrest", "{hello:#}");
        agent.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        agent
    }

    fn say(&mut self, line: &str) {
        writeln!(self.to.as_mut().expect("open"), "{line}").expect("it reads");
    }

    fn hear(&mut self) -> Option<Json> {
        let mut line = String::new();
        let length = self.from.read_line(&mut line).expect("UTF-8");
        (length > 0).then(|| serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line}")))
    }

    fn call(&mut self, tool: &str, arguments: &Json) -> Json {
        let message = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": tool, "arguments": arguments } });
        self.say(&message.to_string());
        self.hear().expect("an answer")["result"].clone()
    }

    /// Nothing more is said; what it logged.
    fn end(mut self) -> String {
        self.to.take();
        assert_eq!(self.hear(), None);
        let mut log = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut log).expect("UTF-8");
        assert_eq!(self.child.wait().expect("wait").code(), Some(0), "{log}");
        log
    }
}

#[test]
fn an_agent_is_who_the_command_says() {
    let shop = Shop::new("write = true\n");
    for engine in ENGINES {
        let read = json!({ "relation": "items", "select": "id", "order": "id" });
        let ids = |agent: &mut Agent| agent.call("read_rows", &read)["structuredContent"]["rows"].clone();
        let mut reader = Agent::start(&shop, engine, &["--role", "reader"]);
        assert_eq!(ids(&mut reader), json!([{ "id": 1 }, { "id": 2 }, { "id": 4 }]));
        let mut writer = Agent::start(&shop, engine, &["--role", "writer", "--sub", "8"]);
        assert_eq!(ids(&mut writer), json!([{ "id": 3 }, { "id": 4 }, { "id": 5 }]));
        let written = writer.call("write_rows", &json!({ "relation": "items", "operation": "update", "rows": { "price": 9 }, "filters": [{ "column": "id", "value": 3 }] }));
        assert_eq!(written["structuredContent"]["affected"], 1, "{written:#}");
        let mut nobody = Agent::start(&shop, engine, &[]);
        assert_eq!(nobody.call("read_rows", &read)["isError"], true);
        for agent in [reader, writer, nobody] {
            let log = agent.end();
            assert!(!log.contains("panicked"), "{log}");
        }
        assert_no_log(&shop.scratch.path("shop.db"));
    }
}

/// Not even into WAL mode, which the file is not in here.
#[test]
fn where_nothing_is_written_the_file_stays_as_it_is() {
    for engine in ENGINES {
        let shop = Shop::new("");
        let database = shop.scratch.path("shop.db");
        let before = std::fs::read(&database).expect("a file");
        let mut agent = Agent::start(&shop, engine, &["--role", "reader"]);
        let read = json!({ "relation": "items", "select": "id", "order": "id", "limit": 1 });
        assert_eq!(agent.call("read_rows", &read)["structuredContent"]["rows"], json!([{ "id": 1 }]));
        agent.call("list_relations", &json!({}));
        agent.end();
        assert!(std::fs::read(&database).expect("a file") == before, "{engine}: the file has changed");
    }
}

#[test]
fn what_is_run_before_each_call_may_write() {
    for engine in ENGINES {
        let mut shop = Shop::new("");
        let database = shop.scratch.path("shop.db");
        let sql = Connection::open(&database).expect("a database");
        sql.execute_batch("CREATE TABLE visits (who TEXT)").expect("a table");
        drop(sql);
        let visit = "[[udf]]\nname = \"visit\"\nreadonly = false\nsql = \"INSERT INTO visits VALUES (current_user_id())\"\nreturns = \"void\"\n";
        let text = crate::CONFIG.replace("[api]", "[api]\npre_request = \"visit\"");
        shop.config = shop.scratch.file("sqlitrest.toml", format!("{text}{visit}"));
        let mut agent = Agent::start(&shop, engine, &["--role", "reader", "--sub", "7"]);
        let read = agent.call("read_rows", &json!({ "relation": "items", "select": "id", "limit": 1 }));
        assert_eq!(read["isError"], false, "{read:#}");
        agent.end();
        assert_eq!(count(&database, "visits"), 1, "{engine}");
    }
}

#[test]
fn the_document_sets_clients_up() {
    let shop = Shop::new("");
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/mcp.md");
    let document = std::fs::read_to_string(document).expect("the document");
    let blocks = document.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut begun = 0;
    for block in blocks {
        let json: Json = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
        let servers =
            json.get("mcpServers").or(json.get("servers")).and_then(Json::as_object).expect("servers");
        for server in servers.values() {
            if let Some(url) = server["url"].as_str() {
                assert!(url.ends_with("/_mcp"), "{url}");
                continue;
            }
            assert_eq!((&server["command"], &server["args"][0]), (&json!("sqlitrest"), &json!("mcp")));
            let database = server["args"][1].as_str().expect("a database");
            assert!(database.ends_with(".db"), "{database}");
            let mut agent =
                Agent::start(&shop, "native", &["--role", "reader", path(&shop.scratch.path("shop.db"))]);
            assert_eq!(agent.call("list_relations", &json!({}))["isError"], false);
            agent.end();
            begun += 1;
        }
    }
    assert_eq!(begun, 2);
}

#[test]
fn lines_that_are_no_messages_end_nothing() {
    let shop = Shop::new("");
    let mut agent = Agent::start(&shop, "native", &["--role", "reader"]);
    agent.say("this is no JSON");
    agent.say(r#"{"jsonrpc":"2.0","id":1}"#);
    agent.say("[]");
    agent.say(r#"{"jsonrpc":"2.0","id":"last","method":"ping"}"#);
    // What is wrong has an answer or none; the last has its own.
    loop {
        let heard = agent.hear().expect("an answer");
        if heard["id"] == "last" {
            break;
        }
        assert!(heard["error"]["code"].is_i64(), "{heard:#}");
    }
    agent.end();
}

#[test]
fn who_leaves_at_once_and_who_may_not_come() {
    let shop = Shop::new("");
    let ended = run(&["mcp", "--config", path(&shop.config), "--role", "reader", "--engine", "native"], &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
    let nobody = crate::CONFIG.replace("anonymous_role = \"anon\"\n", "");
    std::fs::write(&shop.config, nobody).expect("written");
    let ended = run(&["mcp", "--config", path(&shop.config), "--engine", "native"], &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("--role"), "{ended:?}");
    let nameless = shop.scratch.file("nameless.toml", "");
    let ended = run(&["mcp", "--config", path(&nameless), "--engine", "native"], &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("sqlitrest mcp FILE.db"), "{ended:?}");
    let ended = run(&["mcp", "/no/such.db", "--role", "reader", "--config", path(&shop.config)], &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
}
