//! The connections of one database: some that read, lent to one request at a time, and the one that writes ([`Writer`]).
//!
//! A request that reads has its statements run on the thread that took it, since to hand a query by key to another thread costs more
//! than the query. One that turns out to be long is ended after [`BUDGET`] and done again where it keeps nobody waiting
//! ([`Lane::Long`]). Waiting is asynchronous: no thread stands still because all connections are lent.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rusqlite::InterruptHandle;
use sqlitrest_runtime::config::{self, Config, DatabaseFile};
use sqlitrest_runtime::database::{Database, DbError, Paged};
use sqlitrest_runtime::encode::RowFormat;
use sqlitrest_runtime::schema::schema_version;
use sqlitrest_runtime::value::{Value, ValueRef};
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::checkpoint::{self, Checkpointer};
use crate::connection::{BUDGET, Connection, LongStatements};
use crate::log;
use crate::observe::stats::Stats;
use crate::observe::telemetry;
use crate::open::{File, Role};
use crate::reopen::{Files, Moved, no_file};
use crate::writer::{Turn, Writer};

/// SQLite's own words for a lock that was not let go in time, which the core knows.
pub const BUSY: &str = "database is locked";

/// What of a configuration the connections go by: as long as it is the same, so are they.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    database: DatabaseFile,
    /// The files of the databases that this one reads.
    attached: Vec<String>,
    pool: config::Pool,
    request_timeout: Duration,
}

impl Wanted {
    /// Of the configuration of one database.
    pub fn of(config: &Config) -> Wanted {
        let (_, database) = config.database();
        let path = |name: &String| config.databases.get(name).map(|other| other.path.clone());
        Wanted {
            // What is hidden is hidden from requests, not from connections.
            database: DatabaseFile { hidden: Vec::new(), ..database.clone() },
            attached: database.attach.iter().filter_map(path).collect(),
            pool: config.pool.clone(),
            request_timeout: config.middleware.request_timeout.0,
        }
    }
}

/// The connections of one database.
pub struct Pool {
    wanted: Wanted,
    opener: Arc<Opener>,
    readers: Arc<Readers>,
    writer: Writer,
    /// None where nothing is written, and after the end.
    checkpointer: Mutex<Option<Checkpointer>>,
    /// How long a request waits for a connection: as long as a statement waits for another process.
    patience: Duration,
}

/// Makes connections, and can interrupt what runs on those that it has made.
pub struct Opener {
    file: File,
    interrupts: Mutex<Vec<InterruptHandle>>,
    /// How often the file was found to be another; connections from before are of no use any more.
    opening: AtomicI64,
    /// What is open; none while it is not where it was.
    files: Mutex<Option<Files>>,
    /// A connection that works beside those that requests have. Locked before `files`.
    beside: Mutex<Option<Connection>>,
    stats: Arc<Stats>,
}

/// The connections that read.
pub struct Readers {
    /// One permit for each connection that is not lent. Waiting requests are served in their order.
    free: Semaphore,
    size: u32,
    /// Permits for long work, fewer than connections: the rest is for what is short.
    long: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    statements: Arc<LongStatements>,
}

/// What a loan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Work on a thread that others wait for. Statements are ended after [`BUDGET`]; [`Loan::is_cut`] tells.
    Short,
    /// Work on a thread that nobody waits for. It may take its time, and few of them run at once.
    Long,
}

/// A connection lent to one request. It goes back when dropped, with nothing left open.
pub struct Loan {
    /// `None` only while it goes back.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    _long: Option<OwnedSemaphorePermit>,
}

impl Pool {
    /// Opens all connections of the configured database.
    ///
    /// # Errors
    /// One sentence on what is wrong with the file and what to do.
    pub fn open(config: &Config) -> Result<Arc<Pool>> {
        let (file, writer) = File::check(config)?;
        let opener = Arc::new(Opener::new(file));
        opener.stats.opened_by(&opener);
        let writer = opener.watch(writer);
        let (count, patience) = (config.pool.readers_per_db, config.pool.busy_timeout.0);
        let interval = config.pool.wal_checkpoint_interval.0;
        let checkpointer = match opener.file.moves_log() {
            true => Some(Checkpointer::start(&opener, interval, checkpoint::IDLE)?),
            false => None,
        };
        if opener.file.writable && checkpointer.is_none() {
            // What is not in the file yet is told all the same.
            opener.begin_beside().map_err(|error| anyhow!("{}", error.message))?;
        }
        let log = checkpointer.as_ref().map(Checkpointer::log);
        let readers = Arc::new(Readers::open(&opener, count)?);
        let writer = Writer::start(writer, log, &opener, &readers, patience)?;
        let wanted = Wanted::of(config);
        Ok(Arc::new(Pool {
            wanted,
            opener,
            readers,
            writer,
            checkpointer: Mutex::new(checkpointer),
            patience,
        }))
    }

