//! One request and its answer, between hyper and an engine: the body with its limits, the headers that a server adds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderValue, SERVER};
use hyper::{Method, Request, Response, StatusCode, Version};
use sqlitrest_runtime::http;
use tokio::time::{Instant, timeout};

use crate::admin;
use crate::answer::Answer;
use crate::coding::{Coder, SentBody};
use crate::compression::Tags;
use crate::edge::Passage;
use crate::server::Peer;
use crate::serving::Serving;
use crate::streaming::AnswerBody;

/// How long a client may be silent in the middle of a body.
const SILENCE: Duration = Duration::from_secs(30);

/// How fast a body must come, in bytes a second, if it takes longer than that.
const SLOWEST: u64 = 500;

/// How much of a body that is too large is read and thrown away, so that the client gets to read the answer.
const THROWN_AWAY: u64 = 256 << 20;

/// Answers one request to the API. Nothing of the database is held while the client sends or reads.
pub async fn exchange(serving: Arc<Serving>, peer: Peer, request: Request<Incoming>) -> Response<SentBody> {
    let (mut head, body) = request.into_parts();
    let (rules, tags) = (serving.front().edge.rules(), Tags::take(&mut head.headers));
    let mut passage = Passage::new(&rules, peer, &head, &tags);
    let expects = head.headers.contains_key(EXPECT);
    if let Err(refusal) = passage.enter() {
        unread(body, expects);
        return send(passage.refuse(refusal), &passage, &head.method);
    }
    let body = match read(body, rules.max_body(), expects).await {
        Ok(body) => body,
        Err(refusal) => return send(passage.refuse(refusal), &passage, &head.method),
    };
    let mut headers: Vec<(&str, &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    // HTTP/2 has the host in front of the path.
    let has_host = head.version != Version::HTTP_2 || head.headers.contains_key(HOST);
    if let Some(host) = head.uri.authority().filter(|_| !has_host) {
        headers.push(("host", host.as_str().as_bytes()));
    }
    let request = http::Request {
        method: head.method.as_str(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers: &headers,
        body: &body,
    };
    // One state from here to the end, whatever is reloaded meanwhile.
    let engine = serving.engine();
    let mut answer = match admin::answer(&serving, &engine, &request).await {
        Some(answer) => answer,
        None => match engine.identify(&request).await {
            Ok(asker) => match passage.identify(&asker.identity) {
                Ok(()) => engine.answer(&request, &asker).await,
                Err(refusal) => passage.refuse(refusal),
            },
            Err(refusal) => refusal,
        },
    };
    if head.version < Version::HTTP_11 {
        // It has no chunks, so that rows which break off would look like all of them.
        answer = answer.whole().await;
    }
    send(answer, &passage, &head.method)
}

/// The whole body, or the answer to one that is too large, too slow or broken.
async fn read(mut body: Incoming, max: u64, expects: bool) -> Result<Bytes, Answer> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > max {
        return Err(too_large(body, max, expects));
    }
    let began = Instant::now();
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    loop {
        let chunk = match timeout(SILENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(None) if whole.is_empty() => return Ok(first),
            Ok(None) => return Ok(whole.into()),
            Ok(Some(Err(_))) => return Err(broken()),
            Err(_) => return Err(slow()),
        };
        let length = (first.len().max(whole.len()) + chunk.len()) as u64;
        if length > max {
            return Err(too_large(body, max, expects));
        }
        if began.elapsed() > SILENCE + Duration::from_secs(length / SLOWEST) {
            return Err(slow());
        }
        // A body that arrived in one piece is not copied.
        if first.is_empty() {
            first = chunk;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&chunk);
        }
    }
}

fn too_large(body: Incoming, max: u64, expects: bool) -> Answer {
    unread(body, expects);
    Answer::problem(
        413,
        "PGRST102",
        &format!("The body is larger than {max} bytes"),
        "Send fewer rows in one request, or raise server.max_body.",
    )
}

/// Leaves a body that nobody wants. The rest of it is read meanwhile: a client that is still sending would otherwise find its
/// connection reset before it has read the answer. A client that waits for `100 Continue` sends nothing.
fn unread(body: Incoming, expects: bool) {
    if !expects && !body.is_end_stream() {
        tokio::spawn(throw_away(body));
    }
}

async fn throw_away(mut body: Incoming) {
    let mut left = THROWN_AWAY;
    while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn broken() -> Answer {
    let hint = "It ended early, or its chunks do not fit together.";
    closing(Answer::problem(400, "PGRST102", "The body cannot be read", hint))
}

fn slow() -> Answer {
    let hint = "Send the body without long pauses.";
    closing(Answer::problem(408, "PGRST102", "The body did not arrive in time", hint))
}

fn closing(mut answer: Answer) -> Answer {
    answer.headers.push((CONNECTION, HeaderValue::from_static("close")));
    answer
}

/// What goes to the client, in the coding that it takes.
fn send(mut answer: Answer, passage: &Passage<'_>, method: &Method) -> Response<SentBody> {
    let coder = passage.leave(&mut answer);
    response(answer, coder, method)
}

/// The answer as hyper sends it.
pub(crate) fn response(answer: Answer, coder: Option<Coder>, method: &Method) -> Response<SentBody> {
    let body = AnswerBody::new(answer.body, answer.rest);
    let mut response = Response::new(SentBody::new(body, coder));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.reserve(answer.headers.len() + 3);
    for (name, value) in answer.headers {
        headers.append(name, value);
    }
    headers.insert(SERVER, HeaderValue::from_static(crate::SERVER));
    // hyper knows the length of a body that is there.
    if let Some(length) = answer.content_length.filter(|_| method == Method::HEAD) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
