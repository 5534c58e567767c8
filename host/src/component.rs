//! The engine that runs the core as a WebAssembly component in wasmtime.
//!
//! The guest sees its configuration, a clock, a source of random numbers and, through `spin:sqlite`, one database: no
//! files, no network, no environment.

mod bindings;
mod instances;
mod link;
mod load;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::identity::Identity;
use wasmtime::{Engine, Trap};

use crate::answer::Answer;
use crate::log;
use crate::pool::Pool;
use bindings::exports::sqlitrest::component::handler;
use instances::Instances;

pub use load::{Guest, compile};

/// How often the clock ticks by which a guest is stopped.
const TICK: Duration = Duration::from_millis(250);

/// The guest component and its instances.
pub struct Component {
    instances: Instances,
    /// Whether the guest is told who asks; where credentials are not looked at it knows.
    tells_identity: bool,
    /// A guest that takes longer than its statements may, half as long again and the wait for a connection, is stopped: after
    /// so many ticks.
    deadline: u64,
}

impl Component {
    /// Loads the component and opens the configured database.
    ///
    /// # Errors
    /// One sentence on what is wrong with the file or the component and what to do.
    pub fn new(config: &Config, guest: &Guest) -> Result<Self> {
        let engine = load::engine()?;
        let component = load::load(&engine, guest)?;
        let component = link::link(&engine, &component)
            .map_err(|error| anyhow!("the component does not fit this host: {error:#}"))?;
        let pool = Pool::open(config)?;
        start_clock(&engine)?;
        let (limit, patience) = (config.middleware.request_timeout.0, config.pool.busy_timeout.0);
        // The wait for a connection is not the guest's fault. One more, since the first tick may come at once.
        let deadline = (limit + limit / 2 + patience).as_millis() / TICK.as_millis() + 2;
        let text = config.without_secrets().to_text()?;
        Ok(Component {
            instances: Instances::new(component, pool, text, patience),
            tells_identity: config.signing_in().is_some(),
            deadline: u64::try_from(deadline).unwrap_or(u64::MAX / 2),
        })
    }

    /// The connections.
    pub fn pool(&self) -> &Arc<Pool> {
        self.instances.pool()
    }

    /// Answers one request of who asks, in an instance of its own.
    pub async fn handle(
        &self,
        request: &Request<'_>,
        identity: &Identity,
        identified_in: Duration,
    ) -> Answer {
        let may_write = !matches!(request.method, "GET" | "HEAD" | "OPTIONS");
        let Some(turn) = self.instances.turn(may_write).await else {
            return Answer::problem(503, "PGRST003", "The database is busy", "Try again.");
        };
        let mut instance = match self.instances.get(&turn).await {
            Ok(instance) => instance,
            Err(error) => return failed(request, &error, false),
        };
        instance.store.set_epoch_deadline(self.deadline);
        let headers = lines(request.headers);
        let identity = self.tells_identity.then(|| identity.to_json());
        let flat = handler::Request {
            method: request.method,
            target: request.target,
            headers: &headers,
            body: request.body,
            identity: identity.as_deref(),
            identified_in: u64::try_from(identified_in.as_nanos()).unwrap_or(u64::MAX),
        };
        let handler = instance.guest.sqlitrest_component_handler();
        match handler.call_handle(&mut instance.store, flat).await {
            Ok(response) => {
                self.instances.put(instance);
                Answer::from_lines(response.status, &response.headers, response.body, response.content_length)
            }
            // The instance is dropped, and with it what it held: its transaction is rolled back.
            Err(error) => failed(request, &error, instance.out_of_memory()),
        }
    }
}

/// Ticks for as long as the engine lives.
fn start_clock(engine: &Engine) -> Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new().name("epoch".to_owned()).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(())
}

/// `name: value\n` for each field.
fn lines(headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::with_capacity(headers.iter().map(|(n, v)| n.len() + v.len() + 3).sum());
    for (name, value) in headers {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    out
}

fn failed(request: &Request<'_>, error: &wasmtime::Error, out_of_memory: bool) -> Answer {
    let (method, target) = (request.method, request.target);
    log(format_args!("{method} {target}: the component failed: {}", error.root_cause()));
    if let Some(Trap::Interrupt) = error.downcast_ref::<Trap>() {
        return Answer::problem(504, "57014", "The request took too long", "Ask for less at once.");
    }
    if out_of_memory {
        let message = "The answer needs more memory than a request may have";
        return Answer::problem(500, "54000", message, "Ask for fewer rows at once with limit.");
    }
    Answer::internal()
}
