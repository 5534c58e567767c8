//! Chromium, for the tests of pages.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::debian::install_packages;
use crate::shell::succeeds;

/// What names another one than would be found.
const VARIABLE: &str = "CHROMIUM";

/// By what names it is found where it is installed.
const PROGRAMS: [&str; 5] =
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// The smallest of Debian's packages that has one, and letters for it to draw.
const PACKAGES: [&str; 2] = ["chromium-headless-shell", "fonts-dejavu-core"];

/// The program, which is installed where there is none.
///
/// # Errors
/// There is none, and no way to install it.
pub fn chromium() -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE) {
        return Ok(named.into());
    }
    if let Some(found) = find() {
        return Ok(found);
    }
    install_packages(&PACKAGES.map(str::to_owned)).with_context(|| {
        format!("the tests of pages need Chromium; install one, or name it: {VARIABLE}=/path/to/chromium")
    })?;
    find().context("the package has no Chromium in it")
}

/// With its whole path, which is what it is started by.
fn find() -> Option<PathBuf> {
    let search = env::var_os("PATH")?;
    let directories: Vec<PathBuf> = env::split_paths(&search).collect();
    let places =
        PROGRAMS.iter().flat_map(|name| directories.iter().map(move |directory| directory.join(name)));
    places.filter(|place| place.is_file()).find(|place| succeeds(Command::new(place).arg("--version")))
}
