//! What is served at the moment. It is replaced as a whole, so that a request has one state from its beginning to its end.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::engine::Engine;

/// The engine that answers now.
pub struct Serving {
    engine: ArcSwap<Engine>,
}

impl Serving {
    /// Of this engine, until another takes its place.
    pub fn new(engine: Engine) -> Arc<Serving> {
        Arc::new(Serving { engine: ArcSwap::from_pointee(engine) })
    }

    /// The engine that answers now. Whoever holds it keeps it whole.
    pub fn engine(&self) -> Arc<Engine> {
        self.engine.load_full()
    }
}
