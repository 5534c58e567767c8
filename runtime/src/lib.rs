//! The core of SQLitREST: a request goes in, SQL goes to one connection, a response comes out.
//!
//! ```text
//! Request → ApiRequest → Plan → Authorized → Program → Outcome → Response
//!           parse        build   authorize    compile   run       reply
//! ```
//!
//! Pure: no sockets, files, clock, environment, threads or logs. A shell (the guest, the native host, a test) calls
//! [`parse`], takes a connection of the right kind, and calls [`respond`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod api_request;
pub mod array;
pub mod asker;
pub mod audit;
pub mod auth;
pub mod authorize;
pub mod batch;
pub mod compile;
pub mod config;
pub mod cors;
pub mod database;
mod database_error;
pub mod debug;
pub mod encode;
pub mod error;
pub mod etag;
pub mod field;
pub mod filter;
pub mod full_text;
pub mod function;
mod grammar;
pub mod http;
pub mod identity;
pub mod keyset;
pub mod media;
pub mod openapi;
pub mod order;
pub mod payload;
pub mod plan;
pub mod policy;
mod pre_request;
pub mod preferences;
pub mod query_params;
mod reply;
pub mod run;
pub mod schema;
pub mod select;
mod similar;
pub mod timezone;
pub mod timing;
pub mod value;

use std::sync::Arc;

pub use api_request::{Access, ApiRequest};
use api_request::{Action, CallRequest};
pub use schema::SchemaCache;

use asker::Asker;
use audit::Audits;
use authorize::Authorized;
use compile::{Output, Program};
use config::{Config, Mode, TxEnd, Verbosity};
use database::Database;
use database_error::classify;
pub use debug::explain::explain;
use encode::Shape;
use error::Error;
use function::Returns;
use http::{Request, Response};
use identity::Identity;
use media::MediaType;
use plan::Plan;
use preferences::TransactionEnd;
use timing::{Stage, Timing};

/// The first stage, pure: HTTP and the URL grammar. `identity` is who asks.
///
/// # Errors
/// The finished answer to a request that cannot be understood.
// The response is handed on at once; a box would only be unpacked.
#[allow(clippy::result_large_err)]
pub fn parse(
    config: &Config,
    identity: &Arc<Identity>,
    request: &Request<'_>,
) -> Result<ApiRequest, Response> {
    let error = |error: Error| reply::error(&error, config.api.error_verbosity);
    let parse = || {
        if let Some(response) = cors::preflight(request) {
            return Err(response);
        }
        // The pages that there are a shell has answered.
        if config.debug.enabled && request.target.starts_with("/_debug/") {
            return Err(error(Error::Page));
        }
        let request = &api_request::below_base_path(config, request).map_err(error)?;
        match cors::options(config, request) {
            Some(response) => Err(response),
            None => ApiRequest::parse(config, identity, request).map_err(error),
        }
    };
    parse().map_err(|mut response| {
        auth::response::mark(config, Some(identity), &mut response);
        mark(config, request, &mut response);
        response
    })
}

/// The answer to a request whose credentials are refused.
pub fn refuse(config: &Config, request: &Request<'_>, error: &Error) -> Response {
    let mut response = reply::error(error, config.api.error_verbosity);
    auth::response::challenge(config, error, &mut response);
    auth::response::mark(config, None, &mut response);
    mark(config, request, &mut response);
    response
}

/// Gives an answer the fields that every one has, whoever made it: which pages may read it, and what it is traced by.
pub fn mark(config: &Config, request: &Request<'_>, response: &mut Response) {
    cors::allow_origin(config, &cors::Asked::of(request), response);
    response.headers.extend(api_request::trace(config, request));
}

/// The other stages, in one transaction on `db`, opened and ended here whatever happens. `schema` is replaced when the
/// database's `schema_version` shows that it is stale; start with its default.
pub fn respond(
    config: &Config,
    schema: &mut Arc<SchemaCache>,
    mut request: ApiRequest,
    db: &mut dyn Database,
) -> Response {
    let mut timing = std::mem::take(&mut request.timing);
    let mut response = in_transaction(config, schema, &request, db, &mut timing).unwrap_or_else(|error| {
        let mut response = reply::error(&error, config.api.error_verbosity);
        response.acts = audit::refused(&request, &error, response.status);
        response
    });
    auth::response::mark(config, Some(&request.identity), &mut response);
    cors::allow_origin(config, &request.origin, &mut response);
    response.headers.extend(request.trace);
    response.headers.extend(timing.header().map(|timing| ("server-timing".into(), timing)));
    response
}

