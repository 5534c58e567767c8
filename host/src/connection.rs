//! One SQLite connection behind the core's port: statements are cached, rows are handed over without copies.
//!
//! It knows rusqlite and nothing of HTTP, engines or pools.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef as SqlRef};
use rusqlite::{CachedStatement, StatementStatus};
use sqlitrest_runtime::database::{Database, DbError, Paged};
use sqlitrest_runtime::encode::{RowFormat, check_size};
use sqlitrest_runtime::value::{Value, ValueRef};
use twox_hash::XxHash3_64;

use crate::observe::stats::Stats;
use crate::open::beside;

/// How often SQLite asks whether the time is over, in steps of its virtual machine: some 30 µs of them.
const STEPS_BETWEEN_CHECKS: i32 = 4_000;

/// How long the statements of a loan may keep a thread that others wait for.
pub const BUDGET: Duration = Duration::from_millis(2);

/// A statement that kept a thread for longer did so in few steps, between which alone it can be ended: `SELECT count(*) FROM t` is one.
/// Longer than a thread waits for its turn where others work, too.
const UNINTERRUPTED: Duration = Duration::from_millis(10);

/// Rows that may be streamed and are no more bytes than this leave as a whole.
pub const WHOLE: usize = 1 << 20;

/// The room for rows to begin with: what one or two are.
const ROOM: usize = 512;

/// How many statements are remembered to be long.
const LONG_STATEMENTS: usize = 256;

/// What a statement begins with that is explained and not run.
const EXPLAIN: &str = "EXPLAIN ";

/// A statement whose text is shorter is not looked up among the long ones: `BEGIN`, `PRAGMA schema_version`.
const SHORT_TEXT: usize = 32;

/// SQLite's own word for a statement that was ended.
const INTERRUPTED: &str = "interrupted";

/// What the core asks to find out whether the schema that it knows is still that of the file. SQLite's number has 32 bits.
const SCHEMA_VERSION: &str = "PRAGMA schema_version";

/// SQLite's own words where a file cannot be read or written, and where there is no room.
const IO_ERROR: &str = "disk I/O error";
const FULL: &str = "database or disk is full";

/// A connection, used by one request at a time.
pub struct Connection {
    sql: rusqlite::Connection,
    clock: Arc<Clock>,
    /// The statements that are known to be long, on every connection of the database.
    long: Arc<LongStatements>,
    /// The room for a row's values, kept between statements.
    cells: Vec<ValueRef<'static>>,
    /// How often the file had been found to be another when this was opened.
    pub opening: i64,
    /// What is counted of the database; none where nobody asks of this connection.
    stats: Option<Arc<Stats>>,
}

/// The time of the running loan, which SQLite asks for in the middle of statements.
#[derive(Default)]
struct Clock {
    /// When the loan was first found to be long, in microseconds since the connection was made, plus one; 0 = not yet.
    since: AtomicU64,
    /// After so many microseconds its statements keep others waiting; 0 = they do not.
    budget: AtomicU64,
    /// Whether they were ended for that.
    is_cut: AtomicBool,
    /// For so many microseconds the running statement has waited for its client.
    waited: AtomicU64,
}

/// The hashes of statements that took long when they were last run, each in the place that it falls into.
pub struct LongStatements([AtomicU64; LONG_STATEMENTS]);

impl Default for LongStatements {
    fn default() -> Self {
        LongStatements([const { AtomicU64::new(0) }; LONG_STATEMENTS])
    }
}

impl LongStatements {
    fn place(&self, hash: u64) -> &AtomicU64 {
        let LongStatements(places) = self;
        let at = usize::try_from(hash % LONG_STATEMENTS as u64).unwrap_or_default();
        // The remainder is always a place; the first stands for none.
        places.get(at).unwrap_or_else(|| {
            let [first, ..] = places;
            first
        })
    }

    fn has(&self, hash: u64) -> bool {
        self.place(hash).load(Ordering::Relaxed) == hash
    }

    /// Remembers how long a statement took.
    fn took(&self, hash: u64, is_long: bool) {
        let place = self.place(hash);
        if is_long {
            place.store(hash, Ordering::Relaxed);
        } else if place.load(Ordering::Relaxed) == hash {
            place.store(0, Ordering::Relaxed);
        }
    }
}

