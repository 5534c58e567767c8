//! Supabase Lite over the very file, by its driver `sqlite`.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Place, durability, node};
use crate::dataset::Dataset;
use crate::process::{Process, free_address, port};
use crate::servers::{Kind, Means, Server, Store, Subject};
use crate::workloads::postgrest;

/// Where it serves tables.
const BASE: &str = "/rest/v1";

/// Tells a new connection's settings: Supabase Lite changes neither.
const SETTINGS: &str = "const db = new (require('node:sqlite').DatabaseSync)(process.argv[1]);
    const of = name => Object.values(db.prepare('PRAGMA ' + name).get())[0];
    console.log(of('journal_mode'), of('synchronous'))";

/// Starts it.
///
/// # Errors
/// What it says.
pub fn start(place: &Place, dataset: &Dataset) -> Result<Subject> {
    let address = free_address()?;
    let database = place.directory.join("data.db");
    dataset.copy_to(&database)?;
    fs::create_dir_all(place.directory.join("supabase"))?;
    let config = format!(
        "[api]\nport = {}\nmax_rows = 1000\n[db]\ndriver = \"sqlite\"\nurl = \"file:./data.db\"\n",
        port(&address)
    );
    fs::write(place.directory.join("supabase/config.toml"), config)?;
    let package = place.installed.join("node_modules/@supabase/lite");
    let mut command = Command::new(node(place));
    command.arg(package.join("dist/cli/index.js")).arg("start").current_dir(&place.directory);
    // Each of these keeps it from telling its makers that it was used.
    command.env("LITE_TELEMETRY", "0").env("DO_NOT_TRACK", "1").env("LITE_NON_INTERACTIVE", "1");
    command.env("NODE_ENV", "production");
    let durability = durability(place, SETTINGS, &database)?;
    let log = place.directory.join("log");
    let mut process = Process::logged(&mut command, &log)?;
    process.answers(&address, &format!("{BASE}/tracks?id=eq.1"), &log)?;
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(package.join("package.json"))?)?;
    let version = manifest["version"].as_str().context("a version")?;
    let node = crate::process::output(Command::new(node(place)).arg("--version"))?;
    Ok(Subject {
        name: "supabase-lite".to_owned(),
        kind: Kind::Peer,
        version: format!("@supabase/lite {version}, Node.js {node}"),
        durability,
        means: Means::Http(Server {
            address,
            store: Store::Sqlite(database),
            failure: None,
            requests: Box::new(|workload| postgrest(workload, BASE)),
            processes: vec![process],
        }),
    })
}
