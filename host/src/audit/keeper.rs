//! The thread that writes the log: it takes what waits, makes records of it, and writes them together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use super::chain::Link;
use super::entry::{Entry, Note};
use super::log::Log;
use super::segments;
use super::state::State;
use crate::log;

/// How many records are written together at the most.
const MOST_TOGETHER: usize = 1_024;

/// How long it waits before it tries again to write.
const PAUSE: Duration = Duration::from_millis(200);

/// How often the operator is told of what does not get better.
const SILENCE: Duration = Duration::from_secs(60);

/// How often it looks for files that are kept no longer, where none is rotated.
const SWEEP: Duration = Duration::from_secs(3600);

/// What waits to be written.
pub enum Message {
    /// A record, and who waits for it.
    Entry(Box<Entry>, Option<oneshot::Sender<()>>),
    /// There is nothing more to come but what has its place already.
    End,
}

/// What the thread has.
pub struct Keeper {
    log: Log,
    messages: Receiver<Message>,
    state: Arc<State>,
    /// When the operator was told last that something fails.
    told: Option<Instant>,
    swept: Instant,
}

/// Records that are made and not written yet, and who waits for them.
#[derive(Default)]
struct Batch {
    links: Vec<Link>,
    entries: u64,
    waiting: Vec<oneshot::Sender<()>>,
    /// Files to be removed when they are written.
    old: Vec<PathBuf>,
}

impl Keeper {
    /// Of an open log.
    pub fn new(log: Log, messages: Receiver<Message>, state: Arc<State>) -> Keeper {
        state.wrote(0, log.head());
        Keeper { log, messages, state, told: None, swept: Instant::now() }
    }

    /// Writes until the end.
    pub fn run(mut self) {
        self.sweep();
        let mut messages = Vec::new();
        while self.messages.blocking_recv_many(&mut messages, MOST_TOGETHER) > 0 {
            self.rotate();
            let mut batch = Batch::default();
            for message in messages.drain(..) {
                match message {
                    Message::Entry(entry, waiting) => {
                        batch.links.push(self.log.next(entry.time, &entry));
                        batch.entries += 1;
                        batch.waiting.extend(waiting);
                    }
                    // Those that have their place still send.
                    Message::End => self.messages.close(),
                }
            }
            self.count_dropped(&mut batch);
            if !self.write(batch) {
                return;
            }
        }
        let mut batch = Batch::default();
        self.count_dropped(&mut batch);
        batch.links.push(self.log.next(Timestamp::now(), &Note::Stop));
        self.write(batch);
    }

    /// Says how many records there was no room for.
    fn count_dropped(&mut self, batch: &mut Batch) {
        let count = self.state.take_dropped();
        if count > 0 {
            batch.links.push(self.log.next(Timestamp::now(), &Note::Dropped { count }));
        }
    }

    /// Writes a batch, however often it takes. `false` where the server ends and it could not be done.
    fn write(&mut self, batch: Batch) -> bool {
        while let Err(error) = self.log.write(&batch.links) {
            let error = format!("{error:#}");
            let count = self.state.waiting();
            self.tell(format_args!("the audit log cannot be written, {count} records wait: {error}"));
            self.state.fails(error);
            if self.state.is_ending() {
                log(format_args!("the audit log ends without {count} records"));
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        if self.state.wrote(batch.entries, self.log.head()) {
            self.told = None;
            log(format_args!("the audit log is written again"));
        }
        // Who waited may have gone.
        for waiting in batch.waiting {
            let _ = waiting.send(());
        }
        for path in batch.old {
            if let Err(error) = segments::remove(&path) {
                log(format_args!("audit log: {} cannot be removed: {error}", path.display()));
            }
        }
        true
    }

    fn rotate(&mut self) {
        let rotated = self.log.rotate(Timestamp::now());
        for what in &rotated.failed {
            log(format_args!("audit log: {what}"));
        }
        if rotated.any || self.swept.elapsed() >= SWEEP {
            self.sweep();
        }
    }

    /// Removes files that are kept no longer.
    fn sweep(&mut self) {
        self.swept = Instant::now();
        let (old, notes) = self.log.old();
        if notes.is_empty() {
            return;
        }
        let links = notes.iter().map(|note| self.log.next(Timestamp::now(), note)).collect();
        // Removed when the log says so, lest it look as if somebody else had.
        self.write(Batch { links, old, ..Batch::default() });
    }

    /// Tells the operator, not more often than once a minute.
    fn tell(&mut self, line: std::fmt::Arguments<'_>) {
        if self.told.is_none_or(|told| told.elapsed() >= SILENCE) {
            self.told = Some(Instant::now());
            log(line);
        }
    }
}
