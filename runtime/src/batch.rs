//! `POST /_batch`: several requests in one transaction, all of them or none. Beyond PostgREST.
//!
//! ```json
//! [{"method": "POST", "path": "/orders?select=id", "headers": {"Prefer": "return=representation"}, "body": {"customer_id": 1}},
//!  {"method": "DELETE", "path": "/carts?id=eq.7"}]
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api_request::{Action, ApiRequest};
use crate::config::Config;
use crate::error::Error;
use crate::etag::Conditional;
use crate::http::{Request, Response};
use crate::identity::Identity;

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
pub(crate) fn operations(
    config: &Config,
    identity: &Arc<Identity>,
    request: &Request<'_>,
) -> Result<Vec<ApiRequest>, Error> {
    if request.method != "POST" {
        return Err(Error::Method(request.method.to_owned()));
    }
    // Pages of other origins send anything else without asking.
    let content_type = request.header("content-type").unwrap_or_default();
    if !is_document(&content_type.to_ascii_lowercase()) {
        return Err(Error::Body("A batch has the Content-Type application/json".to_owned()));
    }
    if !Conditional::of(request).is_none() {
        return Err(Error::NotImplemented("If-Match or If-None-Match on a batch".to_owned()));
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
        parse(config, identity, request, &operation)
            .map_err(|error| Error::Operation { at, error: Box::new(error) })
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

/// What the whole request says for all its operations, and an operation may say for itself.
const OWN_TOO: [&str; 2] = ["accept-profile", "content-profile"];

fn parse(
    config: &Config,
    identity: &Arc<Identity>,
    request: &Request<'_>,
    operation: &Operation<'_>,
) -> Result<ApiRequest, Error> {
    let path = operation.path.split('?').next().unwrap_or_default();
    if !path.starts_with('/') || path == PATH {
        return Err(Error::Path);
    }
    let own: Vec<(String, &str)> =
        operation.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
    let mut headers: Vec<(&str, &[u8])> =
        own.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    // The others say who asks, or are set by what stands before the server.
    if let Some((name, _)) = own.iter().find(|(name, _)| is_shared(name) && !OWN_TOO.contains(&name.as_str()))
    {
        return Err(Error::Body(format!("An operation of a batch has no field {name} of its own")));
    }
    let is_said = |name: &str| own.iter().any(|(known, _)| known == name);
    headers.extend(request.headers.iter().filter(|(name, _)| is_shared(name) && !is_said(name)));
    let json = operation.body.map_or("", RawValue::get);
    // What is not JSON is told as a string.
    let content_type = own.iter().find(|(name, _)| name == "content-type").map(|(_, value)| *value);
    let is_form = operation.method == "QUERY" && content_type.is_none();
    let is_json = !is_form && content_type.is_none_or(is_document);
    let text: Option<String> = if is_json { None } else { serde_json::from_str(json).ok() };
    let body = text.as_deref().unwrap_or(json).as_bytes();
    let request = Request { method: &operation.method, target: &operation.path, headers: &headers, body };
    let mut parsed = ApiRequest::parse(config, identity, &request)?;
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
    match std::str::from_utf8(&response.body) {
        Ok("") => out.extend_from_slice(b"null"),
        Ok(text) if is_json => out.extend_from_slice(text.as_bytes()),
        Ok(text) => crate::encode::write_text(text, out),
        Err(_) => {
            let base64 = base64::engine::general_purpose::STANDARD.encode(&response.body);
            crate::encode::write_text(&base64, out);
            out.extend_from_slice(b",\"encoding\":\"base64\"");
        }
    }
    out.push(b'}');
}

/// Whether a content type is that of one JSON document.
fn is_document(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence == "application/json" || essence.ends_with("+json")
}
