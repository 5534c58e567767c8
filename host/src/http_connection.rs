//! One connection, until either side closes it: TLS, which HTTP it speaks, its requests, and its end.
//!
//! HTTP/2 is told apart by its preface, here and not by hyper-util's `auto`, which knows no limit for the time until the first bytes
//! and none for the size of a head.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, interval_at, timeout};

use crate::activity::{Activity, Counted, Quiet};
use crate::coding::SentBody;
use crate::head_timer::{EVERY, HeadTimer};
use crate::listener::{Accepted, Stream};
use crate::observe::http::Open;
use crate::places::Place;
use crate::server::{Limits, Peer};
use crate::target::Lenient;

/// What a client of HTTP/2 sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read at first: most requests.
const FIRST: usize = 4 << 10;

/// The most requests that one connection has at a time, with HTTP/2.
const STREAMS: u32 = 128;

/// The largest list of header fields with HTTP/2: a target in it cannot be longer than those that hyper takes.
const MOST_FIELDS: u32 = 64 << 10;

/// How long a client has that is only told that there are too many.
const REFUSAL: Duration = Duration::from_secs(5);

/// How connections are served.
pub(crate) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    /// `server.header_timeout`
    patience: Duration,
}

impl Protocols {
    pub(crate) fn new(limits: &Limits) -> Protocols {
        let mut http1 = http1::Builder::new();
        http1.timer(HeadTimer).header_read_timeout(limits.header_timeout);
        http1.max_header_size(limits.max_header_size);
        http1.max_headers(fields(limits));
        // Streams that a client opens and resets at once (CVE-2023-44487) and errors of its own are counted by h2, 20 and 1,024 at the
        // most, and so are frames of no use.
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        let list = u32::try_from(limits.max_header_size).unwrap_or(u32::MAX).min(MOST_FIELDS);
        http2.max_concurrent_streams(STREAMS).max_header_list_size(list);
        Protocols { http1, http2, patience: limits.header_timeout }
    }
}

/// How many fields hyper reads, for which it makes room with each request: more than we take, so that a request with too many has an answer
/// that says so, and not hyper's, which says nothing. No more than a head has room for (`a:` and the end of a line).
fn fields(limits: &Limits) -> usize {
    limits.max_headers.saturating_mul(2).min(limits.max_header_size / 4)
}

/// Serves one connection. `closing` becomes true when the server ends.
pub(crate) async fn serve<A, F>(
    accepted: Accepted,
    protocols: Arc<Protocols>,
    place: Place,
    answer: A,
    mut closing: watch::Receiver<bool>,
) where
    A: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<SentBody>> + Send + 'static,
{
    let _open = Open::new();
    let peer = Peer { address: accepted.address };
    let patience = protocols.patience;
    let Ok(Ok(stream)) = timeout(patience, accepted.open()).await else { return };
    let opening = timeout(patience, open(stream));
    let opened = tokio::select! {
        // First what has arrived, so that a request already here counts as in flight.
        biased;
        opened = opening => opened,
        _ = closing.wait_for(|closing| *closing) => return,
    };
    let Ok(Ok((is_http2, stream))) = opened else { return };
    let activity = Arc::new(Activity::default());
    let is_served = place.is_served();
    // Who is one too many has the answer to one request, and no more.
    let told = Arc::new(Notify::new());
    let answer = Arc::new(answer);
    let service = service_fn(|request| {
        let (turn, activity, answer) = (activity.turn(), Arc::clone(&activity), Arc::clone(&answer));
        if !is_served {
            told.notify_one();
        }
        async move {
            let response = match is_served {
                true => answer(peer, request).await,
                false => crate::places::refusal(),
            };
            drop(turn);
            Ok::<_, Infallible>(response.map(|body| Counted::new(body, activity)))
        }
    });
    let end = async {
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => {}
            () = told.notified() => {}
        }
    };
    let io = TokioIo::new(stream);
    match is_http2 {
        true => drive(protocols.http2.serve_connection(io, service), &activity, &place, patience, end).await,
        false => drive(protocols.http1.serve_connection(io, service), &activity, &place, patience, end).await,
    }
}

/// Reads until it is clear which HTTP is spoken. What has been read stands in the stream again.
async fn open(mut stream: Stream) -> io::Result<(bool, Lenient<Stream>)> {
    let mut first = vec![0; FIRST];
    let mut filled = 0;
    loop {
        let read = std::future::poll_fn(|cx| {
            let mut room = ReadBuf::new(first.get_mut(filled..).unwrap_or_default());
            ready!(Pin::new(&mut stream).poll_read(cx, &mut room))?;
            std::task::Poll::Ready(io::Result::Ok(room.filled().len()))
        });
        let read = read.await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        let begin = first.get(..filled.min(PREFACE.len())).unwrap_or_default();
        if !PREFACE.starts_with(begin) || begin.len() == PREFACE.len() {
            let is_http2 = begin == PREFACE;
            first.truncate(filled);
            return Ok((is_http2, Lenient::after(stream, first)));
        }
    }
}

/// Serves requests until the client closes, does nothing for too long, or `end`; then finishes those that have begun.
async fn drive<C: GracefulConnection>(
    connection: C,
    activity: &Activity,
    place: &Place,
    patience: Duration,
    end: impl Future<Output = ()>,
) {
    let patience = if place.is_served() { patience } else { patience.min(REFUSAL) };
    let every = EVERY.min(patience).max(Duration::from_millis(1));
    let most = u32::try_from(patience.as_millis().div_ceil(every.as_millis())).unwrap_or(u32::MAX);
    let mut quiet = Quiet::default();
    let mut connection = pin!(connection);
    let mut look = interval_at(Instant::now() + every, every);
    let mut end = pin!(end);
    let mut is_ending = false;
    loop {
        tokio::select! {
            // First what has arrived, so that a request already here counts as in flight.
            biased;
            // A client that went away is no failure of ours.
            _ = connection.as_mut() => return,
            () = end.as_mut(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                let looks = quiet.look(activity);
                if looks >= most.saturating_mul(2) {
                    // It has been asked to end, and takes nothing.
                    return;
                }
                if looks >= most && !is_ending {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
