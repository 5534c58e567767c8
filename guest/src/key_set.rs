//! One GET over `wasi:http`, for a set of keys. `allowed_outbound_hosts` of the manifest must have its host.

use wasi::clocks::monotonic_clock::Duration;
use wasi::http::outgoing_handler::handle;
use wasi::http::types::{Fields, IncomingResponse, Method, OutgoingRequest, RequestOptions, Scheme};
use wasi::io::streams::StreamError;

/// How long the other side may be silent, in nanoseconds.
const SILENCE: Duration = 5_000_000_000;

/// The most bytes of an answer.
const MOST: usize = 1 << 20;

/// The text of the answer. A redirect is not followed.
///
/// # Errors
/// In words, why there is none.
pub fn get(url: &str) -> Result<String, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it is no URL")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let wrong = |()| "it is no URL".to_owned();
    let headers = Fields::new();
    let _ = headers.append(&"accept".to_owned(), &b"application/json".to_vec());
    let request = OutgoingRequest::new(headers);
    request.set_method(&Method::Get).map_err(wrong)?;
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(wrong)?;
    request.set_authority(Some(authority)).map_err(wrong)?;
    request.set_path_with_query(Some(&target)).map_err(wrong)?;
    let options = RequestOptions::new();
    // A host that knows no such limit has limits of its own.
    let _ = options.set_connect_timeout(Some(SILENCE));
    let _ = options.set_first_byte_timeout(Some(SILENCE));
    let _ = options.set_between_bytes_timeout(Some(SILENCE));
    let pending = handle(request, Some(options)).map_err(|code| code.to_string())?;
    pending.subscribe().block();
    let response = match pending.get() {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(code))) => return Err(code.to_string()),
        _ => return Err("no answer".to_owned()),
    };
    match response.status() {
        200 => read(&response),
        status => Err(format!("status {status}")),
    }
}

fn read(response: &IncomingResponse) -> Result<String, String> {
    let body = response.consume().map_err(|()| "no body")?;
    let stream = body.stream().map_err(|()| "no body")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
        if bytes.len() > MOST {
            return Err(format!("more than {MOST} bytes"));
        }
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}
