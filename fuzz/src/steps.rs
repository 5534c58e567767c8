//! A limit on the work of SQLite: embeds in embeds multiply, and a view may never end. Our host stops them by the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

/// How many thousand steps of SQLite's machine have been taken; to be set to 0 before each input.
pub(crate) type Steps = Arc<AtomicU32>;

/// How many thousand there may be.
const MOST: u32 = 2_000;

/// Interrupts what takes more.
pub(crate) fn limit(connection: &mut Connection) -> Steps {
    let steps = Steps::default();
    let count = Arc::clone(&steps);
    let is_over = move || count.fetch_add(1, Ordering::Relaxed) > MOST;
    connection.progress_handler(1_000, Some(is_over)).unwrap();
    steps
}
