//! A database at a moment, as it is seen from beside the requests: its files, its connections, its log.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::process::free_bytes;
use super::stats::Stats;
use crate::pool::Pool;

/// What there is of a database.
#[derive(Clone, Debug)]
pub struct Look {
    /// Its name in the configuration.
    pub name: String,
    /// Where its file is.
    pub path: PathBuf,
    /// Whether requests may write.
    pub writable: bool,
    /// Whether the file is the one that is open.
    pub is_there: bool,
    /// The size of the file in bytes.
    pub size: Option<u64>,
    /// The size of its write-ahead log in bytes.
    pub log_size: Option<u64>,
    /// The pages of it that are not in the file yet; none where the log is just being moved.
    pub log_pages: Option<u64>,
    /// How many connections read.
    pub readers: usize,
    /// How many of them are not lent.
    pub idle: usize,
    /// How many requests wait for one.
    pub waiting: u64,
    /// How many requests wait for the one that writes.
    pub queue: u64,
    /// The version of its schema, and since when it has been seen.
    pub schema: Option<(i64, SystemTime)>,
    /// The bytes that are free where it is.
    pub free: Option<u64>,
    /// What is counted of it.
    pub stats: Arc<Stats>,
}

/// Looks at a database. Reads from the disk.
pub fn look(pool: &Pool) -> Look {
    let (file, stats) = (pool.file(), pool.stats());
    let size = |path: &std::path::Path| std::fs::metadata(path).ok().map(|about| about.len());
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    let directory = file.path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Look {
        name: stats.database.clone(),
        path: file.path.clone(),
        writable: file.writable,
        is_there: pool.is_there(),
        size: size(&file.path),
        log_size: size(&file.log_path()),
        log_pages: pool.log_pages().map(count),
        readers: pool.readers().0,
        idle: pool.readers().1,
        waiting: count(stats.waiting.load(Ordering::Relaxed)),
        queue: count(stats.queue.load(Ordering::Relaxed)),
        schema: stats.schema(),
        free: free_bytes(directory.unwrap_or(std::path::Path::new("."))),
        stats: Arc::clone(stats),
    }
}

/// Looks at every database of an engine, on a thread that may wait for the disk.
pub async fn look_at(pools: Vec<Arc<Pool>>) -> Vec<Look> {
    let looks = tokio::task::spawn_blocking(move || pools.iter().map(|pool| look(pool)).collect());
    looks.await.unwrap_or_default()
}
