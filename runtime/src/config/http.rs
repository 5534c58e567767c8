//! `[server]` and `[middleware]`: how requests are taken, and what HTTP needs beside the API.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::list::texts;
use super::{FileMode, Size, Span};

/// `[server]`: where and how requests are taken. The guest uses `max_body` alone; the native host checks what is its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Path of a Unix socket to listen on in place of `host` and `port`; empty for none.
    pub unix_socket: String,
    /// The mode of that socket's file: who may connect.
    pub unix_socket_mode: FileMode,
    /// How long a shutdown waits for requests in flight.
    pub shutdown_timeout: Span,
    /// The largest request body; beyond it 413.
    pub max_body: Size,
    /// The largest head of a request (its line and its fields), in bytes; beyond it 431.
    pub max_header_size: Size,
    /// The most header fields of a request; beyond it 431.
    pub max_headers: u64,
    /// The most connections at a time; beyond it 503.
    pub max_connections: u64,
    /// How long a client may take for a TLS handshake, for the head of a request, and between two requests.
    pub header_timeout: Span,
    /// What runs the core.
    pub engine: Engine,
    /// Whether the native host looks at the files of its configuration and reads them again when they change.
    pub watch: bool,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            host: "127.0.0.1".to_owned(),
            port: 3000,
            unix_socket: String::new(),
            unix_socket_mode: FileMode(0o660),
            shutdown_timeout: Span(Duration::from_secs(30)),
            max_body: Size(10 << 20),
            max_header_size: Size(128 << 10),
            max_headers: 100,
            max_connections: 10_000,
            header_timeout: Span(Duration::from_secs(30)),
            engine: Engine::Component,
            watch: true,
        }
    }
}

/// What runs the core: the WebAssembly component, or the same code compiled into the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The guest component in wasmtime.
    Component,
    /// The core as native code.
    Native,
}

/// `[middleware]`: what HTTP needs beside the API. The guest uses `cors_origins` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Middleware {
    /// The origins whose pages may call the API (CORS); `*` stands for all.
    #[serde(deserialize_with = "texts")]
    pub cors_origins: Vec<String>,
    /// Whether answers are compressed for clients that take it (`Accept-Encoding`).
    pub compression: bool,
    /// The smallest body that is compressed.
    pub compression_min_size: Size,
    /// Requests a second from one address; 0 = no cap.
    pub rate_limit_per_ip: u64,
    /// How many of these may come at once; 0 = as many as in a second.
    pub rate_limit_per_ip_burst: u64,
    /// Requests a second of one who has signed in; 0 = no cap.
    pub rate_limit_per_identity: u64,
    /// How many of these may come at once; 0 = as many as in a second.
    pub rate_limit_per_identity_burst: u64,
    /// Networks (`10.0.0.0/8`), addresses and `unix`, from which it is believed for whom a request is sent on (`X-Forwarded-For`,
    /// `Forwarded`).
    #[serde(deserialize_with = "texts")]
    pub trusted_proxies: Vec<String>,
    /// How long the statements of a request may take, on hosts of ours; then 504.
    pub request_timeout: Span,
}

impl Default for Middleware {
    fn default() -> Self {
        Middleware {
            cors_origins: vec!["*".to_owned()],
            compression: true,
            compression_min_size: Size(1 << 10),
            rate_limit_per_ip: 0,
            rate_limit_per_ip_burst: 0,
            rate_limit_per_identity: 0,
            rate_limit_per_identity_burst: 0,
            trusted_proxies: Vec::new(),
            request_timeout: Span(Duration::from_secs(30)),
        }
    }
}
