//! The guest's `spin:sqlite` over the pool of connections.
//!
//! A request has its connection before the guest is called: to read, with the transaction begun, or its turn to write.

use sqlitrest_runtime::database::{DbError, Paged};
use sqlitrest_runtime::encode::RowFormat;
use sqlitrest_runtime::value::{Value, ValueRef};
use wasmtime::component::Resource;

use super::bindings::fermyon::spin::variables;
use super::bindings::spin::sqlite::sqlite::{
    Error, Host, HostConnection, QueryResult, RowResult, Value as WitValue,
};
use super::instances::{Missed, ReaderLane, State};
use crate::connection::Connection;
use crate::libsql;
use crate::long;
use crate::streaming::Streaming;

/// The one database that a guest can open.
const LABEL: &str = "default";

/// The only column of an answer whose rows are encoded (see `RowFormat::comment`).
const ENCODED: &str = "rows:json";

/// The guest's connection: what the request that runs has of the database ([`Access`]).
///
/// [`Access`]: super::instances::Access
#[derive(Default)]
pub struct Session {
    counts: Counts,
}

/// What the interface tells of the last statement.
#[derive(Default)]
struct Counts {
    last_insert_rowid: i64,
    changes: u64,
}

fn counts(connection: &Connection) -> Counts {
    let sql = connection.sql();
    Counts { last_insert_rowid: sql.last_insert_rowid(), changes: sql.changes() }
}

impl Host for State {}

impl HostConnection for State {
    fn open(&mut self, database: String) -> wasmtime::Result<Result<Resource<Session>, Error>> {
        if database != LABEL {
            return Ok(Err(Error::NoSuchDatabase));
        }
        Ok(Ok(self.table.push(Session::default())?))
    }

    async fn execute(
        &mut self,
        this: Resource<Session>,
        statement: String,
        parameters: Vec<WitValue>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let params: Vec<Value> = parameters.into_iter().map(from_wit).collect();
        if let Some(turn) = &mut self.access.turn {
            // The thread that writes has nothing else to do.
            let result = match turn.transaction(&statement) {
                Some(result) => result.map(|()| nothing()),
                None => turn.connection().and_then(|connection| run(connection, &statement, &params)),
            };
            if let Ok(connection) = turn.connection() {
                self.table.get_mut(&this)?.counts = counts(connection);
            }
            return Ok(result.map_err(to_wit_error));
        }
        if let Some(session) = &mut self.access.session {
            // Its thread may wait for the network.
            return Ok(ask(session, &statement, &params).map_err(to_wit_error));
        }
        if let Some(error) = &self.access.refused {
            return Ok(Err(to_wit_error(error.clone())));
        }
        if begins_to_write(&statement) {
            self.access.missed = Some(Missed::Turn);
            return Ok(Err(to_wit_error(interrupted())));
        }
        let result = match self.access.reader.as_mut().map(|reader| &mut reader.lane) {
            Some(ReaderLane::Short(loan)) => {
                let result = loan.get().and_then(|connection| run(connection, &statement, &params));
                if loan.is_cut() {
                    self.access.missed = Some(Missed::Time);
                }
                result
            }
            Some(ReaderLane::Long(lane)) => match lane.take() {
                Some(streaming) => {
                    let work = move |db: &mut Streaming| run_long(db, &statement, &params);
                    match long::run(streaming, work).await {
                        Some((streaming, result)) => {
                            *lane = Some(streaming);
                            result
                        }
                        None => Err(no_connection()),
                    }
                }
                None => Err(no_connection()),
            },
            None => Err(no_connection()),
        };
        Ok(result.map_err(to_wit_error))
    }

    fn last_insert_rowid(&mut self, this: Resource<Session>) -> wasmtime::Result<i64> {
        Ok(self.table.get(&this)?.counts.last_insert_rowid)
    }

