//! One request and its answer, between hyper and an engine: the body with its limits, the headers that a server adds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderValue, SERVER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use sqlitrest_runtime::http;
use sqlitrest_runtime::identity::Identity;
use tokio::time::timeout;

use crate::admin::{self, Origin};
use crate::admin_listener;
use crate::answer::Answer;
use crate::audit::Recording;
use crate::coding::{Coder, SentBody};
use crate::compression::Tags;
use crate::debug;
use crate::deeds;
use crate::docs;
use crate::edge::Passage;
use crate::engine::{Asker, Engine};
use crate::mcp;
use crate::observe::request::{Ending, Watch};
use crate::observe::{context, names, request_id, telemetry};
use crate::server::Peer;
use crate::serving::Serving;
use crate::static_files;
use crate::streaming::AnswerBody;

/// How long a client may be silent in the middle of a body.
const SILENCE: Duration = Duration::from_secs(30);

/// How fast a body must come, in bytes a second, if it takes longer than that.
const SLOWEST: u64 = 500;

/// How much of a body that is too large is read and thrown away, so that the client gets to read the answer.
const THROWN_AWAY: u64 = 256 << 20;

/// Answers one request. Nothing of the database is held while the client sends or reads.
pub async fn exchange(
    serving: Arc<Serving>,
    peer: Peer,
    origin: Origin,
    request: Request<Incoming>,
) -> Response<SentBody> {
    let (mut head, body) = request.into_parts();
    let (watch, fields) = (Watch::begin(&head, origin), head.headers.len());
    let id = watch.id().clone();
    head.headers.insert(request_id::FIELD, id.clone());
    let (rules, tags) = (serving.front().edge.rules(), Tags::take(&mut head.headers));
    let mut passage = Passage::new(&rules, peer, &head, &tags, fields);
    let work = answer(&serving, origin, rules.max_body(), &mut passage, &head, body);
    let Answered { mut answer, page, who, received } = context::scope(Arc::clone(&watch.context), work).await;
    let coder = passage.leave(&mut answer);
    let role = who.as_ref().and_then(|who| who.role.as_deref());
    let mut ending = watch.answered(answer.status, page, role, received);
    if answer.rest.is_none()
        && let Some(ending) = ending.take()
    {
        ending.end(answer.body.len() as u64);
    }
    let mut response = response(answer, coder, ending, &head.method);
    response.headers_mut().insert(request_id::FIELD, id);
    response
}

/// An answer, and what it is recorded with.
struct Answered {
    answer: Answer,
    /// The path, where it is one of the server itself.
    page: Option<&'static str>,
    /// Who it is for.
    who: Option<Arc<Identity>>,
    /// The size of the body that asked for it.
    received: u64,
}

impl From<Answer> for Answered {
    /// One that was made before it was known who asks.
    fn from(answer: Answer) -> Answered {
        Answered { answer, page: None, who: None, received: 0 }
    }
}

