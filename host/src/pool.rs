//! The connections of one database: one that writes, a few that read, lent to one request at a time.
//!
//! Waiting is asynchronous: no thread stands still because all connections are lent. It knows nothing of HTTP, engines
//! or SQL beyond the end of a transaction.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rusqlite::InterruptHandle;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::database::{Database, DbError};
use sqlitrest_runtime::value::{Value, ValueRef};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::log;
use crate::open::{File, Role};

/// SQLite's own words for a lock that was not let go in time, which the core knows.
const BUSY: &str = "database is locked";

/// The connections of one database.
pub struct Pool {
    file: File,
    writer: Side,
    readers: Side,
    /// How long a request waits for a connection: as long as a statement waits for another process.
    patience: Duration,
    /// Of every connection, lent or not.
    interrupts: Mutex<Vec<InterruptHandle>>,
}

/// The connections of one kind.
struct Side {
    /// One permit for each connection that is not lent. Waiting requests are served in their order.
    free: Semaphore,
    size: u32,
    idle: Mutex<Vec<Connection>>,
}

/// A connection lent to one request. It goes back when dropped, with nothing left open.
pub struct Loan {
    /// `None` only while it goes back.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    role: Role,
}

impl Pool {
    /// Opens all connections of the configured database.
    ///
    /// # Errors
    /// One sentence on what is wrong with the file and what to do.
    pub fn open(config: &Config) -> Result<Arc<Pool>> {
        let (file, writer) = File::check(config)?;
        let count = config.pool.readers_per_db;
        let mut readers = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let reader = file.connect(Role::Reader);
            readers.push(reader.context("the database opened once, but not again for reading")?);
        }
        let interrupts = readers.iter().chain([&writer]);
        let interrupts = interrupts.map(|c| c.sql().get_interrupt_handle()).collect();
        Ok(Arc::new(Pool {
            patience: config.pool.busy_timeout.0,
            interrupts: Mutex::new(interrupts),
            writer: Side::new(vec![writer], 1),
            readers: Side::new(readers, u32::from(count)),
            file,
        }))
    }

    /// What is served.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Lends a connection, waiting for one where all are lent.
    ///
    /// # Errors
    /// `database is locked` where none came back in time; SQLite's message where one had to be opened anew and could not.
    pub async fn take(self: &Arc<Self>, role: Role) -> Result<Loan, DbError> {
        let side = self.side(role);
        let permit = match side.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => match timeout(self.patience, side.free.acquire()).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) | Err(_) => {
                    let message = BUSY.to_owned();
                    return Err(DbError { message });
                }
            },
        };
        let idle = lock(&side.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            // One was given up because its transaction could not be ended.
            None => self.reopen(role)?,
        };
        connection.restart_clock();
        permit.forget();
        Ok(Loan { connection: Some(connection), pool: Arc::clone(self), role })
    }

    /// Ends statements that still run; they fail with `interrupted`.
    pub fn interrupt(&self) {
        for handle in lock(&self.interrupts).iter() {
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
            (readers, self.writer.free.acquire_many(self.writer.size).await)
        })
        .await;
        self.readers.free.close();
        self.writer.free.close();
        lock(&self.readers.idle).clear();
        let writer = lock(&self.writer.idle).pop();
        if let Some(writer) = writer.filter(|_| self.file.writable) {
            let stays = "the write-ahead log stays beside the database, which loses nothing";
            match writer.checkpoint() {
                Ok(true) => {}
                Ok(false) => log(format_args!("another process reads from the database; {stays}")),
                Err(error) => bail!("{stays}: {}", error.message),
            }
        }
        ensure!(all.is_ok(), "a request still uses the database");
        Ok(())
    }

    fn side(&self, role: Role) -> &Side {
        match role {
            Role::Writer => &self.writer,
            Role::Reader => &self.readers,
        }
    }

    fn reopen(&self, role: Role) -> Result<Connection, DbError> {
        let connection = self.file.connect(role).map_err(|error| DbError { message: error.to_string() })?;
        lock(&self.interrupts).push(connection.sql().get_interrupt_handle());
        Ok(connection)
    }
}

impl Side {
    fn new(idle: Vec<Connection>, size: u32) -> Self {
        Side { free: Semaphore::new(idle.len()), idle: Mutex::new(idle), size }
    }
}

impl Loan {
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
}

impl Drop for Loan {
    fn drop(&mut self) {
        let side = self.pool.side(self.role);
        if let Some(mut connection) = self.connection.take()
            && connection.clean()
        {
            lock(&side.idle).push(connection);
        }
        side.free.add_permits(1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the mutexes here guard is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
