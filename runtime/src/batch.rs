//! `POST /_batch`: several requests in one transaction, all of them or none. Beyond PostgREST.
//!
//! ```json
//! [{"method": "POST", "path": "/orders?select=id", "headers": {"Prefer": "return=representation"}, "body": {"customer_id": 1}},
//!  {"method": "DELETE", "path": "/carts?id=eq.7"}]
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api_request::{Action, ApiRequest};
use crate::config::Config;
use crate::error::Error;
use crate::http::{Request, Response};

/// The path.
pub const PATH: &str = "/_batch";

/// How many operations one request may have.
const MAX_OPERATIONS: usize = 1_000;

/// One request of several, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

/// Reads the requests.
///
/// # Errors
/// PGRST102 for a body that is no list of requests; for a request that cannot be understood, what it would get by itself.
pub(crate) fn operations(config: &Config, request: &Request<'_>) -> Result<Vec<ApiRequest>, Error> {
    if request.method != "POST" {
        return Err(Error::Method(request.method.to_owned()));
    }
    let wrong = |error: serde_json::Error| {
        Error::Body(format!(
            "A batch is an array of {{\"method\", \"path\", \"headers\", \"body\"}}: {error}"
        ))
    };
    let operations: Vec<Operation<'_>> = serde_json::from_slice(request.body).map_err(wrong)?;
    if operations.len() > MAX_OPERATIONS {
        return Err(Error::TooComplex(format!("a batch may have {MAX_OPERATIONS} operations")));
    }
    let read = |(at, operation): (usize, Operation<'_>)| {
        parse(config, request, &operation).map_err(|error| Error::Operation { at, error: Box::new(error) })
    };
    operations.into_iter().enumerate().map(read).collect()
}

/// What the whole request says for all its operations, as who asks; an operation says the rest for itself.
fn is_shared(name: &str) -> bool {
    let own = [
        "accept",
        "content-length",
        "content-type",
        "if-match",
        "if-none-match",
        "origin",
        "prefer",
        "range",
        "x-http-method-override",
    ];
    !own.contains(&name)
}

fn parse(config: &Config, request: &Request<'_>, operation: &Operation<'_>) -> Result<ApiRequest, Error> {
    let path = operation.path.split('?').next().unwrap_or_default();
    if !path.starts_with('/') || path == PATH {
        return Err(Error::Path);
    }
    let own: Vec<(String, &str)> =
        operation.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
    let mut headers: Vec<(&str, &[u8])> =
        own.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let is_said = |name: &str| own.iter().any(|(known, _)| known == name);
    headers.extend(request.headers.iter().filter(|(name, _)| is_shared(name) && !is_said(name)));
    let json = operation.body.map_or("", RawValue::get);
    // What is not JSON is told as a string.
    let is_json = own.iter().find(|(name, _)| name == "content-type").is_none_or(|(_, v)| is_document(v));
    let text: Option<String> = if is_json { None } else { serde_json::from_str(json).ok() };
    let body = text.as_deref().unwrap_or(json).as_bytes();
    let request = Request { method: &operation.method, target: &operation.path, headers: &headers, body };
    let mut parsed = ApiRequest::parse(config, &request)?;
    if matches!(parsed.action, Action::Options) {
        return Err(Error::Method(operation.method.clone().into_owned()));
    }
    // How the transaction ends is for the whole.
    parsed.preferences.transaction = None;
    Ok(parsed)
}

/// Appends the answer to one operation.
pub(crate) fn append(response: &Response, out: &mut Vec<u8>) {
    out.extend_from_slice(if out.is_empty() { b"[" } else { b"," });
    let headers: serde_json::Map<String, serde_json::Value> =
        response.headers.iter().map(|(name, value)| (name.to_string(), value.as_str().into())).collect();
    let headers = serde_json::Value::Object(headers);
    out.extend_from_slice(
        format!("{{\"status\":{},\"headers\":{headers},\"body\":", response.status).as_bytes(),
    );
    let is_json = response.headers.iter().any(|(name, value)| name == "content-type" && is_document(value));
    if response.body.is_empty() {
        out.extend_from_slice(b"null");
    } else if is_json {
        out.extend_from_slice(&response.body);
    } else {
        crate::encode::write_text(&String::from_utf8_lossy(&response.body), out);
    }
    out.push(b'}');
}

/// Whether a content type is that of one JSON document.
fn is_document(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence == "application/json" || essence.ends_with("+json")
}
