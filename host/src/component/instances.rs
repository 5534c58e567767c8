//! Instances of the guest: one for each request in flight, used again, dropped after a trap.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlitrest_runtime::database::{Database as _, DbError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::{Native, NativePre};
use super::stderr::Stderr;
use crate::pool::{Lane, Loan, Pool};
use crate::streaming::{Rest, Streaming};
use crate::writer::Turn;

/// How long the start of an instance may take, in ticks of the clock by which guests are stopped.
const START_TICKS: u64 = 200;

/// The most instances at a time, idle ones included; wasmtime's pool has room for these.
pub const MOST: u32 = 256;

/// How many idle instances are kept, of all databases. More are made when many requests wait for a connection.
const MOST_IDLE: usize = 32;

/// After so many requests an instance is replaced, so that nothing can pile up in it.
const MOST_USES: u32 = 100_000;

/// The memory that an instance may have: several times the largest answer that anyone should ask for at once.
pub const MEMORY_LIMIT: usize = 1 << 30;

/// An instance whose memory has grown beyond this is not kept: wasm memory never shrinks.
const MEMORY_KEPT: usize = 16 << 20;

/// What the host knows of an instance.
pub struct State {
    wasi: WasiCtx,
    /// The guest's handles: WASI's and its database sessions.
    pub table: ResourceTable,
    /// What the running request has of the database.
    pub access: Access,
    memory: Memory,
}

/// What a request has of the database.
#[derive(Default)]
pub struct Access {
    /// Its place with the one that writes. Without one it reads.
    pub turn: Option<Turn>,
    /// What every statement of it is answered: it could not be done, which the guest is to say.
    pub refused: Option<DbError>,
    /// A connection that reads, its transaction begun.
    pub reader: Option<Reader>,
    /// Whether it asked for what it does not have: to write, or to take longer. Its answer is void then.
    pub missed: Option<Missed>,
}

/// A connection that reads, and `PRAGMA schema_version` in its transaction.
pub struct Reader {
    /// The connection, on which the guest begins and ends nothing.
    pub lane: ReaderLane,
    /// What the guest keeps its schema by.
    pub schema_version: i64,
}

/// How long its statements may take.
pub enum ReaderLane {
    /// No longer than others can wait.
    Short(Loan),
    /// Their time. None while one runs.
    Long(Option<Streaming>),
}

impl Reader {
    /// Begins the transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub fn begin(mut loan: Loan, lane: Lane) -> Result<Reader, DbError> {
        loan.rows("BEGIN", &[], &mut |_| {})?;
        let schema_version = loan.schema_version()?;
        let lane = match lane {
            Lane::Short => ReaderLane::Short(loan),
            Lane::Long => ReaderLane::Long(Some(Streaming::new(loan))),
        };
        Ok(Reader { lane, schema_version })
    }

    /// What is sent behind the body, if the page was not whole; `tail` stands at its end.
    pub fn into_rest(self, tail: Option<Vec<u8>>) -> Option<Rest> {
        match self.lane {
            ReaderLane::Short(_) => None,
            ReaderLane::Long(streaming) => streaming?.into_rest(tail),
        }
    }
}

/// What a request would have needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// To write.
    Turn,
    /// More time than a thread has that others wait for.
    Time,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// An instance and its store.
pub struct Instance {
    pub store: Store<State>,
    pub guest: Native,
    uses: u32,
    _alive: Alive,
}

/// Counts an instance for as long as there is one.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many instances there are and have been.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Those that wait for a request.
    pub idle: usize,
    /// Those that have one.
    pub used: usize,
    /// Those that were made.
    pub made: u64,
    /// Those that were given up because they broke.
    pub trapped: u64,
    /// Those that were given up because they had served long or grown large, or because there were enough.
    pub replaced: u64,
}

/// The component, and the room that the instances of all databases share.
pub struct Guests {
    component: NativePre<State>,
    /// Instances that have served, each with the number of whose they are; the one that came last serves first.
    idle: Mutex<Vec<(u64, Instance)>>,
    /// One permit for each instance that may be at work.
    permits: Semaphore,
    /// How many have had instances so far.
    owners: AtomicU64,
    alive: Arc<AtomicUsize>,
    made: AtomicU64,
    trapped: AtomicU64,
    replaced: AtomicU64,
}

