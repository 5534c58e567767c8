//! What is served at the moment. It is replaced as a whole, so that a request has one state from its beginning to its end.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::audit::Audit;
use crate::backup::Backups;
use crate::engine::Engine;

/// The engine that answers now.
pub struct Serving {
    engine: ArcSwap<Engine>,
    audit: OnceLock<Arc<Audit>>,
    backups: OnceLock<Backups>,
}

impl Serving {
    /// Of this engine, until another takes its place.
    pub fn new(engine: Engine) -> Arc<Serving> {
        Arc::new(Serving {
            engine: ArcSwap::from_pointee(engine),
            audit: OnceLock::new(),
            backups: OnceLock::new(),
        })
    }

    /// The engine that answers now. Whoever holds it keeps it whole.
    pub fn engine(&self) -> Arc<Engine> {
        self.engine.load_full()
    }

    /// Has requests recorded from now on.
    pub fn record(&self, audit: Arc<Audit>) {
        // There is one log for as long as the server runs.
        let _ = self.audit.set(audit);
    }

    /// Where requests are recorded, if they are.
    pub fn audit(&self) -> Option<&Arc<Audit>> {
        self.audit.get()
    }

    /// Has what makes backups be known.
    pub fn back_up(&self, backups: Backups) {
        let _ = self.backups.set(backups);
    }

    /// What makes backups, if they are made.
    pub fn backups(&self) -> Option<&Backups> {
        self.backups.get()
    }
}
