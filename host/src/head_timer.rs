//! The limit for the head of a request, without a timer of its own for each: setting and ending one in tokio's wheel costs more than
//! the rest of reading a head. The connection is looked at now and then instead, by one timer for as long as it is open.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// How often a connection must be polled by itself; a limit is kept to within that.
pub const EVERY: Duration = Duration::from_secs(5);

/// Sleeps that end at the first poll after their time. They wake nobody.
#[derive(Clone, Copy, Debug)]
pub struct HeadTimer;

/// Until then.
struct Until(Instant);

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until(deadline))
    }
}

impl Sleep for Until {}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() < self.0 { Poll::Pending } else { Poll::Ready(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    use hyper::service::service_fn;
    use hyper::{Request, Response, body::Incoming};
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncWriteExt as _;

    #[tokio::test]
    async fn half_a_head_ends_the_connection_at_the_next_poll() {
        let (mut client, server) = tokio::io::duplex(1000);
        client.write_all(b"GET / HTTP/1.1\r\nhost:").await.expect("written");
        let service =
            service_fn(|_: Request<Incoming>| async { Ok::<_, Infallible>(Response::new(String::new())) });
        let mut connection = std::pin::pin!(
            hyper::server::conn::http1::Builder::new()
                .timer(HeadTimer)
                .header_read_timeout(Duration::from_millis(50))
                .serve_connection(TokioIo::new(server), service)
        );
        let mut poll = || connection.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(poll().is_pending());
        std::thread::sleep(Duration::from_millis(60));
        assert!(matches!(poll(), Poll::Ready(Err(error)) if error.is_timeout()));
    }
}