    /// What of the configuration it goes by.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// What is served.
    pub fn file(&self) -> &File {
        &self.opener.file
    }

    /// What is counted of it.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.opener.stats
    }

    /// Whether the file is where it was.
    pub fn is_there(&self) -> bool {
        lock(&self.opener.files).as_ref().is_some_and(|files| files.moved().is_none())
    }

    /// How many connections read, and how many of them are not lent.
    pub fn readers(&self) -> (usize, usize) {
        let size = usize::try_from(self.readers.size).unwrap_or(usize::MAX);
        (size, self.readers.free.available_permits().min(size))
    }

    /// The pages of the write-ahead log that are not in the file yet; none where it is not known at the moment.
    pub fn log_pages(&self) -> Option<i64> {
        // Whoever moves the log has the connection for as long as that takes.
        let beside = self.opener.beside.try_lock().ok()?;
        beside.as_ref()?.pages_to_move().ok()
    }

    /// Lends a connection that reads, waiting for one where all are lent.
    ///
    /// # Errors
    /// `database is locked` where none came back in time; SQLite's message where one had to be opened anew and could not.
    pub async fn take(self: &Arc<Self>, lane: Lane) -> Result<Loan, DbError> {
        let readers = &self.readers;
        let stats = self.stats();
        let busy = || {
            stats.in_vain.add(1);
            DbError { message: BUSY.to_owned() }
        };
        let mut waits = Waits::none(stats);
        let long = match lane {
            Lane::Short => None,
            Lane::Long => match Arc::clone(&readers.long).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => {
                    waits.begin();
                    match timeout(self.patience, Arc::clone(&readers.long).acquire_owned()).await {
                        Ok(Ok(permit)) => Some(permit),
                        Ok(Err(_)) | Err(_) => return Err(busy()),
                    }
                }
            },
        };
        let permit = match readers.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                waits.begin();
                match timeout(self.patience, readers.free.acquire()).await {
                    Ok(Ok(permit)) => permit,
                    Ok(Err(_)) | Err(_) => return Err(busy()),
                }
            }
        };
        waits.end();
        let idle = lock(&readers.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            // One was given up because its transaction could not be ended.
            None => readers.connect(&self.opener)?,
        };
        connection.lend((lane == Lane::Short).then_some(BUDGET));
        permit.forget();
        Ok(Loan { connection: Some(connection), pool: Arc::clone(self), _long: long })
    }

    /// Has `work` done by the one that writes: [`Writer::write`].
    ///
    /// # Errors
    /// `database is locked` where its turn does not come in time; what SQLite says of the beginning or end of the transaction.
    pub async fn write<T, F>(&self, work: F) -> Result<Option<T>, DbError>
    where
        T: Send + 'static,
        F: FnMut(Turn) -> (T, Option<Turn>) + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// Ends statements that still run; they fail with `interrupted`.
    pub fn interrupt(&self) {
        self.opener.interrupt();
    }

    /// Takes every connection back, moves the write-ahead log into the file, unless that is another's to do, and closes all. What is
    /// lent after `wait` stays as it is, which loses nothing: SQLite reads the log at the next start.
    ///
    /// # Errors
    /// One sentence on what could not be done.
    pub async fn close(&self, wait: Duration) -> Result<()> {
        if let Some(writer) = self.leave(wait).await?.filter(|_| self.file().moves_log()) {
            let stays = "the write-ahead log stays beside the database, which loses nothing";
            match writer.checkpoint("TRUNCATE") {
                Ok(true) => {}
                Ok(false) => log(format_args!("another process reads from the database; {stays}")),
                Err(error) => bail!("{stays}: {}", error.message),
            }
        }
        Ok(())
    }

    /// Takes every connection back and closes all but the one that wrote, for others in this process go on with the file.
    ///
    /// # Errors
    /// One sentence, where a connection is lent for longer than `wait`.
    pub async fn leave(&self, wait: Duration) -> Result<Option<Connection>> {
        // Held to the end, so that nothing is lent any more.
        let all = timeout(wait, async {
            let readers = self.readers.free.acquire_many(self.readers.size).await;
            (readers, self.writer.end().await)
        })
        .await;
        self.readers.free.close();
        lock(&self.readers.idle).clear();
        let Ok((_, writer)) = all else { bail!("a request still uses the database") };
        let checkpointer = lock(&self.checkpointer).take();
        if let Some(checkpointer) = checkpointer {
            checkpointer.end();
        } else {
            self.opener.end_beside();
        }
        Ok(writer)
    }
}

