//! Statements that took long: a line of the log for each, with how SQLite goes about it, and the newest of them in memory. Values are
//! parameters of a statement and stand in none of that.
//!
//! The plan is made by a thread of its own on a connection of its own, after the request. It has room for some; where more come they are
//! counted, and no line is made of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::Serialize;
use sqlitrest_runtime::database::Database as _;
use sqlitrest_runtime::value::ValueRef;

use super::recent::Recent;
use super::stats::{Stats, bare};
use super::{context, logging};

/// How many are kept in memory.
const MOST: usize = 100;

/// How many may wait for their plan.
const MOST_WAITING: usize = 64;

/// How many lines there are in a second at the most.
const MOST_A_SECOND: usize = 20;

/// The longest text of a statement that is kept, in bytes.
const LONGEST: usize = 8 << 10;

/// A statement that took long.
#[derive(Clone, Debug, Serialize)]
pub struct Slow {
    /// When it ended.
    pub at: Timestamp,
    /// The database that was asked.
    pub database: String,
    /// The statement. Its values are parameters, which are not told.
    pub sql: String,
    /// How long it took in milliseconds, without what it waited for a client to take its rows.
    pub duration_ms: f64,
    /// What was asked: method and path.
    pub request: Option<String>,
    /// The request's name.
    pub request_id: Option<String>,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// How SQLite goes about it (`EXPLAIN QUERY PLAN`), each line as deep as its step.
    pub plan: Vec<String>,
}

/// Longer than this is long, in nanoseconds; the largest number: nothing is.
static THRESHOLD: AtomicU64 = AtomicU64::new(u64::MAX);
static QUEUE: OnceLock<SyncSender<(Arc<Stats>, Slow)>> = OnceLock::new();
static RECENT: Recent<Slow> = Recent::new(MOST);
static COUNT: AtomicU64 = AtomicU64::new(0);
static UNTOLD: AtomicU64 = AtomicU64::new(0);

