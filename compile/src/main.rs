//! `sqlitrest-compile COMPONENT OUTPUT`: what `cargo xtask build` calls. The server does the same as `sqlitrest compile-component`.

use std::env;
use std::path::Path;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [input, output] => sqlitrest_compile::compile(Path::new(input), Path::new(output)),
        _ => bail!("usage: sqlitrest-compile COMPONENT OUTPUT"),
    }
}
