//! A database on a libSQL server (Turso, sqld), asked by Hrana over HTTP: the server and how many requests it is asked for at a time.
//!
//! It knows nothing of HTTP requests of ours, nor of engines. Each request has a [`Session`] of its own, in which the statements of the
//! core become batches.

mod client;
mod hrana;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use sqlitrest_runtime::Access;
use sqlitrest_runtime::config::{Config, Mode};
use sqlitrest_runtime::database::{Database as _, DbError};
use sqlitrest_runtime::value::ValueRef;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::observe::stats::Stats;
use crate::pool::{BUSY, Waits, Wanted};
use crate::source::About;
use client::Client;
pub use session::{Session, attempts};

/// How many requests are asked at a time, each of which keeps a thread waiting for the network. sqld takes 128 by default.
const MOST: usize = 64;

/// How many of them may write. A server lets one write at a time: others would only keep places from requests that read.
const MOST_WRITERS: usize = 4;

/// Stands for a version of the schema that is not known.
const UNKNOWN: i64 = i64::MIN;

/// The right to ask, until it is dropped.
pub struct Entered {
    _place: OwnedSemaphorePermit,
    _writer: Option<OwnedSemaphorePermit>,
}

/// A database on a server.
pub struct Server {
    wanted: Wanted,
    about: About,
    client: Client,
    free: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    /// How long a request waits until fewer are at it.
    patience: Duration,
    /// How long the statements of one request may take.
    limit: Duration,
    /// The version of the schema as it was last seen.
    version: AtomicI64,
    stats: Arc<Stats>,
}

impl Server {
    /// Asks the configured database for its schema, to see that it can be served.
    ///
    /// # Errors
    /// One sentence on what is wrong and what to do.
    pub fn open(config: &Config) -> Result<Arc<Server>> {
        let (name, database) = config.database();
        let client = Client::new(database).with_context(|| format!("databases.{name}.auth_token"))?;
        let mut server = Server {
            wanted: Wanted::of(config),
            about: About {
                place: database.url.clone(),
                writable: database.mode == Mode::ReadWrite,
                tables: 0,
                views: 0,
            },
            client,
            free: Arc::new(Semaphore::new(MOST)),
            writers: Arc::new(Semaphore::new(MOST_WRITERS)),
            patience: config.pool.busy_timeout.0,
            limit: config.middleware.request_timeout.0,
            version: AtomicI64::new(UNKNOWN),
            stats: Arc::new(Stats::new(name)),
        };
        (server.about.tables, server.about.views) = server.count().map_err(|error| {
            anyhow!("{} cannot be served: {}; look at url and auth_token", database.url, error.message)
        })?;
        Ok(Arc::new(server))
    }

    /// The tables and views.
    fn count(&self) -> Result<(u64, u64), DbError> {
        let mut found = (0, 0);
        self.client.query(crate::open::RELATIONS, Instant::now() + self.limit, &mut |row| {
            if let [ValueRef::Integer(tables), ValueRef::Integer(views)] = row {
                found = (tables.unsigned_abs(), views.unsigned_abs());
            }
        })?;
        Ok(found)
    }

    /// What of the configuration it goes by.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// What is served.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// What is counted of it.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// How many requests may be at it at a time, and how many more might be now.
    pub fn room(&self) -> (usize, usize) {
        (MOST, self.free.available_permits().min(MOST))
    }

    /// Waits for the right to ask, or to write.
    ///
    /// # Errors
    /// `database is locked` where too many are at it for too long.
    pub async fn enter(&self, access: Access) -> Result<Entered, DbError> {
        let mut waits = Waits::none(&self.stats);
        // Whoever waits for their turn to write takes no place meanwhile.
        let writer = match access {
            Access::Write => Some(self.permit(&self.writers, &mut waits).await?),
            Access::Read => None,
        };
        let place = self.permit(&self.free, &mut waits).await?;
        waits.end();
        Ok(Entered { _place: place, _writer: writer })
    }

    async fn permit(
        &self,
        free: &Arc<Semaphore>,
        waits: &mut Waits<'_>,
    ) -> Result<OwnedSemaphorePermit, DbError> {
        if let Ok(permit) = Arc::clone(free).try_acquire_owned() {
            return Ok(permit);
        }
        waits.begin();
        let permit = timeout(self.patience, Arc::clone(free).acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or_else(|| {
            self.stats.in_vain.add(1);
            DbError { message: BUSY.to_owned() }
        })
    }

    /// Whether it answers now. Waits for the network.
    ///
    /// # Errors
    /// Why it does not.
    pub fn answers(self: &Arc<Self>, within: Duration) -> Result<(), DbError> {
        let mut session = Session::new(self);
        session.end_within(within);
        session.rows(session::SCHEMA_VERSION, &[], &mut |_| {})
    }

    /// Waits until nobody asks any more.
    ///
    /// # Errors
    /// One sentence, where a request does for longer than `wait`.
    pub async fn close(&self, wait: Duration) -> Result<()> {
        let all = self.free.acquire_many(u32::try_from(MOST).unwrap_or(u32::MAX));
        timeout(wait, all).await.map(drop).map_err(|_| anyhow!("a request still uses the database"))
    }

    /// The version of the schema as it was last seen.
    fn version(&self) -> Option<i64> {
        Some(self.version.load(Ordering::Relaxed)).filter(|version| *version != UNKNOWN)
    }

    fn saw_version(&self, version: i64) {
        self.version.store(version, Ordering::Relaxed);
        self.stats.saw_schema(version, 0);
    }
}
