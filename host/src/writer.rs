//! The one that writes: a thread with the writing connection, and the requests that wait for it. Those that wait together share one
//! transaction (group commit), because what a durable write costs is the wait for the disk at its end. Each has a savepoint of
//! its own in it, so that it fails alone, and its answer leaves only after the commit.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sqlitrest_runtime::database::{Database, DbError};
use sqlitrest_runtime::value::{Value, ValueRef};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout_at};

use crate::checkpoint::Log;
use crate::connection::Connection;
use crate::observe::stats::Stats;
use crate::observe::{context, errors, telemetry};
use crate::open::Role;
use crate::pool::{BUSY, Opener, Readers};
use crate::reopen::{Keeper, no_file};

/// How many requests may wait; one more is told that the database is busy.
const MOST_WAITING: usize = 1_024;

/// How long the end waits for a place in a queue that is full.
const FULL: Duration = Duration::from_millis(10);

/// How many share one transaction at the most.
const MOST_TOGETHER: usize = 256;

/// For how long requests are taken into a transaction: who is in it waits for the others.
const GATHER: Duration = Duration::from_millis(20);

/// So often a request whose transaction was undone by another one's failure is done again together with others; then alone.
const TRIES_TOGETHER: u8 = 2;

/// A request's place in the queue: it waits, it is being done, or whoever waited has gone.
const WAITS: u8 = 0;
const RUNS: u8 = 1;
const GIVEN_UP: u8 = 2;

/// The queue of the one that writes.
pub struct Writer {
    queue: SyncSender<Message>,
    stats: Arc<Stats>,
    /// How long a request waits for its turn.
    patience: Duration,
}

enum Message {
    Job(Box<dyn Job>),
    /// Everything before it is done; then the connection is handed back.
    End(oneshot::Sender<Option<Connection>>),
}

/// The writing connection while one request has it: a savepoint in the transaction of several.
pub struct Turn {
    connection: Connection,
    /// Until when its request waits for another process that has the lock.
    until: Instant,
    /// For how long any other statement does.
    patience: Duration,
    /// Whether a request of the transaction has begun it.
    has_begun: bool,
    /// Whether the savepoint is there.
    is_open: bool,
    /// Whether the request has ended its transaction. Its savepoint stays until it has come to its end itself: one that breaks after that
    /// has changed nothing.
    is_committed: bool,
}

/// A request that writes.
trait Job: Send {
    /// Whether it is still wanted; from then on it is.
    fn begin(&self) -> bool;
    /// When it has waited long enough.
    fn until(&self) -> Instant;
    /// Does it, or does it again. The connection is lost where it panics.
    fn run(&mut self, turn: Turn) -> Option<Turn>;
    /// Its transaction was committed, or was not; the answer leaves.
    fn settle(self: Box<Self>, outcome: Result<(), DbError>);
    /// Counts that it was done in vain.
    fn count_in_vain(&mut self);
    /// Whether it has been so often that it has a transaction of its own.
    fn is_alone(&self) -> bool;
}

struct Request<T, F> {
    work: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, DbError>>,
    place: Arc<AtomicU8>,
    until: Instant,
    in_vain: u8,
}