    fn changes(&mut self, this: Resource<Session>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.counts.changes)
    }

    fn drop(&mut self, this: Resource<Session>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

/// Our host hands the whole configuration over at the start; it has no variables beside it.
impl variables::Host for State {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<String, variables::Error>> {
        Ok(Err(variables::Error::Undefined(name)))
    }
}

/// Only what begins so may write; a write elsewhere fails on a connection that reads.
fn begins_to_write(statement: &str) -> bool {
    const WRITES: &str = "BEGIN IMMEDIATE";
    statement.get(..WRITES.len()).is_some_and(|start| start.eq_ignore_ascii_case(WRITES))
}

fn run(connection: &mut Connection, statement: &str, params: &[Value]) -> Result<QueryResult, DbError> {
    if RowFormat::is_asked_for(statement) {
        let (bytes, count) = connection.encode(statement, params, None, &mut |_| true)?;
        return Ok(encoded(bytes, i64::try_from(count).unwrap_or(i64::MAX)));
    }
    let mut rows = Vec::new();
    let columns = connection.query(statement, params, &mut |row| {
        let values = row.iter().copied().map(to_wit).collect();
        rows.push(RowResult { values });
    })?;
    Ok(QueryResult { columns, rows })
}

/// As [`run`], of a server.
fn ask(session: &mut libsql::Session, statement: &str, params: &[Value]) -> Result<QueryResult, DbError> {
    let mut rows = Vec::new();
    let mut each = |row: &[ValueRef<'_>]| {
        let values = row.iter().copied().map(to_wit).collect();
        rows.push(RowResult { values });
    };
    if !RowFormat::is_asked_for(statement) {
        let columns = session.query(statement, params, &mut each)?;
        return Ok(QueryResult { columns, rows });
    }
    if session.is_guarded(statement) {
        // The guest writes the rows itself, for the names of the columns are not those of the page.
        let columns = RowFormat::of_statement(statement, std::iter::repeat("")).map_or(1, |f| f.width());
        session.query_guarded(statement, columns, params, &mut each)?;
        return Ok(QueryResult { columns: Vec::new(), rows });
    }
    let (bytes, count) = session.encode(statement, params)?;
    Ok(encoded(bytes, i64::try_from(count).unwrap_or(i64::MAX)))
}

fn run_long(long: &mut Streaming, statement: &str, params: &[Value]) -> Result<QueryResult, DbError> {
    if long.passes_over(statement) {
        return Ok(nothing());
    }
    if !RowFormat::is_asked_to_stream(statement) {
        return run(long.loan()?.get()?, statement, params);
    }
    Ok(match long.begin(statement, params, None)? {
        (rows, Paged::Whole(count)) => encoded(rows, i64::try_from(count).unwrap_or(i64::MAX)),
        (first, Paged::Streams) => encoded(first, -1),
    })
}

/// The rows of a page as the guest knows them: bytes, and how many rows they are; -1 where others are sent behind them.
fn encoded(bytes: Vec<u8>, count: i64) -> QueryResult {
    QueryResult {
        columns: vec![ENCODED.to_owned()],
        rows: vec![RowResult { values: vec![WitValue::Blob(bytes), WitValue::Integer(count)] }],
    }
}

/// What a request is told that will be done again: the core has no line for the log for it.
fn interrupted() -> DbError {
    DbError { message: "interrupted".to_owned() }
}

fn no_connection() -> DbError {
    DbError { message: "the request has no connection".to_owned() }
}

fn nothing() -> QueryResult {
    QueryResult { columns: Vec::new(), rows: Vec::new() }
}

fn from_wit(value: WitValue) -> Value {
    match value {
        WitValue::Null => Value::Null,
        WitValue::Integer(i) => Value::Integer(i),
        WitValue::Real(r) => Value::Real(r),
        WitValue::Text(t) => Value::Text(t),
        WitValue::Blob(b) => Value::Blob(b),
    }
}

/// The interface's text is UTF-8; SQLite's need not be.
fn to_wit(value: ValueRef<'_>) -> WitValue {
    match value.to_value() {
        Value::Null => WitValue::Null,
        Value::Integer(i) => WitValue::Integer(i),
        Value::Real(r) => WitValue::Real(r),
        Value::Text(t) => WitValue::Text(t),
        Value::Blob(b) => WitValue::Blob(b),
    }
}

fn to_wit_error(error: DbError) -> Error {
    match error.message.as_str() {
        "database or disk is full" => Error::DatabaseFull,
        _ => Error::Io(error.message),
    }
}
