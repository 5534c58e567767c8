//! Work that may take its time: on a thread where it keeps nobody waiting, and ended when nobody waits for it any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::InterruptHandle;
use tokio::task::spawn_blocking;

use crate::observe::context;
use crate::streaming::Streaming;

/// What ends the statement that runs; none once the connection is not ours any more.
type Running = Arc<Mutex<Option<InterruptHandle>>>;

/// Held by who waits.
struct Waits(Running);

impl Drop for Waits {
    fn drop(&mut self) {
        if let Some(handle) = lock(&self.0).as_ref() {
            handle.interrupt();
        }
    }
}

/// Has `work` done with a connection, and returns both; None where it panicked. Statements of it are ended where the future is dropped
/// before that: the client has left.
pub async fn run<T: Send + 'static>(
    mut streaming: Streaming,
    work: impl FnOnce(&mut Streaming) -> T + Send + 'static,
) -> Option<(Streaming, T)> {
    let connection = streaming.loan().and_then(|loan| loan.get());
    let running: Running = Arc::new(Mutex::new(connection.ok().map(|c| c.sql().get_interrupt_handle())));
    let _waits = Waits(Arc::clone(&running));
    let context = context::current();
    let done = spawn_blocking(move || {
        let done = context::within(&context, || work(&mut streaming));
        // From here on the connection may be another's.
        lock(&running).take();
        (streaming, done)
    });
    done.await.ok()
}

fn lock(running: &Running) -> MutexGuard<'_, Option<InterruptHandle>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