/// The answer to a failure outside the core, in the form of every other error: `message` goes to the log alone.
pub fn internal_error(message: &str) -> Response {
    reply::error(&Error::Internal(message.to_owned()), Verbosity::Verbose)
}

/// The answer to a failure outside the core that the client is told of.
pub fn error_response(error: &Error) -> Response {
    reply::error(error, Verbosity::Verbose)
}

/// The stages from `build` to `compile`: what a request means to who sends it, and the SQL that it becomes. [`respond`] goes
/// this way; so may a tool that explains a request. `schema` is the whole one.
///
/// # Errors
/// Whatever the stages refuse.
pub fn plan(
    config: &Config,
    schema: &Arc<SchemaCache>,
    request: &ApiRequest,
) -> Result<(Plan, Program), Error> {
    plan_for_role(config, &schema.for_role(config, request.identity.role.as_deref()), request)
}

fn plan_for_role(
    config: &Config,
    schema: &SchemaCache,
    request: &ApiRequest,
) -> Result<(Plan, Program), Error> {
    let (authorized, program) = authorize_and_compile(config, schema, request)?;
    if matches!(request.media_type, MediaType::Plan { .. }) && authorized.is_restricted() {
        // It names what policies read, and what they hide.
        let message = "permission denied for the plan of what a policy restricts".to_owned();
        return Err(Error::Forbidden { message, anonymous: request.identity.is_anonymous });
    }
    Ok((authorized.into_plan(), program))
}

/// `schema` is that of the role.
fn authorize_and_compile(
    config: &Config,
    schema: &SchemaCache,
    request: &ApiRequest,
) -> Result<(Authorized, Program), Error> {
    let stages = || {
        let plan = plan::build(config, schema, request)?;
        let authorized = authorize::authorize(schema, plan)?;
        let asker = Asker { identity: &request.identity, said: request.said.as_ref() };
        let program = compile::compile(schema, &authorized, &output(request), &asker)?;
        Ok((authorized, program))
    };
    stages().map_err(|error: Error| error.to(request.identity.is_anonymous))
}

fn in_transaction(
    config: &Config,
    schema: &mut Arc<SchemaCache>,
    request: &ApiRequest,
    db: &mut dyn Database,
    timing: &mut Timing,
) -> Result<Response, Error> {
    let writes = request.access() == Access::Write;
    if writes && config.database().1.mode == Mode::ReadOnly {
        return Err(Error::ReadOnly);
    }
    let begin = if writes { "BEGIN IMMEDIATE" } else { "BEGIN" };
    statement(db, begin).map_err(|e| classify(&e, schema, &request.relation))?;
    let end = if undoes(config, request) { "ROLLBACK" } else { "COMMIT" };
    let answered = match &request.action {
        Action::Batch(operations) => batch(config, schema, operations, db, timing),
        _ => answer(config, schema, request, db, timing, true),
    };
    let result = answered.and_then(|mut response| match statement(db, end) {
        Ok(()) => {
            if end == "ROLLBACK" {
                response.acts.retain(|act| !act.operation.writes());
            }
            Ok(response)
        }
        Err(e) => Err(classify(&e, schema, &request.relation)),
    });
    if result.is_err() {
        // SQLite may have rolled back by itself; then this fails, and nothing is left to undo.
        let _ = statement(db, "ROLLBACK");
    }
    timing.spend(Stage::Transaction);
    result
}

/// The answers to several requests; one that fails is the answer to all.
fn batch(
    config: &Config,
    schema: &mut Arc<SchemaCache>,
    operations: &[ApiRequest],
    db: &mut dyn Database,
    timing: &mut Timing,
) -> Result<Response, Error> {
    let (mut body, mut acts) = (Vec::new(), Vec::new());
    for (at, operation) in operations.iter().enumerate() {
        match answer(config, schema, operation, db, timing, false) {
            Ok(mut response) => {
                acts.append(&mut response.acts);
                batch::append(&response, &mut body);
                encode::check_size(&body).map_err(|e| classify(&e, schema, &operation.relation))?;
            }
            Err(error) => return Err(Error::Operation { at, error: Box::new(error) }),
        }
    }
    body.extend_from_slice(if body.is_empty() { b"[]" } else { b"]" });
    let headers = vec![("content-type".into(), MediaType::Json.content_type())];
    audit::bound(&mut acts);
    Ok(Response { status: 200, headers, body, acts, ..Response::default() })
}

/// Whether the transaction is undone though the request is answered (`api.tx_end`, `Prefer: tx=rollback`).
fn undoes(config: &Config, request: &ApiRequest) -> bool {
    match (config.api.tx_end, request.preferences.transaction) {
        (TxEnd::Commit, _) => false,
        (TxEnd::Rollback, _) => true,
        (_, Some(TransactionEnd::Commit)) => false,
        (_, Some(TransactionEnd::Rollback)) => true,
        (end, None) => end == TxEnd::RollbackAllowOverride,
    }
}

