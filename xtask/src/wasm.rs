//! Getting a way to build WebAssembly: a list of ways, tried in order.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::debian;
use crate::shell::{cargo, output, root, run_within, target};

/// What the guest is built for.
pub const TARGET: &str = "wasm32-wasip2";

/// How long `rustup target add` may take, so that a machine without its servers soon goes the next way.
const RUSTUP_LIMIT: Duration = Duration::from_secs(20);

/// What builds the guest.
#[derive(Clone, Debug, PartialEq)]
pub enum Wasm {
    /// The toolchain in use, which has the target.
    Target,
    /// Debian's packages below this directory (`/` where they are installed); the standard library is built too.
    Packages(PathBuf),
}

/// A way to get there: its name and what it does.
type Way = (&'static str, fn() -> Result<Wasm>);

const WAYS: [Way; 4] = [
    ("installed", installed),
    ("rustup", rustup),
    ("debian", || Ok(Wasm::Packages(debian::install()?))),
    ("unpacked", || Ok(Wasm::Packages(debian::unpack()?))),
];

const ADVICE: &str = "\
Any of these helps:
  rustup target add wasm32-wasip2    (https://rustup.rs)
  apt-get install rustc-web cargo-web rust-web-src rust-web-llvm wasi-libc lld-22    (Debian 12 and later, as root)
The native engine needs no WebAssembly: cargo run --release -p sqlitrest -- serve DB --engine native";

/// The first way that works.
///
/// # Errors
/// None works: why not, each, and what to do.
pub fn find() -> Result<Wasm> {
    let only = env::var("XTASK_WASM_TOOLCHAIN").ok().filter(|name| !name.is_empty());
    if let Some(only) = &only
        && !WAYS.iter().any(|(name, _)| name == only)
    {
        let names: Vec<_> = WAYS.iter().map(|(name, _)| *name).collect();
        bail!("XTASK_WASM_TOOLCHAIN={only}: must be one of {}", names.join(", "));
    }
    let note = target("wasm-toolchain");
    let mut ways = Vec::from(WAYS);
    if let Some(only) = only {
        ways.retain(|(name, _)| *name == only);
    } else if let Ok(last) = fs::read_to_string(&note) {
        // Saves every later build the wait for servers that the first one did not reach.
        ways.sort_by_key(|(name, _)| match *name {
            "installed" => 0,
            name if name == last => 1,
            _ => 2,
        });
    }
    let mut reasons = String::new();
    for (name, way) in ways {
        match way() {
            Ok(wasm) => {
                eprintln!("wasm target: {name} ({wasm})");
                fs::create_dir_all(target(""))?;
                fs::write(&note, name)?;
                return Ok(wasm);
            }
            Err(reason) => reasons += &format!("  {name}: {reason:#}\n"),
        }
    }
    bail!("no way to build WebAssembly worked:\n{reasons}{ADVICE}");
}

impl std::fmt::Display for Wasm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Wasm::Target => write!(f, "{TARGET} of the toolchain in use"),
            Wasm::Packages(root) => write!(f, "Rust from Debian's packages in {}", root.display()),
        }
    }
}

impl Wasm {
    /// `cargo build` for the target, and the directory in which the guest then stands.
    pub fn cargo_build(&self) -> (Command, PathBuf) {
        match self {
            Wasm::Target => {
                let mut command = cargo();
                command.args(["build", "--target", TARGET]);
                (command, target(TARGET))
            }
            Wasm::Packages(packages) => {
                let mut command = packaged_cargo(packages);
                command.args(["build", "--target", TARGET, "-Zbuild-std=std,panic_abort"]);
                (command, target("guest").join(TARGET))
            }
        }
    }
}

/// Debian's cargo and rustc below `packages`, which have no built standard library for the target but its sources.
fn packaged_cargo(packages: &Path) -> Command {
    let bin = packages.join("usr/bin");
    let mut paths = vec![bin.clone()];
    paths.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    let mut command = Command::new(bin.join("cargo"));
    command
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target("guest"))
        .env("RUSTC", bin.join("rustc"))
        // For -Zbuild-std.
        .env("RUSTC_BOOTSTRAP", "1")
        // In this form a path may have spaces.
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!("-L\u{1f}native={}", packages.join("usr/lib/wasm32-wasi").display()),
        );
    // Of the toolchain that runs us; this one has its own.
    for name in ["RUSTUP_TOOLCHAIN", "RUSTFLAGS", "LD_LIBRARY_PATH", "RUSTC_WRAPPER"] {
        command.env_remove(name);
    }
    if let Ok(paths) = env::join_paths(paths) {
        command.env("PATH", paths);
    }
    if let Some(libraries) = debian::libraries(packages) {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command
}

fn installed() -> Result<Wasm> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]).current_dir(root()))?;
    let lib = Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib");
    if !lib.is_dir() {
        bail!("no {}", lib.display());
    }
    Ok(Wasm::Target)
}

fn rustup() -> Result<Wasm> {
    run_within(RUSTUP_LIMIT, Command::new("rustup").args(["target", "add", TARGET]).current_dir(root()))?;
    installed().context("rustup is not what gives the toolchain in use")
}
