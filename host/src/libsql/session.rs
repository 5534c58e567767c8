//! The core's port over one stream of a server: a transaction of several statements in as few round trips as can be.
//!
//! `BEGIN` waits for the first statement and goes with it. The schema's version is taken to be what it was, and asked for in the same
//! batch, before the statement, which is not run where it is another one; the request is then done again. A transaction that has
//! only read ends when the answer is made already. So a read is one round trip, and a write is one for each of its statements and one
//! for its commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlitrest_runtime::database::{Database, DbError, Paged};
use sqlitrest_runtime::encode::guard::{guard, unguard};
use sqlitrest_runtime::encode::{RowFormat, check_size};
use sqlitrest_runtime::value::{Value, ValueRef};
use tokio::runtime::Handle;

use super::Server;
use super::client::{NOT_UTF8, Sent, in_our_words};
use super::hrana::{Arg, Ask, Batch, Condition, Pipeline, Rows, Step, Steps, Stmt};
use crate::observe::stats::bare;

/// What the core asks to find out whether the schema that it knows is still that of the database.
pub const SCHEMA_VERSION: &str = "PRAGMA schema_version";

/// Fails where the schema's version is not the one that is bound: a condition of Hrana goes by failures alone.
const CHECK_VERSION: &str =
    "SELECT CASE WHEN schema_version = ? THEN 1 ELSE json('changed') END FROM pragma_schema_version";

/// SQLite's own words, which the core knows.
const INTERRUPTED: &str = "interrupted";
const READ_ONLY: &str = "attempt to write a readonly database";

/// How long the end of a transaction may take that nobody waits for.
const LATE: Duration = Duration::from_secs(5);

/// How long the answer to a statement of a write may come after its time: with it comes the baton by which the transaction, and the
/// server's one lock, can be ended at once. Without, others wait until the server ends it by itself.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

/// The connection of one request.
pub struct Session {
    server: Arc<Server>,
    /// Until when its statements may run.
    until: Instant,
    stage: Stage,
    /// Whether the transaction is one that writes.
    writes: bool,
    /// With which the stream goes on; none where there is none.
    baton: Option<String>,
    /// Where it goes on, where the server wants that to be elsewhere.
    elsewhere: Option<String>,
    /// What is known of the schema's version in this transaction.
    version: Version,
    attempt: Attempt,
    again: Option<Attempt>,
}

/// How far a transaction is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is none.
    None,
    /// It begins with the next statement.
    Asked(Kind),
    /// The server has begun it.
    Open(Kind),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// Nothing is said yet.
    Unknown,
    /// It was said to be this, which is not certain.
    Assumed(i64),
    /// It is.
    Seen(i64),
}

/// How a request is done.
#[derive(Clone, Copy, Default)]
struct Attempt {
    /// The schema's version is asked for before anything is made of it.
    is_certain: bool,
    /// The text of pages crosses as bytes.
    is_guarded: bool,
}

/// Has `work` done with a session, and again where that is how it is found out that it has to be done otherwise. (A session that is not
/// handed back is at its end.)
pub fn attempts<T>(server: &Arc<Server>, mut work: impl FnMut(Session) -> (T, Option<Session>)) -> T {
    let mut session = Session::new(server);
    session.attempt.is_certain = false;
    loop {
        let until = session.until;
        let (done, session_back) = work(session);
        let Some(attempt) = session_back.and_then(|session| session.again) else { return done };
        session = Session::new(server);
        (session.attempt, session.until) = (attempt, until);
    }
}

impl Session {
    /// One in which nothing is assumed.
    pub fn new(server: &Arc<Server>) -> Session {
        Session {
            server: Arc::clone(server),
            until: Instant::now() + server.limit,
            stage: Stage::None,
            writes: false,
            baton: None,
            elsewhere: None,
            version: Version::Unknown,
            attempt: Attempt { is_certain: true, is_guarded: false },
            again: None,
        }
    }

    /// Its statements have the whole of their time.
    pub fn restart_clock(&mut self) {
        self.until = Instant::now() + self.server.limit;
    }

