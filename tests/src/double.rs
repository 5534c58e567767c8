//! The core's port over a bare rusqlite connection: the smallest shell there is.

use rusqlite::types::{ToSqlOutput, ValueRef as SqlRef};
use sqlitrest_runtime::database::{Database, DbError};
use sqlitrest_runtime::value::{Value, ValueRef};

/// A connection, and every statement that it was given.
pub struct Double {
    /// The connection.
    pub connection: rusqlite::Connection,
    /// The text of each statement with its parameters, in their order.
    pub statements: Vec<(String, Vec<Value>)>,
}

impl Double {
    /// Wraps a connection.
    pub fn new(connection: rusqlite::Connection) -> Self {
        Double { connection, statements: Vec::new() }
    }
}

/// A value as rusqlite binds it.
pub(crate) struct Bound<'a>(pub(crate) &'a Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => SqlRef::Null,
            Value::Integer(i) => SqlRef::Integer(*i),
            Value::Real(r) => SqlRef::Real(*r),
            Value::Text(t) => SqlRef::Text(t.as_bytes()),
            Value::Blob(b) => SqlRef::Blob(b),
        }))
    }
}

impl Database for Double {
    fn columns(&mut self, sql: &str, _: &[Value]) -> Result<Vec<String>, DbError> {
        let statement = self.connection.prepare(sql).map_err(|e| DbError { message: e.to_string() })?;
        Ok(statement.column_names().map(str::to_owned).collect())
    }

    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        self.statements.push((sql.to_owned(), params.to_vec()));
        let error = |e: rusqlite::Error| DbError {
            message: match e {
                rusqlite::Error::SqliteFailure(_, Some(message)) => message,
                other => other.to_string(),
            },
        };
        let mut statement = self.connection.prepare(sql).map_err(error)?;
        let columns = statement.column_count();
        let bound: Vec<Bound<'_>> = params.iter().map(Bound).collect();
        let mut rows = statement.query(rusqlite::params_from_iter(bound)).map_err(error)?;
        while let Some(row) = rows.next().map_err(error)? {
            let mut values = Vec::with_capacity(columns);
            for i in 0..columns {
                values.push(match row.get_ref(i).map_err(error)? {
                    SqlRef::Null => ValueRef::Null,
                    SqlRef::Integer(i) => ValueRef::Integer(i),
                    SqlRef::Real(r) => ValueRef::Real(r),
                    SqlRef::Text(t) => ValueRef::Text(t),
                    SqlRef::Blob(b) => ValueRef::Blob(b),
                });
            }
            each(&values);
        }
        Ok(())
    }
}
