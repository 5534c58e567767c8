//! The engine that runs the core as a WebAssembly component in wasmtime.
//!
//! The guest sees its configuration, a clock, a source of random numbers and, through `spin:sqlite`, one database: no
//! files, no network, no environment.

mod bindings;
mod instances;
mod link;
mod load;
mod sqlite;
mod stderr;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use sqlitrest_runtime::Access as Wants;
use sqlitrest_runtime::audit::{Audits, from_json};
use sqlitrest_runtime::batch;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::database::DbError;
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::identity::Identity;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use wasmtime::{Engine, Trap};

use crate::answer::Answer;
use crate::audit;
use crate::libsql::{Server, attempts};
use crate::observe::{context, errors};
use crate::owned::Owned;
use crate::pool::{Lane, Pool};
use crate::source::Source;
use crate::writer::Turn;
use bindings::exports::sqlitrest::component::handler;
use instances::{Access, Instances, Missed, Reader};

pub use instances::{Counts, Guests};

pub use load::Guest;

/// How often the clock ticks by which a guest is stopped.
const TICK: Duration = Duration::from_millis(250);

/// The guest component of one database.
pub struct Component {
    source: Source,
    guest: Arc<Running>,
}

/// What answers on whichever thread.
struct Running {
    instances: Instances,
    /// Whether the guest is told who asks; where credentials are not looked at it knows.
    tells_identity: bool,
    /// Whether every request writes (`api.pre_request`).
    always_writes: bool,
    /// Of which requests it tells what they did.
    audits: handler::Audits,
    /// A guest that takes longer than its statements may, half as long again and the wait for a connection, is stopped: after
    /// so many ticks.
    deadline: u64,
}

impl Component {
    /// For one database, whose configuration this is, in instances of these guests.
    ///
    /// # Errors
    /// None that a loaded configuration can cause.
    pub fn new(config: &Config, guests: Arc<Guests>, source: Source) -> Result<Self> {
        let (limit, patience) = (config.middleware.request_timeout.0, config.pool.busy_timeout.0);
        // The wait for a connection is not the guest's fault. One more, since the first tick may come at once.
        let deadline = (limit + limit / 2 + patience).as_millis() / TICK.as_millis() + 2;
        let text = config.without_secrets().to_text()?;
        let guest = Running {
            instances: Instances::new(guests, text, config.database().0, patience),
            tells_identity: config.signing_in().is_some(),
            always_writes: config.pre_request().is_some_and(|udf| !udf.readonly),
            audits: match audit::audits(config) {
                Audits::None => handler::Audits::None,
                Audits::Writes => handler::Audits::Writes,
                Audits::All => handler::Audits::All,
            },
            deadline: u64::try_from(deadline).unwrap_or(u64::MAX / 2),
        };
        Ok(Component { source, guest: Arc::new(guest) })
    }

    /// Answers one request of who asks, in an instance of its own.
    pub async fn handle(
        &self,
        request: &Request<'_>,
        identity: &Arc<Identity>,
        identified_in: Duration,
    ) -> Answer {
        let asked = Asked { identity, identified_in };
        let pool = match &self.source {
            Source::File(pool) => pool,
            Source::Server(server) => return self.ask(server, request, &asked).await,
        };
        let writes = writes(request) || self.guest.always_writes && request.method != "OPTIONS";
        let mut missed = writes.then_some(Missed::Turn);
        if missed.is_none() {
            let (answer, access) = self.guest.read(pool, request, &asked, Lane::Short).await;
            if access.missed.is_none() {
                return answer;
            }
            missed = access.missed;
        }
        if missed == Some(Missed::Turn) {
            return self.write(pool, request, &asked).await;
        }
        self.guest.read(pool, request, &asked, Lane::Long).await.0
    }

    /// In its turn, on the thread that writes.
    async fn write(&self, pool: &Pool, request: &Request<'_>, asked: &Asked<'_>) -> Answer {
        let (guest, owned) = (Arc::clone(&self.guest), Owned::of(request));
        let (identity, identified_in) = (Arc::clone(asked.identity), asked.identified_in);
        let runtime = Handle::current();
        let work = move |turn| {
            let access = Access { turn: Some(turn), ..Access::default() };
            let asked = Asked { identity: &identity, identified_in };
            let (answer, access) =
                owned.with(|request| runtime.block_on(guest.answer_beside(request, &asked, access)));
            (answer, access.turn)
        };
        match pool.write(work).await {
            Ok(answer) => answer.unwrap_or_else(Answer::internal),
            Err(error) => self.guest.refuse(request, asked, error).await,
        }
    }

    /// On a thread that may wait for the network.
    async fn ask(&self, server: &Arc<Server>, request: &Request<'_>, asked: &Asked<'_>) -> Answer {
        // What may only read is known when it is done.
        let wanted = if writes(request) { Wants::Write } else { Wants::Read };
        let permit = match server.enter(wanted).await {
            Ok(permit) => permit,
            Err(error) => return self.guest.refuse(request, asked, error).await,
        };
        let (guest, server, context) = (Arc::clone(&self.guest), Arc::clone(server), context::current());
        let (owned, identity) = (Owned::of(request), Arc::clone(asked.identity));
        let (identified_in, runtime) = (asked.identified_in, Handle::current());
        let done = spawn_blocking(move || {
            let _permit = permit;
            let asked = Asked { identity: &identity, identified_in };
            let work = || {
                attempts(&server, |session| {
                    let access = Access { session: Some(session), ..Access::default() };
                    let (answer, access) =
                        owned.with(|request| runtime.block_on(guest.answer_beside(request, &asked, access)));
                    (answer, access.session)
                })
            };
            context::within(&context, work)
        });
        done.await.unwrap_or_else(|_| Answer::internal())
    }
}

