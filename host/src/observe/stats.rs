//! What is counted of one database: its connections, its statements, what is written and how its log is moved. It goes with the
//! connections, so that a database which is not served any more is not told of.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::counters::{COUNTS, Counter, DURATIONS, Histogram};
use super::{names, slow, telemetry};
use crate::pool::Opener;

/// What statements are told apart by, with the letters that begin them.
pub const OPERATIONS: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "_OTHER"];

/// How a write-ahead log is moved, in the words of `PRAGMA wal_checkpoint`.
pub const CHECKPOINTS: [&str; 3] = ["PASSIVE", "RESTART", "TRUNCATE"];

/// The numbers of a database.
#[derive(Debug)]
pub struct Stats {
    /// Its name in the configuration.
    pub database: String,
    /// Whether metrics are on.
    is_on: bool,
    /// How long requests have waited for a connection that reads.
    pub waits: Histogram,
    /// How many are waiting.
    pub waiting: AtomicI64,
    /// How many have waited in vain.
    pub in_vain: Counter,
    /// How long statements took, in the order of [`OPERATIONS`].
    pub statements: [Histogram; OPERATIONS.len()],
    /// How many of them were there, prepared.
    pub prepared: Counter,
    /// How many had to be prepared.
    pub unprepared: Counter,
    /// How many requests wait for the one that writes.
    pub queue: AtomicI64,
    /// How long they have waited for their turn.
    pub turns: Histogram,
    /// How many shared a transaction.
    pub groups: Histogram,
    /// How long a transaction of writes took, its commit included.
    pub transactions: Histogram,
    /// How many writes were done again, because their transaction was undone by another's failure.
    pub repeated: Counter,
    /// How often the log was moved, in the order of [`CHECKPOINTS`]; and how often that could not be done, or not to its end.
    pub checkpoints: [(Counter, Counter); CHECKPOINTS.len()],
    /// How long that took.
    pub checkpoint_times: Histogram,
    /// `PRAGMA schema_version` as it was seen last, plus one; 0: not yet.
    schema: AtomicI64,
    /// When it was first seen, in milliseconds since 1970.
    schema_since: AtomicU64,
    /// Who can open a connection to look at something.
    opener: OnceLock<Weak<Opener>>,
}

impl Stats {
    /// Of a database of this name, before anything has happened.
    pub fn new(database: &str) -> Stats {
        Stats::with(database, super::counts())
    }

    fn with(database: &str, is_on: bool) -> Stats {
        Stats {
            database: database.to_owned(),
            is_on,
            waits: Histogram::new(DURATIONS),
            waiting: AtomicI64::new(0),
            in_vain: Counter::default(),
            statements: std::array::from_fn(|_| Histogram::new(DURATIONS)),
            prepared: Counter::default(),
            unprepared: Counter::default(),
            queue: AtomicI64::new(0),
            turns: Histogram::new(DURATIONS),
            groups: Histogram::new(COUNTS),
            transactions: Histogram::new(DURATIONS),
            repeated: Counter::default(),
            checkpoints: std::array::from_fn(|_| <(Counter, Counter)>::default()),
            checkpoint_times: Histogram::new(DURATIONS),
            schema: AtomicI64::new(0),
            schema_since: AtomicU64::new(0),
            opener: OnceLock::new(),
        }
    }

    /// Whether anything is counted.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Who opens connections.
    pub fn opened_by(&self, opener: &Arc<Opener>) {
        let _ = self.opener.set(Arc::downgrade(opener));
    }

    /// Who opens connections, while the database is served.
    pub fn opener(&self) -> Option<Arc<Opener>> {
        self.opener.get()?.upgrade()
    }

    /// A statement has ended. One that was `cut` will be done again. `waited`: for a client that took its rows.
    pub fn statement(self: &Arc<Self>, sql: &str, took: Duration, waited: Duration, cut: bool) {
        if self.is_on
            && let Some(histogram) = self.statements.get(operation(sql))
        {
            histogram.took(took);
        }
        if took.saturating_sub(waited) > slow::threshold() && !cut {
            slow::found(self, sql, took.saturating_sub(waited));
        }
        if telemetry::is_on() {
            telemetry::statement(&self.database, sql, took);
        }
    }

    /// The schema's version was asked for. `opening` tells apart the files that were there one after the other.
    pub fn saw_schema(&self, version: i64, opening: i64) {
        let known = version.saturating_add(1).saturating_add(opening << 32);
        if self.schema.load(Ordering::Relaxed) == known {
            return;
        }
        let before = self.schema.swap(known, Ordering::Relaxed);
        if before != known {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.schema_since.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        // Where it is first seen, whoever has opened the database reads the names.
        if before != known && before != 0 {
            names::outdate();
        }
    }

    /// The schema's version, and since when it has been that.
    pub fn schema(&self) -> Option<(i64, SystemTime)> {
        let version = self.schema.load(Ordering::Relaxed);
        let since = UNIX_EPOCH + Duration::from_millis(self.schema_since.load(Ordering::Relaxed));
        // SQLite's number has 32 bits.
        (version != 0).then_some(((version - 1) & 0xffff_ffff, since))
    }

    /// The log was moved, in a mode of `PRAGMA wal_checkpoint`, to its end or not.
    pub fn checkpoint(&self, mode: &str, took: Duration, is_done: bool) {
        let at = CHECKPOINTS.iter().position(|known| *known == mode);
        if let Some((done, not_done)) = at.and_then(|at| self.checkpoints.get(at)).filter(|_| self.is_on) {
            if is_done { done } else { not_done }.add(1);
            self.checkpoint_times.took(took);
        }
    }
}

/// The place of a statement's operation in [`OPERATIONS`].
pub fn operation(sql: &str) -> usize {
    let sql = bare(sql);
    let is = |word: &&str| sql.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
    OPERATIONS.iter().position(is).unwrap_or(OPERATIONS.len() - 1)
}

/// A statement without what the component puts before it for its host.
pub fn bare(sql: &str) -> &str {
    sql.strip_prefix("/*").and_then(|rest| rest.split_once("*/")).map_or(sql, |(_, sql)| sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations() {
        let of = |sql| OPERATIONS[operation(sql)];
        assert_eq!(of("SELECT 1"), "SELECT");
        assert_eq!(of("/*rows:abj*/SELECT 1"), "SELECT");
        assert_eq!(of("insert INTO t"), "INSERT");
        assert_eq!(of("WITH a AS (SELECT 1) SELECT * FROM a"), "WITH");
        for other in ["PRAGMA schema_version", "/*", "", "S"] {
            assert_eq!(of(other), "_OTHER");
        }
    }

    #[test]
    fn a_schema_is_as_old_as_its_version() {
        let stats = Stats::new("main");
        assert_eq!(stats.schema(), None);
        stats.saw_schema(0, 0);
        let (version, first) = stats.schema().expect("a version");
        stats.saw_schema(0, 0);
        assert_eq!((version, stats.schema()), (0, Some((0, first))));
        stats.saw_schema(7, 2);
        assert!(stats.schema().is_some_and(|(version, since)| version == 7 && since >= first));
    }

    #[test]
    fn where_metrics_are_off_nothing_is_counted() {
        for is_on in [true, false] {
            let stats = Arc::new(Stats::with("main", is_on));
            stats.statement("SELECT 1", Duration::from_millis(1), Duration::ZERO, false);
            stats.checkpoint("PASSIVE", Duration::from_millis(1), true);
            let counted = stats.statements[0].totals().count() + stats.checkpoints[0].0.total();
            assert_eq!(counted, if is_on { 2 } else { 0 });
        }
    }
}
