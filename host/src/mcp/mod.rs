//! The Model Context Protocol: tools and resources by which a language model reads the schema, reads rows and, where it is allowed, writes
//! them. By HTTP at `/_mcp`, and by standard input and output with `sqlitrest mcp`.
//!
//! A tool is no other way to the data: each call becomes a request of the API, and is answered as one, so that policies, limits and the
//! audit log hold for it. What messages look like, and which versions of the protocol there are, the crate `rmcp` knows.

mod arguments;
mod caller;
mod fit;
mod handler;
mod hints;
mod http;
mod instructions;
mod pages;
mod resources;
mod rows;
mod settings;
pub mod stdio;
mod target;
mod told;
mod tools;
mod writes;

use std::sync::Arc;

use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http::Request;

pub use caller::Caller;
pub use http::answer;
pub use settings::Settings;

use crate::front::Front;
use crate::observe::names;

/// Where it is, beside the API.
pub const PATH: &str = "/_mcp";

/// Whether it stands in front of a relation of the same name.
pub fn hides_relation(front: &Front) -> bool {
    let name = PATH.trim_start_matches('/');
    front.mcp.load().enabled && names::now().has_at_root(name)
}

/// Whether every request writes, because the function does that is run before each.
fn always_writes(config: &Config) -> bool {
    let name = config.api.pre_request.as_str();
    !name.is_empty() && config.udf.iter().any(|udf| udf.name == name && !udf.readonly)
}

/// The settings, if a request is one of an agent. What a browser asks beforehand the API answers for all paths.
pub fn wanted(front: &Front, request: &Request<'_>) -> Option<Arc<Settings>> {
    let rest = request.target.strip_prefix(PATH)?;
    let is_asked = |name| request.header(name).is_some();
    let is_preflight =
        request.method == "OPTIONS" && is_asked("origin") && is_asked("access-control-request-method");
    let is_meant = (rest.is_empty() || rest.starts_with('?')) && !is_preflight;
    is_meant.then(|| front.mcp.load_full()).filter(|settings| settings.enabled)
}
