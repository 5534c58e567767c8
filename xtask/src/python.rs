//! Python and what PyPI has.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian::install_packages;
use crate::shell::{once, run, succeeds, target};

/// Runs one of our scripts, after the one that it may call for a wheel.
macro_rules! script {
    ($file:literal) => {
        concat!(include_str!("pypi.py"), "\n", include_str!($file))
    };
}
pub(crate) use script;

/// Python, which is installed where it is not there yet, about to run a [`script!`].
///
/// # Errors
/// There is none, and no way to install it.
pub fn python(script: &str) -> Result<Command> {
    if !succeeds(Command::new("python3").arg("--version")) {
        let packages = ["python3", "python3-venv"].map(str::to_owned);
        install_packages(&packages).context("the tests need python3, which is not there; install it")?;
    }
    let mut command = Command::new("python3");
    command.args(["-c", script]);
    Ok(command)
}

/// The programs of the virtual environment `target/NAME`, made of these packages where it is not there yet.
///
/// # Errors
/// No Python, or no way to PyPI.
pub fn venv(name: &str, packages: &str) -> Result<PathBuf> {
    let directory = target(name);
    once(&directory.join("packages"), packages, || {
        fs::create_dir_all(&directory)?;
        let packages: Vec<&str> = packages.split_whitespace().collect();
        run(python(script!("venv.py"))?.arg(&directory).args(&packages))
            .with_context(|| format!("cannot get {} from PyPI", packages.join(", ")))
    })?;
    Ok(directory.join("bin"))
}
