//! What answers requests: the core as a WebAssembly component or as native code, behind one door.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http::Request;

use crate::answer::Answer;
use crate::component::{Component, Guest};
use crate::log;
use crate::native::Native;
use crate::pool::Pool;

/// An engine and its database. Both kinds give the same bytes for the same request.
pub enum Engine {
    /// The core as native code.
    Native(Native),
    /// The guest component in wasmtime.
    Component(Component),
}

impl Engine {
    /// The core as native code, over the configured database.
    ///
    /// # Errors
    /// One sentence on what is wrong with the file and what to do.
    pub fn native(config: &Config) -> Result<Engine> {
        Native::new(config).map(Engine::Native)
    }

    /// The guest component, over the configured database. Needs a tokio runtime to be used, not to be made.
    ///
    /// # Errors
    /// One sentence on what is wrong with the file or the component and what to do.
    pub fn component(config: &Config, guest: &Guest) -> Result<Engine> {
        Component::new(config, guest).map(Engine::Component)
    }

    /// `component` or `native`, as in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Engine::Native(_) => "native",
            Engine::Component(_) => "component",
        }
    }

    /// The connections.
    pub fn pool(&self) -> &Arc<Pool> {
        match self {
            Engine::Native(native) => native.pool(),
            Engine::Component(component) => component.pool(),
        }
    }

    /// Answers one request; a panic on the way is a 500.
    pub async fn handle(&self, request: &Request<'_>) -> Answer {
        let mut answer = pin!(async {
            match self {
                Engine::Native(native) => native.handle(request).await,
                Engine::Component(component) => component.handle(request).await,
            }
        });
        let guarded = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => std::task::Poll::Ready(None),
        });
        guarded.await.unwrap_or_else(|| {
            log(format_args!("{} {} broke the engine", request.method, request.target));
            Answer::internal()
        })
    }

    /// Gives the connections up, with the write-ahead log moved into the file.
    ///
    /// # Errors
    /// One sentence on what could not be done within `wait`.
    pub async fn close(&self, wait: Duration) -> Result<()> {
        self.pool().close(wait).await
    }
}
