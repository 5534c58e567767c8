//! The WebAssembly component: the core behind two exports, Spin's HTTP handler and our own flat one.
//!
//! A thin shell: it turns each export's request into the core's, lends the core a connection of the host's
//! `spin:sqlite`, and sends back what the core answers. It knows nothing of PostgREST, SQL or JSON. Correct with a
//! fresh instance for every request (Spin); an instance that lives on keeps the configuration and the schema.

mod database;
mod flat;
mod settings;
mod spin;

use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;

use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http::{Request, Response};
use sqlitrest_runtime::{SchemaCache, parse, respond};

thread_local! {
    /// The last schema seen. Taken while a request runs; one instance serves one request at a time.
    static SCHEMA: Cell<Arc<SchemaCache>> = Cell::default();
}

/// Both exports end here.
fn answer(config: &Config, request: &Request<'_>) -> Response {
    let mut response = match parse(config, request) {
        Ok(parsed) => {
            let mut schema = SCHEMA.take();
            let mut database = database::SpinDatabase::default();
            let response = respond(config, &mut schema, parsed, &mut database);
            SCHEMA.set(schema);
            response
        }
        Err(response) => response,
    };
    if let Some(line) = response.log.take() {
        log(&line);
    }
    response
}

/// An answer that the core never sees, in PostgREST's form. `message` must not need escaping in JSON.
fn problem(status: u16, code: &str, message: &str) -> Response {
    Response {
        status,
        headers: vec![("content-type", "application/json; charset=utf-8".to_owned())],
        body: format!(r#"{{"code":"{code}","details":null,"hint":null,"message":"{message}"}}"#).into_bytes(),
        ..Response::default()
    }
}

/// One line to the host's log. (`eprintln!` would panic where standard error is closed.)
fn log(line: &str) {
    let _ = writeln!(std::io::stderr(), "sqlitrest: {line}");
}
