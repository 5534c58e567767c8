//! wasmtime's settings for running, and where the component comes from.
//!
//! Here is `unsafe`: to run machine code that was compiled before, and to give memory back.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use sqlitrest_compile::unpack;
use wasmtime::component::Component;
use wasmtime::{Enabled, Engine, PoolingAllocationConfig, Precompiled};

use super::instances::{MEMORY_LIMIT, MOST};

/// The component that was there when this program was built; empty where there was none (see `build.rs`).
static EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/component.cwasm"));

/// Where the guest component comes from.
#[derive(Clone, Debug)]
pub enum Guest {
    /// From this program itself.
    Embedded,
    /// From a file: a component, or one that `sqlitrest compile-component` has compiled.
    File(PathBuf),
}

/// The engine that the server uses.
///
/// # Errors
/// One sentence, where the system does not grant the memory that is reserved.
pub fn engine() -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MOST)
        .total_core_instances(MOST * 4)
        .total_memories(MOST)
        .total_tables(MOST * 2)
        .total_stacks(MOST)
        .max_memory_size(MEMORY_LIMIT)
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = sqlitrest_compile::settings();
    config.allocation_strategy(pool);
    Engine::new(&config).map_err(|error| {
        anyhow!("wasmtime cannot start here ({error:#}); use `--engine native`, or lift a limit on virtual memory (ulimit -v)")
    })
}

/// The component, ready to be linked.
///
/// # Errors
/// One sentence on what is wrong with it and what to do.
pub fn load(engine: &Engine, guest: &Guest) -> Result<Component> {
    match guest {
        Guest::Embedded if EMBEDDED.is_empty() => bail!(
            "this sqlitrest was built without a component: build with `cargo xtask build`, name one with `--guest FILE`, or use `--engine native`"
        ),
        Guest::Embedded => {
            let component = run_embedded(engine);
            give_back(EMBEDDED);
            component.context("the component in this program cannot run")
        }
        Guest::File(path) => {
            let shown = path.display();
            let read = fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
            let bytes = unpack(&read).with_context(|| {
                format!("{shown} is damaged; compile it again with `sqlitrest compile-component`")
            })?;
            match Engine::detect_precompiled(&bytes) {
                Some(Precompiled::Component) => run_precompiled(engine, &bytes).with_context(|| {
                    format!("{shown} cannot run here; compile it again with `sqlitrest compile-component`")
                }),
                Some(Precompiled::Module) => bail!("{shown} is a module, not a component"),
                None => Component::new(engine, &bytes)
                    .map_err(|error| anyhow!("{shown} is not a component that can run here: {error:#}")),
            }
        }
    }
}

/// Lets the system have the memory in which a part of this program stands that was read once. wasmtime has a copy, which it runs.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn give_back(bytes: &'static [u8]) {
    /// Larger than this no page of a program is.
    const PAGE: usize = 64 << 10;
    let skipped = bytes.as_ptr().align_offset(PAGE).min(bytes.len());
    let whole = bytes.get(skipped..).unwrap_or_default();
    let length = whole.len() / PAGE * PAGE;
    // SAFETY: these are whole pages of bytes that nobody can write, and of the program's file: read again, they come from there.
    let _ = unsafe {
        rustix::mm::madvise(whole.as_ptr().cast_mut().cast(), length, rustix::mm::Advice::LinuxDontNeed)
    };
}

#[cfg(not(target_os = "linux"))]
fn give_back(_: &'static [u8]) {}

/// Runs what this program carries. It is unpacked into memory that goes back to the system at once: the allocator would keep it.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn run_embedded(engine: &Engine) -> Result<Component> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
    let Some(length) = sqlitrest_compile::unpacked_size(EMBEDDED) else {
        return run_precompiled(engine, EMBEDDED);
    };
    let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: new memory, wherever the system has room for it.
    let start = unsafe { mmap_anonymous(std::ptr::null_mut(), length, access, flags) };
    let start = start.context("there is no memory to unpack it")?;
    // SAFETY: it is of this length, has zeros in it, and nobody else knows of it.
    let room = unsafe { std::slice::from_raw_parts_mut(start.cast::<u8>(), length) };
    let component =
        sqlitrest_compile::unpack_into(EMBEDDED, room).and_then(|_| run_precompiled(engine, room));
    // SAFETY: `room` is not used any more, and wasmtime has a copy of what was in it.
    let _ = unsafe { munmap(start, length) };
    component
}

/// Runs what this program carries.
#[cfg(not(target_os = "linux"))]
fn run_embedded(engine: &Engine) -> Result<Component> {
    run_precompiled(engine, &unpack(EMBEDDED)?)
}

#[allow(unsafe_code)]
fn run_precompiled(engine: &Engine, bytes: &[u8]) -> Result<Component> {
    // SAFETY: the bytes are machine code from this program's own `compile-component`: either embedded when it was built,
    // or in a file that the operator named on the command line, who decides as well which program runs. wasmtime
    // refuses code of another version or of other settings.
    let component = unsafe { Component::deserialize(engine, bytes) };
    component.map_err(|error| anyhow!("{error:#}"))
}
