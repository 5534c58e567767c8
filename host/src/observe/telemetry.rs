//! Traces by OpenTelemetry: a span for each request and for its stages, in the trace of whoever asks, sent to a collector by OTLP over HTTP.
//!
//! Spans wait in a queue for a thread that sends them. A collector that is slow or gone costs spans, and requests nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow, bail};
use hyper::header::HeaderMap;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};
use serde::{Deserialize, Serialize};
use sqlitrest_runtime::config::{self, Secret, reference, without_userinfo};

use super::collector::Collector;
use super::context;
use super::stats::{OPERATIONS, operation};
use super::trace_parent::TraceParent;
use crate::settings;

/// Where collectors take traces (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>).
const PATH: &str = "/v1/traces";

/// The longest text of a statement in a span, in bytes.
const LONGEST: usize = 4 << 10;

/// `[telemetry]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Where the collector is, such as `http://127.0.0.1:4318`; without a path it is `/v1/traces` there. None: no traces.
    pub endpoint: Option<String>,
    /// The name of this service in traces.
    pub service_name: String,
    /// Which part of the traces that begin here is recorded, from 0 to 1. Of others whoever began them decides.
    pub sample_ratio: f64,
    /// Header fields for the collector; values may be `env:NAME` or `file:PATH`.
    pub headers: BTreeMap<String, Secret>,
    /// How long the collector may take for an answer.
    pub timeout: config::Span,
}

impl Default for Telemetry {
    fn default() -> Self {
        Telemetry {
            endpoint: None,
            service_name: "sqlitrest".to_owned(),
            sample_ratio: 1.0,
            headers: BTreeMap::new(),
            timeout: config::Span(Duration::from_secs(10)),
        }
    }
}

impl Telemetry {
    /// What is wrong with it, in sentences with the key. The values of header fields, which may be elsewhere, are not read.
    pub fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(endpoint) = &self.endpoint {
            found.extend(address(endpoint).err().map(|error| error.to_string()));
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            found.push(format!("telemetry.sample_ratio = {} is not between 0 and 1", self.sample_ratio));
        }
        let is_field = |name: &str| hyper::header::HeaderName::from_bytes(name.as_bytes()).is_ok();
        let others = self.headers.keys().filter(|name| !is_field(name));
        found.extend(others.map(|name| format!("telemetry.headers.{name} is no header field")));
        found
    }

    /// What is wrong with the values of its header fields: what is referred to is read.
    ///
    /// # Errors
    /// One sentence with the key.
    pub fn check_headers(&self) -> Result<()> {
        headers(&self.headers).map(drop)
    }
}

/// What spans are made with.
struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// `http` or `https`
    scheme: &'static str,
}

static TRACES: OnceLock<Traces> = OnceLock::new();
static IS_ON: AtomicBool = AtomicBool::new(false);

/// What a span of a stage is a child of.
#[derive(Clone, Debug)]
pub struct Parent(SpanContext);

/// The span of a request.
pub struct ServerSpan(Span);

/// What is told of a request when it is answered.
pub struct Answered<'a> {
    /// The method.
    pub method: &'a str,
    /// Its route, if it is one that we know.
    pub route: Option<&'a str>,
    /// The path, without what is asked of it.
    pub path: &'a str,
    /// The version of HTTP.
    pub version: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// The name of the request.
    pub request_id: &'a str,
    /// The role of who asks.
    pub role: Option<&'a str>,
    /// How many bytes were sent.
    pub sent: u64,
}

/// Begins to make traces, where there is a collector. `scheme` is that of the API's addresses.
///
/// # Errors
/// One sentence with the key of the configuration.
pub fn begin(telemetry: &Telemetry, scheme: &'static str) -> Result<()> {
    let Some(endpoint) = &telemetry.endpoint else { return Ok(()) };
    if let Some(mistake) = telemetry.mistakes().into_iter().next() {
        bail!(mistake);
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(endpoint, telemetry.timeout.0))
        .with_headers(headers(&telemetry.headers)?)
        .with_endpoint(address(endpoint)?)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(telemetry.timeout.0)
        .build()
        .map_err(|error| anyhow!("telemetry.endpoint = \"{}\": {error}", without_userinfo(endpoint)))?;
    let resource = Resource::builder()
        .with_service_name(telemetry.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(telemetry.sample_ratio)));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(resource)
        .build();
    let scope = InstrumentationScope::builder("sqlitrest").with_version(env!("CARGO_PKG_VERSION")).build();
    let tracer = provider.tracer_with_scope(scope);
    if TRACES.set(Traces { provider, tracer, scheme }).is_ok() {
        IS_ON.store(true, Ordering::Release);
    }
    Ok(())
}

