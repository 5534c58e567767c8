//! What the server tells of itself: logs, metrics, traces and health. Nothing here is needed to answer a request, and nothing of it may
//! hold one up: what is not switched on costs the load of a number, and what is has room of its own, which may overflow and says so.
//!
//! It is one for a process, as its log is; what is counted of a database ([`stats`]) belongs to its connections and goes with them.

mod collector;
pub mod context;
pub mod counters;
pub mod errors;
pub mod gather;
pub mod health;
pub mod http;
pub mod line;
pub mod logging;
pub mod look;
pub mod names;
pub mod page;
pub mod pools;
pub mod process;
pub mod recent;
pub mod records;
pub mod request;
pub mod request_id;
pub mod slow;
pub mod stats;
pub mod telemetry;
pub mod trace_parent;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::sections::Sections;

/// Whether anything is counted, decided once and before there is anything to count.
static COUNTS: AtomicBool = AtomicBool::new(false);

/// Whether the API's listener tells of the health of the server.
static TELLS_HEALTH: AtomicBool = AtomicBool::new(true);

/// What was taken up.
static SECTIONS: Mutex<Option<Sections>> = Mutex::new(None);

/// When the server began.
static BEGUN: OnceLock<Instant> = OnceLock::new();

/// How long the end waits for a log that nobody reads, and for a collector that does not answer.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Held while the server runs; at its end what is still on its way is sent.
pub struct Observing;

/// Begins to observe, as the configuration says. Before databases are opened, which ask whether they are to count.
///
/// # Errors
/// One sentence on a section that cannot be had.
pub fn begin(sections: &Sections) -> Result<Observing> {
    BEGUN.get_or_init(Instant::now);
    if let Ok(mut known) = SECTIONS.lock() {
        *known = Some(sections.clone());
    }
    logging::begin(&sections.log);
    // From here on what goes wrong has a line, which is written before the end.
    let observing = Observing;
    COUNTS.store(sections.admin.counts(), Ordering::Relaxed);
    TELLS_HEALTH.store(sections.admin.health_on_api, Ordering::Relaxed);
    request::log_requests(sections.log.requests);
    slow::begin(sections.log.slow_query.0)?;
    let scheme = if sections.tls.is_some() { "https" } else { "http" };
    telemetry::begin(&sections.telemetry, scheme)?;
    Ok(observing)
}

/// Takes up what a configuration that was read again says otherwise. What can only be taken up at the next start is told.
pub fn change(sections: &Sections) -> Vec<String> {
    let Ok(mut known) = SECTIONS.lock() else { return Vec::new() };
    let Some(before) = known.as_ref() else { return Vec::new() };
    let changed = [
        ("log.format", before.log.format != sections.log.format),
        ("[admin]", before.admin != sections.admin),
        ("[telemetry]", before.telemetry != sections.telemetry),
    ];
    let changed = changed.into_iter().filter_map(|(key, is_changed)| is_changed.then_some(key));
    let mut told: Vec<String> =
        changed.map(|key| format!("{key} has changed, which is taken up at the next start")).collect();
    logging::change(&sections.log.level);
    request::log_requests(sections.log.requests);
    told.extend(slow::begin(sections.log.slow_query.0).err().map(|error| format!("{error:#}")));
    let mut taken = sections.clone();
    taken.log.format = before.log.format;
    (taken.admin, taken.telemetry) = (before.admin.clone(), before.telemetry.clone());
    *known = Some(taken);
    told
}

/// What is in effect of the sections that only this host reads; none before it was taken up.
pub fn sections() -> Option<Sections> {
    SECTIONS.lock().ok()?.clone()
}

/// Whether metrics are on.
pub fn counts() -> bool {
    COUNTS.load(Ordering::Relaxed)
}

/// Whether the API's listener tells of the health of the server.
pub fn tells_health() -> bool {
    TELLS_HEALTH.load(Ordering::Relaxed)
}

/// How long the server has been running.
pub fn uptime() -> Duration {
    BEGUN.get().map(Instant::elapsed).unwrap_or_default()
}

/// Hands over what is on its way: for an end that drops nothing.
pub fn flush() {
    telemetry::end(LAST_WAIT);
    logging::end(LAST_WAIT);
}

impl Drop for Observing {
    fn drop(&mut self) {
        flush();
    }
}
