//! File systems that tests mount, where the user may.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted until it is dropped.
pub struct Mount(PathBuf);

impl Mount {
    /// A file system in memory with so much room; `None` where it is not allowed.
    pub fn tmpfs(at: &Path, size: &str) -> Option<Mount> {
        mount(at, &["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
    }

    /// A directory in its own place, for reading alone.
    pub fn read_only(at: &Path) -> Option<Mount> {
        mount(at, &["-o", "bind,ro", super::path(at)])
    }
}

fn mount(at: &Path, arguments: &[&str]) -> Option<Mount> {
    let output = Command::new("mount").args(arguments).arg(at).output().ok()?;
    output.status.success().then(|| Mount(at.to_owned()))
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