/// Sends what is waiting, for at most `wait`.
pub fn end(wait: Duration) {
    if IS_ON.swap(false, Ordering::AcqRel)
        && let Some(traces) = TRACES.get()
    {
        // What does not arrive was lost on the way, which the collector's line in the log says.
        let _ = traces.provider.shutdown_with_timeout(wait);
    }
}

/// Whether there are traces.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// The whole address: whoever names the collector alone means the place where it takes traces.
fn address(endpoint: &str) -> Result<String> {
    let wrong = || {
        let shown = without_userinfo(endpoint);
        anyhow!("telemetry.endpoint = \"{shown}\" is no address: write \"http://127.0.0.1:4318\"")
    };
    let uri: hyper::Uri = endpoint.parse().map_err(|_| wrong())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    Ok(match uri.path() {
        "" | "/" => format!("{}{PATH}", endpoint.trim_end_matches('/')),
        _ => endpoint.to_owned(),
    })
}

fn headers(configured: &BTreeMap<String, Secret>) -> Result<HashMap<String, String>> {
    let mut headers = HashMap::new();
    for (name, Secret(value)) in configured {
        let key = || format!("telemetry.headers.{name}");
        let value = match reference(value) {
            Some(reference) => settings::refer(reference).map_err(|error| anyhow!("{}: {error}", key()))?,
            None => value.clone(),
        };
        let value = value.trim().to_owned();
        // The library would leave it out. What it is is nobody's business.
        if hyper::header::HeaderValue::from_str(&value).is_err() {
            bail!("{}: its value cannot stand in a header field", key());
        }
        headers.insert(name.clone(), value);
    }
    Ok(headers)
}

impl Parent {
    /// Its trace.
    fn trace(&self) -> TraceParent {
        TraceParent {
            trace_id: u128::from_be_bytes(self.0.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(self.0.span_id().to_bytes()),
            is_sampled: self.0.is_sampled(),
        }
    }

    fn context(&self) -> Context {
        Context::new().with_remote_span_context(self.0.clone())
    }
}

impl ServerSpan {
    /// Begins the span of a request, in the trace of whoever asks; none where there are no traces.
    pub fn begin(asked: Option<TraceParent>, headers: &HeaderMap) -> Option<ServerSpan> {
        let traces = TRACES.get().filter(|_| is_on())?;
        let parent = match asked {
            Some(asked) => {
                let state = headers.get("tracestate").and_then(|state| state.to_str().ok());
                let state = state.and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
                let flags = TraceFlags::default().with_sampled(asked.is_sampled);
                let (trace, span) = (TraceId::from(asked.trace_id), SpanId::from(asked.span_id));
                Parent(SpanContext::new(trace, span, flags, true, state)).context()
            }
            None => Context::new(),
        };
        // Its name comes when its route is known.
        let span = traces.tracer.span_builder("request").with_kind(SpanKind::Server);
        Some(ServerSpan(span.start_with_context(&traces.tracer, &parent)))
    }

    /// Its place in its trace.
    pub fn trace(&self) -> TraceParent {
        Parent(self.0.span_context().clone()).trace()
    }

    /// What spans of its stages are children of; none where it is not recorded.
    pub fn parent(&self) -> Option<Parent> {
        self.0.is_recording().then(|| Parent(self.0.span_context().clone()))
    }

