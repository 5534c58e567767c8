//! The care for the write-ahead log: what is in it is moved into the database file by a thread and a connection of its own, so that
//! neither a read nor a write waits for it (<https://www.sqlite.org/wal.html#ckpt>).

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use sqlitrest_runtime::database::DbError;

use crate::connection::Connection;
use crate::log;
use crate::observe::stats::Stats;
use crate::pool::Opener;

/// From so many pages on that are not in the file yet the log is moved at once: SQLite's own default.
const LARGE: i64 = 1_000;

/// Beyond this size, in bytes, the one that writes waits for the log to be emptied: readers that never pause would let it grow without end.
const TOO_LARGE: u64 = 64 << 20;

/// For so long: short reads are over by then, and for long ones it would be in vain.
const WAIT: Duration = Duration::from_millis(50);

/// Where the log could not be emptied, because somebody reads from it, it is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// How long nothing is written before the log is emptied.
pub const IDLE: Duration = Duration::from_secs(1);

/// The thread that moves the log.
pub struct Checkpointer {
    log: Log,
    thread: JoinHandle<()>,
    opener: Arc<Opener>,
}

/// The log as the one that writes sees it.
#[derive(Clone)]
pub struct Log {
    written: SyncSender<()>,
    /// For how long the statements of the one that writes wait for others.
    patience: Duration,
    /// When it was last in vain to wait for readers.
    busy: Option<Instant>,
    stats: Arc<Stats>,
}

impl Checkpointer {
    /// Starts the thread. Whatever is in the log is moved after `interval` at the latest, and the log is emptied where nothing is
    /// written for `idle`. Where the log is another's to move there is none of this: [`Opener::begin_beside`] alone.
    ///
    /// # Errors
    /// The system's, where there is no thread to be had; SQLite's, where there is no connection.
    pub fn start(opener: &Arc<Opener>, interval: Duration, idle: Duration) -> Result<Checkpointer> {
        let opener = Arc::clone(opener);
        opener.begin_beside().map_err(|error| anyhow!("{}", error.message))?;
        let ended = Arc::clone(&opener);
        let (written, messages) = sync_channel(1);
        let stats = Arc::clone(opener.stats());
        let log = Log { written, patience: opener.file().busy_timeout, busy: None, stats };
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || run(&opener, &messages, interval, idle))
            .context("the thread that moves the write-ahead log cannot be started")?;
        Ok(Checkpointer { log, thread, opener: ended })
    }

    /// For the one that writes.
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// Ends the thread, once every [`Log`] is gone.
    pub fn end(self) {
        drop(self.log);
        let _ = self.thread.join();
        self.opener.end_beside();
    }
}

impl Log {
    /// Something was committed. Called by the one that writes, with its connection.
    pub fn written(&mut self, writer: &mut Connection) {
        // Where a message waits already, it says enough.
        let _ = self.written.try_send(());
        let is_tried = self.busy.is_some_and(|busy| busy.elapsed() < AGAIN);
        if !is_tried && writer.log_path().is_some_and(|log| size(&log) > TOO_LARGE) {
            // Readers go on meanwhile; the next write begins the log anew.
            let waits = writer.wait_for_locks(WAIT);
            let since = Instant::now();
            let emptied = waits.is_ok() && matches!(writer.checkpoint("RESTART"), Ok(true));
            self.stats.checkpoint("RESTART", since.elapsed(), emptied);
            let _ = writer.wait_for_locks(self.patience);
            self.busy = (!emptied).then(Instant::now);
        }
    }
}