async fn answer(
    serving: &Arc<Serving>,
    origin: Origin,
    max_body: u64,
    passage: &mut Passage<'_>,
    head: &Parts,
    body: Incoming,
) -> Answered {
    let expects = head.headers.contains_key(EXPECT);
    if origin == Origin::AdminPort
        && let Err(refusal) = admin_listener::misdirected(&serving.front().admin_hosts, head)
    {
        unread(body, expects);
        return refusal.into();
    }
    // Whom an administrator's listener lets in is not counted.
    if origin == Origin::Api
        && let Err(refusal) = passage.enter(!admin::is_probe(head))
    {
        unread(body, expects);
        return passage.refuse(refusal).into();
    }
    let body = match read(body, max_body, expects).await {
        Ok(body) => body,
        Err(refusal) => return passage.refuse(refusal).into(),
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
    let docs = (origin == Origin::Api).then(|| docs::answer(engine.config(), &request, &head.headers));
    let (mut answer, page, who) = match docs.flatten() {
        Some(answer) => (answer, Some(docs::PATH), None),
        None => route(serving, &engine, &request, origin, passage).await,
    };
    names::refresh_later(serving);
    if head.version < Version::HTTP_11 {
        // It has no chunks, so that rows which break off would look like all of them.
        answer = answer.whole().await;
    }
    Answered { answer, page, who, received: body.len() as u64 }
}

/// Finds out who asks.
async fn identify(engine: &Engine, request: &http::Request<'_>) -> Result<Asker, Answer> {
    let begin = telemetry::is_on().then(Instant::now);
    let asker = engine.identify(request).await;
    if let Some(begin) = begin {
        telemetry::stage("sign in", begin.elapsed());
    }
    asker
}

/// The answer of the server itself, with its path, or of the engine, with who asks; recorded where a record is kept.
async fn route(
    serving: &Arc<Serving>,
    engine: &Arc<Engine>,
    request: &http::Request<'_>,
    origin: Origin,
    passage: &mut Passage<'_>,
) -> (Answer, Option<&'static str>, Option<Arc<Identity>>) {
    // Where there is no room for a record, nothing is done.
    let audit = serving.audit().filter(|_| !admin::is_unrecorded(engine, request, origin));
    let recording = match audit {
        Some(audit) => match Recording::begin(audit, request, passage.client()).await {
            Ok(recording) => Some(recording),
            Err(refusal) => return (passage.refuse(refusal), None, None),
        },
        None => None,
    };
    if let Some((answer, page)) = admin::answer(serving, engine, request, origin).await {
        let answer = match recording {
            Some(recording) if page == deeds::PREFIX => recording.administered(engine, request, answer).await,
            Some(recording) => recording.told(engine, request, answer).await,
            None => answer,
        };
        return (answer, Some(page), None);
    }
    let page = debug::page(engine.config(), request).map(debug::Page::path);
    let agents = mcp::wanted(serving.front(), request);
    if origin == Origin::Api
        && page.is_none()
        && agents.is_none()
        && let Some(files) = serving.front().files.load_full()
        && let Some(answer) = files.answer(request).await
    {
        return (answer, Some(static_files::ROUTE), None);
    }
    let asker = match identify(engine, request).await {
        Ok(asker) => asker,
        Err(refusal) => {
            let answer = match recording {
                Some(recording) => recording.refused(engine, request, None, refusal).await,
                None => refusal,
            };
            return (answer, None, None);
        }
    };
    let who = Arc::clone(&asker.identity);
    if let Some(settings) = agents {
        let answer = match passage.identify(&who) {
            Ok(()) => {
                let agent = Some((request, passage.client()));
                let caller = mcp::Caller::new(engine, settings, Arc::clone(&who), serving.audit(), agent);
                of_agent(recording, engine, request, caller).await
            }
            Err(refusal) => refusal,
        };
        return (passage.refuse(answer), Some(mcp::PATH), Some(who));
    }
    let answer = match (passage.identify(&who), recording) {
        (Ok(()), Some(recording)) => recording.carry_out(engine, request, asker).await,
        (Ok(()), None) => engine.answer(request, &asker).await,
        (Err(refusal), _) => passage.refuse(refusal),
    };
    (answer, page, Some(who))
}

/// The answer to an agent. What its tools ask has records of its own; that the agent itself was refused is recorded here.
async fn of_agent(
    recording: Option<Recording>,
    engine: &Engine,
    request: &http::Request<'_>,
    caller: mcp::Caller,
) -> Answer {
    let (recording, who) = (recording.map(Recording::without_place), Arc::clone(&caller.identity));
    let answer = mcp::answer(caller, request).await;
    match recording {
        Some(recording) => recording.refused(engine, request, Some(&who), answer).await,
        None => answer,
    }
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

/// The answer as hyper sends it; `ending` is what is recorded when all of it is sent.
pub(crate) fn response(
    answer: Answer,
    coder: Option<Coder>,
    ending: Option<Ending>,
    method: &Method,
) -> Response<SentBody> {
    let Answer { status, headers: fields, body, content_length, rest, .. } = answer;
    let body = AnswerBody::new(body, rest, ending.map(Box::new));
    let mut response = Response::new(SentBody::new(body, coder));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.reserve(fields.len() + 4);
    for (name, value) in fields {
        headers.append(name, value);
    }
    headers.insert(SERVER, HeaderValue::from_static(crate::SERVER));
    // hyper knows the length of a body that is there.
    if let Some(length) = content_length.filter(|_| method == Method::HEAD) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
