//! One request from its head to the last byte of its answer: what it is called, and what is recorded of it where anything is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::Version;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;

use super::context::Context;
use super::http::{self, Key};
use super::names::{self, Names, RouteId};
use super::telemetry::{Answered, ServerSpan};
use super::{context, request_id, telemetry, trace_parent};
use crate::admin::Origin;

/// What lines about requests come from.
const TARGET: &str = "sqlitrest::request";

/// Whether there is a line for each request.
static LOGS_REQUESTS: AtomicBool = AtomicBool::new(false);

/// A request that is being answered.
pub struct Watch {
    /// What its work is done for.
    pub context: Arc<Context>,
    /// Since when; none where nothing is recorded.
    since: Option<Instant>,
    counts: bool,
    span: Option<ServerSpan>,
    version: Version,
}

/// A request whose answer has begun.
pub struct Ending {
    watch: Watch,
    names: Arc<Names>,
    route: RouteId,
    role: Option<String>,
    status: u16,
    received: u64,
}

/// From now on there is a line for each request, or none.
pub fn log_requests(yes: bool) {
    LOGS_REQUESTS.store(yes, Ordering::Relaxed);
}

impl Watch {
    /// A request has begun. Nothing is recorded of those of the administrator's listener.
    pub fn begin(head: &Parts, origin: Origin) -> Watch {
        let is_api = origin == Origin::Api;
        let asked = trace_parent::of(&head.headers);
        let span = (is_api && telemetry::is_on()).then(|| ServerSpan::begin(asked, &head.headers)).flatten();
        let context = Arc::new(Context {
            id: request_id::of(&head.headers),
            method: head.method.clone(),
            target: head.uri.path_and_query().cloned(),
            trace: span.as_ref().map(ServerSpan::trace).or(asked),
            parent: span.as_ref().and_then(ServerSpan::parent),
        });
        let counts = is_api && super::counts();
        if counts {
            http::begin();
        }
        let is_seen = counts || span.is_some() || (is_api && LOGS_REQUESTS.load(Ordering::Relaxed));
        Watch { context, since: is_seen.then(Instant::now), counts, span, version: head.version }
    }

    /// Its name, for the engine and for the answer.
    pub fn id(&self) -> &HeaderValue {
        &self.context.id
    }

    /// The head of its answer is there; `page` is its path where that is one of the server itself. None where nothing is recorded.
    pub fn answered(
        self,
        status: u16,
        page: Option<&'static str>,
        role: Option<&str>,
        received: u64,
    ) -> Option<Ending> {
        self.since?;
        let (names, role) = (names::now(), role.map(str::to_owned));
        let path = self.context.target.as_ref().map_or("", |target| target.path());
        let route = page.map_or_else(|| names.route(path), names::page);
        Some(Ending { watch: self, names, route, role, status, received })
    }
}

impl Drop for Watch {
    /// Without an end: whoever asked has left.
    fn drop(&mut self) {
        if self.counts {
            http::abandon();
        }
    }
}

impl Ending {
    /// So many bytes of its answer are on their way, and there are no more.
    pub fn end(mut self, sent: u64) {
        let took = self.watch.since.map(|since| since.elapsed()).unwrap_or_default();
        let context = &self.watch.context;
        let route = self.route;
        if std::mem::take(&mut self.watch.counts) {
            let role = self.names.role(self.role.as_deref());
            let key = Key { route, role, status: self.status, method: http::method(context.method.as_str()) };
            http::end(key, took, self.received, sent);
        }
        if LOGS_REQUESTS.load(Ordering::Relaxed) {
            self.tell(took, sent);
        }
        if let Some(span) = self.watch.span.take() {
            let route = (route != names::OTHER_ROUTE).then(|| names::route(route));
            span.end(&Answered {
                method: context.method.as_str(),
                route: route.as_deref(),
                path: context.path(),
                version: version(self.watch.version),
                status: self.status,
                request_id: context.id(),
                role: self.role.as_deref(),
                sent,
            });
        }
    }

    /// A line of the log. What is asked of the path stands in another, for those who look for a fault.
    fn tell(&self, took: Duration, sent: u64) {
        let context = &self.watch.context;
        context::within(&Some(Arc::clone(context)), || {
            tracing::info!(
                target: TARGET,
                method = context.method.as_str(),
                path = context.path(),
                status = self.status,
                duration_ms = took.as_secs_f64() * 1_000.0,
                bytes = sent,
                role = self.role.as_deref(),
                "request",
            );
            tracing::debug!(target: TARGET, query = context.query(), "request with query");
        });
    }
}

/// As OpenTelemetry writes it.
fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
