//! The WebAssembly component: the core behind two exports, Spin's HTTP handler and our own flat one.
//!
//! A thin shell: it turns each export's request into the core's, lends the core a connection of the host's
//! `spin:sqlite`, and sends back what the core answers. It knows nothing of PostgREST, SQL or JSON. Correct with a
//! fresh instance for every request (Spin); an instance that lives on keeps the configuration and the schema.

mod database;
mod flat;
mod key_set;
mod served;
mod settings;
mod sign_in;
mod spin;

use std::io::Write;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use sqlitrest_runtime::audit::Audits;
use sqlitrest_runtime::http::{Request, Response};
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::timing::{Stage, Timing};
use sqlitrest_runtime::{parse, respond};

use served::Served;

/// The core's answer to a request that could be read, and of which it is known who asks.
fn answer(
    mut database: database::SpinDatabase,
    served: &'static Served,
    identity: &Arc<Identity>,
    timing: &Timing,
    audits: Audits,
    request: &Request<'_>,
) -> Response {
    let response = answer_with(&mut database, served, identity, timing, audits, request);
    if !database.may_do_guarded() || response.status != 500 {
        return response;
    }
    // Nothing is committed: the page comes before that.
    drop(database);
    let mut database = database::SpinDatabase::guarded(&served.label);
    answer_with(&mut database, served, identity, timing, audits, request)
}

fn answer_with(
    database: &mut database::SpinDatabase,
    served: &'static Served,
    identity: &Arc<Identity>,
    timing: &Timing,
    audits: Audits,
    request: &Request<'_>,
) -> Response {
    let config = &served.config;
    match parse(config, identity, request) {
        Ok(mut parsed) => {
            parsed.audit(audits);
            parsed.timing = timing.clone();
            parsed.timing.spend(Stage::Parse);
            let mut schema = served.schema.take();
            let response = respond(config, &mut schema, parsed, database);
            served.schema.set(schema);
            response
        }
        Err(response) => response,
    }
}

/// A monotonic clock.
fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// Both exports end here: what the client is not told of goes to the log.
fn finish(answer: Result<Response, Response>) -> Response {
    let mut response = answer.unwrap_or_else(|error| error);
    if let Some(line) = response.log.take() {
        log(&line);
    }
    response
}

/// One line to the host's log. (`eprintln!` would panic where standard error is closed.)
fn log(line: &str) {
    let _ = writeln!(std::io::stderr(), "sqlitrest: {line}");
}
