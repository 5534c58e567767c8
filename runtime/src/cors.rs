//! Cross-origin requests (<https://fetch.spec.whatwg.org/#http-cors-protocol>), and OPTIONS where no database is needed.

use std::borrow::Cow;

use crate::config::{Config, OpenApi};
use crate::http::{Request, Response};
use crate::query_params::decode_path;

/// What a page of another origin may read of an answer.
const EXPOSED: &str = "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, \
                       Transfer-Encoding, Range-Unit, ETag, Link, Preference-Applied, Content-Profile";

/// Whether a browser asks what a page may send.
pub(crate) fn is_preflight(request: &Request<'_>) -> bool {
    let has = |name| request.header(name).is_some();
    request.method == "OPTIONS" && has("origin") && has("access-control-request-method")
}

/// The whole answer to a preflight, whatever it is for: what follows it is answered in its own time.
pub(crate) fn preflight(request: &Request<'_>) -> Option<Response> {
    if !is_preflight(request) {
        return None;
    }
    let mut response = Response { status: 200, ..Response::default() };
    let mut push = |name: &'static str, value: String| response.headers.push((Cow::Borrowed(name), value));
    let methods = "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD";
    let asks_query = request.header("access-control-request-method") == Some("QUERY");
    push("access-control-allow-methods", format!("{methods}{}", if asks_query { ", QUERY" } else { "" }));
    let asked = request.header("access-control-request-headers").unwrap_or_default();
    let asked = asked.split(',').map(str::trim).filter(|name| !name.is_empty());
    let headers: Vec<&str> = std::iter::once("Authorization")
        .chain(asked)
        .chain(["Accept", "Accept-Language", "Content-Language"])
        .collect();
    push("access-control-allow-headers", headers.join(", "));
    push("access-control-max-age", "86400".to_owned());
    Some(response)
}

/// The whole answer to another OPTIONS that needs no database: the root, a function.
pub(crate) fn options(config: &Config, request: &Request<'_>) -> Option<Response> {
    if request.method != "OPTIONS" {
        return None;
    }
    let path = request.target.split('?').next().unwrap_or_default();
    let allow = match path.strip_prefix("/rpc/").map(decode_path) {
        Some(Ok(name)) => {
            let mut named = config.udf.iter().filter(|udf| udf.expose && udf.name == name).peekable();
            named.peek()?;
            if named.any(|udf| udf.readonly) { "OPTIONS,GET,HEAD,POST" } else { "OPTIONS,POST" }
        }
        None if matches!(path, "" | "/") && has_root(config) => "OPTIONS,GET,HEAD",
        None if path == crate::batch::PATH => "OPTIONS,POST",
        _ => return None,
    };
    let headers = vec![("allow".into(), allow.to_owned())];
    Some(Response { status: 200, headers, ..Response::default() })
}

/// Whether anything answers at the root.
fn has_root(config: &Config) -> bool {
    !config.api.root.is_empty() || config.api.openapi != OpenApi::Disabled
}

/// What of a request says whether a page of another origin asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// The `Origin` header.
    pub origin: Option<String>,
    /// Whether the method is OPTIONS.
    pub by_options: bool,
}

impl Asked {
    /// Reads a request.
    pub(crate) fn of(request: &Request<'_>) -> Asked {
        Asked { origin: request.header("origin").map(str::to_owned), by_options: request.method == "OPTIONS" }
    }
}

/// Lets pages of the configured origins read an answer. Without `Origin` there is no such page to ask; OPTIONS is answered
/// all the same.
pub(crate) fn allow_origin(config: &Config, asked: &Asked, response: &mut Response) {
    let origin = asked.origin.as_deref();
    if origin.is_none() && !asked.by_options {
        return;
    }
    let origins = &config.middleware.cors_origins;
    let allowed = if origins.iter().any(|known| known == "*") {
        "*"
    } else {
        match origin.filter(|origin| origins.iter().any(|known| known == origin)) {
            Some(origin) => origin,
            None => return,
        }
    };
    response.headers.push(("access-control-allow-origin".into(), allowed.to_owned()));
    response.headers.push(("access-control-expose-headers".into(), EXPOSED.to_owned()));
    if allowed != "*" {
        response.headers.push(("access-control-allow-credentials".into(), "true".to_owned()));
    }
}