impl Connection {
    /// Takes over a connection that `open` has set up. `limit` is how long the statements of one loan may run; then SQLite
    /// says `interrupted`.
    ///
    /// # Errors
    /// SQLite's refusal to call back.
    pub fn new(mut sql: rusqlite::Connection, limit: Duration) -> rusqlite::Result<Self> {
        let connection_clock = Arc::new(Clock::default());
        let (clock, born, limit) = (Arc::clone(&connection_clock), Instant::now(), micros(limit));
        // A statement that ends within its first check never looks at the clock.
        sql.progress_handler(
            STEPS_BETWEEN_CHECKS,
            Some(move || {
                let now = micros(born.elapsed()) + 1;
                let first = clock.since.load(Ordering::Relaxed);
                if first == 0 {
                    clock.since.store(now, Ordering::Relaxed);
                    return false;
                }
                let spent = now.saturating_sub(first);
                let budget = clock.budget.load(Ordering::Relaxed);
                let is_cut = budget > 0 && spent > budget;
                if is_cut {
                    clock.is_cut.store(true, Ordering::Relaxed);
                }
                is_cut || spent > limit
            }),
        )?;
        let (long, cells) = (Arc::default(), Vec::new());
        Ok(Connection { sql, clock: connection_clock, long, cells, opening: 0, stats: None })
    }

    /// Shares with other connections what is known of statements.
    pub fn share(&mut self, long: &Arc<LongStatements>) {
        self.long = Arc::clone(long);
    }

    /// Counts with others what is done with the database.
    pub fn count(&mut self, stats: &Arc<Stats>) {
        self.stats = Some(Arc::clone(stats));
    }

    /// A loan begins whose statements are ended after `budget`, and not begun where they are known to be longer ([`is_cut`] tells);
    /// without one they may take their time.
    ///
    /// [`is_cut`]: Connection::is_cut
    pub fn lend(&self, budget: Option<Duration>) {
        self.restart_clock();
        self.clock.budget.store(budget.map_or(0, micros), Ordering::Relaxed);
        self.clock.is_cut.store(false, Ordering::Relaxed);
    }

    /// Whether a statement of this loan was ended for its budget.
    pub fn is_cut(&self) -> bool {
        self.clock.is_cut.load(Ordering::Relaxed)
    }

    /// Whether rows refer to others that are not there, which a constraint allows until the end of the transaction
    /// (<https://www.sqlite.org/foreignkeys.html#fk_deferred>).
    #[allow(unsafe_code)]
    pub fn has_dangling_references(&self) -> bool {
        let (mut current, mut highest) = (0, 0);
        // SAFETY: the handle is that of an open connection, which this thread alone uses; both numbers outlive the call.
        unsafe {
            let status = rusqlite::ffi::SQLITE_DBSTATUS_DEFERRED_FKS;
            rusqlite::ffi::sqlite3_db_status(
                self.sql.handle(),
                status,
                &raw mut current,
                &raw mut highest,
                0,
            );
        }
        current != 0
    }

    /// rusqlite's own connection.
    pub fn sql(&self) -> &rusqlite::Connection {
        &self.sql
    }

    /// rusqlite's own connection, for what a test wants of it.
    #[cfg(test)]
    pub fn sql_mut(&mut self) -> &mut rusqlite::Connection {
        &mut self.sql
    }

    /// A new loan begins: its statements have the whole of their time.
    pub fn restart_clock(&self) {
        self.clock.since.store(0, Ordering::Relaxed);
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        !self.sql.is_autocommit()
    }

    /// For how long its statements wait for another connection that has the lock.
    ///
    /// # Errors
    /// SQLite's.
    pub fn wait_for_locks(&self, patience: Duration) -> Result<(), DbError> {
        self.sql.busy_timeout(patience).map_err(to_db_error)
    }

    /// Moves the write-ahead log into the file, in this mode of `PRAGMA wal_checkpoint`; `false` where it could not do all of it, because
    /// another connection is in the way.
    ///
    /// # Errors
    /// SQLite's.
    pub fn checkpoint(&self, mode: &'static str) -> Result<bool, DbError> {
        self.restart_clock();
        let sql = format!("PRAGMA main.wal_checkpoint({mode})");
        let busy = self.sql.query_row(&sql, [], |row| row.get::<_, i64>(0));
        busy.map(|busy| busy == 0).map_err(to_db_error)
    }

