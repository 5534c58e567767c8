//! Where the rows of a database come from: a file, or a server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use sqlitrest_runtime::Access;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::database::{Database, DbError};
use tokio::task::block_in_place;

use crate::connection::Connection;
use crate::libsql::{Server, Session};
use crate::observe::stats::Stats;
use crate::open::File;
use crate::pool::{Lane, Pool, Wanted};

/// What is asked for the rows of one database.
#[derive(Clone)]
pub enum Source {
    /// The connections of a file.
    File(Arc<Pool>),
    /// A libSQL server.
    Server(Arc<Server>),
}

/// What is told of a database that is served.
#[derive(Clone, Debug)]
pub struct About {
    /// The file, or the URL of the server.
    pub place: String,
    /// Whether requests may write.
    pub writable: bool,
    /// The number of tables.
    pub tables: u64,
    /// The number of views.
    pub views: u64,
}

impl Source {
    /// Opens the configured database.
    ///
    /// # Errors
    /// One sentence on what is wrong with it and what to do.
    pub fn open(config: &Config) -> Result<Source> {
        Ok(match config.database().1.is_on_server() {
            true => Source::Server(Server::open(config)?),
            false => Source::File(Pool::open(config)?),
        })
    }

    /// What of the configuration it goes by.
    pub fn wanted(&self) -> &Wanted {
        match self {
            Source::File(pool) => pool.wanted(),
            Source::Server(server) => server.wanted(),
        }
    }

    /// What is served.
    pub fn about(&self) -> About {
        match self {
            Source::File(pool) => {
                let file = pool.file();
                let place = file.path.display().to_string();
                About { place, writable: file.writable, tables: file.tables, views: file.views }
            }
            Source::Server(server) => server.about().clone(),
        }
    }

    /// What is counted of it.
    pub fn stats(&self) -> &Arc<Stats> {
        match self {
            Source::File(pool) => pool.stats(),
            Source::Server(server) => server.stats(),
        }
    }

    /// Does something beside requests that takes its time, with a connection that reads.
    ///
    /// # Errors
    /// None is to be had.
    pub async fn look<T>(&self, work: impl FnOnce(&mut dyn Database) -> T) -> Result<T, DbError> {
        match self {
            Source::File(pool) => Ok(work(&mut pool.take(Lane::Long).await?)),
            Source::Server(server) => {
                let _permit = server.enter(Access::Read).await?;
                Ok(block_in_place(|| work(&mut Session::new(server))))
            }
        }
    }

    /// Whether it is the same, and not only alike.
    pub fn is(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::File(own), Source::File(other)) => Arc::ptr_eq(own, other),
            (Source::Server(own), Source::Server(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }

    /// Whether both have the same file open.
    pub fn shares_file(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::File(own), Source::File(other)) => own.file().path == other.file().path,
            _ => false,
        }
    }

    /// Ends statements that still run. (Those on a server have their time there.)
    pub fn interrupt(&self) {
        if let Source::File(pool) = self {
            pool.interrupt();
        }
    }

    /// Gives the connections up, with the write-ahead log moved into the file.
    ///
    /// # Errors
    /// One sentence on what could not be done within `wait`.
    pub async fn close(&self, wait: Duration) -> Result<()> {
        match self {
            Source::File(pool) => pool.close(wait).await,
            Source::Server(server) => server.close(wait).await,
        }
    }

    /// Gives the connections up; another goes on with the file.
    ///
    /// # Errors
    /// As [`Source::close`].
    pub async fn leave(&self, wait: Duration) -> Result<()> {
        match self {
            Source::File(pool) => pool.leave(wait).await.map(drop),
            Source::Server(server) => server.close(wait).await,
        }
    }
}

/// A connection that a command has to itself.
pub enum Own {
    /// To a file.
    File(Box<Connection>),
    /// To a server.
    Server(Session),
}

impl Own {
    /// Opens the configured database. The connection may write where the configuration lets requests write.
    ///
    /// # Errors
    /// One sentence on what is wrong with it and what to do.
    pub fn open(config: &Config) -> Result<(About, Own)> {
        if config.database().1.is_on_server() {
            let server = Server::open(config)?;
            return Ok((server.about().clone(), Own::Server(Session::new(&server))));
        }
        let (file, connection) = File::check(config)?;
        let place = file.path.display().to_string();
        let about = About { place, writable: file.writable, tables: file.tables, views: file.views };
        Ok((about, Own::File(Box::new(connection))))
    }

    /// As the core takes it.
    pub fn database(&mut self) -> &mut dyn Database {
        match self {
            Own::File(connection) => &mut **connection,
            Own::Server(session) => session,
        }
    }

    /// Statements have the whole of their time from now on.
    pub fn restart_clock(&mut self) {
        match self {
            Own::File(connection) => connection.restart_clock(),
            Own::Server(session) => session.restart_clock(),
        }
    }
}

/// Refuses what can be done with a file alone.
///
/// # Errors
/// One sentence, where the database is on a server.
pub fn refuse_server(config: &Config, what: &str) -> Result<()> {
    let (name, database) = config.database();
    if !database.is_on_server() {
        return Ok(());
    }
    Err(anyhow!(
        "databases.{name} is on a server, {}, and {what} works on a file: use what the server has for it (for Turso, the turso command line)",
        database.url
    ))
}
