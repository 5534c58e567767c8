//! The export that Spin calls (`wasi:http/incoming-handler`), and any other HTTP host of WASI 0.2.

use std::sync::Arc;

use spin_sdk::http::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use spin_sdk::http_component;
use sqlitrest_runtime::audit::Audits;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::debug::{self, Page};
use sqlitrest_runtime::error::Error;
use sqlitrest_runtime::http::{Request, Response};
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::timing::{Stage, Timing};
use sqlitrest_runtime::{error_response, refuse};
use wasi::io::streams::{OutputStream, StreamError};

use crate::database::SpinDatabase;
use crate::{answer, finish, log, now, served, settings, sign_in};

/// The most that one read of the request's body asks for.
const READ: u64 = 64 << 10;

#[http_component]
fn handle(request: IncomingRequest, out: ResponseOutparam) {
    if let Err(reason) = send(finish(respond(&request)), out) {
        log(&format!("response not sent: {reason}"));
    }
}

/// `Err` is the answer to a request that the core does not get to see.
fn respond(request: &IncomingRequest) -> Result<Response, Response> {
    let config = settings::config()?;
    let mut fields = request.headers().entries();
    for (name, _) in &mut fields {
        name.make_ascii_lowercase();
    }
    let headers: Vec<(&str, &[u8])> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let body = read_body(request, config.server.max_body.0)?;
    let target = request.path_with_query();
    let request = Request {
        method: &request.method().to_string(),
        target: target.as_deref().unwrap_or("/"),
        headers: &headers,
        body: &body,
    };
    let mut timing = Timing::start(config, now);
    let identity = sign_in::identity(config, &request)?;
    timing.spend(Stage::Jwt);
    if let Some(page) = Page::of(config, &request) {
        return tell(config, page, &identity, &request);
    }
    let Some(name) = config.database_of(&request) else {
        return Err(refuse(config, &request, &Error::unknown_schema(config, &request)));
    };
    let served = served::of(config, name);
    let mut response =
        answer(SpinDatabase::of(&served.label), served, &identity, &timing, Audits::None, &request);
    if config.databases.len() > 1 && response.status < 400 {
        response.headers.push(("content-profile".into(), name.to_owned()));
    }
    Ok(response)
}

/// What the server tells of itself, for who may be told (`[debug]`).
fn tell(
    config: &'static Config,
    page: Page,
    identity: &Arc<Identity>,
    request: &Request<'_>,
) -> Result<Response, Response> {
    let refused = |error| refuse(config, request, &error);
    let viewer = debug::admit(config, identity).map_err(refused)?;
    let name = page.database(config, request).map_err(refused)?;
    let served = served::of(config, name);
    let mut schema = served.schema.take();
    let mut database = SpinDatabase::of(&served.label);
    // The configuration is told of as a whole.
    let about = if page.needs_database() { &served.config } else { config };
    let response = debug::answer(page, about, &mut schema, &viewer, request, &mut database, None);
    served.schema.set(schema);
    Ok(response)
}

/// The body, or of a larger one than `max` its first `max` + 1 bytes, which the core answers with 413.
fn read_body(request: &IncomingRequest, max: u64) -> Result<Vec<u8>, Response> {
    let cut = |reason: &dyn std::fmt::Debug| {
        log(&format!("request body not read: {reason:?}"));
        error_response(&Error::Body("The request body ended too early".to_owned()))
    };
    let body = request.consume().map_err(|()| cut(&"taken before"))?;
    let stream = body.stream().map_err(|()| cut(&"taken before"))?;
    let mut bytes = Vec::new();
    loop {
        let room = max.saturating_add(1).saturating_sub(bytes.len() as u64);
        if room == 0 {
            return Ok(bytes);
        }
        match stream.blocking_read(room.min(READ)) {
            Ok(chunk) if bytes.is_empty() => bytes = chunk,
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(cut(&error.to_debug_string()));
            }
        }
    }
}

fn send(response: Response, out: ResponseOutparam) -> Result<(), String> {
    let fields = Fields::new();
    for (name, value) in &response.headers {
        // A field that HTTP does not allow must not cost the client the whole answer.
        if let Err(error) = fields.append(name, value.as_bytes()) {
            log(&format!("header {name} not sent: {error}"));
        }
    }
    if !matches!(response.status, 204 | 304) {
        let length = response.content_length.unwrap_or(response.body.len() as u64);
        let _ = fields.append("content-length", length.to_string().as_bytes());
    }
    let outgoing = OutgoingResponse::new(fields);
    outgoing.set_status_code(response.status).map_err(|()| format!("{} is no status", response.status))?;
    let body = outgoing.body().map_err(|()| "it has no body")?;
    // Before the body is written: a body larger than the host's buffer is taken up only while the response is sent.
    out.set(outgoing);
    {
        let stream = body.write().map_err(|()| "its body is taken")?;
        write(&stream, &response.body).map_err(|error| format!("{error:?}"))?;
    }
    let finished = OutgoingBody::finish(body, None);
    if response.content_length.is_some() {
        // HEAD announces a length and sends nothing, which the host counts as a body cut short.
        return Ok(());
    }
    finished.map_err(|error| error.to_string())
}

/// Writes without a flush between the chunks, because Spin's sockets wait (Nagle) after a short packet.
fn write(stream: &OutputStream, mut rest: &[u8]) -> Result<(), StreamError> {
    while !rest.is_empty() {
        let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (chunk, tail) = rest.split_at(room.min(rest.len()));
        stream.write(chunk)?;
        rest = tail;
    }
    Ok(())
}