    /// How many pages of the write-ahead log are not in the file yet (`PRAGMA wal_checkpoint(NOOP)`).
    ///
    /// # Errors
    /// SQLite's.
    pub fn pages_to_move(&self) -> Result<i64, DbError> {
        self.restart_clock();
        let statement = self.sql.prepare_cached("PRAGMA main.wal_checkpoint(NOOP)");
        let left = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
        statement.and_then(|mut statement| statement.query_row([], left)).map_err(to_db_error)
    }

    /// Where its write-ahead log is, if it has one: beside the file itself, not beside a link to it.
    pub fn log_path(&self) -> Option<PathBuf> {
        self.sql.path().map(|path| beside(Path::new(path), "-wal"))
    }

    /// Undoes what an unfinished request has left. `false`: the connection is of no use any more.
    pub fn clean(&mut self) -> bool {
        if self.in_transaction() {
            // A rollback must not be interrupted by a limit that has passed.
            self.restart_clock();
            let _ = self.rows("ROLLBACK", &[], &mut |_| {});
        }
        !self.in_transaction()
    }

    /// Runs one statement whose rows are wanted as bytes, in this format or else in that which the statement asks for (then the member
    /// names are the names of its columns). `sink` is shown what has been written after each row, and says whether to go on.
    ///
    /// # Errors
    /// As [`Database::page`]; `interrupted` where `sink` ends it.
    pub fn encode(
        &mut self,
        sql: &str,
        params: &[Value],
        format: Option<&RowFormat>,
        sink: &mut dyn FnMut(&mut Vec<u8>) -> bool,
    ) -> Result<(Vec<u8>, u64), DbError> {
        let cells = std::mem::take(&mut self.cells);
        let (mut out, mut count) = (Vec::with_capacity(ROOM), 0);
        let clock = Arc::clone(&self.clock);
        let is_short = clock.budget.load(Ordering::Relaxed) > 0;
        self.cells = self.with_statement(sql, params, |statement| {
            let asked;
            let format = match format {
                Some(format) => format,
                None => {
                    asked = RowFormat::of_statement(sql, statement.column_names());
                    asked.as_ref().ok_or_else(|| DbError {
                        message: "the statement does not say how its rows are wanted".to_owned(),
                    })?
                }
            };
            each_row(statement, cells, &mut |row| {
                format.write_row(row, count, &mut out);
                count += 1;
                if is_short && format.may_stream() && out.len() > WHOLE {
                    clock.is_cut.store(true, Ordering::Relaxed);
                    return false;
                }
                sink(&mut out)
            })
        })?;
        check_size(&out)?;
        Ok((out, count))
    }

    /// Gives a loan back the time that it has waited for its client.
    pub fn waits(&self) -> impl Fn(Duration) + use<> {
        let clock = Arc::clone(&self.clock);
        move |waited| {
            if clock.since.load(Ordering::Relaxed) > 0 {
                clock.since.fetch_add(micros(waited), Ordering::Relaxed);
            }
            clock.waited.fetch_add(micros(waited), Ordering::Relaxed);
        }
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
        let mut names = Vec::new();
        self.cells = self.with_statement(sql, params, |statement| {
            names = statement.column_names().map(str::to_owned).collect();
            each_row(statement, cells, &mut self.all(sql, each))
        })?;
        Ok(names)
    }

