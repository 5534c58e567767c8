//! What is counted of requests: for each route, method, status and role one row of numbers, which a thread finds without a lock once it
//! has found it before.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counters::{Counter, DURATIONS, Histogram, SIZES};
use super::names::{OTHER_ROLE, OTHER_ROUTE, RoleId, RouteId};

/// The most rows. Beyond, requests are counted under the route and the role of others.
const MOST_ROWS: usize = 10_000;

/// What requests are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its route.
    pub route: RouteId,
    /// The role of who asks.
    pub role: RoleId,
    /// The status of the answer.
    pub status: u16,
    /// A place in [`METHODS`].
    pub method: u8,
}

/// The methods that are told apart (RFC 9110, RFC 5789, QUERY); the last stands for any other.
pub const METHODS: [&str; 11] =
    ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT", "_OTHER"];

/// The numbers of one kind of request.
#[derive(Debug)]
pub struct Row {
    /// How long they took.
    pub took: Histogram,
    /// The sizes of their bodies.
    pub received: Histogram,
    /// The sizes of the bodies of their answers.
    pub sent: Histogram,
}

static ROWS: Mutex<BTreeMap<Key, Arc<Row>>> = Mutex::new(BTreeMap::new());
static BEGUN: LazyLock<Counter> = LazyLock::new(Counter::default);
static ENDED: LazyLock<Counter> = LazyLock::new(Counter::default);
static ABANDONED: LazyLock<Counter> = LazyLock::new(Counter::default);
static OPEN: AtomicI64 = AtomicI64::new(0);
static TAKEN: LazyLock<Counter> = LazyLock::new(Counter::default);

thread_local! {
    static FOUND: RefCell<HashMap<Key, Arc<Row>>> = RefCell::default();
}

/// A connection, for as long as it is open.
pub struct Open;

impl Open {
    /// One was taken.
    pub fn new() -> Open {
        OPEN.fetch_add(1, Ordering::Relaxed);
        TAKEN.add(1);
        Open
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of a method in [`METHODS`].
pub fn method(name: &str) -> u8 {
    let at = METHODS.iter().position(|known| *known == name).unwrap_or(METHODS.len() - 1);
    u8::try_from(at).unwrap_or_default()
}

/// A request has begun.
pub fn begin() {
    BEGUN.add(1);
}

/// Whoever sent a request has left before its answer was there.
pub fn abandon() {
    ENDED.add(1);
    ABANDONED.add(1);
}

/// How often that was.
pub fn abandoned() -> u64 {
    ABANDONED.total()
}

/// A request has come to its end.
pub fn end(key: Key, took: Duration, received: u64, sent: u64) {
    ENDED.add(1);
    // A thread that is ending has no room of its own any more.
    let _ = FOUND.try_with(|found| {
        let mut found = found.borrow_mut();
        let row = found.entry(key).or_insert_with(|| find(key));
        row.took.took(took);
        row.received.record(received);
        row.sent.record(sent);
    });
}

fn find(key: Key) -> Arc<Row> {
    let mut rows = rows_locked();
    let is_full = rows.len() >= MOST_ROWS && !rows.contains_key(&key);
    let key = if is_full { Key { route: OTHER_ROUTE, role: OTHER_ROLE, ..key } } else { key };
    let new = || Row {
        took: Histogram::new(DURATIONS),
        received: Histogram::new(SIZES),
        sent: Histogram::new(SIZES),
    };
    Arc::clone(rows.entry(key).or_insert_with(|| Arc::new(new())))
}

/// All rows, in order.
pub fn rows() -> Vec<(Key, Arc<Row>)> {
    rows_locked().iter().map(|(key, row)| (*key, Arc::clone(row))).collect()
}

/// How many requests are being answered.
pub fn active() -> i64 {
    // In this order it is never negative.
    let ended = ENDED.total();
    i64::try_from(BEGUN.total().saturating_sub(ended)).unwrap_or(i64::MAX)
}

/// How many connections are open, and how many there have been.
pub fn connections() -> (i64, u64) {
    (OPEN.load(Ordering::Relaxed), TAKEN.total())
}

fn rows_locked() -> MutexGuard<'static, BTreeMap<Key, Arc<Row>>> {
    ROWS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        assert_eq!(METHODS[usize::from(method("PATCH"))], "PATCH");
        assert_eq!(METHODS[usize::from(method("BREW"))], "_OTHER");
    }

    #[test]
    fn rows_are_of_all_threads() {
        let key = Key { route: 77, role: 3, status: 299, method: method("GET") };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| end(key, Duration::from_millis(2), 0, 10));
            }
        });
        let rows = rows();
        let (_, row) = rows.iter().find(|(found, _)| *found == key).expect("a row");
        assert_eq!((row.took.totals().count(), row.sent.totals().sum), (4, 40));
    }
}
