//! The tests of `tests/deploy/`: the files of `deploy/` and `.github/` by the tools that know them, what a release and the image hold, the
//! server beside Litestream.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build;
use crate::debian::install_packages;
use crate::python::venv;
use crate::release;
use crate::shell::{host_triple, root, run, succeeds, target};
use crate::test::Tally;

/// The programs, each of which has tests.
const PROGRAMS: [&str; 3] = ["files", "image", "litestream"];

/// Runs those whose names (`deploy/files`) contain `filter`.
///
/// # Errors
/// What they test with is not to be had.
pub fn test(filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    let is_meant = |name: &&str| filter.is_none_or(|filter| format!("deploy/{name}").contains(filter));
    let programs: Vec<&str> = PROGRAMS.into_iter().filter(is_meant).collect();
    if programs.is_empty() {
        return Ok(());
    }
    if !cfg!(target_os = "linux") {
        eprintln!("what deploy/ has is for Linux: not tested here");
        return Ok(());
    }
    let folder = root().join("tests/deploy");
    let tools = venv("deploy/tools", &fs::read_to_string(folder.join("requirements.txt"))?)?;
    need_systemd()?;
    let (release, image) = packed()?;
    for name in programs {
        println!("\n     Running tests/deploy/{name}_test.py");
        let mut python = Command::new(tools.join("python"));
        python
            .arg(folder.join(format!("{name}_test.py")))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SQLITREST_BIN", build::server())
            .env("SQLITREST_SCRATCH", target("deploy/scratch"))
            .env("TOOLS", &tools)
            .env("LITESTREAM", tools.join("litestream"))
            .env("RELEASE", &release)
            .env("IMAGE", &image);
        tally.run(&mut python)?;
    }
    Ok(())
}

/// The release and the files of the image, of the server that was built for the tests.
fn packed() -> Result<(PathBuf, PathBuf)> {
    let (server, release, image) =
        (target("deploy/sqlitrest"), target("deploy/release"), target("deploy/image"));
    // What is shipped has no symbols either.
    run(Command::new("strip").arg("-o").arg(&server).arg(build::server()))?;
    release::empty(&release)?;
    release::pack(&server, &host_triple()?, &release)?;
    release::sums(&release)?;
    release::image(&server, &release, &image)?;
    Ok((release, image))
}

/// What tells whether a unit is one.
fn need_systemd() -> Result<()> {
    if succeeds(Command::new("systemd-analyze").arg("--version")) {
        return Ok(());
    }
    install_packages(&["systemd".to_owned()])
        .context("the tests need systemd-analyze, which is not there; install systemd")
}
