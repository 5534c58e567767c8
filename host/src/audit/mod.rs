//! The audit log: who wrote what, and who was refused. A record is made when a request is answered, has its place in a queue before anything
//! is done, and is written by a thread of its own. Each has the hash of the one before, so that what was written cannot be changed
//! unseen.
//!
//! It knows no SQL and no engine: what a request did the core tells ([`Act`](sqlitrest_runtime::audit::Act)).

pub mod chain;
mod database;
mod entry;
mod file;
mod head;
mod keeper;
mod log;
mod note;
mod reader;
mod segments;
pub mod settings;
mod state;
pub mod verify;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use sqlitrest_runtime::config::Config;
use tokio::sync::mpsc::{OwnedPermit, Sender};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::answer::Answer;
use entry::Entry;
use keeper::{Keeper, Message};
use log::Log;
pub use note::{Recording, to_the_end};
pub use settings::audits;
use settings::{OnFull, Settings};
pub use state::Snapshot;
use state::State;

/// The log of a running server.
pub struct Audit {
    settings: Settings,
    queue: Sender<Message>,
    state: Arc<State>,
    /// How long a request waits for a place.
    patience: Duration,
    /// Is closed when the thread has come to its end.
    ended: Mutex<Receiver<()>>,
}

/// A place for a record, or none where records may be dropped.
pub struct Place(Option<OwnedPermit<Message>>);

impl Audit {
    /// Opens the log and starts the thread that writes it.
    ///
    /// # Errors
    /// One sentence on what is wrong with a file and what to do.
    pub fn open(config: &Config, settings: &Settings) -> Result<Arc<Audit>> {
        settings::refuse_served(settings, config)?;
        let log = Log::open(settings)?;
        let (queue, messages) = mpsc::channel(settings.queue);
        let state = Arc::new(State::default());
        let keeper = Keeper::new(log, messages, Arc::clone(&state));
        let (end, ended) = channel();
        let work = move || {
            keeper.run();
            drop(end);
        };
        let spawned = std::thread::Builder::new().name("audit".to_owned()).spawn(work);
        spawned.context("the thread that writes the audit log cannot be started")?;
        let (patience, settings) = (config.pool.busy_timeout.0, settings.clone());
        Ok(Arc::new(Audit { settings, queue, state, patience, ended: Mutex::new(ended) }))
    }

    /// Refuses a configuration that serves the log's own database.
    ///
    /// # Errors
    /// One sentence on which.
    pub fn refuse_served(&self, config: &Config) -> Result<()> {
        settings::refuse_served(&self.settings, config)
    }

    /// As it is now.
    pub fn snapshot(&self) -> Snapshot {
        let is_full = self.queue.capacity() == 0 && self.state.is_failing();
        let is_refusing = self.settings.on_full == OnFull::Wait && (is_full || self.is_stuck());
        self.state.snapshot(self.settings.queue, is_refusing)
    }

    /// Whether the log cannot be written, which those are told who ask whether all is well.
    pub fn is_failing(&self) -> bool {
        self.state.is_failing()
    }

    /// A place for the record of a request, which is then sure.
    ///
    /// # Errors
    /// The answer to a request for which there is none in time.
    async fn place(&self) -> Result<Place, Answer> {
        if !self.is_stuck() {
            let reserved = match (self.queue.clone().try_reserve_owned(), self.settings.on_full) {
                (Ok(permit), _) => Some(permit),
                (Err(_), OnFull::Drop) => None,
                (Err(_), OnFull::Wait) => {
                    let waits = timeout(self.patience, self.queue.clone().reserve_owned());
                    waits.await.ok().and_then(Result::ok)
                }
            };
            if reserved.is_some() {
                return Ok(Place(reserved));
            }
        }
        if self.settings.on_full == OnFull::Drop {
            return Ok(Place(None));
        }
        self.state.refuses();
        let message = "The audit log has no room for a record of this request, so nothing was done";
        Err(Answer::problem(503, "53000", message, "Try again. The server's log says more."))
    }

    /// Whether answers that wait for their records would wait in vain.
    fn is_stuck(&self) -> bool {
        self.settings.before_answer && self.state.is_failing()
    }

    /// Hands a record over, and waits until it is written where answers do. `false` where it was not in time.
    async fn record(&self, place: Place, entry: Entry) -> bool {
        let Place(Some(permit)) = place else {
            self.state.drops();
            return true;
        };
        self.state.takes();
        if !self.settings.before_answer {
            permit.send(Message::Entry(Box::new(entry), None));
            return true;
        }
        let (written, waits) = oneshot::channel();
        permit.send(Message::Entry(Box::new(entry), Some(written)));
        matches!(timeout(self.patience, waits).await, Ok(Ok(())))
    }

    /// Writes what waits, and ends. Nothing is recorded after that.
    ///
    /// # Errors
    /// It could not be done within `wait`.
    pub async fn close(&self, wait: Duration) -> Result<()> {
        self.state.ends();
        let late =
            || anyhow!("the audit log was not written to its end: {} records are lost", self.state.waiting());
        match timeout(wait, self.queue.send(Message::End)).await {
            Ok(Ok(())) => {}
            // The thread has given up.
            Ok(Err(_)) => return Err(late()),
            Err(_) => return Err(late()),
        }
        tokio::task::block_in_place(|| {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            // Nothing is ever sent. A request that was cut off may still have its place; then the log has no end, and all its records.
            let _ = ended.recv_timeout(wait);
        });
        if self.state.waiting() == 0 { Ok(()) } else { Err(late()) }
    }
}
