//! `[server]` and `[middleware]`: how requests are taken, and what HTTP needs beside the API.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::list::texts;
use super::{Size, Span};

/// `[server]`: where and how requests are taken. The guest uses `max_body` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// How long a shutdown waits for requests in flight.
    pub shutdown_timeout: Span,
    /// The largest request body; beyond it 413.
    pub max_body: Size,
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
            shutdown_timeout: Span(Duration::from_secs(30)),
            max_body: Size(10 << 20),
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

/// `[middleware]`: what HTTP needs beside the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Middleware {
    /// The origins whose pages may call the API (CORS); `*` stands for all.
    #[serde(deserialize_with = "texts")]
    pub cors_origins: Vec<String>,
    /// Requests a second from one address; 0 = no cap. Not built yet: see [`Config::unenforced`].
    pub rate_limit_per_ip: u64,
    /// How long the statements of a request may take, on hosts of ours; then 504.
    pub request_timeout: Span,
}

impl Default for Middleware {
    fn default() -> Self {
        Middleware {
            cors_origins: vec!["*".to_owned()],
            rate_limit_per_ip: 0,
            request_timeout: Span(Duration::from_secs(30)),
        }
    }
}
