//! The core's port over the WIT interface `spin:sqlite`.
//!
//! The interface runs one statement a call and hands all its rows over at once, each value by itself (55 ns a value).
//! Our own host reads the comment that [`RowFormat::comment`] puts before a page and hands it over as finished bytes.
//!
//! Spin hands text over as UTF-8 and breaks the connection at text which is none. A request that failed so is answered
//! again, guarded: its page is wrapped so that text crosses as bytes.

use std::cell::Cell;

use spin_sdk::sqlite3::{Connection, Error, QueryResult, Value as WitValue};
use sqlitrest_runtime::database::{Database, DbError, Paged};
use sqlitrest_runtime::encode::guard::{guard, unguard};
use sqlitrest_runtime::encode::{RowFormat, check_size};
use sqlitrest_runtime::value::{Value, ValueRef};

use crate::served;

/// The only column name of a page that the host has encoded. No statement can forge it: its row has two values.
const ENCODED: &str = "rows:json";

thread_local! {
    /// What our host has lent to the last request; it lends it to the next. (Spin has an instance for each.)
    static KEPT: Cell<Option<Connection>> = const { Cell::new(None) };
}

/// One request's connection, opened when the core first needs it.
pub struct SpinDatabase {
    /// What the host knows the database by; `spin.toml` grants it.
    label: &'static str,
    connection: Option<Connection>,
    /// Whether it serves the next request.
    is_kept: bool,
    /// In a transaction that the host has begun and will end: `PRAGMA schema_version`.
    begun: Option<i64>,
    /// Whether the text of pages crosses as bytes.
    guarded: bool,
    /// Whether a page could not be had; what the request wrote is then not committed.
    page_failed: bool,
}

impl SpinDatabase {
    /// The database of a label, opened when it is first needed.
    pub fn of(label: &'static str) -> Self {
        SpinDatabase {
            label,
            connection: None,
            is_kept: false,
            begun: None,
            guarded: false,
            page_failed: false,
        }
    }

    /// The connection of a host of ours, which has begun a transaction where it knows the version.
    pub fn of_our_host(begun: Option<i64>) -> Self {
        let mut database = SpinDatabase::of(served::DEFAULT);
        (database.connection, database.is_kept, database.begun) = (KEPT.take(), true, begun);
        database
    }

    /// Whether a page failed that might not where its text crosses as bytes. Our own host takes text of any kind.
    pub fn may_do_guarded(&self) -> bool {
        self.page_failed && !self.is_kept
    }

    /// A connection for the second try.
    pub fn guarded(label: &'static str) -> Self {
        let mut database = SpinDatabase::of(label);
        database.guarded = true;
        database
    }

    /// Whether bytes of a text are those that UTF-8 has for it. (Databases in UTF-16 are not what breaks a connection.)
    fn stores_utf8(&mut self) -> Result<bool, DbError> {
        let result = self.execute("PRAGMA encoding", &[])?;
        let value = result.rows.first().and_then(|row| row.values.first());
        Ok(matches!(value, Some(WitValue::Text(name)) if name == "UTF-8"))
    }

    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<QueryResult, DbError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                none.insert(Connection::open(self.label).map_err(|error| to_db_error(error, self.label))?)
            }
        };
        let params: Vec<WitValue> = params.iter().map(to_wit).collect();
        connection.execute(sql, &params).map_err(|error| to_db_error(error, self.label))
    }
}

impl Drop for SpinDatabase {
    fn drop(&mut self) {
        if self.is_kept && !self.page_failed {
            KEPT.set(self.connection.take());
        }
    }
}

impl Database for SpinDatabase {
    fn columns(&mut self, sql: &str, params: &[Value]) -> Result<Vec<String>, DbError> {
        self.execute(sql, params).map(|result| result.columns)
    }

    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        if let Some(version) = self.begun {
            match sql {
                "BEGIN" | "COMMIT" | "ROLLBACK" => return Ok(()),
                "PRAGMA schema_version" => {
                    each(&[ValueRef::Integer(version)]);
                    return Ok(());
                }
                _ => {}
            }
        }
        for_each_row(&self.execute(sql, params)?, each);
        Ok(())
    }

    fn page(
        &mut self,
        sql: &str,
        params: &[Value],
        format: &RowFormat,
        out: &mut Vec<u8>,
    ) -> Result<Paged, DbError> {
        // A page of RETURNING cannot be wrapped.
        let guarded = self.guarded && sql.starts_with("SELECT ") && self.stores_utf8()?;
        let statement = if guarded { guard(sql, format.width()) } else { format.comment() + sql };
        let result = self.execute(&statement, params).inspect_err(|_| self.page_failed = true)?;
        let result = match encoded(result) {
            Ok((bytes, page)) if out.is_empty() => {
                *out = bytes;
                return Ok(page);
            }
            Ok((bytes, page)) => {
                out.extend_from_slice(&bytes);
                return Ok(page);
            }
            Err(result) => result,
        };
        let mut count = 0;
        for_each_row(&result, &mut |row| {
            if guarded {
                let row: Vec<ValueRef<'_>> = row.iter().map(|value| unguard(*value)).collect();
                format.write_row(&row, count, out);
            } else {
                format.write_row(row, count, out);
            }
            count += 1;
        });
        check_size(out)?;
        Ok(Paged::Whole(count))
    }
}

/// The page's bytes and what became of it, where the host has encoded it: the number of its rows, less than none where the host streams.
fn encoded(mut result: QueryResult) -> Result<(Vec<u8>, Paged), QueryResult> {
    let is_encoded = matches!(result.columns.as_slice(), [column] if column == ENCODED);
    match result.rows.as_mut_slice() {
        [row] if is_encoded => match row.values.as_mut_slice() {
            [WitValue::Blob(bytes), WitValue::Integer(count)] => {
                let page = u64::try_from(*count).map_or(Paged::Streams, Paged::Whole);
                Ok((std::mem::take(bytes), page))
            }
            _ => Err(result),
        },
        _ => Err(result),
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

fn to_db_error(error: Error, label: &str) -> DbError {
    let message = match error {
        Error::Io(text) => text,
        // SQLite's own words, which the core knows.
        Error::DatabaseFull => "database or disk is full".to_owned(),
        Error::NoSuchDatabase => {
            format!("unable to open database: the host has none named \"{label}\"")
        }
        Error::AccessDenied => format!(
            "unable to open database: the component may not use \"{label}\" (sqlite_databases in spin.toml)"
        ),
        Error::InvalidConnection => "the connection to the database is not valid".to_owned(),
    };
    DbError { message }
}