/// Who asks, and how long it took to find out.
struct Asked<'a> {
    identity: &'a Arc<Identity>,
    identified_in: Duration,
}

impl Running {
    /// Answers a request that does not write.
    async fn read(
        &self,
        pool: &Arc<Pool>,
        request: &Request<'_>,
        asked: &Asked<'_>,
        lane: Lane,
    ) -> (Answer, Access) {
        let loan = pool.take(lane).await;
        let access = match loan.and_then(|loan| Reader::begin(loan, lane)) {
            Ok(reader) => Access { reader: Some(reader), ..Access::default() },
            Err(error) => Access { refused: Some(error), ..Access::default() },
        };
        self.answer_beside(request, asked, access).await
    }

    /// The answer to a request that cannot have the database. How that is said the guest knows.
    async fn refuse(&self, request: &Request<'_>, asked: &Asked<'_>, error: DbError) -> Answer {
        let access = Access { refused: Some(error), ..Access::default() };
        self.answer_beside(request, asked, access).await.0
    }

    /// Answers a request beside others, when there is room for it.
    async fn answer_beside(
        &self,
        request: &Request<'_>,
        asked: &Asked<'_>,
        access: Access,
    ) -> (Answer, Access) {
        match self.instances.permit().await {
            Some(_permit) => self.answer(request, asked, access).await,
            None => {
                let busy = Answer::problem(503, "PGRST003", "The database is busy", "Try again.");
                (busy, access)
            }
        }
    }

    /// The answer, and what the request was given, as it has left it.
    async fn answer(&self, request: &Request<'_>, asked: &Asked<'_>, access: Access) -> (Answer, Access) {
        let mut instance = match self.instances.get().await {
            Ok(instance) => instance,
            Err(error) => return (failed(&error, false), access),
        };
        let schema_version = access.reader.as_ref().map(|reader| reader.schema_version);
        instance.store.data_mut().access = access;
        instance.store.set_epoch_deadline(self.deadline);
        let headers = lines(request.headers);
        let identity = self.tells_identity.then(|| asked.identity.to_json());
        let flat = handler::Request {
            method: request.method,
            target: request.target,
            headers: &headers,
            body: request.body,
            identity: identity.as_deref(),
            identified_in: u64::try_from(asked.identified_in.as_nanos()).unwrap_or(u64::MAX),
            schema_version,
            audits: self.audits,
        };
        let handler = instance.guest.sqlitrest_component_handler();
        let result = handler.call_handle(&mut instance.store, flat).await;
        let mut access = std::mem::take(&mut instance.store.data_mut().access);
        let answer = match result {
            Ok(handler::Response { status, headers, body, content_length, tail, acts }) => {
                self.instances.put(instance);
                let rest = access.reader.take().and_then(|reader| reader.into_rest(tail));
                let acts = acts.map(|json| from_json(&json)).unwrap_or_default();
                Answer { rest, acts, ..Answer::from_lines(status, &headers, body, content_length) }
            }
            // The instance is dropped, and with it what it held: its transaction is rolled back, even if it had been committed.
            Err(error) => {
                access.turn.as_mut().map(Turn::undo);
                let answer = failed(&error, instance.out_of_memory());
                self.instances.drop_trapped(instance);
                answer
            }
        };
        (answer, access)
    }
}

/// Whether a request writes, as far as its first line tells. Of others the guest finds it out.
fn writes(request: &Request<'_>) -> bool {
    match request.method {
        "PATCH" | "PUT" | "DELETE" => true,
        "POST" => !may_only_read(request),
        _ => false,
    }
}

/// Whether a POST may be one that reads: of a function, of other requests, or of a method in a header field.
fn may_only_read(request: &Request<'_>) -> bool {
    let path = request.target.split('?').next().unwrap_or_default();
    path.contains("/rpc/")
        || path.ends_with(batch::PATH)
        || request.header("x-http-method-override").is_some()
}

impl Guests {
    /// Loads the component.
    ///
    /// # Errors
    /// One sentence on what is wrong with it and what to do.
    pub fn load(guest: &Guest) -> Result<Arc<Guests>> {
        let engine = load::engine()?;
        let component = load::load(&engine, guest)?;
        let component = link::link(&engine, &component)
            .map_err(|error| anyhow!("the component does not fit this host: {error:#}"))?;
        start_clock(&engine)?;
        Ok(Arc::new(Guests::new(component)))
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

fn failed(error: &wasmtime::Error, out_of_memory: bool) -> Answer {
    errors::internal(format_args!("the component failed: {}", error.root_cause()));
    if let Some(Trap::Interrupt) = error.downcast_ref::<Trap>() {
        return Answer::problem(504, "57014", "The request took too long", "Ask for less at once.");
    }
    if out_of_memory {
        let message = "The answer needs more memory than a request may have";
        return Answer::problem(500, "54000", message, "Ask for fewer rows at once with limit.");
    }
    Answer::internal()
}
