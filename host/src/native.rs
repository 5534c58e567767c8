//! The engine that runs the core as native code. It must not know sockets.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlitrest_runtime::audit::Audits;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::database::{Database, DbError};
use sqlitrest_runtime::http::{Request, Response};
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::timing::{Stage, Timing};
use sqlitrest_runtime::value::{Value, ValueRef};
use sqlitrest_runtime::{Access, ApiRequest, SchemaCache, parse, respond};
use tokio::task::{block_in_place, spawn_blocking};

use crate::answer::Answer;
use crate::audit;
use crate::libsql::{Server, attempts};
use crate::long;
use crate::observe::{context, errors};
use crate::owned::Owned;
use crate::pool::{Lane, Pool};
use crate::source::Source;
use crate::streaming::{Rest, Streaming};
use crate::writer::Turn;

/// A body beyond this takes longer to read than others should wait for the thread.
const LARGE_BODY: usize = 64 << 10;

/// The core, and what it is lent connections of.
pub struct Native {
    core: Arc<Core>,
    source: Source,
}

/// The core and what it knows of the schema.
struct Core {
    config: Config,
    audits: Audits,
    /// The newest schema seen; each request holds its own reference.
    schema: Mutex<Arc<SchemaCache>>,
}

impl Native {
    /// For one database, whose configuration this is.
    pub fn new(config: &Config, source: Source) -> Self {
        let audits = audit::audits(config);
        let core = Core { config: config.clone(), audits, schema: Mutex::default() };
        Native { core: Arc::new(core), source }
    }

    /// Answers one request of who asks.
    pub async fn handle(
        &self,
        request: &Request<'_>,
        identity: &Arc<Identity>,
        identified_in: Duration,
    ) -> Answer {
        let timing = Timing::start_after(&self.core.config, now, identified_in);
        let parsed = match request.body.len() > LARGE_BODY {
            true => block_in_place(|| self.core.parse(request, identity, timing)),
            false => self.core.parse(request, identity, timing),
        };
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(response) => return response.into(),
        };
        let (response, rest) = match (&self.source, parsed.access()) {
            (Source::File(pool), Access::Read) => self.read(pool, request, identity, parsed).await,
            (Source::File(pool), Access::Write) => (self.write(pool, request, identity, parsed).await, None),
            (Source::Server(server), _) => (self.ask(server, request, identity, parsed).await, None),
        };
        let Some(response) = response else { return Answer::internal() };
        if let Some(line) = &response.log {
            errors::internal(format_args!("{line}"));
        }
        Answer { rest, ..response.into() }
    }

    /// On this thread, if it is not long.
    async fn read(
        &self,
        pool: &Arc<Pool>,
        request: &Request<'_>,
        identity: &Arc<Identity>,
        parsed: ApiRequest,
    ) -> (Option<Response>, Option<Rest>) {
        let timing = parsed.timing.clone();
        match pool.take(Lane::Short).await {
            Ok(mut loan) => {
                let response = self.core.respond(parsed, &mut loan);
                if !loan.is_cut() {
                    return (Some(response), None);
                }
            }
            Err(error) => return (Some(self.core.respond(parsed, &mut Unavailable(error))), None),
        }
        let parsed = match self.core.parse(request, identity, timing) {
            Ok(parsed) => parsed,
            Err(response) => return (Some(response), None),
        };
        match pool.take(Lane::Long).await {
            Ok(loan) => {
                let core = Arc::clone(&self.core);
                let work = move |db: &mut Streaming| core.respond(parsed, db);
                match long::run(Streaming::new(loan), work).await {
                    Some((db, mut response)) => {
                        let rest = db.into_rest(response.tail.take());
                        (Some(response), rest)
                    }
                    None => (None, None),
                }
            }
            Err(error) => (Some(self.core.respond(parsed, &mut Unavailable(error))), None),
        }
    }

    /// In its turn, on the thread that writes.
    async fn write(
        &self,
        pool: &Arc<Pool>,
        request: &Request<'_>,
        identity: &Arc<Identity>,
        parsed: ApiRequest,
    ) -> Option<Response> {
        let timing = parsed.timing.clone();
        let (core, owned, who) = (Arc::clone(&self.core), Owned::of(request), Arc::clone(identity));
        let (mut parsed, again) = (Some(parsed), timing.clone());
        let work = move |mut turn: Turn| {
            let parsed = match parsed.take() {
                Some(parsed) => Ok(parsed),
                None => owned.with(|request| core.parse(request, &who, again.clone())),
            };
            let response = parsed.map_or_else(|refusal| refusal, |parsed| core.respond(parsed, &mut turn));
            (response, Some(turn))
        };
        match pool.write(work).await {
            Ok(response) => response,
            Err(error) => {
                let parsed = self.core.parse(request, identity, timing).ok()?;
                Some(self.core.respond(parsed, &mut Unavailable(error)))
            }
        }
    }

    /// On a thread that may wait for the network.
    async fn ask(
        &self,
        server: &Arc<Server>,
        request: &Request<'_>,
        identity: &Arc<Identity>,
        parsed: ApiRequest,
    ) -> Option<Response> {
        let permit = match server.enter(parsed.access()).await {
            Ok(permit) => permit,
            Err(error) => return Some(self.core.respond(parsed, &mut Unavailable(error))),
        };
        let (core, server, context) = (Arc::clone(&self.core), Arc::clone(server), context::current());
        let (owned, who, timing) = (Owned::of(request), Arc::clone(identity), parsed.timing.clone());
        let mut parsed = Some(parsed);
        let done = spawn_blocking(move || {
            let _permit = permit;
            let work = || {
                attempts(&server, |mut session| {
                    let parsed = match parsed.take() {
                        Some(parsed) => Ok(parsed),
                        None => owned.with(|request| core.parse(request, &who, timing.clone())),
                    };
                    let respond = |parsed| core.respond(parsed, &mut session);
                    (parsed.map_or_else(|refusal| refusal, respond), Some(session))
                })
            };
            context::within(&context, work)
        });
        // None where it broke.
        done.await.ok()
    }
}

impl Core {
    // The response is handed on at once; a box would only be unpacked.
    #[allow(clippy::result_large_err)]
    fn parse(
        &self,
        request: &Request<'_>,
        identity: &Arc<Identity>,
        mut timing: Timing,
    ) -> Result<ApiRequest, Response> {
        let mut parsed = parse(&self.config, identity, request)?;
        timing.spend(Stage::Parse);
        parsed.timing = timing;
        parsed.audit(self.audits);
        Ok(parsed)
    }

    fn respond(&self, parsed: ApiRequest, db: &mut dyn Database) -> Response {
        let old = Arc::clone(&self.schema.lock().unwrap_or_else(PoisonError::into_inner));
        let mut schema = Arc::clone(&old);
        let response = respond(&self.config, &mut schema, parsed, db);
        if !Arc::ptr_eq(&old, &schema) {
            *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = schema;
        }
        response
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