    /// Runs `work` with a statement, and says it where there was no room for what it wrote.
    fn with_statement<T>(
        &self,
        sql: &str,
        params: &[Value],
        work: impl FnOnce(&mut CachedStatement<'_>) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.timed(sql, params, work).map_err(|error| match self.is_out_of_room(&error) {
            true => DbError { message: FULL.to_owned() },
            false => error,
        })
    }

    /// Whether what failed was a write beyond a quota, or beyond the limit for the size of a file. SQLite has words of its own for a
    /// full disk alone.
    #[allow(unsafe_code)]
    fn is_out_of_room(&self, error: &DbError) -> bool {
        if error.message != IO_ERROR {
            return false;
        }
        // SAFETY: the handle is that of an open connection, which this thread alone uses.
        let code = unsafe { rusqlite::ffi::sqlite3_system_errno(self.sql.handle()) };
        let kind = std::io::Error::from_raw_os_error(code).kind();
        matches!(kind, ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
    }

    /// Runs `work` with a statement, and remembers whether it was long.
    fn timed<T>(
        &self,
        sql: &str,
        params: &[Value],
        work: impl FnOnce(&mut CachedStatement<'_>) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let budget = self.clock.budget.load(Ordering::Relaxed);
        if sql.starts_with(EXPLAIN) {
            // Never run, it never sees that the schema is another one, and would be explained as it once was.
            let mut statement = self.prepare(sql, params)?;
            let result = work(&mut statement);
            statement.discard();
            return result;
        }
        if sql.len() < SHORT_TEXT {
            return work(&mut self.prepare(sql, params)?);
        }
        let hash = XxHash3_64::oneshot(sql.as_bytes());
        if budget > 0 && self.long.has(hash) {
            self.clock.is_cut.store(true, Ordering::Relaxed);
            return Err(DbError { message: INTERRUPTED.to_owned() });
        }
        let since = Instant::now();
        self.clock.waited.store(0, Ordering::Relaxed);
        let result = work(&mut self.prepare(sql, params)?);
        let (took, is_cut) = (since.elapsed(), self.is_cut());
        if budget == 0 {
            self.long.took(hash, took > BUDGET / 2);
        } else if is_cut || took > UNINTERRUPTED {
            self.long.took(hash, true);
        }
        if let Some(stats) = &self.stats {
            let waited = Duration::from_micros(self.clock.waited.load(Ordering::Relaxed));
            stats.statement(sql, took, waited, is_cut);
        }
        result
    }

    /// Of every row, to the last. The version of a schema is told apart from that of a file which was there before: the core keeps
    /// schemas by it.
    fn all(&self, sql: &str, each: &mut dyn FnMut(&[ValueRef<'_>])) -> impl FnMut(&[ValueRef<'_>]) -> bool {
        let is_version = sql == SCHEMA_VERSION;
        move |row| {
            match row {
                [ValueRef::Integer(version)] if is_version => {
                    if let Some(stats) = &self.stats {
                        stats.saw_schema(*version, self.opening);
                    }
                    each(&[ValueRef::Integer(version + (self.opening << 32))])
                }
                row => each(row),
            }
            true
        }
    }

    fn prepare(&self, sql: &str, params: &[Value]) -> Result<CachedStatement<'_>, DbError> {
        let mut statement = self.sql.prepare_cached(sql).map_err(to_db_error)?;
        if let Some(stats) = self.stats.as_ref().filter(|stats| stats.is_on()) {
            // One that has never run is new.
            let is_new = statement.get_status(StatementStatus::Run) == 0;
            if is_new { &stats.unprepared } else { &stats.prepared }.add(1);
        }
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

    fn page(
        &mut self,
        sql: &str,
        params: &[Value],
        format: &RowFormat,
        out: &mut Vec<u8>,
    ) -> Result<Paged, DbError> {
        let (mut rows, count) = self.encode(sql, params, Some(format), &mut |_| true)?;
        if out.is_empty() {
            *out = rows
        } else {
            out.append(&mut rows)
        }
        Ok(Paged::Whole(count))
    }

    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        let cells = std::mem::take(&mut self.cells);
        self.cells = self
            .with_statement(sql, params, |statement| each_row(statement, cells, &mut self.all(sql, each)))?;
        Ok(())
    }
}

/// Steps through a bound statement, for as long as `each` says so. The room `cells` is used for every row and given back.
fn each_row(
    statement: &mut CachedStatement<'_>,
    mut cells: Vec<ValueRef<'static>>,
    each: &mut dyn FnMut(&[ValueRef<'_>]) -> bool,
) -> Result<Vec<ValueRef<'static>>, DbError> {
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(to_db_error)? {
        let mut values = recycle(cells);
        // Asked for each row: a statement that SQLite prepares again after a change of schema may have others.
        for index in 0..row.as_ref().column_count() {
            values.push(borrow(row.get_ref(index).map_err(to_db_error)?));
        }
        let goes_on = each(&values);
        cells = recycle(values);
        if !goes_on {
            return Err(DbError { message: INTERRUPTED.to_owned() });
        }
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

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
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

    const SLOW: &str =
        "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT ?) SELECT max(n) FROM c";

    #[test]
    fn a_long_statement_is_ended_and_remembered() {
        let mut db = empty();
        let mut run = |budget, most| {
            db.lend(budget);
            let result = db.rows(SLOW, &[Value::Integer(most)], &mut |_| {});
            (result.map_err(|error| error.message), db.is_cut())
        };
        let cut = (Err("interrupted".to_owned()), true);
        assert_eq!(run(Some(BUDGET), 10), (Ok(()), false));
        assert_eq!(run(Some(BUDGET), 100_000_000), cut);
        // It is not even tried while it is known to be long.
        assert_eq!(run(Some(BUDGET), 10), cut);
        assert_eq!(run(None, 10), (Ok(()), false));
        assert_eq!(run(Some(BUDGET), 10), (Ok(()), false));
    }

    #[test]
    fn a_long_statement_of_few_steps_is_remembered() {
        let mut db = empty();
        let wait = |_: &rusqlite::functions::Context<'_>| {
            std::thread::sleep(UNINTERRUPTED * 2);
            Ok(1)
        };
        let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8;
        db.sql.create_scalar_function("wait", 0, flags, wait).expect("a function");
        let mut run = || {
            db.lend(Some(BUDGET));
            (db.rows("SELECT wait() AS a_text_that_is_long", &[], &mut |_| {}).is_ok(), db.is_cut())
        };
        assert_eq!(run(), (true, false));
        assert_eq!(run(), (false, true));
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

    /// How often a statement was prepared again while it was run with these numbers.
    fn prepared_again(db: &mut Connection, sql: &str, numbers: impl IntoIterator<Item = i64>) -> i32 {
        for number in numbers {
            db.rows(sql, &[Value::Integer(number)], &mut |_| {}).expect(sql);
        }
        let statement = db.sql.prepare_cached(sql).expect("cached");
        statement.get_status(rusqlite::StatementStatus::RePrepare)
    }

    /// Another process makes an index: what was explained before is explained as it is now.
    #[test]
    fn a_plan_is_that_of_the_schema_as_it_is() {
        let scratch =
            crate::open::tests::Scratch::new("explain", "CREATE TABLE t (id INTEGER PRIMARY KEY, a)");
        let sql = rusqlite::Connection::open(scratch.path()).expect("database");
        let mut db = Connection::new(sql, Duration::from_secs(30)).expect("progress handler");
        let mut explained = || {
            let mut plan = Vec::new();
            // Any statement that is run finds out that the schema is another one.
            db.rows("SELECT count(*) FROM t", &[], &mut |_| {}).expect("counted");
            db.rows("EXPLAIN QUERY PLAN SELECT id FROM t WHERE a = 1", &[], &mut |row| {
                plan.extend(row.iter().map(|value| value.to_value()));
            })
            .expect("explained");
            format!("{plan:?}")
        };
        assert!(explained().contains("SCAN t"));
        let other = rusqlite::Connection::open(scratch.path()).expect("database");
        other.execute_batch("CREATE INDEX t_a ON t (a)").expect("an index");
        assert!(explained().contains("SEARCH t USING COVERING INDEX t_a"), "{}", explained());
    }

    #[test]
    fn other_values_do_not_prepare_a_statement_again() {
        let mut db = empty();
        let rows = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 9999) SELECT n, n / 7 FROM c";
        let setup = format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t {rows}; CREATE INDEX i ON t (a); ANALYZE"
        );
        db.sql.execute_batch(&setup).expect("set up");
        // As the core writes values, and as it does not.
        for sql in ["SELECT id FROM t ORDER BY id LIMIT +?", "SELECT id FROM t WHERE a = +? ORDER BY id"] {
            assert_eq!(prepared_again(&mut db, sql, 1..9), 0, "{sql}");
            assert_ne!(prepared_again(&mut db, &sql.replace('+', ""), 1..9), 0, "{sql}");
        }
        // It would look at these where it was compiled with sqlite_stat4: `.cargo/config.toml`.
        for sql in ["SELECT id FROM t WHERE a = ?", "SELECT id FROM t WHERE a > +? ORDER BY id"] {
            assert_eq!(prepared_again(&mut db, sql, 1..9), 0, "{sql}");
        }
    }

    #[test]
    fn both_ways_of_encoding_agree() {
        let mut db = empty();
        let sql = "SELECT 1 AS \"a\"\"b\", 1 AS c, '[1]' AS d UNION ALL SELECT 2.5, 0, NULL";
        let kinds = [Kind::Any, Kind::Boolean, Kind::Json];
        let format = RowFormat::new(Shape::Objects, ["a\"b", "c", "d"].into_iter().zip(kinds));
        let mut near = Vec::new();
        let count = db.page(sql, &[], &format, &mut near).expect("page");
        let far = db.encode(&(format.comment() + sql), &[], None, &mut |_| true).expect("encode");
        assert_eq!((near, count), (far.0, Paged::Whole(far.1)));
    }
}