/// Begins to tell of statements that take longer than `threshold`; of none where it is zero.
///
/// # Errors
/// The system's, where there is no thread to be had.
pub fn begin(threshold: Duration) -> Result<()> {
    if threshold.is_zero() {
        THRESHOLD.store(u64::MAX, Ordering::Relaxed);
        return Ok(());
    }
    let (queue, waiting) = sync_channel(MOST_WAITING);
    if QUEUE.set(queue).is_ok() {
        let thread = std::thread::Builder::new().name("slow-queries".to_owned());
        thread
            .spawn(move || run(&waiting))
            .context("the thread that explains slow queries cannot be started")?;
    }
    THRESHOLD.store(u64::try_from(threshold.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    Ok(())
}

/// Longer than this is long.
pub fn threshold() -> Duration {
    Duration::from_nanos(THRESHOLD.load(Ordering::Relaxed))
}

/// A statement of the request that this task is about took long.
pub fn found(stats: &Arc<Stats>, sql: &str, took: Duration) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    let (request, request_id, trace_id) = context::with(|context| {
        let trace = context.trace.as_ref().map(context::trace_id);
        (Some(context.title()), Some(context.id().to_owned()), trace)
    })
    .unwrap_or_default();
    let sql = bare(sql);
    let sql = sql.get(..sql.floor_char_boundary(LONGEST)).unwrap_or_default().to_owned();
    let (at, database, plan) = (Timestamp::now(), stats.database.clone(), Vec::new());
    let duration_ms = took.as_secs_f64() * 1_000.0;
    let slow = Slow { at, database, sql, duration_ms, request, request_id, trace_id, plan };
    let is_taken = QUEUE.get().is_some_and(|queue| queue.try_send((Arc::clone(stats), slow)).is_ok());
    if !is_taken {
        UNTOLD.fetch_add(1, Ordering::Relaxed);
    }
}

/// What `/_debug/slow-queries` tells. The JSON form is stable.
#[derive(Debug, Serialize)]
pub struct Page {
    /// Longer than this is slow, in milliseconds; none: nothing is.
    threshold_ms: Option<f64>,
    /// How many there have been since the start.
    count: u64,
    /// The newest, the last one first.
    slow_queries: Vec<Slow>,
    /// What to do next, in sentences.
    next: Vec<String>,
}

/// The newest, and what to do about them.
pub fn page() -> Page {
    let is_on = THRESHOLD.load(Ordering::Relaxed) != u64::MAX;
    let (threshold_ms, slow_queries) = (is_on.then(|| threshold().as_secs_f64() * 1_000.0), RECENT.all());
    let next = next(is_on, &slow_queries);
    Page { threshold_ms, count: count(), slow_queries, next }
}

/// What to do next.
fn next(is_on: bool, slow: &[Slow]) -> Vec<String> {
    let mut next = Vec::new();
    if !is_on {
        next.push(
            "Nothing is measured: set log.slow_query = \"100ms\", and start the server again.".to_owned(),
        );
    } else if slow.is_empty() {
        next.push("Nothing was slow. For what is not slow enough, set log.slow_query to less.".to_owned());
    }
    let reads_all = |slow: &&Slow| slow.plan.iter().any(|line| line.trim_start().starts_with("SCAN "));
    let (scans, sorts) = (
        slow.iter().filter(reads_all).count(),
        slow.iter().filter(|slow| slow.plan.iter().any(|line| line.contains("USE TEMP B-TREE"))).count(),
    );
    if scans > 0 {
        next.push(format!("{scans} of them read a table from end to end (SCAN): POST their `request`, with its query string, to /_debug/explain, which advises an index."));
    }
    if sorts > 0 {
        next.push(format!("{sorts} of them sort what an index could give in order (USE TEMP B-TREE): /_debug/explain advises one, too."));
    }
    if scans + sorts == 0 && !slow.is_empty() {
        next.push("They use indexes: ask for fewer rows or columns at once, or look at /_debug/pools for who waits.".to_owned());
    }
    next
}

/// How many there have been.
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// The thread's work.
fn run(waiting: &Receiver<(Arc<Stats>, Slow)>) {
    let mut told: VecDeque<Instant> = VecDeque::new();
    while let Ok((stats, mut slow)) = waiting.recv() {
        while told.front().is_some_and(|told| told.elapsed() > Duration::from_secs(1)) {
            told.pop_front();
        }
        if told.len() >= MOST_A_SECOND {
            UNTOLD.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        told.push_back(Instant::now());
        slow.plan = plan(&stats, &slow.sql).unwrap_or_default();
        RECENT.put(slow.clone());
        tell(&slow);
    }
}

/// How SQLite goes about a statement. None where it cannot be asked now, or the statement was too long to be kept whole.
fn plan(stats: &Stats, sql: &str) -> Option<Vec<String>> {
    let mut connection = stats.opener()?.open_to_look().ok()?;
    let mut steps: Vec<(i64, usize)> = Vec::new();
    let mut plan = Vec::new();
    let params = connection.sql().prepare(sql).ok()?.parameter_count();
    let params = vec![sqlitrest_runtime::value::Value::Null; params];
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    // https://www.sqlite.org/eqp.html: id, parent, not used, detail.
    let told = connection.rows(&explain, &params, &mut |row| {
        if let [ValueRef::Integer(id), ValueRef::Integer(parent), _, ValueRef::Text(detail)] = row {
            let above = steps.iter().find(|(step, _)| step == parent);
            let depth = above.map_or(0, |(_, depth)| depth + 1);
            steps.push((*id, depth));
            plan.push(format!("{}{}", "  ".repeat(depth), String::from_utf8_lossy(detail)));
        }
    });
    told.is_ok().then_some(plan)
}

fn tell(slow: &Slow) {
    let untold = UNTOLD.swap(0, Ordering::Relaxed);
    if untold > 0 {
        logging::warn(format_args!(
            "{untold} slow queries have no line, because there were too many at once"
        ));
    }
    tracing::warn!(
        target: "sqlitrest::slow_query",
        request = slow.request.as_deref(),
        database = slow.database,
        duration_ms = slow.duration_ms,
        sql = slow.sql,
        plan = slow.plan.join("\n"),
        request_id = slow.request_id.as_deref(),
        trace_id = slow.trace_id.as_deref(),
        "slow query",
    );
}