impl Opener {
    /// Of this file, which is open.
    pub fn new(file: File) -> Opener {
        let files = Files::of(&file.path, file.writable);
        let opening = AtomicI64::new(0);
        Opener {
            stats: Arc::new(Stats::new(&file.name)),
            file,
            interrupts: Mutex::default(),
            opening,
            files: Mutex::new(Some(files)),
            beside: Mutex::default(),
        }
    }

    /// What is served.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// A connection with every setting made, which can be interrupted.
    ///
    /// # Errors
    /// SQLite's message; `unable to open database` where the file is not the one that others have open.
    pub fn connect(&self, role: Role) -> Result<Connection, DbError> {
        self.open(role).map(|connection| self.watch(connection))
    }

    /// What is counted of the file's connections.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// A connection that reads, for who looks at something beside all requests. Nothing is counted of it.
    ///
    /// # Errors
    /// As [`Opener::connect`].
    pub fn open_to_look(&self) -> Result<Connection, DbError> {
        self.open(Role::Reader)
    }

    /// Opens the connection that works beside all others, until [`Opener::end_beside`]. It is opened when they are and given up when they
    /// are, at no other time: whoever opens another file finds the old one's log beside it.
    ///
    /// # Errors
    /// As [`Opener::connect`].
    pub fn begin_beside(&self) -> Result<(), DbError> {
        let mut beside = lock(&self.beside);
        *beside = Some(self.open(Role::Writer)?);
        Ok(())
    }

    /// What `work` makes of it; none where it is given up. It is not given up meanwhile.
    pub fn beside<T>(&self, work: impl FnOnce(&mut Connection) -> T) -> Option<T> {
        lock(&self.beside).as_mut().map(work)
    }

    /// Closes it.
    pub fn end_beside(&self) {
        lock(&self.beside).take();
    }

    fn open(&self, role: Role) -> Result<Connection, DbError> {
        let files = lock(&self.files);
        let files = files.as_ref().filter(|files| files.moved().is_none()).ok_or_else(no_file)?;
        let connection = self.file.connect(role);
        // Only now it is certain what was opened.
        if files.moved().is_some() {
            return Err(no_file());
        }
        connection.map_err(|error| DbError { message: error.to_string() })
    }

    /// Where the file is not what it was: gives up all connections, and tells what was open, with the connection beside. Then there are
    /// none until [`Opener::open_again`].
    pub fn give_up(&self) -> Option<(Files, Moved, Option<Connection>)> {
        let moved = lock(&self.files).as_ref()?.moved()?;
        let mut beside = lock(&self.beside);
        let mut files = lock(&self.files);
        self.opening.fetch_add(1, Ordering::AcqRel);
        files.take().map(|files| (files, moved, beside.take()))
    }

    /// Opens the file that is there now, and returns the connection that writes. No other is left from before.
    ///
    /// # Errors
    /// SQLite's message.
    pub fn open_again(&self) -> Result<Connection, DbError> {
        let found = Files::of(&self.file.path, false);
        let connection = self.file.open_again().map_err(|error| DbError { message: error.to_string() })?;
        // Only now it is certain what was opened.
        if found.moved().is_some() {
            return Err(no_file());
        }
        lock(&self.interrupts).clear();
        *lock(&self.files) = Some(Files::of(&self.file.path, self.file.writable));
        if self.file.writable {
            // Without it the one that writes moves the log where it becomes too large.
            let _ = self.begin_beside();
        }
        Ok(self.watch(connection))
    }

    /// Ends statements that still run.
    pub fn interrupt(&self) {
        for handle in lock(&self.interrupts).iter() {
            handle.interrupt();
        }
    }

