//! Every way a request can fail, and what the client is told: PostgREST's codes, statuses and words.
//!
//! Codes are listed at <https://docs.postgrest.org/en/stable/references/errors.html>. A failure inside the database is
//! told by its SQLSTATE; SQLite's own text never reaches the client (see `database_error`).

use std::borrow::Cow;

use serde_json::{Map, Value as Json, json};

use crate::auth::error::AuthError;
use crate::config::Verbosity;
use crate::full_text::FullTextError;

/// A failed request.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The credentials are refused.
    Auth(AuthError),
    /// A part of the query string does not fit the grammar.
    Grammar {
        /// What was parsed: `select parameter (a,,b)`.
        what: String,
        /// Where it stopped, in characters from 1.
        column: usize,
        /// What stood there and what was expected.
        details: String,
    },
    /// The body cannot be read as the rows of a write.
    Body(String),
    /// The body is larger than `server.max_body`, in bytes.
    BodyTooLarge(u64),
    /// A range that no answer can satisfy.
    Range(String),
    /// An offset beyond the last row, where the rows were counted.
    Offset {
        /// Rows to pass over.
        offset: u64,
        /// Rows there are.
        total: u64,
    },
    /// The method has no meaning on a relation.
    Method(String),
    /// None of the accepted media types can be made.
    NotAcceptable(String),
    /// A parameter names an embed that `select` does not contain.
    NotEmbedded(String),
    /// Exactly one row was asked for.
    NotSingular(u64),
    /// A path of more than one level.
    Path,
    /// No page of the server itself is there.
    Page,
    /// There is no document at `/`.
    NoRoot,
    /// `/rpc/NAME` with no such function.
    NoFunction {
        /// The function's name.
        name: String,
        /// The names of the arguments.
        arguments: Vec<String>,
        /// A function that was perhaps meant.
        near: Option<String>,
        /// Whether the body could have been the one argument.
        with_body: bool,
    },
    /// `/rpc/NAME` with several such functions.
    AmbiguousFunction {
        /// The function's name.
        name: String,
        /// What was found.
        candidates: Vec<String>,
    },
    /// A method that functions do not take.
    CallMethod(String),
    /// GET on a function that writes.
    CallWrites(String),
    /// What this role may not do.
    Forbidden {
        /// What is refused.
        message: String,
        /// Whether nobody has signed in, so that signing in may help.
        anonymous: bool,
    },
    /// `max-affected` on a function that returns no rows.
    MaxAffectedCall,
    /// No such table or view is exposed.
    NoRelation {
        /// Its name in the request.
        name: String,
        /// A similar name that exists.
        near: Option<String>,
    },
    /// A write names a column that does not exist.
    NoColumn {
        /// The column's name.
        column: String,
        /// The relation's name.
        relation: String,
    },
    /// A read names a column that does not exist.
    UndefinedColumn {
        /// The column's name.
        column: String,
        /// The relation's name.
        relation: String,
        /// A similar name that exists.
        near: Option<String>,
    },
    /// An embed for which no foreign key is found.
    NoRelationship {
        /// The relation embedded into.
        origin: String,
        /// The relation to embed.
        target: String,
        /// The hint after `!`.
        hint: Option<String>,
        /// A similar name that would fit.
        near: Option<String>,
    },
    /// An embed for which several foreign keys are found.
    AmbiguousRelationship {
        /// The relation embedded into.
        origin: String,
        /// The relation to embed.
        target: String,
        /// What was found.
        candidates: Vec<Candidate>,
    },
    /// A literal that the column's declared type cannot read.
    Literal {
        /// The type, in PostgreSQL's words.
        declared: &'static str,
        /// The literal.
        value: String,
    },
    /// A number too large for its column.
    OutOfRange(String),
    /// The relation cannot be written in this way.
    NotWritable {
        /// `insert into`, `update` or `delete from`.
        verb: &'static str,
        /// `view` or `virtual table`.
        kind: &'static str,
        /// The relation's name.
        relation: String,
    },
    /// A value for a generated column.
    Generated {
        /// The column's name.
        column: String,
    },
    /// Preferences that are not understood, with `handling=strict`.
    Preferences(String),
    /// A timezone that there is none of.
    TimeZone(String),
    /// An `after` of another number of values than the order has.
    After {
        /// Its values.
        given: usize,
        /// The terms of the order and the columns of the primary key.
        wanted: usize,
    },
    /// An operation of a batch failed.
    Operation {
        /// Its place, from 0.
        at: usize,
        /// Why.
        error: Box<Error>,
    },
    /// What `If-Match` or `If-None-Match` wants does not hold.
    Precondition,
    /// An aggregate, which `api.aggregates` does not allow.
    Aggregates,
    /// A column in an order of groups by which they are not made.
    NotGrouped(String),
    /// An aggregate in an order of rows that are no groups.
    NoGroups(String),
    /// An order of distinct rows by what is not told of them.
    DistinctOrder,
    /// A filter on an embed other than for null.
    EmbedFilter(String),
    /// An order by an embed that is not to-one.
    RelatedOrder {
        /// The relation embedded into.
        origin: String,
        /// The embed.
        target: String,
    },
    /// PUT with filters other than its primary key.
    PutFilters,
    /// PUT with limit or offset.
    PutLimit,
    /// PUT with a body of another key than the URL's.
    PutKey,
    /// A write of more rows than `max-affected` allows.
    MaxAffected(u64),
    /// A full-text query that cannot be served.
    FullText(FullTextError),
    /// A type that is not known.
    UndefinedType(String),
    /// `on_conflict` names no unique key.
    NoUniqueKey,
    /// A write of every row, which `api.require_filter` does not allow.
    UnsafeWrite(&'static str),
    /// A part of the grammar that cannot be served here.
    NotImplemented(String),
    /// More nesting, parameters or text than a request may have.
    TooComplex(String),
    /// A constraint refused the write.
    Constraint {
        /// Its SQLSTATE.
        code: &'static str,
        /// The message, in PostgreSQL's words.
        message: String,
        /// The key or row.
        details: Option<String>,
    },
    /// What a trigger raises as an error of its own.
    Raised {
        /// The HTTP status.
        status: u16,
        /// Its code.
        code: String,
        /// One sentence.
        message: String,
        /// More about the cause.
        details: Option<String>,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A schema that is not served.
    Schema {
        /// Its name in the request.
        name: String,
        /// That which is.
        served: String,
    },
    /// A database served for reading only.
    ReadOnly,
    /// The database cannot be reached; the text is for the log.
    Unreachable(String),
    /// The database is locked by someone else for longer than `pool.busy_timeout`.
    Busy,
    /// The disk is full.
    DiskFull,
    /// The work took longer than allowed.
    Timeout,
    /// A failure that is ours or the file's; the text is for the log.
    Internal(String),
}

/// A relationship among several, as `details` of PGRST201 lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// `many-to-one` and so on.
    pub cardinality: &'static str,
    /// The keys: `tracks_album_id_fkey using tracks(album_id) and albums(id)`.
    pub relationship: String,
    /// The constraint or junction that, after `!`, selects it.
    pub hint: String,
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// PGRST000 to PGRSTX99, or a SQLSTATE.
    pub code: Cow<'static, str>,
    /// One sentence.
    pub message: String,
    /// More about the cause: text or a list.
    pub details: Json,
    /// What to do about it.
    pub hint: Option<String>,
    /// The place of the operation of a batch that failed, from 0.
    pub operation: Option<usize>,
}

