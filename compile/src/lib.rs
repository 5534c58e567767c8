//! From the component to machine code that the host runs, in a crate of its own: the host carries the machine code, so that what
//! makes it has to be there before the host is compiled.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use wasmtime::{Config, Engine};

/// What the machine code depends on: the same for compiling and for running.
#[must_use]
pub fn settings() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // WASI 0.2 has no use for it, and a call is cheaper without.
        .concurrency_support(false);
    config
}

/// Compiles a component for any machine of this kind: the processor's extensions are not used, as another may lack them.
///
/// # Errors
/// One sentence on which file is wrong.
pub fn compile(input: &Path, output: &Path) -> Result<()> {
    let bytes = fs::read(input).with_context(|| format!("{} cannot be read", input.display()))?;
    let mut config = settings();
    config
        .target(env!("COMPILED_FOR"))
        .map_err(|error| anyhow!("wasmtime does not compile for this machine: {error:#}"))?;
    let compiled = Engine::new(&config)
        .and_then(|engine| engine.precompile_component(&bytes))
        .map_err(|error| anyhow!("{} cannot be compiled: {error:#}", input.display()))?;
    fs::write(output, compiled).with_context(|| format!("{} cannot be written", output.display()))
}
