//! `cargo xtask bench`: builds what is measured, gets what it is compared with, and runs `benches/`, which knows the rest.

use std::process::Command;

use anyhow::{Context, Result};

use crate::build;
use crate::debian::install_packages;
use crate::peers;
use crate::shell::{cargo, run, target};
use crate::wasm;

/// Runs the benchmark with these arguments.
///
/// # Errors
/// What the compilers or the benchmark say.
pub fn bench(args: &[&str]) -> Result<()> {
    let has = |flag: &str| args.iter().any(|arg| *arg == flag || arg.starts_with(&format!("{flag}=")));
    let asks = has("--help") || has("-h");
    if !asks && !has("--server") {
        build::all(&wasm::find()?, &build::SERVER)?;
    }
    run(cargo().args(["build", "--release", "--package", "sqlitrest-benches"]))?;
    // It fails when it is asked for its version, but it starts.
    if !asks && Command::new("wrk").arg("-v").output().is_err() {
        install_packages(&["wrk".to_owned()])
            .context("the load comes from wrk, which is not there; install it")?;
    }
    if !asks && !has("--no-peers") && !has("--database") {
        peers::get(&only(args))?;
    }
    run(Command::new(target("release/bench")).args(args))
}

/// The values of `--only`.
fn only(args: &[&str]) -> Vec<String> {
    let after = args.iter().zip(args.iter().skip(1)).filter(|(flag, _)| **flag == "--only").map(|(_, v)| *v);
    let joined = args.iter().filter_map(|arg| arg.strip_prefix("--only="));
    after.chain(joined).flat_map(|names| names.split(',')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::only;

    #[test]
    fn names_come_either_way() {
        assert_eq!(only(&["--quick", "--only", "a,b", "--only=c"]), ["a", "b", "c"]);
        assert!(only(&["--only"]).is_empty());
    }
}