impl Problem {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Problem {
            status,
            code: Cow::Borrowed(code),
            message: message.into(),
            details: Json::Null,
            hint: None,
            operation: None,
        }
    }

    pub(crate) fn details(self, details: impl Into<Json>) -> Self {
        Problem { details: details.into(), ..self }
    }

    pub(crate) fn hint(self, hint: impl Into<Option<String>>) -> Self {
        Problem { hint: hint.into(), ..self }
    }

    /// The error body, keys in PostgREST's order; minimal, without details and hint.
    pub fn body(&self, verbosity: Verbosity) -> Vec<u8> {
        let mut body = Map::new();
        body.insert("code".to_owned(), json!(self.code));
        if verbosity == Verbosity::Verbose {
            body.insert("details".to_owned(), self.details.clone());
            body.insert("hint".to_owned(), json!(self.hint));
        }
        body.insert("message".to_owned(), json!(self.message));
        if let Some(operation) = self.operation {
            body.insert("operation".to_owned(), json!(operation));
        }
        Json::Object(body).to_string().into_bytes()
    }
}

impl Error {
    /// The same for who asks: what is refused to someone who has not signed in may be allowed to someone who has.
    pub fn to(self, is_anonymous: bool) -> Error {
        match self {
            Error::Forbidden { message, .. } => Error::Forbidden { message, anonymous: is_anonymous },
            Error::Operation { at, error } => {
                Error::Operation { at, error: Box::new(error.to(is_anonymous)) }
            }
            other => other,
        }
    }

