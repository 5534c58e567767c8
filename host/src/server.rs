//! Connections: taken, served, and at the end drained. It knows no SQL and no engine from the inside.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Result, ensure};
use hyper::body::Incoming;
use hyper::{Request, Response};
use sqlitrest_runtime::config::Config;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::coding::SentBody;
use crate::descriptors;
use crate::http_connection::{self, Protocols};
use crate::listener::{Accepted, Listener};
use crate::log;
use crate::places::{Place, Places};

/// How long no connection is taken where the system has no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The smallest head that a request may be held to, in bytes: below, hardly any browser's passes.
const SMALLEST_HEAD: u64 = 4 << 10;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peer {
    /// Its address; none behind a Unix socket.
    pub address: Option<IpAddr>,
}

/// What one connection, and all of them, may have.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub max_connections: usize,
    /// Bytes of the head of a request.
    pub max_header_size: usize,
    /// Header fields of a request.
    pub max_headers: usize,
    /// How long a client may do nothing where it is its turn.
    pub header_timeout: Duration,
    /// How long requests in flight have at the end.
    pub shutdown_timeout: Duration,
}

impl Limits {
    /// Those of `[server]`, and no more connections than the system has file descriptors for.
    ///
    /// # Errors
    /// A limit with which nothing could be served, by its key.
    pub fn new(config: &Config) -> Result<Limits> {
        let server = &config.server;
        ensure!(server.max_connections > 0, "server.max_connections must be at least 1");
        ensure!(server.max_headers > 0, "server.max_headers must be at least 1");
        ensure!(!server.header_timeout.0.is_zero(), "server.header_timeout must be longer than 0");
        ensure!(
            server.max_header_size.0 >= SMALLEST_HEAD,
            "server.max_header_size must be at least {} KiB",
            SMALLEST_HEAD >> 10
        );
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Limits {
            max_connections: count(server.max_connections).min(descriptors::for_connections()),
            max_header_size: count(server.max_header_size.0),
            max_headers: count(server.max_headers),
            header_timeout: server.header_timeout.0,
            shutdown_timeout: server.shutdown_timeout.0,
        })
    }
}

/// Serves what `listeners` bring until `shutdown`; then takes no more connections and waits for the requests in flight, at most
/// `limits.shutdown_timeout`. Returns how many connections were still open after that.
///
/// `answer` makes the answer to each request. Several of these may run side by side, each with limits of its own.
pub async fn run<A, F>(
    listeners: Vec<Listener>,
    limits: &Limits,
    answer: A,
    shutdown: impl Future<Output = ()>,
) -> usize
where
    A: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<SentBody>> + Send + 'static,
{
    let places = Places::new(limits.max_connections);
    let protocols = Arc::new(Protocols::new(limits));
    // Every connection holds a receiver: the channel is the list of what is still open.
    let (closing, _) = watch::channel(false);
    let begin = |accepted: Accepted, place: Place| {
        let (protocols, answer, closing) = (Arc::clone(&protocols), answer.clone(), closing.subscribe());
        tokio::spawn(http_connection::serve(accepted, protocols, place, answer, closing));
    };
    let mut shutdown = pin!(shutdown);
    let mut first = 0;
    loop {
        first = usize::wrapping_add(first, 1);
        let accepted = tokio::select! {
            accepted = accept(&listeners, first) => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            // A handshake, a slow client: all of that is off this loop. Only where all places are taken, nobody else is let in.
            Ok(accepted) => tokio::select! {
                place = places.next() => if let Some(place) = place { begin(accepted, place) },
                () = &mut shutdown => break,
            },
            Err(error) => {
                log(format_args!("a connection could not be taken: {error}"));
                sleep(PAUSE).await;
            }
        }
    }
    for accepted in listeners.into_iter().flat_map(Listener::close) {
        if let Some(place) = places.now() {
            begin(accepted, place);
        }
    }
    closing.send_replace(true);
    let _ = timeout(limits.shutdown_timeout, closing.closed()).await;
    closing.receiver_count()
}

/// The next connection of any of these. Each is asked first in its turn, so that none waits for another that is busy.
async fn accept(listeners: &[Listener], first: usize) -> std::io::Result<Accepted> {
    poll_fn(|cx| {
        let first = first % listeners.len().max(1);
        let (before, from) = listeners.split_at_checked(first).unwrap_or((&[], listeners));
        for listener in from.iter().chain(before) {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}