    /// Ends it, with what is to be told (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>). What is asked of a path is not:
    /// it holds the values of filters.
    pub fn end(mut self, about: &Answered<'_>) {
        if !self.0.is_recording() {
            return;
        }
        let name = match about.route {
            Some(route) => format!("{} {route}", about.method),
            None => about.method.to_owned(),
        };
        self.0.update_name(name);
        let text = |name: &'static str, value: &str| KeyValue::new(name, value.to_owned());
        self.0.set_attributes([
            text("http.request.method", about.method),
            text("url.path", about.path),
            KeyValue::new("url.scheme", TRACES.get().map_or("http", |traces| traces.scheme)),
            text("network.protocol.version", about.version),
            KeyValue::new("http.response.status_code", i64::from(about.status)),
            KeyValue::new("http.response.body.size", i64::try_from(about.sent).unwrap_or(i64::MAX)),
            list("http.request.header.x-request-id", about.request_id),
        ]);
        self.0.set_attributes(about.route.map(|route| text("http.route", route)));
        self.0.set_attributes(about.role.map(|role| list("user.roles", role)));
        if about.status >= 500 {
            self.0.set_attribute(text("error.type", &about.status.to_string()));
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

/// An attribute that is a list, of one text.
fn list(name: &'static str, value: &str) -> KeyValue {
    KeyValue::new(name, Value::Array(Array::String(vec![StringValue::from(value.to_owned())])))
}

/// A stage of the request that this task is about has ended.
pub fn stage(name: &'static str, took: Duration) {
    if is_on() {
        child(SpanKind::Internal, took, || (name.to_owned(), Vec::new()));
    }
}

/// A statement of the request that this task is about has ended (<https://opentelemetry.io/docs/specs/semconv/database/>). Its values are
/// parameters, which are not told.
pub fn statement(database: &str, sql: &str, took: Duration) {
    child(SpanKind::Client, took, || {
        let operation = OPERATIONS.get(operation(sql)).copied().unwrap_or_default();
        let sql = sql.get(..sql.floor_char_boundary(LONGEST)).unwrap_or_default();
        let attributes = vec![
            KeyValue::new("db.system.name", "sqlite"),
            KeyValue::new("db.namespace", database.to_owned()),
            KeyValue::new("db.operation.name", operation),
            KeyValue::new("db.query.text", sql.to_owned()),
        ];
        (format!("{operation} {database}"), attributes)
    });
}

fn child(kind: SpanKind, took: Duration, about: impl FnOnce() -> (String, Vec<KeyValue>)) {
    let parent = context::with(|context| context.parent.clone()).flatten();
    let (Some(parent), Some(traces)) = (parent, TRACES.get()) else { return };
    let (name, attributes) = about();
    let now = SystemTime::now();
    let span = traces.tracer.span_builder(name).with_kind(kind).with_start_time(now - took);
    let mut span = span.with_attributes(attributes).start_with_context(&traces.tracer, &parent.context());
    span.end_with_timestamp(now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let good = |text| address(text).expect(text);
        assert_eq!(good("http://127.0.0.1:4318"), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(good("https://otel.example/"), "https://otel.example/v1/traces");
        assert_eq!(good("http://[::1]:4318/v1/traces"), "http://[::1]:4318/v1/traces");
        for bad in ["", "127.0.0.1:4318", "ftp://x", "http://", "http:///v1"] {
            let error = address(bad).expect_err(bad).to_string();
            assert!(error.contains("is no address: write"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_meant() {
        let of = |text: &str| toml::from_str::<Telemetry>(text).expect(text).mistakes();
        for (text, told) in [
            ("endpoint = \"banana\"", "telemetry.endpoint = \"banana\" is no address"),
            ("endpoint = \"\"", "telemetry.endpoint = \"\" is no address"),
            ("endpoint = \"ftp://u:S3CR3T@x\"", "telemetry.endpoint = \"ftp://***@x\" is no address"),
            ("sample_ratio = -5", "telemetry.sample_ratio = -5 is not between 0 and 1"),
            ("headers = { \"a b\" = \"x\" }", "telemetry.headers.a b is no header field"),
        ] {
            let mistakes = of(text);
            assert!(mistakes.len() == 1 && mistakes[0].starts_with(told), "{mistakes:?}");
        }
        assert_eq!(
            of("endpoint = \"http://127.0.0.1:4318\"\nheaders = { a = \"env:NOPE\" }"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_secret_that_cannot_be_sent_is_not_told() {
        let of = |value: &str| headers(&[("authorization".to_owned(), Secret(value.to_owned()))].into());
        assert_eq!(of("Bearer x\n").expect("a field")["authorization"], "Bearer x");
        let error = of("hunter\u{1}2").expect_err("none").to_string();
        assert!(error.contains("telemetry.headers.authorization") && !error.contains("hunter"), "{error}");
        let error = of("env:SQLITREST_TEST_NONE").expect_err("none").to_string();
        assert!(error.contains("no variable SQLITREST_TEST_NONE"), "{error}");
    }
}
