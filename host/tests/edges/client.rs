//! A client of either HTTP, over whatever carries it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::LIMIT;

/// The HTTP that is spoken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Version {
    Http1,
    Http2,
}

pub const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

type Body = BoxBody<Bytes, Infallible>;

/// One connection.
pub struct Connection {
    sender: Sender,
    /// Ends when the connection does.
    pub task: JoinHandle<Result<(), hyper::Error>>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// The body without its coding.
    pub fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        let coded = self.body.as_slice();
        let read = match self.header("content-encoding") {
            None => return self.body.clone(),
            Some("gzip") => flate2::read::GzDecoder::new(coded).read_to_end(&mut plain).map(drop),
            Some("br") => brotli::Decompressor::new(coded, 4096).read_to_end(&mut plain).map(drop),
            Some("zstd") => zstd::stream::copy_decode(coded, &mut plain),
            Some(other) => panic!("{other}"),
        };
        // Of one that breaks off, what there is.
        assert!(read.is_ok() || !self.whole, "{read:?}");
        plain
    }
}

impl Connection {
    /// In the clear.
    pub async fn open(address: &str, version: Version) -> Connection {
        Connection::over(TcpStream::connect(address).await.expect("a connection"), version).await
    }

    /// Over something that is connected.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        version: Version,
    ) -> Connection {
        Connection::try_over(stream, version).await.expect("a handshake")
    }

    /// [`Connection::over`] of a server that may be ending.
    pub async fn try_over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        version: Version,
    ) -> Result<Connection, hyper::Error> {
        let io = TokioIo::new(stream);
        Ok(match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                Connection { sender: Sender::Http1(sender), task: tokio::spawn(connection) }
            }
            Version::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                Connection { sender: Sender::Http2(sender), task: tokio::spawn(connection) }
            }
        })
    }

    /// Sends a request, as soon as the connection takes it.
    pub async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<hyper::Response<hyper::body::Incoming>, hyper::Error> {
        let answer = async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => {
                    poll_fn(|cx| sender.poll_ready(cx)).await?;
                    sender.send_request(request).await
                }
            }
        };
        timeout(LIMIT, answer).await.expect("an answer")
    }

    /// A request and the whole of its answer.
    pub async fn ask(&mut self, request: Request<Body>) -> Got {
        collect(self.send(request).await.expect("an answer")).await
    }

    pub async fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Got {
        self.ask(request("GET", target, headers, "")).await
    }

    /// The status of the answer to a GET; none where the server ends the connection instead.
    pub async fn status(&mut self, target: &str) -> Option<u16> {
        let answer = self.send(request("GET", target, &[], "")).await.ok()?;
        Some(collect(answer).await.status)
    }

    /// Another of HTTP/2, for a request beside others.
    pub fn another(&self) -> Option<http2::SendRequest<Body>> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(sender.clone()),
        }
    }

    /// Waits until the server closes.
    pub async fn closed(self) {
        let _ = timeout(LIMIT, self.task).await.expect("an end");
    }
}

/// The whole of an answer.
pub async fn collect(response: hyper::Response<hyper::body::Incoming>) -> Got {
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut whole) = (Vec::new(), true);
    while let Some(frame) = timeout(LIMIT, body.frame()).await.expect("more of the answer") {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    Got { status: StatusCode::as_u16(&head.status), headers: head.headers, body: bytes, whole }
}

/// A request of JSON.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://api.example{target}"))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "api.example");
    }
    request.body(Full::new(Bytes::from(body.to_owned())).boxed()).expect("a request")
}

/// A request whose body comes as it is sent to the channel.
pub fn request_of(
    method: &str,
    target: &str,
    body: impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static,
) -> Request<Body> {
    request(method, target, &[], "").map(|_| body.boxed())
}

/// What trusts one certificate, offers these protocols, and speaks these versions of TLS.
pub fn trusting(
    certificate: &CertificateDer<'static>,
    protocols: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// Shakes hands with `localhost` at this address.
pub async fn shake_hands(connector: &TlsConnector, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    timeout(LIMIT, connector.connect(name, stream)).await.expect("a handshake")
}
