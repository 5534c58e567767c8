//! The core's port over the WIT interface `spin:sqlite`.
//!
//! The interface runs one statement a call and hands all its rows over at once, each value by itself (55 ns a value).
//! Our own host reads the comment that [`RowFormat::comment`] puts before a page and hands it over as finished bytes.

use spin_sdk::sqlite3::{Connection, Error, QueryResult, Value as WitValue};
use sqlitrest_runtime::database::{Database, DbError};
use sqlitrest_runtime::encode::RowFormat;
use sqlitrest_runtime::value::{Value, ValueRef};

/// The one database label that `spin.toml` grants.
const LABEL: &str = "default";

/// The only column name of a page that the host has encoded. No statement can forge it: its row has two values.
const ENCODED: &str = "rows:json";

/// One request's connection, opened when the core first needs it.
#[derive(Default)]
pub struct SpinDatabase {
    connection: Option<Connection>,
}

impl SpinDatabase {
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<QueryResult, DbError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(LABEL).map_err(to_db_error)?),
        };
        let params: Vec<WitValue> = params.iter().map(to_wit).collect();
        connection.execute(sql, &params).map_err(to_db_error)
    }
}

impl Database for SpinDatabase {
    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        for_each_row(&self.execute(sql, params)?, each);
        Ok(())
    }

    fn page(
        &mut self,
        sql: &str,
        params: &[Value],
        format: &RowFormat,
        out: &mut Vec<u8>,
    ) -> Result<u64, DbError> {
        let result = self.execute(&(format.comment() + sql), params)?;
        if let Some((bytes, count)) = encoded(&result) {
            out.extend_from_slice(bytes);
            return Ok(count);
        }
        let mut count = 0;
        for_each_row(&result, &mut |row| {
            format.write_row(row, count, out);
            count += 1;
        });
        Ok(count)
    }
}

/// The page's bytes and its number of rows, where the host has encoded it.
fn encoded(result: &QueryResult) -> Option<(&[u8], u64)> {
    let ([column], [row]) = (result.columns.as_slice(), result.rows.as_slice()) else {
        return None;
    };
    match (column.as_str(), row.values.as_slice()) {
        (ENCODED, [WitValue::Blob(bytes), WitValue::Integer(count)]) => {
            Some((bytes, u64::try_from(*count).ok()?))
        }
        _ => None,
    }
}

fn for_each_row(result: &QueryResult, each: &mut dyn FnMut(&[ValueRef<'_>])) {
    let mut values = Vec::with_capacity(result.columns.len());
    for row in &result.rows {
        values.clear();
        values.extend(row.values.iter().map(from_wit));
        each(&values);
    }
}

fn to_wit(value: &Value) -> WitValue {
    match value {
        Value::Null => WitValue::Null,
        Value::Integer(i) => WitValue::Integer(*i),
        Value::Real(r) => WitValue::Real(*r),
        Value::Text(t) => WitValue::Text(t.clone()),
        Value::Blob(b) => WitValue::Blob(b.clone()),
    }
}

fn from_wit(value: &WitValue) -> ValueRef<'_> {
    match value {
        WitValue::Null => ValueRef::Null,
        WitValue::Integer(i) => ValueRef::Integer(*i),
        WitValue::Real(r) => ValueRef::Real(*r),
        WitValue::Text(t) => ValueRef::Text(t.as_bytes()),
        WitValue::Blob(b) => ValueRef::Blob(b),
    }
}

fn to_db_error(error: Error) -> DbError {
    let message = match error {
        Error::Io(text) => text,
        // SQLite's own words, which the core knows.
        Error::DatabaseFull => "database or disk is full".to_owned(),
        Error::NoSuchDatabase => {
            format!("unable to open database: the host has none named \"{LABEL}\"")
        }
        Error::AccessDenied => format!(
            "unable to open database: the component may not use \"{LABEL}\" (sqlite_databases in spin.toml)"
        ),
        Error::InvalidConnection => "the connection to the database is not valid".to_owned(),
    };
    DbError { message }
}
