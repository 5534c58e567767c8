//! How many files this process may have open, of which each connection is one.

/// What is kept for databases, their logs and everything else.
const KEPT: usize = 256;

/// How many connections there can be. Lets the process have as many files open as the system lets it: what it begins with is far
/// less on most.
pub(crate) fn for_connections() -> usize {
    open_files().map_or(usize::MAX, left)
}

/// What is left for connections of so many files.
fn left(files: usize) -> usize {
    files.saturating_sub(KEPT).max(files / 2).max(1)
}

#[cfg(target_os = "linux")]
fn open_files() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    // None is no limit.
    current.and_then(|files| usize::try_from(files).ok())
}

#[cfg(not(target_os = "linux"))]
fn open_files() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_are_for_connections() {
        assert_eq!([left(1_024), left(300), left(0), left(1 << 20)], [768, 150, 1, (1 << 20) - 256]);
        assert!(for_connections() > 0);
    }
}
