//! Processes that are measured: started, looked at, and stopped by their id.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::client;

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(60);

/// How long it may take to end when it is asked to.
const END: Duration = Duration::from_secs(10);

/// A running process. It is ended when this is dropped.
pub struct Process {
    child: Child,
    /// The signal that asks it to end.
    signal: &'static str,
    /// The command that started it.
    pub line: String,
}

impl Process {
    /// Starts a command whose output goes to a file.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn logged(command: &mut Command, log: &Path) -> Result<Process> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        let line = line(command);
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {line}"))?;
        Ok(Process { child, signal: "-TERM", line })
    }

    /// Starts a command that prints `http://ADDRESS` once it listens there, and gives this address.
    ///
    /// # Errors
    /// It cannot be started, or ends without saying its address.
    pub fn telling_address(command: &mut Command) -> Result<(Process, String)> {
        let line = line(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("cannot start {line}"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let process = Process { child, signal: "-TERM", line };
        let mut lines = BufReader::new(stdout).lines();
        for line in lines.by_ref() {
            if let Some((_, rest)) = line?.split_once("http://") {
                let address = rest.split([',', ' ']).next().unwrap_or_default().to_owned();
                // What else it prints must not fill the pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok((process, address));
            }
        }
        bail!("{} ended before it said its address", process.line)
    }

    /// The same, ended by another signal.
    pub fn ended_by(mut self, signal: &'static str) -> Process {
        self.signal = signal;
        self
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a GET of `target` at `address` succeeds.
    ///
    /// # Errors
    /// The process has ended, or the time is over: the end of its log.
    pub fn answers(&mut self, address: &str, target: &str, log: &Path) -> Result<()> {
        self.waits_for(log, || client::get(address, target).map(drop))
    }

    /// Waits until `is_there` succeeds.
    ///
    /// # Errors
    /// As [`Process::answers`].
    pub fn waits_for(&mut self, log: &Path, is_there: impl Fn() -> Result<()>) -> Result<()> {
        let begin = Instant::now();
        loop {
            let Err(error) = is_there() else { return Ok(()) };
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.line, tail(log));
            }
            ensure!(begin.elapsed() < START, "{} does not answer ({error:#}): {}", self.line, tail(log));
            sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end, waits, and ends it if it does not.
    pub fn stop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let _ = Command::new("kill").arg(self.signal).arg(self.id().to_string()).status();
        let begin = Instant::now();
        while begin.elapsed() < END {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Resident memory of the process and of its children, in KiB. What they share is counted for each of them.
    pub fn resident(&self) -> u64 {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(id) = id
                && let Some(parent) = status(id, "PPid:")
            {
                children.entry(u32::try_from(parent).unwrap_or_default()).or_default().push(id);
            }
        }
        let (mut sum, mut ids) = (0, vec![self.id()]);
        while let Some(id) = ids.pop() {
            sum += status(id, "VmRSS:").unwrap_or_default();
            ids.extend(children.remove(&id).unwrap_or_default());
        }
        sum
    }

    /// Forgets the most memory that the process had so far; says whether the system can.
    pub fn forget_peak(&self) -> bool {
        fs::write(format!("/proc/{}/clear_refs", self.id()), "5").is_ok()
    }

    /// The most resident memory that the process (without children) had since [`Process::forget_peak`], in KiB.
    pub fn peak(&self) -> Option<u64> {
        status(self.id(), "VmHWM:")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The number in a line of `/proc/ID/status`.
fn status(id: u32, label: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A port of the loopback interface that is free now, as `127.0.0.1:PORT`, for servers that do not choose one themselves.
///
/// # Errors
/// There is none.
pub fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The port of an address.
pub fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap_or_default()
}

/// What a command writes to standard output.
///
/// # Errors
/// It cannot be started, or fails.
pub fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command.output().with_context(|| format!("cannot start {line}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {}: {}", output.status, errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A command as one would type it, the program without its directory.
pub fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
