//! Agents: what they are told and what they may do, by HTTP on both engines and by standard input and output, and what is refused.

#[path = "../support/mod.rs"]
mod support;

mod hints;
mod hostile;
mod limits;
mod stdio;
mod tools;

use std::path::PathBuf;

use rusqlite::Connection;
use serde_json::{Value as Json, json};
use support::{Reply, Scratch, Server, ask, path, run, serve_config};

/// Three roles: readers see what is published without its price, writers write their own, and who has none sees nothing.
const CONFIG: &str = r#"
[databases.main]
path = "./shop.db"
hidden = ["secrets"]
[api]
anonymous_role = "anon"
[auth.jwt]
secret = "01234567890123456789012345678901"
[[policies.policy]]
name = "published"
table = "items"
operations = ["select"]
roles = ["reader"]
using = "published"
columns = { hidden = ["price"] }
[[policies.policy]]
name = "own"
table = "items"
roles = ["writer"]
using = "owner = current_user_id()"
check = "owner = current_user_id()"
[comments.table]
items = "What is sold"
[[udf]]
name = "cheapest"
expose = true
sql = "SELECT * FROM items ORDER BY id LIMIT :n"
params = [{ name = "n", type = "integer", default = 1 }]
returns = "table items"
[[udf]]
name = "twice"
expose = true
sql = "SELECT :text || :text"
params = [{ name = "text", type = "text" }]
returns = "scalar text"
[[udf]]
name = "wipe"
expose = true
readonly = false
sql = "DELETE FROM items WHERE owner = current_user_id()"
returns = "void"
[mcp]
enabled = true
max_rows = 3
"#;

/// A database and its configuration, with more in its last section, `[mcp]`.
struct Shop {
    scratch: Scratch,
    config: PathBuf,
}

impl Shop {
    fn new(more: &str) -> Shop {
        let scratch = Scratch::new();
        let sql = Connection::open(scratch.path("shop.db")).expect("a database");
        sql.execute_batch(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, price REAL, published BOOLEAN NOT NULL, owner TEXT);
             CREATE TABLE secrets (id INTEGER PRIMARY KEY, word TEXT);
             INSERT INTO secrets VALUES (1, 'swordfish');
             INSERT INTO items VALUES (1, 'apple', 1.5, 1, '7'), (2, 'bread \"x\"', 2, 1, '7'), (3, 'cake', 3, 0, '8'), (4, 'dill', 4, 1, '8'), (5, 'egg', 5, 1, '8');",
        )
        .expect("tables");
        let config = scratch.file("sqlitrest.toml", format!("{CONFIG}{more}"));
        Shop { scratch, config }
    }

    fn serve(&self, engine: &str) -> Agent {
        let server = serve_config(engine, &self.config, &[]);
        Agent { token: self.token("reader", "7"), server }
    }

    fn token(&self, role: &str, sub: &str) -> String {
        let ended = run(&["token", "--config", path(&self.config), "--role", role, "--sub", sub], &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout.trim().to_owned()
    }
}

/// Who calls tools of a running server.
struct Agent {
    server: Server,
    token: String,
}

/// The fields that every message has.
const FIELDS: [&str; 2] = ["accept: application/json, text/event-stream", "mcp-protocol-version: 2025-06-18"];

impl Agent {
    /// Sends a body with these fields beside those of the protocol and the token.
    fn send(&self, fields: &[&str], body: &str) -> Reply {
        let token = format!("authorization: Bearer {}", self.token);
        let fields: Vec<&str> = FIELDS.iter().chain(fields).copied().chain([token.as_str()]).collect();
        ask(&self.server.address, "POST", "/_mcp", &fields, body)
    }

    /// What comes of a request of the protocol.
    fn request(&self, method: &str, params: &Json) -> Json {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let reply = self.send(&[], &message.to_string());
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{reply:?}");
        serde_json::from_str(&reply.body).expect("JSON")
    }

    /// What a tool answers.
    fn call(&self, tool: &str, arguments: &Json) -> Json {
        let told = self.request("tools/call", &json!({ "name": tool, "arguments": arguments }));
        let result = &told["result"];
        assert!(result["isError"] != true, "{told:#}");
        let text = result["content"][0]["text"].as_str().expect("a text");
        let structure = &result["structuredContent"];
        assert_eq!(&serde_json::from_str::<Json>(text).expect("JSON"), structure);
        structure.clone()
    }

    /// How a tool fails.
    fn fails(&self, tool: &str, arguments: &Json) -> Json {
        let told = self.request("tools/call", &json!({ "name": tool, "arguments": arguments }));
        assert_eq!(told["result"]["isError"], true, "{told:#}");
        serde_json::from_str(told["result"]["content"][0]["text"].as_str().expect("a text")).expect("JSON")
    }
}

/// The code of an error, and its status.
fn code(failure: &Json) -> (u64, &str) {
    (failure["status"].as_u64().expect("a status"), failure["code"].as_str().expect("a code"))
}
