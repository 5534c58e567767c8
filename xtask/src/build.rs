//! The guest, and the host that carries it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian::install_packages;
use crate::shell::{cargo, run, succeeds, target};
use crate::wasm::Wasm;

/// The server's binary.
pub fn server() -> PathBuf {
    target(&format!("release/sqlitrest{}", std::env::consts::EXE_SUFFIX))
}

/// The component, which `spin.toml` names.
pub fn component() -> PathBuf {
    target("sqlitrest-guest.wasm")
}

/// The component compiled to machine code, which the host embeds.
fn compiled_component() -> PathBuf {
    target("sqlitrest-guest.cwasm")
}

/// What a server is built of alone, and what compiles its component.
pub const SERVER: [&str; 4] = ["--package", "sqlitrest", "--package", "sqlitrest-compile"];

/// Builds the component and the server that carries it, with the members of the workspace that `selection` has beside it: what all of
/// them ask of a crate is what it is compiled with, so that tests which have the same selection find it compiled.
///
/// # Errors
/// What the compilers say.
pub fn all(wasm: &Wasm, selection: &[&str]) -> Result<()> {
    machine_code(wasm, selection)?;
    run(with_component(&mut cargo()).args(["build", "--release"]).args(selection))?;
    eprintln!("built {} and {}", server().display(), component().display());
    Ok(())
}

/// Builds the component.
///
/// # Errors
/// What the compiler says.
pub fn guest(wasm: &Wasm) -> Result<()> {
    let (mut cargo_build, directory) = wasm.cargo_build();
    run(cargo_build.args(["--package", "sqlitrest-guest", "--profile", "guest"]))?;
    let built = directory.join("guest/sqlitrest_guest.wasm");
    let fresh = beside(&component());
    let size = fs::copy(&built, &fresh).with_context(|| built.display().to_string())?;
    replace(&component(), &fresh)?;
    eprintln!("component: {} KB", size / 1024);
    Ok(())
}

/// Builds the component, and compiles it to the machine code that the server carries.
///
/// # Errors
/// What the compilers say.
pub fn machine_code(wasm: &Wasm, selection: &[&str]) -> Result<()> {
    guest(wasm)?;
    need_c_compiler()?;
    // Of the same selection as the server, so that wasmtime is compiled once.
    let mut compiler = cargo();
    with_component(&mut compiler).args(["build", "--release"]).args(selection);
    run(compiler.args(["--bin", "sqlitrest-compile"]))?;
    let fresh = beside(&compiled_component());
    let compiler = target(&format!("release/sqlitrest-compile{}", std::env::consts::EXE_SUFFIX));
    run(Command::new(compiler).arg(component()).arg(&fresh))?;
    replace(&compiled_component(), &fresh)
}

/// Every build of the host gets the component this way, so that none undoes another.
pub fn with_component(command: &mut Command) -> &mut Command {
    let path = compiled_component();
    if path.exists() {
        command.env("SQLITREST_COMPONENT", path);
    }
    command
}

/// A name of our own for what is to become `path`, because another xtask may be at work.
fn beside(path: &Path) -> PathBuf {
    path.with_extension(format!("{}.new", std::process::id()))
}

/// Puts `fresh` in the place of `path`, unless `path` has its bytes already: cargo rebuilds what looks newer.
fn replace(path: &Path, fresh: &Path) -> Result<()> {
    let bytes = fs::read(fresh).with_context(|| fresh.display().to_string())?;
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return fs::remove_file(fresh).with_context(|| fresh.display().to_string());
    }
    fs::rename(fresh, path).with_context(|| path.display().to_string())
}

/// SQLite is C.
fn need_c_compiler() -> Result<()> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    if succeeds(Command::new(&compiler).arg("--version")) {
        return Ok(());
    }
    install_packages(&["gcc".to_owned(), "libc6-dev".to_owned()])
        .with_context(|| format!("SQLite needs a C compiler and `{compiler}` is none; install gcc or clang"))
}
