//! What went wrong inside, of which clients are told nothing: a line of the log for each, and the newest of them in memory.

use std::fmt::Arguments;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::Serialize;

use super::context;
use super::logging;
use super::recent::Recent;

/// How many are kept.
const MOST: usize = 100;

/// The longest cause that is kept, in bytes.
const LONGEST: usize = 2_000;

/// An internal error.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// What was asked: method and path.
    pub request: Option<String>,
    /// The request's name, which its answer has as `X-Request-Id`.
    pub request_id: Option<String>,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// What went wrong, in the words of whoever noticed.
    pub cause: String,
}

static RECENT: Recent<Failure> = Recent::new(MOST);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Something went wrong for the request that this task is about, or beside all requests.
pub fn internal(cause: Arguments<'_>) {
    let (request, request_id, trace_id) = context::with(|context| {
        let trace = context.trace.as_ref().map(context::trace_id);
        (Some(context.title()), Some(context.id().to_owned()), trace)
    })
    .unwrap_or_default();
    let mut text = cause.to_string();
    match &request {
        Some(request) => logging::error(format_args!("{request}: {text}")),
        None => logging::error(cause),
    }
    text.truncate(text.floor_char_boundary(LONGEST));
    RECENT.put(Failure { at: Timestamp::now(), request, request_id, trace_id, cause: text });
    COUNT.fetch_add(1, Ordering::Relaxed);
}

/// What `/_debug/errors` tells. The JSON form is stable.
#[derive(Debug, Serialize)]
pub struct Page {
    /// How many there have been since the start.
    count: u64,
    /// The newest, the last one first.
    errors: Vec<Failure>,
    /// What to do next, in sentences.
    next: Vec<String>,
}

/// The newest, and what to do about them.
pub fn page() -> Page {
    let errors = RECENT.all();
    let next = match errors.iter().find_map(|own| own.request_id.as_deref()) {
        _ if errors.is_empty() => "Nothing went wrong inside. What clients were refused is in their answers.".to_owned(),
        Some(id) => format!("Look for the request in the log, by its name: \"{id}\". POST it to /_debug/explain to see its statements."),
        None => "They are of no request: read their causes; `sqlitrest check` tells of mistakes in the configuration.".to_owned(),
    };
    Page { count: count(), errors, next: vec![next] }
}

/// How many there have been.
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}