    /// What the client is told of this error. Total: every error has its row here.
    pub fn problem(&self) -> Problem {
        match self {
            Error::Auth(error) => error.problem(),
            Error::Grammar { what, column, details } => {
                Problem::new(400, "PGRST100", format!("\"failed to parse {what}\" (line 1, column {column})"))
                    .details(details.as_str())
            }
            Error::Body(message) => Problem::new(400, "PGRST102", message.as_str()),
            Error::BodyTooLarge(limit) => {
                Problem::new(413, "PGRST102", format!("The body is larger than {limit} bytes"))
                    .hint("Send fewer rows in one request, or raise server.max_body.".to_owned())
            }
            Error::Range(details) => {
                Problem::new(416, "PGRST103", "Requested range not satisfiable").details(details.as_str())
            }
            Error::Offset { offset, total } => {
                Problem::new(416, "PGRST103", "Requested range not satisfiable")
                    .details(format!("An offset of {offset} was requested, but there are only {total} rows."))
            }
            Error::Method(method) => {
                Problem::new(405, "PGRST117", format!("Unsupported HTTP method: {method}"))
            }
            Error::NotAcceptable(types) => {
                Problem::new(406, "PGRST107", format!("None of these media types are available: {types}"))
            }
            Error::NotEmbedded(name) => {
                Problem::new(400, "PGRST108", format!("'{name}' is not an embedded resource in this request"))
                    .hint(format!("Verify that '{name}' is included in the 'select' query parameter."))
            }
            Error::NotSingular(rows) => {
                Problem::new(406, "PGRST116", "Cannot coerce the result to a single JSON object")
                    .details(format!("The result contains {rows} rows"))
            }
            Error::Path => Problem::new(404, "PGRST125", "Invalid path specified in request URL"),
            Error::Page => Problem::new(404, "PGRST125", "Invalid path specified in request URL")
                .hint("GET /_debug lists the pages that there are.".to_owned()),
            Error::NoRoot => Problem::new(404, "PGRST126", "Root endpoint metadata is disabled"),
            Error::NoFunction { name, arguments, near, with_body } => {
                no_function(name, arguments, near.as_deref(), *with_body)
            }
            Error::AmbiguousFunction { name: _, candidates } => Problem::new(
                300,
                "PGRST203",
                format!("Could not choose the best candidate function between: {}", candidates.join(", ")),
            )
            .hint(
                "Try renaming the parameters or the function itself so function overloading can be resolved"
                    .to_owned(),
            ),
            Error::CallMethod(method) => {
                Problem::new(405, "PGRST101", format!("Cannot use the {method} method on RPC"))
            }
            Error::CallWrites(name) => Problem::new(
                405,
                "25006",
                format!("cannot execute function {name} in a read-only transaction"),
            )
            .hint("Call it by POST.".to_owned()),
            Error::Forbidden { message, anonymous } => {
                Problem::new(if *anonymous { 401 } else { 403 }, "42501", message.as_str())
            }
            Error::MaxAffectedCall => Problem::new(
                400,
                "PGRST128",
                "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
            ),
            Error::NoRelation { name, near } => Problem::new(
                404,
                "PGRST205",
                format!("Could not find the table 'main.{name}' in the schema cache"),
            )
            .hint(near.as_ref().map(|near| format!("Perhaps you meant the table 'main.{near}'"))),
            Error::NoColumn { column, relation } => Problem::new(
                400,
                "PGRST204",
                format!("Could not find the '{column}' column of '{relation}' in the schema cache"),
            ),
            Error::UndefinedColumn { column, relation, near } => {
                Problem::new(400, "42703", format!("column {relation}.{column} does not exist")).hint(
                    near.as_ref().map(|near| {
                        format!("Perhaps you meant to reference the column \"{relation}.{near}\".")
                    }),
                )
            }
            Error::NoRelationship { origin, target, hint, near } => {
                no_relationship(origin, target, hint.as_deref(), near.as_deref())
            }
            Error::AmbiguousRelationship { origin, target, candidates } => {
                ambiguous_relationship(origin, target, candidates)
            }
            Error::Literal { declared, value } => {
                Problem::new(400, "22P02", format!("invalid input syntax for type {declared}: \"{value}\""))
            }
            Error::OutOfRange(value) => {
                Problem::new(400, "22003", format!("value \"{value}\" is out of range for type integer"))
            }
            Error::NotWritable { verb, kind, relation } => Problem::new(
                405,
                "55000",
                format!("cannot {verb} {kind} \"{relation}\""),
            )
            .details(match *kind {
                "view" => "A view is written through its INSTEAD OF triggers, and this one has none for it.",
                _ => "Virtual tables are served for reading.",
            }),
            Error::Generated { column } => Problem::new(
                400,
                "428C9",
                format!("cannot insert a non-DEFAULT value into column \"{column}\""),
            )
            .details(format!("Column \"{column}\" is a generated column.")),
            Error::Preferences(unknown) => {
                Problem::new(400, "PGRST122", "Invalid preferences given with handling=strict")
                    .details(format!("Invalid preferences: {unknown}"))
            }
            Error::TimeZone(name) => {
                Problem::new(400, "22023", format!("invalid value for parameter \"TimeZone\": \"{name}\""))
            }
            Error::After { given, wanted } => Problem::new(
                400,
                "PGRST100",
                format!("after has {given} values where the order has {wanted}"),
            )
            .hint(
                "The values are those of the terms of order in the last row, then of the primary key."
                    .to_owned(),
            ),
            Error::Operation { at, error } => Problem { operation: Some(*at), ..error.problem() },
            Error::Precondition => {
                Problem::new(412, "PT412", "The resource is not what the request says it is").details(
                    "If-Match or If-None-Match does not hold for what a GET of this URL answers as JSON.",
                )
            }
            Error::Aggregates => Problem::new(400, "PGRST123", "Use of aggregate functions is not allowed"),
            Error::NotGrouped(name) => Problem::new(
                400,
                "42803",
                format!("column \"{name}\" must appear in select beside the aggregates to be ordered by"),
            ),
            Error::NoGroups(name) => {
                Problem::new(400, "42803", format!("an order by an aggregate of {name} needs one in select"))
                    .hint("Rows become groups when select has an aggregate: select=kind,count()".to_owned())
            }
            Error::DistinctOrder => Problem::new(
                400,
                "42P10",
                "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
            ),
            Error::EmbedFilter(name) => {
                Problem::new(400, "PGRST120", format!("Bad operator on the '{name}' embedded resource"))
                    .details("Only is null or not is null filters are allowed on embedded resources")
            }
            Error::RelatedOrder { origin, target } => {
                Problem::new(400, "PGRST118", format!("A related order on '{target}' is not possible"))
                    .details(format!(
                        "'{origin}' and '{target}' do not form a many-to-one or one-to-one relationship"
                    ))
            }
            Error::PutFilters => Problem::new(
                405,
                "PGRST105",
                "Filters must include all and only primary key columns with 'eq' operators",
            ),
            Error::PutLimit => {
                Problem::new(400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT")
            }
            Error::PutKey => {
                Problem::new(400, "PGRST115", "Payload values do not match URL in primary key column(s)")
            }
            Error::MaxAffected(rows) => {
                Problem::new(400, "PGRST124", "Query result exceeds max-affected preference constraint")
                    .details(format!("The query affects {rows} rows"))
            }
            Error::FullText(error) => Problem::new(400, error.code(), error.to_string()),
            Error::UndefinedType(name) => {
                Problem::new(400, "42704", format!("type \"{name}\" does not exist"))
            }
            Error::NoUniqueKey => Problem::new(
                400,
                "42P10",
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            ),
            Error::UnsafeWrite(verb) => Problem::new(400, "21000", format!("{verb} requires a WHERE clause"))
                .hint("Filter the rows, by what is always true if all are meant; or set api.require_filter = false.".to_owned()),
            Error::NotImplemented(what) => Problem::new(400, "PGRST127", "Feature not implemented")
                .details(format!("{what} is not implemented")),
            Error::TooComplex(message) => Problem::new(400, "54001", message.as_str()),
            Error::Constraint { code, message, details } => {
                let status = if matches!(*code, "23505" | "23503") { 409 } else { 400 };
                Problem::new(status, code, message.as_str()).details(json!(details))
            }
            Error::Raised { status, code, message, details, hint } => Problem {
                status: *status,
                code: Cow::Owned(code.clone()),
                message: message.clone(),
                details: json!(details),
                hint: hint.clone(),
                operation: None,
            },
            Error::Schema { name, served } => {
                Problem::new(406, "PGRST106", format!("Invalid schema: {name}"))
                    .hint(format!("Only the following schemas are exposed: {served}"))
            }
            Error::ReadOnly => Problem::new(405, "25006", "cannot execute a write in a read-only database"),
            Error::Unreachable(_) => Problem::new(503, "PGRST000", "Could not connect with the database")
                .hint("The server's log says more.".to_owned()),
            Error::Busy => Problem::new(503, "PGRST003", "The database is busy")
                .details("No connection was free, or another process held its lock, for longer than pool.busy_timeout.")
                .hint("Try again.".to_owned()),
            Error::DiskFull => Problem::new(503, "53100", "The disk is full"),
            Error::Timeout => Problem::new(504, "57014", "canceling statement due to statement timeout"),
            Error::Internal(_) => {
                Problem::new(500, "PGRSTX00", "Internal error").hint("The server's log says more.".to_owned())
            }
        }
    }
}

fn no_function(name: &str, arguments: &[String], near: Option<&str>, with_body: bool) -> Problem {
    let list = arguments.join(", ");
    let (called, with) = match arguments.len() {
        0 => (format!("{name} without parameters"), " without parameters".to_owned()),
        1 => (format!("{name}({list})"), format!(" with parameter {list}")),
        _ => (format!("{name}({list})"), format!(" with parameters {list}")),
    };
    Problem::new(404, "PGRST202", format!("Could not find the function main.{called} in the schema cache"))
        .details(format!(
            "Searched for the function main.{name}{with}{}, but no matches were found in the schema cache.",
            if with_body { " or with a single unnamed json/jsonb parameter" } else { "" }
        ))
        .hint(near.map(|near| format!("Perhaps you meant to call the function main.{near}")))
}

fn no_relationship(origin: &str, target: &str, hint: Option<&str>, near: Option<&str>) -> Problem {
    let using = hint.map(|h| format!(" using the hint '{h}'")).unwrap_or_default();
    Problem::new(
        400,
        "PGRST200",
        format!("Could not find a relationship between '{origin}' and '{target}' in the schema cache"),
    )
    .details(format!(
        "Searched for a foreign key relationship between '{origin}' and '{target}'{using} in the schema 'main', but no \
         matches were found."
    ))
    .hint(near.map(|near| format!("Perhaps you meant '{near}' instead of '{target}'.")))
}

fn ambiguous_relationship(origin: &str, target: &str, candidates: &[Candidate]) -> Problem {
    let choices: Vec<String> = candidates.iter().map(|c| format!("'{target}!{}'", c.hint)).collect();
    let details: Vec<Json> = candidates
        .iter()
        .map(|c| {
            json!({
                "cardinality": c.cardinality,
                "embedding": format!("{origin} with {target}"),
                "relationship": c.relationship,
            })
        })
        .collect();
    Problem::new(
        300,
        "PGRST201",
        format!("Could not embed because more than one relationship was found for '{origin}' and '{target}'"),
    )
    .details(details)
    .hint(format!(
        "Try changing '{target}' to one of the following: {}. Find the desired relationship in the 'details' key.",
        choices.join(", ")
    ))
}
