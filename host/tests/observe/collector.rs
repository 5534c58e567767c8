//! A collector that speaks OTLP over HTTP, and keeps what it is sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// It listens until it is dropped.
pub struct Collector {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    batches: Receiver<Batch>,
}

/// What came at once.
pub struct Batch {
    /// The head of the request.
    pub head: String,
    pub request: ExportTraceServiceRequest,
}

impl Batch {
    pub fn spans(&self) -> Vec<Span> {
        let scopes = self.request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

impl Collector {
    pub fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, batches) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.expect("a connection"));
                while let Some(batch) = take(&mut stream) {
                    // Before the answer: who has that knows that the batch is here.
                    if sender.send(batch).is_err() || answer(&mut stream).is_none() {
                        break;
                    }
                }
            }
        });
        Collector { endpoint, batches }
    }

    /// What has come. To be called after the end of the server, which has sent all.
    pub fn batches(&self) -> Vec<Batch> {
        self.batches.try_iter().collect()
    }

    /// All spans that have come. To be called after the end of the server, likewise.
    pub fn spans(&self) -> Vec<Span> {
        self.batches().iter().flat_map(Batch::spans).collect()
    }
}

fn take(stream: &mut BufReader<TcpStream>) -> Option<Batch> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().expect("a length"))
    });
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).ok()?;
    let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("protobuf");
    Some(Batch { head, request })
}

/// Says that all of it is taken.
fn answer(stream: &mut BufReader<TcpStream>) -> Option<()> {
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    let reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        answer.len()
    );
    stream.get_mut().write_all(&[reply.as_bytes(), &answer].concat()).ok()
}

/// An attribute as text.
pub fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.clone() {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => Some(text),
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => Some(number.to_string()),
        Some(AnyValue { value: Some(Value::ArrayValue(list)) }) => match list.values.as_slice() {
            [AnyValue { value: Some(Value::StringValue(text)) }] => Some(text.clone()),
            other => panic!("{name} is {other:?}"),
        },
        other => panic!("{name} is {other:?}"),
    }
}

/// The digits of an identifier.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