/// How the rows of a page are told.
fn output(request: &ApiRequest) -> Output {
    let zone = request.preferences.timezone.as_ref().map(|timezone| timezone.zone.clone());
    Output { shape: shape(request), zone, names_written: request.audits != Audits::None }
}

/// What the rows of a page become.
fn shape(request: &ApiRequest) -> Shape {
    let is_value = matches!(&request.action, Action::Call(CallRequest { call, .. })
        if matches!(call.returns, Returns::Value { .. }));
    match request.media_type.of() {
        MediaType::Other(_) => Shape::Bytes,
        MediaType::Csv => Shape::Csv,
        MediaType::Lines if is_value => Shape::ValueLines,
        MediaType::Lines => Shape::Lines,
        _ if is_value => Shape::Values,
        MediaType::Json | MediaType::Object => Shape::Objects,
        MediaType::JsonStripped | MediaType::ObjectStripped => Shape::StrippedObjects,
        MediaType::Plan { .. } => Shape::Objects,
    }
}

/// `alone`: the response is sent as it is.
fn answer(
    config: &Config,
    schema: &mut Arc<SchemaCache>,
    request: &ApiRequest,
    db: &mut dyn Database,
    timing: &mut Timing,
    alone: bool,
) -> Result<Response, Error> {
    let version = schema::schema_version(db, &config.database().1.attach)
        .map_err(|e| classify(&e, schema, &request.relation))?;
    if schema.version != Some(version) {
        let read = schema::read_configured(config, db);
        *schema = Arc::new(read.map_err(|e| classify(&e, schema, &request.relation))?);
    }
    timing.spend(Stage::Transaction);
    let whole = &*schema;
    let schema = &schema.for_role(config, request.identity.role.as_deref());
    if let Some(call) = &request.pre_request {
        pre_request::call(config, schema, call, db)?;
        timing.spend(Stage::Transaction);
    }
    if let Action::Describe(asked) = &request.action {
        let response = openapi::answer(config, whole, request, asked);
        timing.spend(Stage::Response);
        return response;
    }
    let planned = plan_for_role(config, schema, request);
    timing.spend(Stage::Plan);
    let (plan, mut program) = planned?;
    if alone && may_stream(request, &plan) {
        program.stream();
    }
    if let MediaType::Plan { json, verbose, .. } = request.media_type {
        let explained = run::explain(&program, db).map_err(|e| classify(&e, schema, &request.relation))?;
        return Ok(reply::explained(request, &explained, json, verbose));
    }
    let outcome = run::run(program, db).map_err(|failure| failed(failure, schema, request))?;
    timing.spend(Stage::Transaction);
    let relation = schema.relation(&request.relation).map(|(_, relation)| relation);
    let acts = audit::acts(schema, request, &plan, &outcome);
    let response = reply::reply(config, request, &plan, relation, outcome);
    timing.spend(Stage::Response);
    Ok(Response { acts, ..response? })
}

/// Whether the rows may be sent before they are all there: nothing in the head of the response goes by them.
fn may_stream(request: &ApiRequest, plan: &Plan) -> bool {
    let is_set = match plan {
        Plan::Read { .. } => true,
        Plan::Call { call, .. } => call.returns.is_set(),
        _ => false,
    };
    let shapes = [Shape::Objects, Shape::StrippedObjects, Shape::Csv, Shape::Lines];
    is_set
        && request.access() == Access::Read
        && !request.is_head()
        && !request.media_type.is_single()
        && !matches!(request.media_type, MediaType::Plan { .. })
        && shapes.contains(&shape(request))
        && request.conditional.is_none()
        && request.preferences.limit().is_none()
}

/// What a program that did not come to its end is to who asks.
fn failed(failure: run::Failure, schema: &SchemaCache, request: &ApiRequest) -> Error {
    match failure {
        run::Failure::Database(error) => classify(&error, schema, &request.relation),
        run::Failure::Policy(violation) => violates(&violation).to(request.identity.is_anonymous),
    }
}

/// A row that breaks a policy, in PostgreSQL's words.
fn violates(violation: &compile::Violation) -> Error {
    let using = if violation.using { " (USING expression)" } else { "" };
    let relation = &violation.relation;
    let message = format!("new row violates row-level security policy{using} for table \"{relation}\"");
    Error::Forbidden { message, anonymous: false }
}

fn statement(db: &mut dyn Database, sql: &str) -> Result<(), database::DbError> {
    db.rows(sql, &[], &mut |_| {})
}
