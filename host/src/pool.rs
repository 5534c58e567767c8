//! The connections of one database: some that read, lent to one request at a time, and the one that writes ([`Writer`]).
//!
//! A request that reads has its statements run on the thread that took it, since to hand a query by key to another thread costs more
//! than the query. One that turns out to be long is ended after [`BUDGET`] and done again where it keeps nobody waiting
//! ([`Lane::Long`]). Waiting is asynchronous: no thread stands still because all connections are lent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rusqlite::InterruptHandle;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::database::{Database, DbError, Paged};
use sqlitrest_runtime::encode::RowFormat;
use sqlitrest_runtime::value::{Value, ValueRef};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::checkpoint::{self, Checkpointer};
use crate::connection::{BUDGET, Connection, LongStatements};
use crate::log;
use crate::open::{File, Role};
use crate::writer::{Turn, Writer};

/// SQLite's own words for a lock that was not let go in time, which the core knows.
pub const BUSY: &str = "database is locked";

/// The connections of one database.
pub struct Pool {
    opener: Arc<Opener>,
    readers: Readers,
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
}

/// The connections that read.
struct Readers {
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
        opener.watch(&writer);
        let (count, patience) = (config.pool.readers_per_db, config.pool.busy_timeout.0);
        let interval = config.pool.wal_checkpoint_interval.0;
        let checkpointer = match opener.file.writable {
            true => Some(Checkpointer::start(&opener, interval, checkpoint::IDLE)?),
            false => None,
        };
        let log = checkpointer.as_ref().map(Checkpointer::log);
        Ok(Arc::new(Pool {
            readers: Readers::open(&opener, count)?,
            writer: Writer::start(writer, log, Arc::clone(&opener), patience)?,
            checkpointer: Mutex::new(checkpointer),
            opener,
            patience,
        }))
    }

    /// What is served.
    pub fn file(&self) -> &File {
        &self.opener.file
    }

    /// Lends a connection that reads, waiting for one where all are lent.
    ///
    /// # Errors
    /// `database is locked` where none came back in time; SQLite's message where one had to be opened anew and could not.
    pub async fn take(self: &Arc<Self>, lane: Lane) -> Result<Loan, DbError> {
        let readers = &self.readers;
        let busy = || DbError { message: BUSY.to_owned() };
        let long = match lane {
            Lane::Short => None,
            Lane::Long => match timeout(self.patience, Arc::clone(&readers.long).acquire_owned()).await {
                Ok(Ok(permit)) => Some(permit),
                Ok(Err(_)) | Err(_) => return Err(busy()),
            },
        };
        let permit = match readers.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => match timeout(self.patience, readers.free.acquire()).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) | Err(_) => return Err(busy()),
            },
        };
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
        for handle in lock(&self.opener.interrupts).iter() {
            handle.interrupt();
        }
    }

    /// Takes every connection back, moves the write-ahead log into the file and closes all. What is lent after `wait`
    /// stays as it is, which loses nothing: SQLite reads the log at the next start.
    ///
    /// # Errors
    /// One sentence on what could not be done.
    pub async fn close(&self, wait: Duration) -> Result<()> {
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
        }
        if let Some(writer) = writer.filter(|_| self.file().writable) {
            let stays = "the write-ahead log stays beside the database, which loses nothing";
            match writer.checkpoint() {
                Ok(true) => {}
                Ok(false) => log(format_args!("another process reads from the database; {stays}")),
                Err(error) => bail!("{stays}: {}", error.message),
            }
        }
        Ok(())
    }
}

impl Opener {
    /// Of this file.
    pub fn new(file: File) -> Opener {
        Opener { file, interrupts: Mutex::default() }
    }

    /// A connection with every setting made, which can be interrupted.
    ///
    /// # Errors
    /// SQLite's message.
    pub fn connect(&self, role: Role) -> Result<Connection, DbError> {
        let connection = self.file.connect(role).map_err(|error| DbError { message: error.to_string() })?;
        self.watch(&connection);
        Ok(connection)
    }

    /// The file that it opens.
    pub fn file(&self) -> &File {
        &self.file
    }

    fn watch(&self, connection: &Connection) {
        lock(&self.interrupts).push(connection.sql().get_interrupt_handle());
    }
}

impl Readers {
    fn open(opener: &Opener, count: u16) -> Result<Readers> {
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
        if let Some(mut connection) = self.connection.take()
            && connection.clean()
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
