//! What is known of the log while it is written, for those who look at it from outside.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::chain::Head;

/// What the thread that writes and the requests share.
#[derive(Default)]
pub struct State {
    /// Records that have a place and are not written.
    waiting: AtomicUsize,
    written: AtomicU64,
    dropped: AtomicU64,
    /// Those of `dropped` that no record tells of yet.
    untold: AtomicU64,
    refused: AtomicU64,
    is_failing: AtomicBool,
    is_ending: AtomicBool,
    end: Mutex<End>,
}

/// What changes with each batch.
#[derive(Default)]
struct End {
    head: Head,
    failure: Option<(Timestamp, String)>,
}

/// The log at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Records that wait to be written.
    pub waiting: u64,
    /// Records of requests that were written since the start.
    pub written: u64,
    /// Requests for whose records there was no room (`on_full = "drop"`).
    pub dropped: u64,
    /// Requests that were refused because there was no room for their records (`on_full = "wait"`).
    pub refused: u64,
    /// The number of the last record.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// Since when it cannot be written, and why.
    pub failure: Option<(Timestamp, String)>,
    /// How many records may wait.
    pub room: usize,
    /// Whether requests that need a record are refused at the moment.
    pub is_refusing: bool,
}

impl State {
    /// One more waits.
    pub fn takes(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// How many wait.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed) as u64
    }

    /// There is no room for one, and the request goes on.
    pub fn drops(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.untold.fetch_add(1, Ordering::Relaxed);
    }

    /// There is no room for one, and the request does not go on.
    pub fn refuses(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were dropped since it was asked last.
    pub fn take_dropped(&self) -> u64 {
        self.untold.swap(0, Ordering::Relaxed)
    }

    /// These were written, the last of them `head`. Whether that could not be done for a while.
    pub fn wrote(&self, entries: u64, head: &Head) -> bool {
        self.written.fetch_add(entries, Ordering::Relaxed);
        self.waiting.fetch_sub(usize::try_from(entries).unwrap_or_default(), Ordering::Relaxed);
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.head.clone_from(head);
        let was_failing = end.failure.take().is_some();
        self.is_failing.store(false, Ordering::Relaxed);
        was_failing
    }

    /// It cannot be written.
    pub fn fails(&self, error: String) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let since = end.failure.take().map_or_else(Timestamp::now, |(since, _)| since);
        end.failure = Some((since, error));
        self.is_failing.store(true, Ordering::Relaxed);
    }

    /// Whether it could not be written the last time.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// The server ends.
    pub fn ends(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether the server ends.
    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// As it is now, with room for so many records.
    pub fn snapshot(&self, room: usize, is_refusing: bool) -> Snapshot {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Snapshot {
            waiting: self.waiting(),
            written: of(&self.written),
            dropped: of(&self.dropped),
            refused: of(&self.refused),
            seq: end.head.seq,
            hash: end.head.hash.clone(),
            failure: end.failure.clone(),
            room,
            is_refusing,
        }
    }
}
