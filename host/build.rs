//! Embeds the component that `SQLITREST_COMPONENT` names (compiled by `sqlitrest-compile`), or nothing.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SQLITREST_COMPONENT");
    let named = variable("SQLITREST_COMPONENT");
    let bytes = if named.is_empty() {
        Vec::new()
    } else {
        println!("cargo::rerun-if-changed={named}");
        fs::read(&named).map_err(|error| io::Error::other(format!("SQLITREST_COMPONENT={named}: {error}")))?
    };
    fs::write(Path::new(&variable("OUT_DIR")).join("component.cwasm"), bytes)
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
