//! Soul over the very file.

use std::process::Command;

use anyhow::{Context, Result};

use super::{Place, durability, node};
use crate::dataset::Dataset;
use crate::process::{Process, free_address, output, port};
use crate::servers::{Kind, Means, Server, Store, Subject};
use crate::workloads::{Request, Workload};

/// Tells a new connection's settings: Soul changes none.
const SETTINGS: &str = "const db = require('better-sqlite3')(process.argv[1]);
    console.log(db.pragma('journal_mode', {simple: true}), db.pragma('synchronous', {simple: true}))";

/// Starts it.
///
/// # Errors
/// What it says.
pub fn start(place: &Place, dataset: &Dataset) -> Result<Subject> {
    let address = free_address()?;
    let database = place.directory.join("data.db");
    dataset.copy_to(&database)?;
    let package = place.installed.join("node_modules/soul-cli");
    let mut command = Command::new(node(place));
    command.arg(package.join("src/server.js")).arg("--database").arg(&database);
    command.args(["--port", port(&address)]).current_dir(&place.directory).env("NODE_ENV", "production");
    let durability = durability(place, SETTINGS, &database)?;
    let log = place.directory.join("log");
    let mut process = Process::logged(&mut command, &log)?;
    process.answers(&address, "/api/tables/tracks/rows/1", &log)?;
    let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(package.join("package.json"))?)?;
    let version = manifest["version"].as_str().context("a version")?;
    let node = output(Command::new(node(place)).arg("--version"))?;
    Ok(Subject {
        name: "Soul".to_owned(),
        kind: Kind::Peer,
        version: format!("soul-cli {version}, Node.js {node}"),
        durability,
        means: Means::Http(Server {
            address,
            store: Store::Sqlite(database),
            failure: None,
            requests: Box::new(request),
            processes: vec![process],
        }),
    })
}

/// It embeds one level, and only what a row points to; it takes one row in a request.
fn request(workload: Workload) -> Option<Request> {
    const ROWS: &str = "/api/tables/tracks/rows";
    Some(match workload {
        Workload::ByKey => Request::get(format!("{ROWS}/{{key}}")),
        Workload::Filter => Request::get(format!("{ROWS}?_filters=album_id:{{album}}")),
        Workload::List => Request::get(format!("{ROWS}?_ordering=id&_limit=100")),
        Workload::Count => Request::get(format!("{ROWS}?_ordering=id&_limit=10")),
        Workload::Update => {
            Request::json("PUT", format!("{ROWS}/{{key}}"), r#"{"fields":{"milliseconds":{fresh}}}"#)
        }
        Workload::InsertOne => {
            let fields = r#"{"fields":{"album_id":{album},"name":"New {key}","milliseconds":200000,"price":0.99,"published":1}}"#;
            Request::json("POST", ROWS, fields)
        }
        Workload::Embed | Workload::InsertThousand | Workload::Mix => return None,
    })
}
