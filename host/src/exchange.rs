//! One request and its answer, between hyper and an engine: the body with its limits, the headers that a server adds.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderValue, SERVER};
use hyper::{Method, Request, Response, StatusCode, Version};
use sqlitrest_runtime::http;
use tokio::time::timeout;

use crate::admin;
use crate::answer::Answer;
use crate::audit;
use crate::serving::Serving;
use crate::streaming::AnswerBody;

/// How long a client may be silent in the middle of a body.
const SILENCE: Duration = Duration::from_secs(30);

/// How much of a body that is too large is read and thrown away, so that the client gets to read the answer.
const THROWN_AWAY: u64 = 256 << 20;

/// Answers one request. Nothing of the database is held while the client sends or reads.
/// `remote` is the address that it came from.
pub async fn exchange(
    serving: &Arc<Serving>,
    max_body: u64,
    remote: Option<IpAddr>,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let (head, body) = request.into_parts();
    let expects = head.headers.contains_key(EXPECT);
    let body = match read(body, max_body, expects).await {
        Ok(body) => body,
        Err(refusal) => return send(refusal, &head.method),
    };
    let headers: Vec<(&str, &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let request = http::Request {
        method: head.method.as_str(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers: &headers,
        body: &body,
    };
    // One state from here to the end, whatever is reloaded meanwhile.
    let engine = serving.engine();
    let mut answer = match serving.audit() {
        Some(audit) => audit::answer(audit, (serving, &engine), &request, remote).await,
        None => match admin::answer(serving, &engine, &request).await {
            Some(answer) => answer,
            None => engine.handle(&request).await,
        },
    };
    if head.version < Version::HTTP_11 {
        // It has no chunks, so that rows which break off would look like all of them.
        answer = answer.whole().await;
    }
    send(answer, &head.method)
}

/// The whole body, or the answer to one that is too large, too slow or broken.
async fn read(mut body: Incoming, max: u64, expects: bool) -> Result<Bytes, Answer> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > max {
        return Err(too_large(body, max, expects));
    }
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
        if (first.len().max(whole.len()) + chunk.len()) as u64 > max {
            return Err(too_large(body, max, expects));
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

/// Refuses a body. The rest of it is read meanwhile: a client that is still sending would otherwise find its connection
/// reset before it has read the answer. A client that waits for `100 Continue` sends nothing.
fn too_large(body: Incoming, max: u64, expects: bool) -> Answer {
    if !expects {
        tokio::spawn(throw_away(body));
    }
    Answer::problem(
        413,
        "PGRST102",
        &format!("The body is larger than {max} bytes"),
        "Send fewer rows in one request, or raise server.max_body.",
    )
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

fn send(answer: Answer, method: &Method) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::new(answer.body, answer.rest));
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