fn run(opener: &Opener, messages: &Receiver<()>, interval: Duration, idle: Duration) {
    let beside = |mode| {
        let since = Instant::now();
        let done = opener.beside(|connection| {
            // It has time, and never waits for others.
            connection.wait_for_locks(Duration::ZERO)?;
            connection.checkpoint(mode)
        });
        if let Some(done) = &done {
            opener.stats().checkpoint(mode, since.elapsed(), matches!(done, Ok(true)));
        }
        // Where the file is not where it was, others see to its log.
        done.unwrap_or(Ok(true))
    };
    let is_large = || {
        let pages = opener.beside(|connection| connection.pages_to_move());
        matches!(pages, Some(Ok(pages)) if pages >= LARGE)
    };
    // What an earlier process has left counts as written.
    let (mut is_written, mut moved) = (true, Instant::now());
    loop {
        // Nothing is written: there is nothing to do, for as long as it stays so.
        let wait = if is_written { idle.min(interval) } else { Duration::MAX };
        match messages.recv_timeout(wait) {
            Ok(()) => {
                is_written = true;
                if moved.elapsed() < interval && !is_large() {
                    continue;
                }
                tell(beside("PASSIVE"));
                moved = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) => {
                // Where somebody reads from it, it is tried again.
                let emptied = beside("TRUNCATE");
                is_written = matches!(emptied, Ok(false));
                tell(emptied);
                moved = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn tell(result: Result<bool, DbError>) {
    if let Err(error) = result {
        log(format_args!("the write-ahead log is not moved into the database: {}", error.message));
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |log| log.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlitrest_runtime::database::Database as _;

    use crate::open::{File, Role, tests::Scratch};

    fn opener(scratch: &Scratch) -> Arc<Opener> {
        let (file, _) = File::check(&scratch.config()).expect("a database");
        Arc::new(Opener::new(file))
    }

    fn write(writer: &mut Connection, log: &mut Log, bytes: usize) {
        let sql = format!("INSERT INTO t VALUES (zeroblob({bytes}))");
        writer.rows(&sql, &[], &mut |_| {}).expect("written");
        log.written(writer);
    }

    /// Waits for the log to be as wanted.
    fn wait(writer: &Connection, is_good: impl Fn(u64) -> bool) {
        let since = Instant::now();
        let path = writer.log_path().expect("a log");
        while !is_good(size(&path)) {
            assert!(since.elapsed() < Duration::from_secs(20), "{} bytes", size(&path));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_log_is_emptied_when_nothing_is_written() {
        let scratch = Scratch::new("checkpoint-idle", "CREATE TABLE t (b)");
        let opener = opener(&scratch);
        let mut writer = opener.connect(Role::Writer).expect("a connection");
        let checkpointer = Checkpointer::start(&opener, Duration::from_secs(300), Duration::from_millis(20))
            .expect("a thread");
        let mut log = checkpointer.log();
        for _ in 0..2 {
            write(&mut writer, &mut log, 100_000);
            wait(&writer, |size| size == 0);
        }
        drop(log);
        checkpointer.end();
    }

    #[test]
    fn a_log_that_is_always_read_has_an_end() {
        let scratch = Scratch::new("checkpoint-bound", "CREATE TABLE t (b)");
        let opener = opener(&scratch);
        let mut writer = opener.connect(Role::Writer).expect("a connection");
        // Nobody else moves the log.
        let (written, _messages) = sync_channel(1);
        let mut log =
            Log { written, patience: Duration::from_secs(60), busy: None, stats: Arc::clone(opener.stats()) };
        let path = writer.log_path().expect("a log");
        let mut most = 0;
        for _ in 0..40 {
            write(&mut writer, &mut log, 4 << 20);
            most = most.max(size(&path));
        }
        assert!(most > TOO_LARGE && most < TOO_LARGE + (20 << 20), "{most} bytes");
    }

    #[test]
    fn one_that_reads_for_long_does_not_hold_up_the_one_that_writes() {
        let scratch = Scratch::new("checkpoint-held", "CREATE TABLE t (b)");
        let opener = opener(&scratch);
        let mut writer = opener.connect(Role::Writer).expect("a connection");
        let mut reader = opener.connect(Role::Reader).expect("a connection");
        for sql in ["BEGIN", "SELECT * FROM t"] {
            reader.rows(sql, &[], &mut |_| {}).expect(sql);
        }
        let (written, _messages) = sync_channel(1);
        let (mut log, since) = (
            Log { written, patience: Duration::from_secs(60), busy: None, stats: Arc::clone(opener.stats()) },
            Instant::now(),
        );
        for _ in 0..20 {
            write(&mut writer, &mut log, 4 << 20);
        }
        assert!(log.busy.is_some() && since.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn pages_that_are_in_the_file_are_not_moved_again() {
        let scratch = Scratch::new("checkpoint-pages", "CREATE TABLE t (b)");
        let opener = opener(&scratch);
        let mut writer = opener.connect(Role::Writer).expect("a connection");
        let (written, _messages) = sync_channel(1);
        let mut log =
            Log { written, patience: Duration::from_secs(60), busy: None, stats: Arc::clone(opener.stats()) };
        write(&mut writer, &mut log, 5 << 20);
        assert!(writer.pages_to_move().expect("pages") >= LARGE);
        assert_eq!(writer.checkpoint("PASSIVE"), Ok(true));
        assert_eq!(writer.pages_to_move(), Ok(0));
        // The log is as long as before, with little in it.
        write(&mut writer, &mut log, 1);
        assert!((1..10).contains(&writer.pages_to_move().expect("pages")));
        assert!(size(&writer.log_path().expect("a log")) > 5 << 20);
    }
}
