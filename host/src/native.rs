//! The engine that runs the core as native code. It must not know sockets.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::database::{Database, DbError};
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::timing::{Stage, Timing};
use sqlitrest_runtime::value::{Value, ValueRef};
use sqlitrest_runtime::{Access, SchemaCache, parse, respond};
use tokio::task::block_in_place;

use crate::answer::Answer;
use crate::log;
use crate::open::Role;
use crate::pool::Pool;

/// The core, a pool of connections and what is known of the schema.
pub struct Native {
    config: Box<Config>,
    pool: Arc<Pool>,
    /// The newest schema seen; each request holds its own reference.
    schema: Mutex<Arc<SchemaCache>>,
}

impl Native {
    /// Opens the configured database.
    ///
    /// # Errors
    /// One sentence on what is wrong with the file and what to do.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Native { config: Box::new(config.clone()), pool: Pool::open(config)?, schema: Mutex::default() })
    }

    /// The connections.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Answers one request of who asks. The statements run on the calling thread: to hand a query by key to another one would cost
    /// more than the query.
    pub async fn handle(
        &self,
        request: &Request<'_>,
        identity: &Arc<Identity>,
        identified_in: Duration,
    ) -> Answer {
        let mut timing = Timing::start_after(&self.config, now, identified_in);
        let mut parsed = match parse(&self.config, identity, request) {
            Ok(parsed) => parsed,
            Err(response) => return response.into(),
        };
        timing.spend(Stage::Parse);
        parsed.timing = timing;
        let role = match parsed.access() {
            Access::Read => Role::Reader,
            Access::Write => Role::Writer,
        };
        let loan = self.pool.take(role).await;
        let old = Arc::clone(&self.schema.lock().unwrap_or_else(PoisonError::into_inner));
        let mut schema = Arc::clone(&old);
        let response = match loan {
            // Another worker takes over what this one has to watch (sockets, timers, signals), should the query be long.
            Ok(mut loan) => block_in_place(|| respond(&self.config, &mut schema, parsed, &mut loan)),
            Err(error) => respond(&self.config, &mut schema, parsed, &mut Unavailable(error)),
        };
        if !Arc::ptr_eq(&old, &schema) {
            *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = schema;
        }
        if let Some(line) = &response.log {
            log(format_args!("{} {}: {line}", request.method, request.target));
        }
        response.into()
    }
}

/// A monotonic clock.
fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// Where no connection came free, every statement fails: the core, not this shell, knows how to say it.
struct Unavailable(DbError);

impl Database for Unavailable {
    fn columns(&mut self, _: &str, _: &[Value]) -> Result<Vec<String>, DbError> {
        Err(self.0.clone())
    }

    fn rows(&mut self, _: &str, _: &[Value], _: &mut dyn FnMut(&[ValueRef<'_>])) -> Result<(), DbError> {
        Err(self.0.clone())
    }
}
