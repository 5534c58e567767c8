//! The protocol by HTTP (streamable HTTP, without sessions): a POST has one message, and its answer is JSON. Which header fields and which
//! versions hold, `rmcp` decides.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde::de::IgnoredAny;
use serde_json::json;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http::Request;

use super::caller::Caller;
use super::handler::Handler;
use crate::answer::Answer;

/// Pages of these may call whatever the configuration says: they come from the machine that the browser is on, and no name that somebody
/// else owns leads to them (DNS rebinding).
const LOOPBACK: [&str; 6] = [
    "http://localhost:*",
    "https://localhost:*",
    "http://127.0.0.1:*",
    "https://127.0.0.1:*",
    "http://[::1]:*",
    "https://[::1]:*",
];

/// Answers an agent's request.
pub async fn answer(caller: Caller, request: &Request<'_>) -> Answer {
    let config = caller.engine.config();
    let most = usize::try_from(config.server.max_body.0).unwrap_or(usize::MAX);
    let rules = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // Who is served by which names is not known here. No browser sends a POST to another origin without saying its own.
        .disable_allowed_hosts()
        .with_allowed_origins(origins(config))
        .enforce_origin_validation()
        .with_max_request_body_bytes(most);
    let Some(sent) = sent(request) else {
        return Answer::problem(400, "PGRST102", "The request cannot be understood", "Use a client of MCP.");
    };
    let handler = Handler(Arc::new(caller));
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(handler.clone()), sessions, rules);
    let (head, body) = service.handle(sent).await.into_parts();
    let Ok(body) = body.collect().await;
    let body = body.to_bytes();
    let status = head.status.as_u16();
    let is_json =
        head.headers.get(CONTENT_TYPE).is_some_and(|own| own.as_bytes().starts_with(b"application/json"));
    let mut answer = match status {
        415 if is_json_said(request) => no_message(request.body),
        400.. if !is_json => refused(status, &String::from_utf8_lossy(&body)),
        _ => Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
            content_length: None,
            rest: None,
            acts: Vec::new(),
        },
    };
    let has_type = answer.header(CONTENT_TYPE.as_str()).is_some();
    let told = head.headers.iter().filter(|(name, _)| **name != CONTENT_TYPE || !has_type);
    answer.headers.extend(told.map(|(name, value)| (name.clone(), value.clone())));
    answer.headers.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    answer
}

/// The request as `rmcp` takes it.
fn sent(request: &Request<'_>) -> Option<hyper::Request<Full<Bytes>>> {
    let mut sent = hyper::Request::builder().method(request.method).uri(request.target);
    for (name, value) in request.headers {
        sent = sent.header(*name, *value);
    }
    sent.body(Full::new(Bytes::copy_from_slice(request.body))).ok()
}

/// Whether the body is said to be JSON.
fn is_json_said(request: &Request<'_>) -> bool {
    let essence = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// What a body is answered that is said to be a message and is none. `rmcp` would say that its type is wrong.
fn no_message(body: &[u8]) -> Answer {
    let (code, message) = match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => (-32600, "This is no message of MCP; of batches, send each message by itself"),
        Err(_) => (-32700, "This is no JSON"),
    };
    let told = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } });
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let body = told.to_string().into_bytes();
    Answer { status: 400, headers, body, content_length: None, rest: None, acts: Vec::new() }
}

/// What has no message to answer: an error in PostgREST's form.
fn refused(status: u16, words: &str) -> Answer {
    let (code, hint) = match status {
        403 => ("42501", "List the page's origin in middleware.cors_origins by name; * does not count here."),
        405 => ("PGRST117", "There are no sessions: send each message by POST."),
        406 => ("PGRST107", "Send Accept: application/json, text/event-stream."),
        413 => ("PGRST102", "Send less in one message, or raise server.max_body."),
        415 => ("PGRST102", "Send one JSON-RPC message with Content-Type: application/json."),
        500.. => ("PGRSTX00", "The server's log says more."),
        _ => ("PGRST102", "docs/mcp.md tells what clients send."),
    };
    Answer::problem(status, code, words, hint)
}

/// The origins whose pages may call: those of this machine, and those that are listed by name.
fn origins(config: &Config) -> Vec<String> {
    let listed = config.middleware.cors_origins.iter().filter(|origin| *origin != "*");
    LOOPBACK.iter().map(|origin| (*origin).to_owned()).chain(listed.map(|origin| with_port(origin))).collect()
}

/// An origin with its port, without which `rmcp` would take any.
fn with_port(origin: &str) -> String {
    let Some((scheme, authority)) = origin.split_once("://") else { return origin.to_owned() };
    let has_port =
        authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    match (has_port, scheme) {
        (false, "https") => format!("{origin}:443"),
        (false, "http") => format!("{origin}:80"),
        _ => origin.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_ports() {
        assert_eq!(with_port("https://a.example"), "https://a.example:443");
        assert_eq!(with_port("http://a.example"), "http://a.example:80");
        assert_eq!(with_port("http://[::1]"), "http://[::1]:80");
        for whole in ["http://a.example:8080", "http://[::1]:8080", "null"] {
            assert_eq!(with_port(whole), whole);
        }
        let config = Config::load("", "[middleware]\ncors_origins = [\"*\", \"https://a.example\"]", [])
            .expect("valid");
        let origins = origins(&config);
        assert!(!origins.contains(&"*".to_owned()) && origins.contains(&"https://a.example:443".to_owned()));
    }
}
