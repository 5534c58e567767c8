//! Connections: taken, served, and at the end drained. It knows no SQL and no engine from the inside.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sqlitrest_runtime::config::Config;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep, timeout};

use crate::exchange::exchange;
use crate::head_timer::{EVERY, HeadTimer};
use crate::log;
use crate::serving::Serving;
use crate::target::Lenient;

/// How long a client may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// How long no connection is taken where the system has no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`; then takes no more connections and waits for the requests in flight, at most
/// `server.shutdown_timeout`. Returns how many connections were still open after that.
pub async fn run(
    listener: TcpListener,
    serving: Arc<Serving>,
    config: &Config,
    shutdown: impl Future<Output = ()>,
) -> usize {
    let max_body = config.server.max_body.0;
    // Every connection holds a receiver: the channel is the list of what is still open.
    let (closing, _) = watch::channel(false);
    let begin = |stream: TcpStream| {
        let (serving, closing) = (Arc::clone(&serving), closing.subscribe());
        tokio::spawn(serve(stream, serving, max_body, closing));
    };
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => begin(stream),
                Err(error) => {
                    log(format_args!("a connection could not be taken: {error}"));
                    sleep(PAUSE).await;
                }
            },
            () = &mut shutdown => break,
        }
    }
    // Clients that the system has let in already would be reset: serve them too.
    if let Ok(listener) = listener.into_std() {
        while let Ok((stream, _)) = listener.accept() {
            let ready = stream.set_nonblocking(true);
            if let Ok(stream) = ready.and_then(|()| TcpStream::from_std(stream)) {
                begin(stream);
            }
        }
    }
    closing.send_replace(true);
    let _ = timeout(config.server.shutdown_timeout.0, closing.closed()).await;
    closing.receiver_count()
}

/// One connection, until either side closes it.
async fn serve(stream: TcpStream, serving: Arc<Serving>, max_body: u64, mut closing: watch::Receiver<bool>) {
    // An answer leaves at once, however small.
    let _ = stream.set_nodelay(true);
    let remote = stream.peer_addr().ok().map(|remote| remote.ip().to_canonical());
    let service = service_fn(|request| {
        let serving = Arc::clone(&serving);
        async move { Ok::<_, Infallible>(exchange(&serving, max_body, remote, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(HeadTimer)
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(Lenient::new(stream)), service);
    let mut connection = pin!(connection);
    let mut look = interval_at(Instant::now() + EVERY, EVERY);
    let mut end = pin!(closing.wait_for(|closing| *closing));
    loop {
        tokio::select! {
            // First what has arrived, so that a request already here counts as in flight.
            biased;
            _ = connection.as_mut() => return,
            _ = end.as_mut() => break,
            _ = look.tick() => {}
        }
    }
    connection.as_mut().graceful_shutdown();
    // A client that went away is no failure of ours.
    let _ = connection.await;
}
