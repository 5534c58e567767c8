//! `cargo xtask test`: set-up, checks, every test and the site of the documents, with one line at the end that says how it went.

use std::env;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::book::book;
use crate::browser;
use crate::build;
use crate::clients;
use crate::debian::install_packages;
use crate::deploy;
use crate::proj_db::proj_db;
use crate::promtool::promtool;
use crate::shell::{cargo, run, succeeds};
use crate::sqld::sqld;
use crate::wasm::{self, TARGET, Wasm};

/// The members that are built for the machine itself; the guest has a target of its own.
const MEMBERS: [&str; 3] = ["--workspace", "--exclude", "sqlitrest-guest"];

/// What is ours is optimised less for the tests than in a release, in which compiling it takes longer than they do; what it is built
/// of, wasmtime above all, and the guest are those of a release.
const QUICKLY: [&str; 6] = [
    "--config=profile.release.package.sqlitrest.opt-level=1",
    "--config=profile.release.package.sqlitrest-runtime.opt-level=1",
    "--config=profile.release.package.sqlitrest-tests.opt-level=1",
    "--workspace",
    "--exclude",
    "sqlitrest-guest",
];

/// What proptest takes its seed from.
const SEED: &str = "PROPTEST_RNG_SEED";

/// Runs every test whose name contains `filter`; with none, format and lints are checked before.
///
/// # Errors
/// The first step that fails.
pub fn test(filter: Option<&str>) -> Result<()> {
    let start = Instant::now();
    let wasm = wasm::find()?;
    need_curl()?;
    let mut checks = if filter.is_none() { check(&wasm)? } else { Vec::new() };
    build::all(&wasm, &QUICKLY)?;
    let mut tests = cargo();
    build::with_component(&mut tests)
        .args(["test", "--release", "--no-fail-fast"])
        .args(QUICKLY)
        .env("SQLITREST_GUEST", build::component())
        .env("SQLITREST_BIN", build::server())
        .env("SQLITREST_PROJ_DB", proj_db()?)
        .envs(promtool().map(|program| ("SQLITREST_PROMTOOL", program)))
        .envs(sqld().map(|program| ("SQLITREST_SQLD", program)));
    // Random cases are the same each time, so that what passes here passes elsewhere; `SQLITREST_NIGHTLY` and `cargo test` draw others.
    if env::var_os("SQLITREST_NIGHTLY").is_none() && env::var_os(SEED).is_none() {
        tests.env(SEED, "1");
    }
    if let Some(filter) = filter {
        tests.args(["--", filter]);
    }
    let mut tally = Tally::default();
    tally.run(&mut tests)?;
    clients::test(filter, &mut tally)?;
    if filter.is_none() {
        book()?;
        checks.push("documents as a site");
    }
    browser::test(filter, &mut tally)?;
    deploy::test(filter, &mut tally)?;
    if tally.broken {
        bail!("{tally}");
    }
    let steps: String = checks.iter().map(|check| format!("{check}, ")).collect();
    println!("\nxtask test: passed in {} s: {steps}{tally}", start.elapsed().as_secs());
    Ok(())
}

/// What the documents tell to type.
fn need_curl() -> Result<()> {
    if succeeds(Command::new("curl").arg("--version")) {
        return Ok(());
    }
    install_packages(&["curl".to_owned()]).context("the documents are typed with curl, which is not there")
}

/// Format and lints, where the toolchain has these components; says what was checked.
fn check(wasm: &Wasm) -> Result<Vec<&'static str>> {
    let mut done = Vec::new();
    if succeeds(cargo().args(["fmt", "--version"])) {
        run(cargo().args(["fmt", "--all", "--check"])).context("`cargo fmt --all` puts it right")?;
        run(clients::rust_client().args(["fmt", "--check"]))?;
        done.push("format");
    }
    if succeeds(cargo().args(["clippy", "--version"])) {
        let strict = ["--", "--deny", "warnings"];
        let lints = |args: &[&str]| run(cargo().arg("clippy").args(args).args(strict));
        lints(&[&["--release", "--all-targets"], MEMBERS.as_slice()].concat())?;
        run(clients::rust_client().args(["clippy", "--locked", "--all-targets"]).args(strict))?;
        if *wasm == Wasm::Target {
            lints(&["--profile", "guest", "--package", "sqlitrest-guest", "--target", TARGET])?;
        }
        done.push("lints");
    }
    if done.len() < 2 {
        eprintln!("rustfmt or clippy is not installed: not checked");
    }
    Ok(done)
}

/// How the tests went so far.
#[derive(Default)]
pub struct Tally {
    passed: u32,
    failed: u32,
    ignored: u32,
    /// Whether any program of tests has failed.
    broken: bool,
}

impl Tally {
    /// Runs a program of tests, showing what it writes, and counts as `cargo test` says it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&mut self, command: &mut Command) -> Result<()> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the tests")?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                let line = line?;
                println!("{line}");
                if let Some(result) = line.strip_prefix("test result: ") {
                    self.passed += count(result, " passed");
                    self.failed += count(result, " failed");
                    self.ignored += count(result, " ignored");
                }
            }
        }
        self.broken |= !child.wait()?.success();
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tests ({} failed, {} ignored)", self.passed, self.failed, self.ignored)
    }
}

/// The number before `what` in `ok. 12 passed; 0 failed; …`.
fn count(result: &str, what: &str) -> u32 {
    let before = result.split(what).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn results_are_counted() {
        let result = "ok. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!([" passed", " failed", " ignored"].map(|what| count(result, what)), [12, 3, 0]);
    }
}
