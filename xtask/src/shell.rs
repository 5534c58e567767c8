//! Running other programs, and where the repository is.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// A path below `target/`. Fixed, whatever `CARGO_TARGET_DIR` says, because `spin.toml` names one of them.
pub fn target(path: &str) -> PathBuf {
    root().join("target").join(path)
}

/// The cargo that runs us, at the root of the repository.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("CARGO_TARGET_DIR", root().join("target"));
    command
}

/// What the toolchain in use builds for where nothing else is said: `x86_64-unknown-linux-gnu`.
///
/// # Errors
/// rustc's.
pub fn host_triple() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let about = output(Command::new(rustc).arg("-vV").current_dir(root()))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it builds for")?.to_owned())
}

/// Shows the command and runs it.
///
/// # Errors
/// It cannot be started, or says that it failed.
pub fn run(command: &mut Command) -> Result<()> {
    let line = show(command);
    let status = command.status().with_context(|| format!("cannot start {line}"))?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

/// As [`run`], but ends the command when it has not ended by itself in this time.
///
/// # Errors
/// As [`run`], or the time is over.
pub fn run_within(limit: Duration, command: &mut Command) -> Result<()> {
    let line = show(command);
    let mut child = command.spawn().with_context(|| format!("cannot start {line}"))?;
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("{line}: {status}");
            }
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    child.kill()?;
    child.wait()?;
    bail!("{line}: given up after {} s", limit.as_secs());
}

/// Makes something that needs `content`, unless the file `mark` says that it was made of that very content. The file
/// belongs into what is made, so that it goes with it.
///
/// # Errors
/// Those of `make`; of the file.
pub fn once(mark: &Path, content: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    if fs::read_to_string(mark).is_ok_and(|made_of| made_of == content) {
        return Ok(());
    }
    make()?;
    fs::write(mark, content).with_context(|| mark.display().to_string())
}

/// What the command writes to standard output.
///
/// # Errors
/// As [`run`].
pub fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {line}"))?;
    if !output.status.success() {
        bail!("{line}: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the command can be started and succeeds; it says nothing.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn show(command: &Command) -> String {
    let line = line(command);
    eprintln!("$ {line}");
    line
}

fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(program).chain(command.get_args());
    // A script among them would hide the rest.
    let shown =
        words.map(|word| word.to_string_lossy()).map(|w| if w.contains('\n') { "…".into() } else { w });
    shown.collect::<Vec<_>>().join(" ")
}