    /// They have this, and no more.
    pub fn end_within(&mut self, time: Duration) {
        self.until = self.until.min(Instant::now() + time);
    }

    /// A query whose rows are wanted with the names of its columns.
    ///
    /// # Errors
    /// As [`Database::rows`].
    pub fn query(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<Vec<String>, DbError> {
        match sql {
            "BEGIN" => self.begin(Kind::Read),
            "BEGIN IMMEDIATE" => self.begin(Kind::Write),
            "COMMIT" => self.commit()?,
            "ROLLBACK" => self.roll_back(),
            SCHEMA_VERSION => each(&[ValueRef::Integer(self.schema_version()?)]),
            _ => {
                let server = Arc::clone(&self.server);
                return self.run(sql, params, |rows| {
                    let names = rows.cols.iter().map(|column| column.name.clone().unwrap_or_default());
                    let names = names.collect();
                    server.client.hand_over(rows, each)?;
                    Ok(names)
                });
            }
        }
        Ok(Vec::new())
    }

    /// A page as bytes, in the format that the statement asks for, and how many rows they are.
    ///
    /// # Errors
    /// As [`Database::page`].
    pub fn encode(&mut self, sql: &str, params: &[Value]) -> Result<(Vec<u8>, u64), DbError> {
        let server = Arc::clone(&self.server);
        self.run(sql, params, |rows| {
            let names: Vec<String> =
                rows.cols.iter().map(|column| column.name.clone().unwrap_or_default()).collect();
            let format = RowFormat::of_statement(sql, names.iter().map(String::as_str));
            let format = format.ok_or_else(|| DbError {
                message: "the statement does not say how its rows are wanted".to_owned(),
            })?;
            let (mut out, mut count) = (Vec::new(), 0);
            server.client.hand_over(rows, &mut |row| {
                format.write_row(row, count, &mut out);
                count += 1;
            })?;
            check_size(&out)?;
            Ok((out, count))
        })
    }

    /// Whether the text of a page is to cross as bytes, in [`Session::query_guarded`]. A page of RETURNING cannot.
    pub fn is_guarded(&self, sql: &str) -> bool {
        self.attempt.is_guarded && bare_of_comment(sql).starts_with("SELECT ")
    }

    /// A page of so many columns, whose text crosses as bytes.
    ///
    /// # Errors
    /// As [`Database::rows`].
    pub fn query_guarded(
        &mut self,
        sql: &str,
        columns: usize,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        self.rows(&guard(bare_of_comment(sql), columns), params, &mut |row| {
            let row: Vec<ValueRef<'_>> = row.iter().map(|value| unguard(*value)).collect();
            each(&row);
        })
    }

    fn begin(&mut self, kind: Kind) {
        self.stage = Stage::Asked(kind);
        self.writes = kind == Kind::Write;
        self.version = Version::Unknown;
    }

    /// The schema's version in this transaction, or what it is taken to be.
    fn schema_version(&mut self) -> Result<i64, DbError> {
        if let (Version::Assumed(version) | Version::Seen(version), true) =
            (self.version, self.stage != Stage::None)
        {
            return Ok(version);
        }
        if let (Some(version), false, Stage::Asked(_)) =
            (self.server.version(), self.attempt.is_certain, self.stage)
        {
            self.version = Version::Assumed(version);
            return Ok(version);
        }
        self.see_version()
    }

    /// Asks for it.
    fn see_version(&mut self) -> Result<i64, DbError> {
        let server = Arc::clone(&self.server);
        let version = self.run(SCHEMA_VERSION, &[], |rows| {
            let mut version = None;
            server.client.hand_over(rows, &mut |row| {
                if let [ValueRef::Integer(number)] = row {
                    version = Some(*number);
                }
            })?;
            version.ok_or_else(|| server.client.unreadable())
        })?;
        self.server.saw_version(version);
        self.version = Version::Seen(version);
        Ok(version)
    }

    /// Nothing was asked but for what is assumed: whether that holds.
    fn hold_assumed(&mut self) -> Result<(), DbError> {
        let Version::Assumed(assumed) = self.version else { return Ok(()) };
        self.stage = Stage::None;
        let seen = self.see_version();
        self.close_later();
        if seen? == assumed { Ok(()) } else { Err(self.is_stale()) }
    }

    /// The request is to be done again.
    fn is_stale(&mut self) -> DbError {
        self.again = Some(Attempt { is_certain: true, ..self.attempt });
        DbError { message: INTERRUPTED.to_owned() }
    }

    fn commit(&mut self) -> Result<(), DbError> {
        match self.stage {
            Stage::None => {}
            Stage::Asked(_) => {
                let held = self.hold_assumed();
                self.stage = Stage::None;
                held?;
            }
            Stage::Open(Kind::Read) => {
                self.stage = Stage::None;
                self.close_later();
            }
            Stage::Open(Kind::Write) => {
                self.stage = Stage::None;
                let steps = vec![step(Some(Condition::in_transaction()), "COMMIT", Vec::new())];
                let text = self.send(vec![Ask::Batch { batch: Batch { steps } }, Ask::Close])?;
                let (rows, failure) = last(self.steps(&text)?);
                match (rows, failure) {
                    (_, Some(error)) => return Err(error),
                    (Some(_), None) => {}
                    // The server has ended the transaction before.
                    (None, None) => return Err(interrupted()),
                }
            }
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::None) {
            Stage::None => {}
            Stage::Asked(_) => {
                // What the request was told may have come of an assumption. Where it does not hold it is done again.
                let _ = self.hold_assumed();
            }
            Stage::Open(Kind::Read) => self.close_later(),
            Stage::Open(Kind::Write) => {
                // At once, because of its lock. Where the server is not to be had it ends the stream by itself.
                if self.baton.is_some() {
                    let _ = self.send(vec![Ask::Close]);
                }
            }
        }
    }

    /// Runs a statement, in the transaction where there is one.
    fn run<T>(
        &mut self,
        sql: &str,
        params: &[Value],
        take: impl FnOnce(Rows<'_>) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let since = Instant::now();
        let args: Option<Vec<Arg<'_>>> = params.iter().map(Arg::of).collect();
        let args = args.ok_or_else(|| DbError { message: "integer overflow".to_owned() })?;
        let mut steps = Vec::new();
        let (mut check, mut condition) = (None, None);
        let kind = match self.stage {
            Stage::None => None,
            Stage::Asked(kind) => {
                // `IMMEDIATE` takes the lock, and waits for it, before anything is read.
                steps.push(step(
                    None,
                    if kind == Kind::Write { "BEGIN IMMEDIATE" } else { "BEGIN" },
                    Vec::new(),
                ));
                if let Version::Assumed(version) = self.version {
                    check = Some(steps.len());
                    let version = Arg::Integer { value: version.to_string() };
                    steps.push(step(Some(Condition::Ok { step: 0 }), CHECK_VERSION, vec![version]));
                }
                condition = Some(Condition::Ok { step: steps.len() - 1 });
                Some(kind)
            }
            Stage::Open(kind) => {
                condition = Some(Condition::in_transaction());
                Some(kind)
            }
        };
        steps.push(step(condition, bare_of_comment(sql), args));
        let text = self.send(vec![Ask::Batch { batch: Batch { steps } }]).inspect_err(|error| {
            if error.message == NOT_UTF8 && !self.attempt.is_guarded {
                self.again = Some(Attempt { is_guarded: true, ..self.attempt });
            }
        })?;
        let steps = self.steps(&text)?;
        self.stage = kind.map_or(Stage::None, Stage::Open);
        let is_stale = check.is_some_and(|at| steps.step_errors.get(at).is_some_and(Option::is_some));
        if is_stale {
            return Err(self.is_stale());
        }
        if let Version::Assumed(version) = self.version {
            self.version = Version::Seen(version);
        }
        self.server.stats.statement(sql, since.elapsed(), Duration::ZERO, false);
        match last(steps) {
            (_, Some(error)) => Err(error),
            // It could be seen only now; nothing of it stays.
            (Some(rows), None) if kind == Some(Kind::Read) && rows.affected_row_count > 0 => {
                Err(DbError { message: READ_ONLY.to_owned() })
            }
            (Some(rows), None) => take(rows),
            // The server has ended the transaction before.
            (None, None) => Err(interrupted()),
        }
    }

    /// Sends a pipeline to the stream, or to a new one, and returns the answer. What breaks off before the stream has begun is sent
    /// once more: a connection that was kept may be closed by the time that it is used, and nothing can have been committed.
    fn send(&mut self, requests: Vec<Ask<'_>>) -> Result<String, DbError> {
        // What was begun is lost where this fails.
        self.stage = Stage::None;
        if Instant::now() >= self.until {
            // Nothing is sent, so that the stream is where it was.
            self.close_later();
            return Err(interrupted());
        }
        let baton = self.baton.take();
        let pipeline = Pipeline { baton: baton.as_deref(), requests };
        let until = if self.writes { self.until + ON_ITS_WAY } else { self.until };
        let send = || self.server.client.send(self.elsewhere.as_deref(), &pipeline, until);
        let sent = match send()? {
            Sent::Lost(_) if baton.is_none() => send()?,
            sent => sent,
        };
        match sent {
            Sent::Answered(text) => Ok(text),
            Sent::Lost(error) => Err(error),
        }
    }

    /// What became of the first batch of an answer; the stream goes on from there.
    fn steps<'t>(&mut self, text: &'t str) -> Result<Steps<'t>, DbError> {
        let client = &self.server.client;
        let reply = client.read(text)?;
        self.baton = reply.baton;
        if let Some(base) = reply.base_url {
            self.elsewhere = Some(base.trim_end_matches('/').to_owned());
        }
        let outcome = reply.results.into_iter().next().ok_or_else(|| client.unreadable())?;
        match (outcome.response.and_then(|response| response.result), outcome.error) {
            (_, Some(failure)) => Err(in_our_words(&failure)),
            (Some(steps), None) => Ok(steps),
            (None, None) => Err(client.unreadable()),
        }
    }

