//! Whether anything goes on in a connection, so that one whose client does nothing can be closed. It is counted where requests and
//! answers pass and looked at now and then, because reading the clock or setting a timer for each would cost more than the rest.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

/// What one connection has done so far. HTTP/2 has several requests at a time, in as many tasks.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Requests that came and pieces of answers that left.
    steps: AtomicUsize,
    /// What the client waits for, and not the server for the client.
    turns: AtomicUsize,
}

/// The server's turn, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Activity>);

impl Activity {
    /// The server's turn begins.
    pub(crate) fn turn(self: &Arc<Self>) -> Turn {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.turns.fetch_add(1, Ordering::Relaxed);
        Turn(Arc::clone(self))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
        self.0.turns.fetch_sub(1, Ordering::Relaxed);
    }
}

/// For how many looks in a row nothing has gone on.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    steps: usize,
    looks: u32,
}

impl Quiet {
    /// Looks: for how many in a row, this one included, it has been the client's turn, and nothing has come of it.
    pub(crate) fn look(&mut self, activity: &Activity) -> u32 {
        let steps = activity.steps.load(Ordering::Relaxed);
        let is_quiet = steps == self.steps && activity.turns.load(Ordering::Relaxed) == 0;
        self.steps = steps;
        self.looks = if is_quiet { self.looks + 1 } else { 0 };
        self.looks
    }
}

/// A body that counts. Hyper takes its pieces as the client takes them.
pub(crate) struct Counted<B> {
    body: B,
    activity: Arc<Activity>,
    /// While the body waits for its own pieces.
    waits: Option<Turn>,
}

impl<B> Counted<B> {
    pub(crate) fn new(body: B, activity: Arc<Activity>) -> Counted<B> {
        Counted { body, activity, waits: None }
    }
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                if self.waits.is_none() {
                    self.waits = Some(self.activity.turn());
                }
                Poll::Pending
            }
            ready => {
                self.waits = None;
                self.activity.steps.fetch_add(1, Ordering::Relaxed);
                ready
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::convert::Infallible;

    /// Pieces, of which `None` is not there yet.
    struct Pieces(Vec<Option<Bytes>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            }
        }
    }

    #[test]
    fn only_the_clients_turn_is_quiet() {
        let (activity, mut quiet) = (Arc::new(Activity::default()), Quiet::default());
        assert_eq!([quiet.look(&activity), quiet.look(&activity)], [1, 2]);
        let turn = activity.turn();
        assert_eq!([quiet.look(&activity), quiet.look(&activity)], [0, 0], "it works on an answer");
        drop(turn);
        assert_eq!([quiet.look(&activity), quiet.look(&activity)], [0, 1]);
        let piece = || Some(Bytes::from_static(b"x"));
        let mut body = Counted::new(Pieces(vec![piece(), None, piece()]), Arc::clone(&activity));
        let mut poll =
            || Pin::new(&mut body).poll_frame(&mut Context::from_waker(std::task::Waker::noop())).is_ready();
        assert!(poll());
        assert_eq!([quiet.look(&activity), quiet.look(&activity)], [0, 1], "the client takes its time");
        assert!(!poll());
        assert_eq!([quiet.look(&activity), quiet.look(&activity)], [0, 0], "the client waits for rows");
        assert!(poll());
        assert_eq!([quiet.look(&activity), quiet.look(&activity)], [0, 1]);
    }
}
