//! What Prometheus wants to know of any process (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::time::SystemTime;

/// The process at a moment.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The time of processors that it has used, in seconds.
    pub cpu_seconds: f64,
    /// The memory that it has, in bytes.
    pub resident_bytes: u64,
    /// The addresses that it has, in bytes.
    pub virtual_bytes: u64,
    /// How many files and sockets it has open.
    pub open_fds: u64,
    /// How many it may have.
    pub max_fds: Option<u64>,
    /// How many threads it has.
    pub threads: u64,
    /// When it began, in seconds since 1970.
    pub start_seconds: f64,
}

/// Looks at this process; none where the system does not tell.
#[cfg(target_os = "linux")]
pub fn look() -> Option<Process> {
    use rustix::process::{Resource, getrlimit};
    use rustix::time::{ClockId, clock_gettime};

    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut sizes = sizes.split(' ').map_while(|pages| pages.parse::<u64>().ok());
    let page = u64::try_from(rustix::param::page_size()).unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"))?;
    Some(Process {
        cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        virtual_bytes: sizes.next()? * page,
        resident_bytes: sizes.next()? * page,
        // One of them is that of the directory itself.
        open_fds: u64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()?.saturating_sub(1),
        max_fds: getrlimit(Resource::Nofile).current,
        threads: threads.trim().parse().ok()?,
        start_seconds: start_seconds(),
    })
}

/// Looks at this process; none where the system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn look() -> Option<Process> {
    None
}

/// When the server began, in seconds since 1970.
fn start_seconds() -> f64 {
    let begun = SystemTime::now().checked_sub(super::uptime()).unwrap_or(SystemTime::UNIX_EPOCH);
    begun.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The bytes that are free on the file system of a path, for those who are not root.
#[cfg(target_os = "linux")]
pub fn free_bytes(path: &std::path::Path) -> Option<u64> {
    let about = rustix::fs::statvfs(path).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

/// The bytes that are free on the file system of a path, for those who are not root.
#[cfg(not(target_os = "linux"))]
pub fn free_bytes(_: &std::path::Path) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process() {
        let process = look().expect("told");
        assert!(process.resident_bytes > 1 << 20 && process.virtual_bytes >= process.resident_bytes);
        assert!(process.open_fds >= 3 && process.threads >= 1 && process.start_seconds > 1.7e9);
        let file = std::fs::File::open("/dev/null").expect("a file");
        assert!(look().expect("told").open_fds > 0);
        drop(file);
        assert!(free_bytes(std::path::Path::new("/")).is_some());
        assert_eq!(free_bytes(std::path::Path::new("/no/where")), None);
    }
}
