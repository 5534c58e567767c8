//! The limit for the size of a file (`ulimit -f`). Who writes beyond it is told by a signal, which ends a process that does not look at
//! it, in the middle of what it does. The write itself fails, which is all that SQLite wants to know.

/// From now on a write beyond the limit fails, and nothing else happens.
#[cfg(unix)]
pub(crate) fn fail_writes() {
    use tokio::signal::unix::{SignalKind, signal};
    /// SIGXFSZ, on every system that we know.
    const FILE_TOO_LARGE: i32 = 25;
    // Who looks at it once is not ended by it any more. Where there are no threads or descriptors for that, it is as it was.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() {
        let _entered = runtime.enter();
        let _ = signal(SignalKind::from_raw(FILE_TOO_LARGE));
    }
}

/// There is no such signal.
#[cfg(not(unix))]
pub(crate) fn fail_writes() {}