    /// Ends the stream while nobody waits; what is open in it is rolled back.
    fn close_later(&mut self) {
        let Some(baton) = self.baton.take() else { return };
        let (server, elsewhere) = (Arc::clone(&self.server), self.elsewhere.take());
        let close = move || {
            let pipeline = Pipeline { baton: Some(&baton), requests: vec![Ask::Close] };
            // Where this does not arrive the server does it by itself, later.
            let _ = server.client.send(elsewhere.as_deref(), &pipeline, Instant::now() + LATE);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(close)),
            Err(_) => close(),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close_later();
    }
}

impl Database for Session {
    fn columns(&mut self, sql: &str, params: &[Value]) -> Result<Vec<String>, DbError> {
        self.query(sql, params, &mut |_| {})
    }

    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        self.query(sql, params, each).map(drop)
    }

    fn page(
        &mut self,
        sql: &str,
        params: &[Value],
        format: &RowFormat,
        out: &mut Vec<u8>,
    ) -> Result<Paged, DbError> {
        let mut count = 0;
        let mut write = |row: &[ValueRef<'_>]| {
            format.write_row(row, count, out);
            count += 1;
        };
        if self.is_guarded(sql) {
            self.query_guarded(sql, format.width(), params, &mut write)?;
        } else {
            self.rows(sql, params, &mut write)?;
        }
        check_size(out)?;
        Ok(Paged::Whole(count))
    }
}

/// A statement without what the component puts before it for its host.
fn bare_of_comment(sql: &str) -> &str {
    if RowFormat::is_asked_for(sql) { bare(sql) } else { sql }
}

fn step<'a>(condition: Option<Condition>, sql: &'a str, args: Vec<Arg<'a>>) -> Step<'a> {
    Step { condition, stmt: Stmt { sql, args } }
}

/// What became of a batch: the rows of its last step, and the first failure, of whichever step.
fn last(mut steps: Steps<'_>) -> (Option<Rows<'_>>, Option<DbError>) {
    let failure = steps.step_errors.iter().flatten().next().map(in_our_words);
    (steps.step_results.pop().flatten(), failure)
}

fn interrupted() -> DbError {
    DbError { message: INTERRUPTED.to_owned() }
}
