//! What a server tells of itself, on both engines: metrics, health, logs, slow queries and traces, where they can be had and by whom, and
//! that there is nothing secret in any of it.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod collector;
mod debug;
mod health;
mod http;
mod logs;
mod metrics;
mod secrets;
mod slow;
mod traces;

use std::path::Path;

use http::{Answer, ask};
use support::{Scratch, Server, guest, path, run};

/// What signs tokens, and must not be found anywhere.
const SECRET: &str = "a-secret-of-at-least-thirty-two-bytes";

/// Who may do what.
const AUTH: &str = r#"
[api]
anonymous_role = "anon"
[auth.jwt]
secret = "a-secret-of-at-least-thirty-two-bytes"
[policies]
[[policies.policy]]
name = "all"
table = "*"
roles = ["anon", "author", "admin"]
"#;

/// A server with a listener for its administrator.
struct Observed {
    server: Server,
    /// `127.0.0.1:PORT` of the API.
    api: String,
    /// `127.0.0.1:PORT` of the administrator.
    admin: String,
}

impl Observed {
    /// Serves a database with this configuration, to which a port for the administrator is added.
    fn start(engine: &str, scratch: &Scratch, database: &Path, config: &str) -> Observed {
        let config = match config.contains("[admin]") {
            true => config.replace("[admin]", "[admin]\nlisten = \"127.0.0.1:0\""),
            false => format!("{config}\n[admin]\nlisten = \"127.0.0.1:0\"\n"),
        };
        let mut server = start(engine, scratch, database, &config);
        let line = server.next_line();
        let admin = line.split("http://").nth(1).and_then(|rest| rest.split([',', '\n']).next());
        let admin = admin.unwrap_or_else(|| panic!("no admin listener in {line:?}")).to_owned();
        Observed { api: server.address.clone(), admin, server }
    }

    /// What the administrator's port has at this path.
    fn admin(&self, target: &str) -> Answer {
        ask(&self.admin, "GET", target, &[], "")
    }

    /// What the API has at this path, for whoever has this token.
    fn api(&self, target: &str, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let field = bearer.as_deref().map(|bearer| ("authorization", bearer));
        ask(&self.api, "GET", target, field.as_slice(), "")
    }
}

/// Serves a database with this configuration.
fn start(engine: &str, scratch: &Scratch, database: &Path, config: &str) -> Server {
    Server::start(serving(engine, scratch, database, config))
}

/// The command that does.
fn serving(engine: &str, scratch: &Scratch, database: &Path, config: &str) -> std::process::Command {
    let config = scratch.file("sqlitrest.toml", config);
    let mut arguments = vec!["serve", path(database), "--engine", engine, "--listen", "127.0.0.1:0"];
    arguments.extend(["--config", path(&config)]);
    if engine == "component" {
        arguments.extend(["--guest", path(guest())]);
    }
    support::command(&arguments, &[])
}

/// A token for this role.
fn token(scratch: &Scratch, role: &str) -> String {
    let config = scratch.file("token.toml", AUTH);
    let ended = run(&["token", "--config", path(&config), "--role", role, "--sub", "7"], &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim().to_owned()
}
