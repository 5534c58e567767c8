//! What is served at the moment. It is replaced as a whole, so that a request has one state from its beginning to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::engine::Engine;

/// The engine that answers now.
pub struct Serving {
    engine: ArcSwap<Engine>,
    is_draining: AtomicBool,
}

impl Serving {
    /// Of this engine, until another takes its place.
    pub fn new(engine: Engine) -> Arc<Serving> {
        Arc::new(Serving { engine: ArcSwap::from_pointee(engine), is_draining: AtomicBool::new(false) })
    }

    /// The engine that answers now. Whoever holds it keeps it whole.
    pub fn engine(&self) -> Arc<Engine> {
        self.engine.load_full()
    }

    /// No more is begun; what is begun comes to its end.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Whether it comes to its end.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }
}