    fn watch(&self, mut connection: Connection) -> Connection {
        lock(&self.interrupts).push(connection.sql().get_interrupt_handle());
        connection.opening = self.opening.load(Ordering::Acquire);
        connection.count(&self.stats);
        connection
    }
}

impl Readers {
    /// So many.
    ///
    /// # Errors
    /// SQLite's, as a sentence.
    pub fn open(opener: &Opener, count: u16) -> Result<Readers> {
        let cores = available_parallelism().map_or(1, usize::from);
        let long = usize::from(count).saturating_sub(cores).max(1);
        let readers = Readers {
            free: Semaphore::new(usize::from(count)),
            size: u32::from(count),
            long: Arc::new(Semaphore::new(long)),
            idle: Mutex::default(),
            statements: Arc::default(),
        };
        for _ in 0..count {
            let reader = readers.connect(opener).map_err(|error| anyhow!("{}", error.message));
            lock(&readers.idle).push(reader.context("the database opened once, but not again for reading")?);
        }
        Ok(readers)
    }

    fn connect(&self, opener: &Opener) -> Result<Connection, DbError> {
        let mut connection = opener.connect(Role::Reader)?;
        connection.share(&self.statements);
        Ok(connection)
    }

    /// Takes all connections back and closes them, for as long as the permit is held; `hurry` is to end what they are doing, where they do
    /// not come back in time. None where even so they do not.
    pub fn withdraw(&self, patience: Duration, hurry: impl Fn()) -> Option<SemaphorePermit<'_>> {
        let all = || timeout(patience, self.free.acquire_many(self.size));
        let runtime = Builder::new_current_thread().enable_time().build().ok()?;
        let permit = runtime.block_on(async {
            if let Ok(permit) = all().await {
                return permit.ok();
            }
            hurry();
            all().await.ok()?.ok()
        })?;
        lock(&self.idle).clear();
        Some(permit)
    }
}

/// How long a request waits for its connection.
pub struct Waits<'a> {
    stats: &'a Stats,
    /// None where it has not waited yet.
    since: Option<Instant>,
}

impl<'a> Waits<'a> {
    /// It has not waited yet.
    pub fn none(stats: &'a Stats) -> Waits<'a> {
        Waits { stats, since: None }
    }

    /// From now on it waits.
    pub fn begin(&mut self) {
        if self.since.is_none() {
            self.stats.waiting.fetch_add(1, Ordering::Relaxed);
            self.since = Some(Instant::now());
        }
    }

    /// It has what it waited for.
    pub fn end(self) {
        let waited = self.since.map(|since| since.elapsed());
        if self.stats.is_on() {
            self.stats.waits.took(waited.unwrap_or_default());
        }
        if let Some(waited) = waited {
            telemetry::stage("wait for a connection", waited);
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if self.since.is_some() {
            self.stats.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Loan {
    /// Whether its work was ended because it kept others waiting, and is to be done again as [`Lane::Long`].
    pub fn is_cut(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_cut)
    }

    /// The connection.
    ///
    /// # Errors
    /// None while the loan lives.
    pub fn get(&mut self) -> Result<&mut Connection, DbError> {
        self.connection
            .as_mut()
            .ok_or_else(|| DbError { message: "the connection was given back".to_owned() })
    }
}

impl Loan {
    /// What the schemas that are read go by: that of the database, and of those that it attaches.
    ///
    /// # Errors
    /// SQLite's.
    pub fn schema_version(&mut self) -> Result<i64, DbError> {
        let pool = Arc::clone(&self.pool);
        schema_version(self, &pool.wanted.database.attach)
    }
}

impl Database for Loan {
    fn columns(&mut self, sql: &str, params: &[Value]) -> Result<Vec<String>, DbError> {
        self.get()?.columns(sql, params)
    }

    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        self.get()?.rows(sql, params, each)
    }

    fn page(
        &mut self,
        sql: &str,
        params: &[Value],
        format: &RowFormat,
        out: &mut Vec<u8>,
    ) -> Result<Paged, DbError> {
        self.get()?.page(sql, params, format, out)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let readers = &self.pool.readers;
        let opening = self.pool.opener.opening.load(Ordering::Acquire);
        if let Some(mut connection) = self.connection.take()
            && connection.clean()
            && connection.opening == opening
        {
            lock(&readers.idle).push(connection);
        }
        readers.free.add_permits(1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the mutexes here guard is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
