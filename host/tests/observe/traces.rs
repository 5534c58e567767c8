//! Traces: what a collector is sent, and that one which does not answer costs nothing.

use std::net::TcpListener;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::collector::{Batch, Collector, attribute, hex};
use crate::http::ask;
use crate::start;
use crate::support::{ENGINES, Scratch, get};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn of_kind(spans: &[Span], kind: SpanKind) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind() == kind).collect()
}

#[test]
fn a_request_is_a_span_in_the_trace_of_who_asks() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let collector = Collector::start();
        scratch.file("token", "Bearer t0psecret\n");
        let config = format!(
            "[telemetry]\nendpoint = \"{}\"\nservice_name = \"music\"\nheaders = {{ authorization = \"file:token\" }}\n",
            collector.endpoint
        );
        let server = start(engine, &scratch, &database, &config);
        let parent = format!("00-{TRACE}-{PARENT}-01");
        let fields = [("traceparent", parent.as_str()), ("tracestate", "a=1,b=2"), ("x-request-id", "r1")];
        assert_eq!(ask(&server.address, "GET", "/tracks?name=eq.hunter2", &fields, "").status, 200);
        server.stop();
        let batches = collector.batches();
        let spans: Vec<Span> = batches.iter().flat_map(Batch::spans).collect();
        let batch = batches.first().expect("a batch");
        assert!(batch.head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{}", batch.head);
        let head = batch.head.to_ascii_lowercase();
        assert!(head.contains("authorization: bearer t0psecret\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        let [resource] = &batch.request.resource_spans[..] else { panic!("one resource") };
        let about = &resource.resource.as_ref().expect("a resource").attributes;
        assert_eq!(attribute(about, "service.name").as_deref(), Some("music"));
        assert_eq!(attribute(about, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));

        let [server] = of_kind(&spans, SpanKind::Server)[..] else { panic!("one of the server: {spans:?}") };
        assert_eq!(
            (hex(&server.trace_id), hex(&server.parent_span_id)),
            (TRACE.to_owned(), PARENT.to_owned())
        );
        assert_eq!((server.name.as_str(), server.trace_state.as_str()), ("GET /tracks", "a=1,b=2"));
        let told = |name| attribute(&server.attributes, name);
        for (name, value) in [
            ("http.request.method", "GET"),
            ("http.route", "/tracks"),
            ("url.path", "/tracks"),
            ("http.response.status_code", "200"),
            ("url.scheme", "http"),
            ("network.protocol.version", "1.1"),
            ("http.request.header.x-request-id", "r1"),
        ] {
            assert_eq!(told(name).as_deref(), Some(value), "{name}");
        }
        assert!(server.end_time_unix_nano > server.start_time_unix_nano);

        let statements = of_kind(&spans, SpanKind::Client);
        let is_page = |span: &&&Span| {
            attribute(&span.attributes, "db.query.text").is_some_and(|sql| sql.contains("\"tracks\""))
        };
        let select = statements.iter().find(is_page).expect("a statement");
        assert_eq!(select.name, "SELECT main");
        assert_eq!(attribute(&select.attributes, "db.system.name").as_deref(), Some("sqlite"));
        assert_eq!(attribute(&select.attributes, "db.namespace").as_deref(), Some("main"));
        assert!(spans.iter().any(|span| span.name == "sign in"), "{spans:?}");
        for child in spans.iter().filter(|span| span.span_id != server.span_id) {
            assert_eq!((&child.trace_id, &child.parent_span_id), (&server.trace_id, &server.span_id));
            assert!(child.start_time_unix_nano >= server.start_time_unix_nano - 1_000_000, "{child:?}");
            assert!(child.end_time_unix_nano <= server.end_time_unix_nano, "{child:?}");
        }
        assert!(!format!("{spans:?}").contains("hunter2"));
    }
}

#[test]
fn what_writes_belongs_to_its_request() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let collector = Collector::start();
        let server = start(
            engine,
            &scratch,
            &database,
            &format!("[telemetry]\nendpoint = \"{}\"\n", collector.endpoint),
        );
        assert_eq!(ask(&server.address, "POST", "/tracks", &[], r#"{"name":"hunter2"}"#).status, 201);
        assert_eq!(ask(&server.address, "POST", "/tracks", &[], r#"{"nope":1}"#).status, 400);
        server.stop();
        let spans = collector.spans();
        let servers = of_kind(&spans, SpanKind::Server);
        assert_eq!(servers.len(), 2, "{spans:?}");
        let created = servers
            .iter()
            .find(|span| attribute(&span.attributes, "http.response.status_code").as_deref() == Some("201"));
        let created = created.expect("the first");
        assert!(created.parent_span_id.is_empty() && created.trace_id.len() == 16, "{created:?}");
        let insert = spans.iter().find(|span| span.name == "INSERT main").expect("a statement");
        assert_eq!((&insert.trace_id, &insert.parent_span_id), (&created.trace_id, &created.span_id));
        let waited = spans
            .iter()
            .any(|span| span.name == "wait for the turn to write" && span.parent_span_id == created.span_id);
        assert!(waited, "{spans:?}");
        assert!(!format!("{spans:?}").contains("hunter2"));
    }
}

#[test]
fn who_began_a_trace_decides_whether_it_is_recorded() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let collector = Collector::start();
    let config = format!("[telemetry]\nendpoint = \"{}\"\nsample_ratio = 0.0\n", collector.endpoint);
    let server = start("native", &scratch, &database, &config);
    let parent = |flags: &str| format!("00-{TRACE}-{PARENT}-{flags}");
    for (path, parent) in [
        ("/tracks", Some(parent("00"))),
        ("/tracks", None),
        ("/tracks", Some(parent("01").to_uppercase())),
        ("/albums", Some(parent("01"))),
    ] {
        let field = parent.as_deref().map(|parent| ("traceparent", parent));
        assert_eq!(ask(&server.address, "GET", path, field.as_slice(), "").status, 200);
    }
    server.stop();
    let spans = collector.spans();
    let servers = of_kind(&spans, SpanKind::Server);
    let [recorded] = servers[..] else { panic!("one: {spans:?}") };
    assert_eq!((recorded.name.as_str(), hex(&recorded.trace_id)), ("GET /albums", TRACE.to_owned()));
}

#[test]
fn a_path_that_a_client_makes_up_names_no_span() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let collector = Collector::start();
    let server = start(
        "native",
        &scratch,
        &database,
        &format!("[telemetry]\nendpoint = \"{}\"\n", collector.endpoint),
    );
    assert_eq!(get(&server.address, "/made-up").status, 404);
    assert_eq!(get(&server.address, "/made/up").status, 404);
    server.stop();
    let mut names: Vec<String> = collector.spans().into_iter().map(|span| span.name).collect();
    names.retain(|name| name.starts_with("GET"));
    assert_eq!(names, ["GET /{relation}", "GET"]);
}

#[test]
fn a_collector_that_hangs_holds_nothing_up() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    // It takes connections, and answers nothing.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    for engine in ENGINES {
        let config = format!("[telemetry]\nendpoint = \"http://{address}\"\ntimeout = \"1h\"\n");
        let server = start(engine, &scratch, &database, &config);
        let mut client = crate::support::Client::connect(&server.address);
        // More spans than can wait.
        for _ in 0..3_000 {
            assert!(client.request("GET", "/tracks?id=eq.1", ""));
            assert_eq!(client.reply(false).expect("a reply").status, 200);
        }
        drop(client);
        server.stop();
    }
}

#[test]
fn a_collector_that_is_gone_is_told_of_once() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let server =
        start("native", &scratch, &database, &format!("[telemetry]\nendpoint = \"http://{gone}\"\n"));
    for _ in 0..600 {
        assert_eq!(get(&server.address, "/tracks?id=eq.1").status, 200);
    }
    let log = server.stop().stderr;
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("spans are lost")).collect();
    let [line] = lines[..] else { panic!("not one line: {log}") };
    assert!(line.contains(&format!("the collector at http://{gone}")), "{line}");
}
