//! One SQLite connection behind the core's port: statements are cached, rows are handed over without copies.
//!
//! It knows rusqlite and nothing of HTTP, engines or pools.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::CachedStatement;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef as SqlRef};
use sqlitrest_runtime::database::{Database, DbError};
use sqlitrest_runtime::encode::{RowFormat, check_size};
use sqlitrest_runtime::value::{Value, ValueRef};

/// How often SQLite asks whether the time is over, in steps of its virtual machine: about once a millisecond.
const STEPS_BETWEEN_CHECKS: i32 = 100_000;

/// A connection, used by one request at a time.
pub struct Connection {
    sql: rusqlite::Connection,
    /// When the running loan was first found to be long, in milliseconds since `born`, plus one; 0 = not yet.
    since: Arc<AtomicU64>,
    /// The room for a row's values, kept between statements.
    cells: Vec<ValueRef<'static>>,
}

impl Connection {
    /// Takes over a connection that `open` has set up. `limit` is how long the statements of one loan may run; then SQLite
    /// says `interrupted`.
    ///
    /// # Errors
    /// SQLite's refusal to call back.
    pub fn new(mut sql: rusqlite::Connection, limit: Duration) -> rusqlite::Result<Self> {
        let since = Arc::new(AtomicU64::new(0));
        let (clock, born) = (Arc::clone(&since), Instant::now());
        // A statement that ends within its first check never looks at the clock.
        sql.progress_handler(
            STEPS_BETWEEN_CHECKS,
            Some(move || {
                let now = millis(born.elapsed()) + 1;
                let first = clock.load(Ordering::Relaxed);
                if first == 0 {
                    clock.store(now, Ordering::Relaxed);
                }
                first != 0 && now - first > millis(limit)
            }),
        )?;
        Ok(Connection { sql, since, cells: Vec::new() })
    }

    /// rusqlite's own connection.
    pub fn sql(&self) -> &rusqlite::Connection {
        &self.sql
    }

    /// A new loan begins: its statements have the whole of their time.
    pub fn restart_clock(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        !self.sql.is_autocommit()
    }

    /// Moves the whole write-ahead log into the file and empties it; `false` where another process still reads from it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn checkpoint(&self) -> Result<bool, DbError> {
        self.restart_clock();
        let busy = self.sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        busy.map(|busy| busy == 0).map_err(to_db_error)
    }

    /// Undoes what an unfinished request has left. `false`: the connection is of no use any more.
    pub fn clean(&mut self) -> bool {
        if self.in_transaction() {
            // A rollback must not be interrupted by a limit that has passed.
            self.restart_clock();
            let _ = self.sql.execute_batch("ROLLBACK");
        }
        !self.in_transaction()
    }

    /// Runs one statement whose rows are wanted as bytes; the member names are the names of its columns.
    ///
    /// # Errors
    /// As [`Database::page`].
    pub fn encode(&mut self, sql: &str, params: &[Value]) -> Result<(Vec<u8>, u64), DbError> {
        let cells = std::mem::take(&mut self.cells);
        let mut statement = self.prepare(sql, params)?;
        let Some(format) = RowFormat::of_statement(sql, statement.column_names()) else {
            return Err(DbError { message: "the statement does not say how its rows are wanted".to_owned() });
        };
        let (mut out, mut count) = (Vec::new(), 0);
        let cells = each_row(&mut statement, cells, &mut |row| {
            format.write_row(row, count, &mut out);
            count += 1;
        })?;
        drop(statement);
        self.cells = cells;
        check_size(&out)?;
        Ok((out, count))
    }

    /// [`Database::rows`], also giving the names of the statement's columns.
    ///
    /// # Errors
    /// As [`Database::rows`].
    pub fn query(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<Vec<String>, DbError> {
        let cells = std::mem::take(&mut self.cells);
        let mut statement = self.prepare(sql, params)?;
        let names = statement.column_names().map(str::to_owned).collect();
        let cells = each_row(&mut statement, cells, each)?;
        drop(statement);
        self.cells = cells;
        Ok(names)
    }

    fn prepare(&self, sql: &str, params: &[Value]) -> Result<CachedStatement<'_>, DbError> {
        let mut statement = self.sql.prepare_cached(sql).map_err(to_db_error)?;
        let wanted = statement.parameter_count();
        if wanted != params.len() {
            let given = params.len();
            let message = format!("wrong number of parameters: {given} given, {wanted} wanted");
            return Err(DbError { message });
        }
        for (index, value) in params.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, Bound(value)).map_err(to_db_error)?;
        }
        Ok(statement)
    }
}

