//! How many connections there may be at a time, and what is done with one more: it is told so, as long as those that are told so are
//! few; what is beyond these, too, waits in the queue of the system.

use std::sync::Arc;

use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Method, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::Answer;
use crate::coding::SentBody;

/// How many may be told at a time that they are too many.
const REFUSED: usize = 64;

/// What is left of `server.max_connections`.
pub(crate) struct Places {
    served: Arc<Semaphore>,
    refused: Arc<Semaphore>,
}

/// The right to be there, for as long as this lives.
#[derive(Debug)]
pub(crate) enum Place {
    /// And to be served.
    Served { _permit: OwnedSemaphorePermit },
    /// And to be told that there are too many.
    Refused { _permit: OwnedSemaphorePermit },
}

impl Place {
    pub(crate) fn is_served(&self) -> bool {
        matches!(self, Place::Served { .. })
    }
}

impl Places {
    pub(crate) fn new(most: usize) -> Places {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Places { served: semaphore(most), refused: semaphore(REFUSED) }
    }

    /// A place, if there is one.
    pub(crate) fn now(&self) -> Option<Place> {
        let served = Arc::clone(&self.served).try_acquire_owned();
        let served = served.map(|_permit| Place::Served { _permit });
        let refused =
            || Arc::clone(&self.refused).try_acquire_owned().map(|_permit| Place::Refused { _permit });
        served.or_else(|_| refused()).ok()
    }

    /// The next place.
    pub(crate) async fn next(&self) -> Option<Place> {
        if let Some(place) = self.now() {
            return Some(place);
        }
        // The semaphores are never closed.
        tokio::select! {
            biased;
            permit = Arc::clone(&self.served).acquire_owned() => {
                permit.ok().map(|_permit| Place::Served { _permit })
            }
            permit = Arc::clone(&self.refused).acquire_owned() => {
                permit.ok().map(|_permit| Place::Refused { _permit })
            }
        }
    }
}

/// The answer to whoever is one too many.
pub(crate) fn refusal() -> Response<SentBody> {
    let hint = "Try again, or raise server.max_connections.";
    let mut answer = Answer::problem(503, "53300", "There are too many connections", hint);
    answer.headers.push((CONNECTION, HeaderValue::from_static("close")));
    crate::exchange::response(answer, None, None, &Method::GET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_that_are_too_many_are_told_so_and_then_wait() {
        let places = Places::new(1);
        let served = places.now().expect("a place");
        assert!(served.is_served());
        let refused: Vec<Place> = (0..REFUSED).map(|_| places.now().expect("a place")).collect();
        assert!(refused.iter().all(|place| !place.is_served()));
        assert!(places.now().is_none());
        let mut next = std::pin::pin!(places.next());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.as_mut().poll(&mut context).is_pending());
        drop(served);
        assert!(next.await.expect("a place").is_served());
    }
}
