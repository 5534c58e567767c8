//! The core of SQLitREST: a request goes in, SQL goes to one connection, a response comes out.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod config;
pub mod database;
pub mod encode;
pub mod http;
mod similar;
pub mod value;

use std::sync::Arc;

/// What is known of a database's schema (see `PRAGMA schema_version`).
#[derive(Debug, Default)]
pub struct SchemaCache {}

/// A parsed request.
#[derive(Debug)]
pub struct ApiRequest {}

/// Whether a request writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// SELECT only: any reader will do.
    Read,
    /// Takes the writer (`BEGIN IMMEDIATE`).
    Write,
}

impl ApiRequest {
    /// Whether the request writes, known before any SQL exists.
    pub fn access(&self) -> Access {
        Access::Read
    }
}

/// First stage, pure: HTTP and the URL grammar. `Err` is the finished answer to a request that cannot be understood.
///
/// # Errors
/// The error response (also the whole answer of requests that need no database, such as OPTIONS).
pub fn parse(
    config: &config::Config,
    request: &http::Request<'_>,
) -> Result<ApiRequest, http::Response> {
    let _ = (config, request);
    Ok(ApiRequest {})
}

/// The other stages: one transaction on `db` (opened and ended here), whatever happens. `schema` is replaced when the
/// database's `schema_version` shows that it is stale; start with `Default`.
pub fn respond(
    config: &config::Config,
    schema: &mut Arc<SchemaCache>,
    request: ApiRequest,
    db: &mut dyn database::Database,
) -> http::Response {
    let _ = (config, schema, request, db);
    http::Response {
        status: 501,
        ..Default::default()
    }
}