impl Database for Connection {
    fn columns(&mut self, sql: &str, params: &[Value]) -> Result<Vec<String>, DbError> {
        self.query(sql, params, &mut |_| {})
    }

    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        let cells = std::mem::take(&mut self.cells);
        let mut statement = self.prepare(sql, params)?;
        let cells = each_row(&mut statement, cells, each)?;
        drop(statement);
        self.cells = cells;
        Ok(())
    }
}

/// Steps through a bound statement. The room `cells` is used for every row and given back.
fn each_row(
    statement: &mut CachedStatement<'_>,
    mut cells: Vec<ValueRef<'static>>,
    each: &mut dyn FnMut(&[ValueRef<'_>]),
) -> Result<Vec<ValueRef<'static>>, DbError> {
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(to_db_error)? {
        let mut values = recycle(cells);
        // Asked for each row: a statement that SQLite prepares again after a change of schema may have others.
        for index in 0..row.as_ref().column_count() {
            values.push(borrow(row.get_ref(index).map_err(to_db_error)?));
        }
        each(&values);
        cells = recycle(values);
    }
    Ok(cells)
}

/// An empty vector in the memory of a full one, for values that live for another time. (The standard library collects
/// in place where the size of the elements stays the same.)
fn recycle<'b>(mut cells: Vec<ValueRef<'_>>) -> Vec<ValueRef<'b>> {
    cells.clear();
    cells.into_iter().map(|_| ValueRef::Null).collect()
}

fn borrow(value: SqlRef<'_>) -> ValueRef<'_> {
    match value {
        SqlRef::Null => ValueRef::Null,
        SqlRef::Integer(i) => ValueRef::Integer(i),
        SqlRef::Real(r) => ValueRef::Real(r),
        SqlRef::Text(t) => ValueRef::Text(t),
        SqlRef::Blob(b) => ValueRef::Blob(b),
    }
}

/// The core's value, as rusqlite binds it.
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
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

/// SQLite's message alone: rusqlite's own form of some errors quotes the statement.
fn to_db_error(error: rusqlite::Error) -> DbError {
    let message = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        other => other.to_string(),
    };
    DbError { message }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlitrest_runtime::encode::{Kind, Shape};

    fn empty() -> Connection {
        let sql = rusqlite::Connection::open_in_memory().expect("memory");
        Connection::new(sql, Duration::from_secs(30)).expect("progress handler")
    }

    #[test]
    fn values_come_back_as_they_went_in() {
        let values = [
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Real(0.1),
            Value::Text("a\0ß".to_owned()),
            Value::Blob(vec![0, 255]),
        ];
        let mut db = empty();
        for _ in 0..2 {
            let mut seen = Vec::new();
            db.rows("SELECT ?,?,?,?,?", &values, &mut |row| {
                seen.extend(row.iter().map(|v| v.to_value()));
            })
            .expect("select");
            assert_eq!(seen, values);
        }
    }

    #[test]
    fn recycling_keeps_the_memory() {
        let cells: Vec<ValueRef<'_>> = vec![ValueRef::Integer(1); 9];
        let (address, room) = (cells.as_ptr().addr(), cells.capacity());
        let cells = recycle(cells);
        assert_eq!((cells.as_ptr().addr(), cells.capacity()), (address, room));
        assert!(cells.is_empty());
    }

    #[test]
    fn errors_are_sqlites_own_words() {
        let mut db = empty();
        let mut message = |sql: &str| {
            let error = db.rows(sql, &[], &mut |_| {}).expect_err("an error");
            error.message
        };
        assert_eq!(message("SELECT a"), "no such column: a");
        assert_eq!(message("SELEC 1"), "near \"SELEC\": syntax error");
        assert_eq!(message("SELECT ?"), "wrong number of parameters: 0 given, 1 wanted");
    }

    #[test]
    fn what_a_request_leaves_is_undone() {
        let mut db = empty();
        for sql in ["CREATE TABLE t(n)", "BEGIN", "INSERT INTO t VALUES (1)"] {
            db.rows(sql, &[], &mut |_| {}).expect(sql);
        }
        assert!(db.in_transaction());
        assert!(db.clean());
        let mut count = 0;
        db.rows("SELECT * FROM t", &[], &mut |_| count += 1).expect("select");
        assert_eq!(count, 0);
    }

    #[test]
    fn both_ways_of_encoding_agree() {
        let mut db = empty();
        let sql = "SELECT 1 AS \"a\"\"b\", 1 AS c, '[1]' AS d UNION ALL SELECT 2.5, 0, NULL";
        let kinds = [Kind::Any, Kind::Boolean, Kind::Json];
        let format = RowFormat::new(Shape::Objects, ["a\"b", "c", "d"].into_iter().zip(kinds));
        let mut near = Vec::new();
        let count = db.page(sql, &[], &format, &mut near).expect("page");
        let far = db.encode(&(format.comment() + sql), &[]).expect("encode");
        assert_eq!((near, count), far);
    }
}