/// The instances of one database.
pub struct Instances {
    guests: Arc<Guests>,
    /// By this number its instances are told apart from those of others.
    owner: u64,
    pool: Arc<Pool>,
    /// The configuration's text and the database of which it is: the guest's only environment.
    environment: [(&'static str, String); 2],
    patience: Duration,
}

impl Instance {
    /// Whether it wanted more than [`MEMORY_LIMIT`].
    pub fn out_of_memory(&self) -> bool {
        self.store.data().memory.refused
    }
}

impl Guests {
    /// No instances yet.
    pub fn new(component: NativePre<State>) -> Self {
        Guests {
            component,
            idle: Mutex::default(),
            permits: Semaphore::new(MOST as usize - MOST_IDLE),
            owners: AtomicU64::new(0),
            alive: Arc::default(),
            made: AtomicU64::new(0),
            trapped: AtomicU64::new(0),
            replaced: AtomicU64::new(0),
        }
    }

    /// How many instances there are, of all databases.
    pub fn counts(&self) -> Counts {
        let idle = self.idle().len();
        Counts {
            idle,
            used: self.alive.load(Ordering::Relaxed).saturating_sub(idle),
            made: self.made.load(Ordering::Relaxed),
            trapped: self.trapped.load(Ordering::Relaxed),
            replaced: self.replaced.load(Ordering::Relaxed),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(u64, Instance)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Instances {
    /// Nobody will use them again.
    fn drop(&mut self) {
        self.guests.idle().retain(|(owner, _)| *owner != self.owner);
    }
}

impl Instances {
    /// None yet. `config` is the text of the configuration of `database`.
    pub fn new(
        guests: Arc<Guests>,
        pool: Arc<Pool>,
        config: String,
        database: &str,
        patience: Duration,
    ) -> Self {
        let owner = guests.owners.fetch_add(1, Ordering::Relaxed);
        let environment = [("SQLITREST_CONFIG", config), ("SQLITREST_DATABASE", database.to_owned())];
        Instances { guests, owner, pool, environment, patience }
    }

    /// The connections.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Waits for the right to have an instance; `None` where too many wait.
    pub async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        match self.guests.permits.try_acquire() {
            Ok(permit) => Some(permit),
            Err(_) => timeout(self.patience, self.guests.permits.acquire()).await.ok()?.ok(),
        }
    }

    /// An instance that has served, or a fresh one.
    ///
    /// # Errors
    /// wasmtime's, where an instance cannot be made.
    pub async fn get(&self) -> wasmtime::Result<Instance> {
        let kept = {
            let mut idle = self.guests.idle();
            let at = idle.iter().rposition(|(owner, _)| *owner == self.owner);
            at.map(|at| idle.remove(at))
        };
        match kept {
            Some((_, instance)) => Ok(instance),
            None => self.fresh().await,
        }
    }

    /// Keeps an instance that has answered. (One that was cancelled is dropped by not coming here.)
    pub fn put(&self, mut instance: Instance) {
        instance.uses += 1;
        if instance.uses < MOST_USES && instance.store.data().memory.used <= MEMORY_KEPT {
            let mut idle = self.guests.idle();
            // That which has waited longest makes room.
            let oldest = (idle.len() >= MOST_IDLE).then(|| idle.remove(0));
            idle.push((self.owner, instance));
            drop(idle);
            if oldest.is_none() {
                return;
            }
        }
        self.guests.replaced.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives up an instance that broke.
    pub fn drop_trapped(&self, instance: Instance) {
        drop(instance);
        self.guests.trapped.fetch_add(1, Ordering::Relaxed);
    }

    async fn fresh(&self) -> wasmtime::Result<Instance> {
        let wasi = WasiCtx::builder().envs(&self.environment).stderr(Stderr).build();
        let state = State {
            wasi,
            table: ResourceTable::new(),
            access: Access::default(),
            memory: Memory { used: 0, refused: false },
        };
        let mut store = Store::new(self.guests.component.engine(), state);
        store.limiter(|state| &mut state.memory);
        // What the guest hands over at once is bounded by what it can have.
        store.set_hostcall_fuel(MEMORY_LIMIT);
        // Only for its start; each request sets its own.
        store.set_epoch_deadline(START_TICKS);
        let guests = &self.guests;
        let guest = guests.component.instantiate_async(&mut store).await?;
        guests.made.fetch_add(1, Ordering::Relaxed);
        guests.alive.fetch_add(1, Ordering::Relaxed);
        Ok(Instance { store, guest, uses: 0, _alive: Alive(Arc::clone(&guests.alive)) })
    }
}

/// Counts and bounds an instance's memory.
struct Memory {
    used: usize,
    /// Whether it asked for more than it may have.
    refused: bool,
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used - current.min(self.used) + desired;
        let fits = used <= MEMORY_LIMIT;
        if fits {
            self.used = used;
        }
        self.refused |= !fits;
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= 100_000)
    }
}
