//! Where and of what the figures are.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::process::output;

/// How long it is looked at what others do.
const LOOK: Duration = Duration::from_millis(500);

/// How many cores are busy now, while nothing is measured: what others do, and what servers do by themselves.
pub fn busy_cores() -> f64 {
    // The first line of /proc/stat: ticks of all cores in user, nice, system, idle, iowait, irq, softirq, steal, …
    let ticks = || -> Option<(f64, f64)> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let numbers: Vec<f64> =
            text.lines().next()?.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
        Some((numbers.iter().sum(), numbers.get(3)? + numbers.get(4)?))
    };
    let before = ticks();
    thread::sleep(LOOK);
    let (Some((all, idle)), Some((all_after, idle_after))) = (before, ticks()) else { return 0.0 };
    let share = 1.0 - (idle_after - idle) / (all_after - all).max(1.0);
    share * crate::in_process::readers() as f64
}

/// The machine and the sources.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many cores this process may use.
    pub cores: usize,
    /// Memory in MiB.
    pub memory: u64,
    /// The kernel.
    pub kernel: String,
    /// The commit, with `+` where files differ from it.
    pub commit: String,
    /// When, in UTC.
    pub date: String,
    /// The compiler.
    pub compiler: String,
    /// The load generator.
    pub wrk: String,
}

impl Machine {
    /// This one. `sources` is a directory of the repository.
    pub fn this(sources: &Path) -> Machine {
        let say = |command: &mut Command| output(command).unwrap_or_else(|_| "unknown".to_owned());
        let git = |args: &[&str]| say(Command::new("git").arg("-C").arg(sources).args(args));
        let changed = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let field = |path: &str, label: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(label).map(str::to_owned));
            line.map(|line| line.trim_start_matches([' ', '\t', ':']).trim().to_owned())
        };
        let memory = field("/proc/meminfo", "MemTotal:");
        let memory = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        // wrk tells its version and fails.
        let wrk = Command::new("wrk").arg("-v").output().map(|output| output.stdout).unwrap_or_default();
        let wrk = String::from_utf8_lossy(&wrk).lines().next().unwrap_or_default().to_owned();
        Machine {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: crate::in_process::readers(),
            memory: memory.unwrap_or_default() / 1024,
            kernel: say(Command::new("uname").arg("-sr")),
            commit: git(&["rev-parse", "--short=10", "HEAD"]) + if changed { "+" } else { "" },
            date: say(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"])),
            compiler: say(Command::new("rustc").arg("--version")),
            wrk: wrk.split(" Copyright").next().unwrap_or_default().to_owned(),
        }
    }
}