impl<T: Send, F: FnMut(Turn) -> (T, Option<Turn>) + Send> Job for Request<T, F> {
    fn begin(&self) -> bool {
        self.place.compare_exchange(WAITS, RUNS, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn until(&self) -> Instant {
        self.until
    }

    fn run(&mut self, turn: Turn) -> Option<Turn> {
        self.done = None;
        let (done, turn) = (self.work)(turn);
        self.done = Some(done);
        turn
    }

    fn settle(self: Box<Self>, outcome: Result<(), DbError>) {
        let answer = match (outcome, self.done) {
            (Ok(()), Some(done)) => Ok(done),
            (Err(error), _) => Err(error),
            // It panicked. Without an answer the one who waits knows.
            (Ok(()), None) => return,
        };
        // Who is not there any more does not get it; it is written all the same.
        let _ = self.reply.send(answer);
    }

    fn count_in_vain(&mut self) {
        self.in_vain = self.in_vain.saturating_add(1);
    }

    fn is_alone(&self) -> bool {
        self.in_vain >= TRIES_TOGETHER
    }
}

/// Gives up a place in the queue, should whoever waits be cancelled.
struct Place(Arc<AtomicU8>);

impl Place {
    /// Whether nothing has been done.
    fn give_up(&self) -> bool {
        self.0.compare_exchange(WAITS, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's, where there is no thread to be had.
    pub fn start(
        connection: Connection,
        log: Option<Log>,
        opener: &Arc<Opener>,
        readers: &Arc<Readers>,
        patience: Duration,
    ) -> Result<Writer> {
        let (queue, messages) = sync_channel(MOST_WAITING);
        let keeper = Keeper::new(Arc::clone(opener), Arc::clone(readers), patience);
        let stats = Arc::clone(opener.stats());
        let (connection, opener) = (Some(connection), Arc::clone(opener));
        let again = VecDeque::new();
        let thread = Thread { connection, log, opener, keeper, patience, messages, again, end: None };
        let spawned = std::thread::Builder::new().name("writer".to_owned()).spawn(move || thread.run());
        spawned.context("the thread that writes cannot be started")?;
        Ok(Writer { queue, stats, patience })
    }

    /// Has `work` done in its turn, and returns what it made once that is durable. It may be done more than once, if the transaction
    /// that it shares is undone by another's failure; a turn that it does not hand back is lost, and with it the transaction.
    ///
    /// # Errors
    /// `database is locked` where its turn does not come in time; what SQLite says of the beginning or end of the transaction.
    pub async fn write<T, F>(&self, mut work: F) -> Result<Option<T>, DbError>
    where
        T: Send + 'static,
        F: FnMut(Turn) -> (T, Option<Turn>) + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let place = Place(Arc::new(AtomicU8::new(WAITS)));
        let since = Instant::now();
        let until = since + self.patience;
        let (context, stats, mut has_waited) = (context::current(), Arc::clone(&self.stats), true);
        let work = move |turn: Turn| {
            context::within(&context, || {
                // It may be done again.
                if std::mem::take(&mut has_waited) {
                    has_turn(&stats, since.elapsed());
                }
                work(turn)
            })
        };
        let request = Request { work, done: None, reply, place: Arc::clone(&place.0), until, in_vain: 0 };
        // Before it is in the queue, so that there are never fewer than none in it.
        self.stats.queue.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(Message::Job(Box::new(request))).map_err(|_| {
            self.stats.queue.fetch_sub(1, Ordering::Relaxed);
            busy()
        })?;
        let mut answer = answer;
        match timeout_at(until.into(), &mut answer).await {
            Ok(answer) => answer.ok().transpose(),
            Err(_) if place.give_up() => Err(busy()),
            // It is being done.
            Err(_) => answer.await.ok().transpose(),
        }
    }

    /// Takes no more requests once those that wait are done; the connection comes back, if it is still there.
    pub async fn end(&self) -> Option<Connection> {
        let (reply, connection) = oneshot::channel();
        let mut message = Message::End(reply);
        while let Err(error) = self.queue.try_send(message) {
            match error {
                TrySendError::Full(again) => message = again,
                TrySendError::Disconnected(_) => return None,
            }
            sleep(FULL).await;
        }
        connection.await.ok().flatten()
    }
}

/// A request has its turn.
fn has_turn(stats: &Stats, waited: Duration) {
    if stats.is_on() {
        stats.turns.took(waited);
    }
    telemetry::stage("wait for the turn to write", waited);
}

fn busy() -> DbError {
    DbError { message: BUSY.to_owned() }
}

/// What the thread has.
struct Thread {
    /// None where it was lost in a panic.
    connection: Option<Connection>,
    /// Who is told that something was written.
    log: Option<Log>,
    opener: Arc<Opener>,
    keeper: Keeper,
    patience: Duration,
    messages: Receiver<Message>,
    /// Requests to be done again, before those that wait.
    again: VecDeque<Box<dyn Job>>,
    /// Who wants the connection at the end.
    end: Option<oneshot::Sender<Option<Connection>>>,
}

impl Thread {
    fn run(mut self) {
        while let Some(job) = self.next(true) {
            self.group(job);
        }
        drop(self.log);
        if let Some(end) = self.end {
            // Whoever asked may have gone; then it closes here.
            let _ = end.send(self.connection);
        }
    }

    /// The next request: one to be done again, or the next in the queue, for which it waits. None at the end, or where none waits.
    fn next(&mut self, waits: bool) -> Option<Box<dyn Job>> {
        if let Some(job) = self.again.front() {
            // One that is to be alone begins a transaction, and joins none.
            return if waits || !job.is_alone() { self.again.pop_front() } else { None };
        }
        while self.end.is_none() {
            let message = if waits { self.wait() } else { self.messages.try_recv().ok() };
            if matches!(message, Some(Message::Job(_))) {
                self.opener.stats().queue.fetch_sub(1, Ordering::Relaxed);
            }
            match message? {
                Message::Job(job) if job.begin() => return Some(job),
                Message::Job(_) => {}
                Message::End(reply) => self.end = Some(reply),
            }
        }
        None
    }

    /// The next message. Meanwhile it looks after the file.
    fn wait(&mut self) -> Option<Message> {
        loop {
            match self.messages.recv_timeout(self.keeper.pause()) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn look(&mut self) {
        // It says itself what is wrong.
        let _ = self.keeper.look(&mut self.connection);
    }

    /// One transaction, of the requests that are there.
    fn group(&mut self, first: Box<dyn Job>) {
        let mut turn = match self.turn(first.until()) {
            Ok(turn) => turn,
            Err(error) => return first.settle(Err(error)),
        };
        let (since, gathers) = (Instant::now(), !first.is_alone());
        let (mut done, mut next) = (Vec::new(), Some(first));
        while let Some(mut job) = next.take() {
            turn = match self.one(turn, job.as_mut()) {
                Ok(turn) => turn,
                // Nothing of the transaction is left. Who has undone it is told; the others come again.
                Err(error) => {
                    job.settle(error.map_or(Ok(()), Err));
                    return self.repeat(done);
                }
            };
            done.push(job);
            if gathers && done.len() < MOST_TOGETHER && since.elapsed() < GATHER {
                next = self.next(false);
            }
        }
        let (outcome, has_begun) = (turn.commit(), turn.has_begun);
        self.count(done.len(), since.elapsed(), has_begun);
        self.connection = turn.connection.clean().then_some(turn.connection);
        if outcome.is_err() && done.len() > 1 {
            return self.repeat(done);
        }
        // Committed to a file that is not there any more it is lost.
        let outcome = outcome.and_then(|()| self.keeper.look(&mut self.connection));
        done.into_iter().for_each(|job| job.settle(outcome.clone()));
        if let (Some(log), Some(connection), true) = (&mut self.log, &mut self.connection, has_begun) {
            log.written(connection);
        }
    }

    /// The connection, for requests that begin the transaction when they need it.
    fn turn(&mut self, until: Instant) -> Result<Turn, DbError> {
        if self.keeper.pause().is_zero() {
            self.look();
        }
        if self.keeper.is_away() {
            return Err(no_file());
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.opener.connect(Role::Writer)?,
        };
        Ok(Turn {
            connection,
            until,
            patience: self.patience,
            has_begun: false,
            is_open: false,
            is_committed: false,
        })
    }

    /// Does one request. An error where the transaction is gone: one of SQLite's where the request does not know of it.
    fn one(&mut self, mut turn: Turn, job: &mut dyn Job) -> Result<Turn, Option<DbError>> {
        turn.until = job.until();
        turn.connection.restart_clock();
        match catch_unwind(AssertUnwindSafe(|| job.run(turn))) {
            Ok(Some(mut turn)) => {
                let ended = turn.end();
                if ended == Ok(true) {
                    return Ok(turn);
                }
                self.connection = turn.connection.clean().then_some(turn.connection);
                Err(ended.err())
            }
            Ok(None) | Err(_) => {
                errors::internal(format_args!("a request that writes broke; its connection is opened anew"));
                Err(None)
            }
        }
    }

    /// Counts a transaction; where none was begun the requests of it have only read, or failed before.
    fn count(&self, requests: usize, took: Duration, has_begun: bool) {
        let stats = self.opener.stats();
        if stats.is_on() && has_begun {
            stats.groups.record(u64::try_from(requests).unwrap_or(u64::MAX));
            stats.transactions.took(took);
        }
    }

    /// Has requests done again, before all others and in their order.
    fn repeat(&mut self, jobs: Vec<Box<dyn Job>>) {
        if self.opener.stats().is_on() {
            self.opener.stats().repeated.add(u64::try_from(jobs.len()).unwrap_or_default());
        }
        for mut job in jobs.into_iter().rev() {
            job.count_in_vain();
            self.again.push_front(job);
        }
    }
}

impl Turn {
    /// Its connection, for statements that begin and end no transaction.
    ///
    /// # Errors
    /// SQLite has undone the transaction by itself: a statement would be a transaction of its own.
    pub fn connection(&mut self) -> Result<&mut Connection, DbError> {
        if self.is_open && !self.connection.in_transaction() {
            return Err(DbError { message: "the transaction is undone".to_owned() });
        }
        Ok(&mut self.connection)
    }

    /// What the beginning and the end of a transaction mean to the request; None for any other statement.
    pub fn transaction(&mut self, sql: &str) -> Option<Result<(), DbError>> {
        match sql {
            "BEGIN" | "BEGIN IMMEDIATE" => Some(self.begin()),
            "COMMIT" if self.connection.has_dangling_references() => {
                // SQLite would say it at the end of the transaction, of all in it.
                Some(Err(DbError { message: "FOREIGN KEY constraint failed".to_owned() }))
            }
            "COMMIT" => Some(self.connection().map(drop).map(|()| self.is_committed = true)),
            "ROLLBACK" => {
                self.undo();
                Some(Ok(()))
            }
            _ => None,
        }
    }

    fn begin(&mut self) -> Result<(), DbError> {
        if !self.has_begun {
            // What it has waited for its turn counts, so that those who wait together are told together.
            self.connection.wait_for_locks(self.until.saturating_duration_since(Instant::now()))?;
            let begun = self.statement("BEGIN IMMEDIATE");
            self.connection.wait_for_locks(self.patience)?;
            begun?;
            self.has_begun = true;
        }
        if self.is_committed {
            self.end()?;
        }
        self.statement("SAVEPOINT request")?;
        self.is_open = true;
        Ok(())
    }

    /// The end of the whole transaction.
    fn commit(&mut self) -> Result<(), DbError> {
        self.connection.restart_clock();
        if self.has_begun { self.statement("COMMIT") } else { Ok(()) }
    }

    /// The end of the request: what it has committed stays, what it has left open is undone. Whether the transaction is as it was before,
    /// apart from that.
    ///
    /// # Errors
    /// SQLite's, where what was committed cannot stay; nothing of the transaction is left then.
    fn end(&mut self) -> Result<bool, DbError> {
        if self.is_committed && self.is_open {
            self.connection.restart_clock();
            self.is_open = false;
            if let Err(error) = self.statement("RELEASE request") {
                self.connection.clean();
                return Err(error);
            }
        }
        Ok(self.undo())
    }

    /// Undoes what the request has left open. Whether the transaction is as it was before.
    pub fn undo(&mut self) -> bool {
        self.is_committed = false;
        if self.is_open && self.connection.in_transaction() {
            // A rollback must not be interrupted by a limit that has passed.
            self.connection.restart_clock();
            let undone =
                self.statement("ROLLBACK TO request").and_then(|()| self.statement("RELEASE request"));
            if undone.is_err() {
                self.connection.clean();
            }
        }
        self.is_open = false;
        self.connection.in_transaction() == self.has_begun
    }

    fn statement(&mut self, sql: &str) -> Result<(), DbError> {
        self.connection.rows(sql, &[], &mut |_| {})
    }
}

impl Database for Turn {
    fn columns(&mut self, sql: &str, params: &[Value]) -> Result<Vec<String>, DbError> {
        self.connection()?.columns(sql, params)
    }

    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        match self.transaction(sql) {
            Some(result) => result,
            None => self.connection()?.rows(sql, params, each),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::channel;
    use tokio::task::{JoinHandle, JoinSet};

    use crate::open::tests::Scratch;

    const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT UNIQUE);
        CREATE TABLE strict (n TEXT UNIQUE ON CONFLICT ROLLBACK);
        INSERT INTO strict VALUES ('there');
        CREATE TABLE child (id INTEGER REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED);";

    struct Fixture {
        scratch: Scratch,
        writer: Arc<Writer>,
        opener: Arc<Opener>,
    }

    impl Fixture {
        fn new(name: &str) -> Fixture {
            let scratch = Scratch::new(name, SCHEMA);
            let (file, connection) = crate::open::File::check(&scratch.config()).expect("a database");
            let opener = Arc::new(Opener::new(file));
            let readers = Arc::new(Readers::open(&opener, 1).expect("a reader"));
            let writer = Writer::start(connection, None, &opener, &readers, Duration::from_secs(5));
            Fixture { scratch, writer: Arc::new(writer.expect("a thread")), opener }
        }

        /// A request of these statements in its own transaction, and what it is told.
        fn ask(&self, statements: &[&str]) -> JoinHandle<Result<Option<Result<(), DbError>>, DbError>> {
            let (writer, statements) = (Arc::clone(&self.writer), owned(statements));
            tokio::spawn(async move { writer.write(move |turn| act(turn, &statements)).await })
        }

        /// Keeps the thread busy, so that what is asked meanwhile comes together, until it is dropped.
        async fn busy(&self) -> impl Drop + use<> {
            let (writer, (end, ended)) = (Arc::clone(&self.writer), channel::<()>());
            let (began, begun) = oneshot::channel();
            let (mut began, ended) = (Some(began), std::sync::Mutex::new(ended));
            tokio::spawn(async move {
                let work = move |turn| {
                    let _ = began.take().map(|began| began.send(()));
                    let _ = ended.lock().expect("unpoisoned").recv();
                    ((), Some(turn))
                };
                let _ = writer.write(work).await;
            });
            begun.await.expect("begun");
            Held(end)
        }

        fn texts(&self, sql: &str) -> Vec<String> {
            let mut reader = self.opener.connect(Role::Reader).expect("a reader");
            let mut texts = Vec::new();
            reader.rows(sql, &[], &mut |row| texts.push(text(row[0]))).expect("rows");
            texts
        }
    }

    fn text(value: ValueRef<'_>) -> String {
        match value {
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => number(other).to_string(),
        }
    }

    struct Held(std::sync::mpsc::Sender<()>);

    impl Drop for Held {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    fn owned(statements: &[&str]) -> Vec<String> {
        statements.iter().map(|sql| (*sql).to_owned()).collect()
    }

    /// As the core does it: a transaction, undone where something fails.
    fn act(mut turn: Turn, statements: &[String]) -> (Result<(), DbError>, Option<Turn>) {
        let mut run = |sql: &str| turn.rows(sql, &[], &mut |_| {});
        let mut done = run("BEGIN IMMEDIATE");
        for sql in statements {
            done = done.and_then(|()| run(sql));
        }
        done = done.and_then(|()| run("COMMIT"));
        if done.is_err() {
            let _ = run("ROLLBACK");
        }
        (done, Some(turn))
    }

    fn is_done(told: Result<Option<Result<(), DbError>>, DbError>) -> bool {
        told.expect("its turn").expect("an answer").is_ok()
    }

    /// Waits until so many are in the queue: each has sent its message when its task has run once.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_waits_together_shares_a_transaction() {
        let fixture = Fixture::new("writer-together");
        let mut reader = fixture.opener.connect(Role::Reader).expect("a reader");
        let mut version = || {
            let mut version = 0;
            let sql = "PRAGMA data_version";
            reader.rows(sql, &[], &mut |row| version = number(row[0])).expect("a version");
            version
        };
        let before = version();
        let held = fixture.busy().await;
        let asked: Vec<_> =
            (0..50).map(|n| fixture.ask(&[&format!("INSERT INTO t (n) VALUES ('{n}')")])).collect();
        settle().await;
        drop(held);
        for told in asked {
            assert!(is_done(told.await.expect("no panic")));
        }
        assert_eq!(version(), before + 1);
        assert_eq!(fixture.texts("SELECT count(*) FROM t"), ["50"]);
    }

    #[tokio::test]
    async fn who_breaks_after_its_commit_has_changed_nothing() {
        let fixture = Fixture::new("writer-broken");
        let work = |mut turn: Turn| {
            for sql in ["BEGIN IMMEDIATE", "INSERT INTO t (n) VALUES ('a')", "COMMIT"] {
                turn.rows(sql, &[], &mut |_| {}).expect(sql);
            }
            assert!(turn.undo());
            ((), Some(turn))
        };
        assert_eq!(fixture.writer.write(work).await, Ok(Some(())));
        assert!(fixture.texts("SELECT n FROM t").is_empty());
    }

    #[tokio::test]
    async fn nothing_is_written_outside_of_a_transaction() {
        let fixture = Fixture::new("writer-undone");
        let work = |mut turn: Turn| {
            let mut run = |sql| turn.rows(sql, &[], &mut |_| {}).map_err(|error| error.message);
            run("BEGIN IMMEDIATE").expect("begun");
            // It undoes the whole transaction.
            run("INSERT INTO strict VALUES ('there')").expect_err("a conflict");
            let told = [run("INSERT INTO t (n) VALUES ('a')"), run("COMMIT")];
            (told, Some(turn))
        };
        let told = fixture.writer.write(work).await.expect("its turn").expect("an answer");
        assert_eq!(told, [const { "the transaction is undone" }; 2].map(|m| Err(m.to_owned())));
        assert!(fixture.texts("SELECT n FROM t").is_empty());
    }

    #[tokio::test]
    async fn the_end_waits_for_a_place_in_a_full_queue() {
        let fixture = Fixture::new("writer-full");
        let held = fixture.busy().await;
        let asked: Vec<_> =
            (0..MOST_WAITING + 9).map(|_| fixture.ask(&["INSERT INTO t DEFAULT VALUES"])).collect();
        settle().await;
        let writer = Arc::clone(&fixture.writer);
        let end = tokio::spawn(async move { writer.end().await.is_some() });
        settle().await;
        drop(held);
        assert!(end.await.expect("no panic"));
        let mut done = 0;
        for told in asked {
            done += usize::from(told.await.expect("no panic").is_ok());
        }
        assert_eq!(done, MOST_WAITING);
    }

    fn number(value: ValueRef<'_>) -> i64 {
        match value {
            ValueRef::Integer(number) => number,
            other => panic!("no number: {other:?}"),
        }
    }

    #[tokio::test]
    async fn each_fails_alone() {
        let fixture = Fixture::new("writer-alone");
        let held = fixture.busy().await;
        let a = fixture.ask(&["INSERT INTO t (n) VALUES ('a')"]);
        let twice = fixture.ask(&["INSERT INTO t (n) VALUES ('b')", "INSERT INTO t (n) VALUES ('a')"]);
        let orphan = fixture.ask(&["INSERT INTO child VALUES (99)"]);
        let rolls_back = fixture.ask(&["INSERT INTO strict VALUES ('there')"]);
        let c = fixture.ask(&["INSERT INTO t (n) VALUES ('c')"]);
        settle().await;
        drop(held);
        assert!(is_done(a.await.expect("no panic")));
        let error = |told: Result<Option<Result<(), DbError>>, DbError>| {
            told.expect("its turn").expect("an answer").expect_err("an error").message
        };
        assert_eq!(error(twice.await.expect("no panic")), "UNIQUE constraint failed: t.n");
        assert_eq!(error(orphan.await.expect("no panic")), "FOREIGN KEY constraint failed");
        assert_eq!(error(rolls_back.await.expect("no panic")), "UNIQUE constraint failed: strict.n");
        assert!(is_done(c.await.expect("no panic")));
        assert_eq!(fixture.texts("SELECT n FROM t ORDER BY 1"), ["a", "c"]);
        assert_eq!(fixture.texts("SELECT count(*) FROM child"), ["0"]);
    }

    #[tokio::test]
    async fn a_panic_harms_nobody_else() {
        let fixture = Fixture::new("writer-panic");
        let held = fixture.busy().await;
        let a = fixture.ask(&["INSERT INTO t (n) VALUES ('a')"]);
        settle().await;
        let writer = Arc::clone(&fixture.writer);
        let breaks = tokio::spawn(async move {
            let work = |mut turn: Turn| -> ((), Option<Turn>) {
                turn.rows("BEGIN IMMEDIATE", &[], &mut |_| {}).expect("begun");
                panic!("on purpose")
            };
            writer.write(work).await
        });
        settle().await;
        let b = fixture.ask(&["INSERT INTO t (n) VALUES ('b')"]);
        settle().await;
        drop(held);
        assert_eq!(breaks.await.expect("no panic here"), Ok(None));
        assert!(is_done(a.await.expect("no panic")));
        assert!(is_done(b.await.expect("no panic")));
        assert_eq!(fixture.texts("SELECT n FROM t ORDER BY 1"), ["a", "b"]);
    }

    #[tokio::test]
    async fn what_a_failed_commit_undoes_is_done_again() {
        let fixture = Fixture::new("writer-commit");
        let commits = Arc::new(AtomicUsize::new(0));
        let hook = Arc::clone(&commits);
        // SQLite turns a COMMIT into a ROLLBACK where the hook says so.
        let work = move |mut turn: Turn| {
            let hook = Arc::clone(&hook);
            let refuses = move || hook.fetch_add(1, Ordering::Relaxed) == 0;
            turn.connection().expect("a transaction").sql_mut().commit_hook(Some(refuses)).expect("a hook");
            ((), Some(turn))
        };
        fixture.writer.write(work).await.expect("its turn").expect("an answer");
        let held = fixture.busy().await;
        let asked: Vec<_> =
            (0..3).map(|n| fixture.ask(&[&format!("INSERT INTO t (n) VALUES ('{n}')")])).collect();
        settle().await;
        drop(held);
        for told in asked {
            assert!(is_done(told.await.expect("no panic")));
        }
        assert_eq!(fixture.texts("SELECT n FROM t ORDER BY 1"), ["0", "1", "2"]);
        assert!(commits.load(Ordering::Relaxed) > 1);
    }

    #[tokio::test]
    async fn beyond_its_room_the_queue_is_busy_and_in_order() {
        let fixture = Fixture::new("writer-queue");
        let held = fixture.busy().await;
        let mut asked = JoinSet::new();
        for n in 0..MOST_WAITING + 10 {
            let writer = Arc::clone(&fixture.writer);
            let sql = owned(&[&format!("INSERT INTO t (n) VALUES ('{n}')")]);
            asked.spawn(async move { writer.write(move |turn| act(turn, &sql)).await });
            settle().await;
        }
        drop(held);
        let mut busy = 0;
        while let Some(told) = asked.join_next().await {
            match told.expect("no panic") {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.message, BUSY);
                    busy += 1;
                }
            }
        }
        assert_eq!(busy, 10);
        assert_eq!(fixture.texts("SELECT count(*) FROM t WHERE id <> n + 1"), ["0"]);
        assert!(fixture.scratch.path().exists());
    }
}
