//! Prometheus' own reader of metrics, for the tests: `promtool`, out of Debian's package `prometheus`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell::{run, succeeds, target};

/// Where it is; unpacked below `target/` where it is not installed. None where it is not to be had: the tests then go by their own reading.
pub fn promtool() -> Option<PathBuf> {
    if succeeds(Command::new("promtool").arg("--version")) {
        return Some("promtool".into());
    }
    let unpacked = unpack();
    if let Err(error) = &unpacked {
        eprintln!("promtool is not to be had: {error:#}");
    }
    unpacked.ok()
}

/// Nothing is installed: the package would also start a server.
fn unpack() -> Result<PathBuf> {
    let home = target("prometheus");
    let program = home.join("usr/bin/promtool");
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&home)?;
    let download =
        || run(Command::new("apt-get").args(["download", "--quiet", "prometheus"]).current_dir(&home));
    // A fresh machine has no list of packages, and an old list may name versions that are gone.
    download().or_else(|_| {
        run(Command::new("apt-get").args(["update", "--quiet"]))?;
        download()
    })?;
    let packages = fs::read_dir(&home)?.filter_map(|entry| Some(entry.ok()?.path()));
    for package in packages.filter(|path| path.extension().is_some_and(|end| end == "deb")) {
        run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&home))?;
        fs::remove_file(package)?;
    }
    program.exists().then_some(program).context("the package has no promtool in it")
}
