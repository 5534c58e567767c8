//! The guest's `spin:sqlite` over the pool of connections.
//!
//! A session holds a connection only while a transaction is open, so that a guest which waits holds none.

use sqlitrest_runtime::database::DbError;
use sqlitrest_runtime::encode::RowFormat;
use sqlitrest_runtime::value::{Value, ValueRef};
use tokio::task::block_in_place;
use wasmtime::component::Resource;

use super::bindings::fermyon::spin::variables;
use super::bindings::spin::sqlite::sqlite::{
    Error, Host, HostConnection, QueryResult, RowResult, Value as WitValue,
};
use super::instances::State;
use crate::connection::Connection;
use crate::open::Role;
use crate::pool::Loan;

/// The one database that a guest can open.
const LABEL: &str = "default";

/// The only column of an answer whose rows are encoded (see `RowFormat::comment`).
const ENCODED: &str = "rows:json";

/// The guest's connection.
#[derive(Default)]
pub struct Session {
    /// Held while a transaction is open; dropped with the session, it rolls back.
    loan: Option<Loan>,
    last_insert_rowid: i64,
    changes: u64,
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
        let open = self.table.get_mut(&this)?.loan.take();
        let loan = match open {
            Some(loan) => Ok(loan),
            None => self.pool.take(role(&statement)).await,
        };
        let mut loan = match loan {
            Ok(loan) => loan,
            Err(error) => return Ok(Err(to_wit_error(error))),
        };
        let params: Vec<Value> = parameters.into_iter().map(from_wit).collect();
        let connection = match loan.get() {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(to_wit_error(error))),
        };
        // Another worker takes over what this one has to watch (sockets, timers, signals), should the query be long.
        let result = block_in_place(|| run(connection, &statement, &params));
        let (last_insert_rowid, changes) = (connection.sql().last_insert_rowid(), connection.sql().changes());
        let loan = connection.in_transaction().then_some(loan);
        *self.table.get_mut(&this)? = Session { loan, last_insert_rowid, changes };
        Ok(result.map_err(to_wit_error))
    }

    fn last_insert_rowid(&mut self, this: Resource<Session>) -> wasmtime::Result<i64> {
        Ok(self.table.get(&this)?.last_insert_rowid)
    }

    fn changes(&mut self, this: Resource<Session>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.changes)
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

/// Only what begins a writing transaction takes the writer; a write outside of one fails on a reader.
fn role(statement: &str) -> Role {
    const WRITES: &str = "BEGIN IMMEDIATE";
    match statement.get(..WRITES.len()) {
        Some(start) if start.eq_ignore_ascii_case(WRITES) => Role::Writer,
        _ => Role::Reader,
    }
}

fn run(connection: &mut Connection, statement: &str, params: &[Value]) -> Result<QueryResult, DbError> {
    if RowFormat::is_asked_for(statement) {
        let (bytes, count) = connection.encode(statement, params)?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        return Ok(QueryResult {
            columns: vec![ENCODED.to_owned()],
            rows: vec![RowResult { values: vec![WitValue::Blob(bytes), WitValue::Integer(count)] }],
        });
    }
    let mut rows = Vec::new();
    let columns = connection.query(statement, params, &mut |row| {
        let values = row.iter().copied().map(to_wit).collect();
        rows.push(RowResult { values });
    })?;
    Ok(QueryResult { columns, rows })
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
