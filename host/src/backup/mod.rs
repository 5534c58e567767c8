//! Backups while a server runs: on a schedule, on a thread of its own, one after another. A backup that fails changes nothing of those
//! that are there, and is tried again.

mod files;
mod schedule;
pub mod settings;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use sqlitrest_runtime::config::Config;

use crate::db::backup::{Stop, copy};
use crate::db::{self, Access};
use crate::log;
use settings::{Schedule, Settings};

/// How long a backup that failed waits to be tried again, or the time between two, if that is less.
const AGAIN: Duration = Duration::from_secs(60);

/// How long the thread sleeps at the most: the clock may be set meanwhile.
const LOOK: Duration = Duration::from_secs(30);

/// The backups of a running server.
pub struct Backups {
    state: Arc<Mutex<Vec<State>>>,
    stop: Stop,
    /// Wakes the thread.
    wake: Sender<()>,
    /// Is closed when it has come to its end.
    ended: Mutex<Receiver<()>>,
}

/// The backups of one database at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The database's name.
    pub database: String,
    /// When the newest was begun, and where it is.
    pub newest: Option<(Timestamp, PathBuf)>,
    /// How long it is, in bytes, and how long it took; of those that this server has made.
    pub made: Option<(u64, Duration)>,
    /// How many there are.
    pub kept: usize,
    /// When one has failed since the newest was made, and why.
    pub failure: Option<(Timestamp, String)>,
    /// When the next is due.
    pub due: Option<Timestamp>,
}

/// What the thread has.
struct Thread {
    directory: PathBuf,
    schedule: Schedule,
    keep: usize,
    /// Each database's file.
    databases: Vec<PathBuf>,
    state: Arc<Mutex<Vec<State>>>,
    stop: Stop,
}

impl Backups {
    /// Starts the thread; none where no backups are configured.
    ///
    /// # Errors
    /// One sentence on what is wrong with the directory.
    pub fn start(config: &Config, settings: Option<&Settings>) -> Result<Option<Backups>> {
        let Some(settings) = settings else { return Ok(None) };
        usable(settings)?;
        let directory = PathBuf::from(&settings.directory);
        let wanted =
            |name: &str| settings.databases.is_empty() || settings.databases.iter().any(|own| own == name);
        let (mut databases, mut states) = (Vec::new(), Vec::new());
        for (name, database) in config.databases.iter().filter(|(name, _)| wanted(name)) {
            let cannot = || format!("the backups in {} cannot be read", directory.display());
            files::clean(&directory, name).with_context(cannot)?;
            let made = files::made(&directory, name).with_context(cannot)?;
            states.push(State {
                database: name.clone(),
                newest: made.last().map(|made| (made.time, made.path.clone())),
                kept: made.len(),
                ..State::default()
            });
            databases.push(PathBuf::from(&database.path));
        }
        let (state, stop) = (Arc::new(Mutex::new(states)), Stop::default());
        let (schedule, keep) = (settings.schedule(), settings.keep);
        let thread = Thread {
            directory,
            schedule,
            keep,
            databases,
            state: Arc::clone(&state),
            stop: Arc::clone(&stop),
        };
        let (wake, woken) = channel();
        let (end, ended) = channel();
        let work = move || {
            thread.run(&woken);
            drop(end);
        };
        let spawned = std::thread::Builder::new().name("backup".to_owned()).spawn(work);
        spawned.context("the thread that makes backups cannot be started")?;
        Ok(Some(Backups { state, stop, wake, ended: Mutex::new(ended) }))
    }

    /// As they are now, for each database.
    pub fn snapshot(&self) -> Vec<State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives up one that is being made, and makes no more. Waits no longer than `wait`.
    pub fn close(&self, wait: Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.wake.send(());
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent.
        let _ = ended.recv_timeout(wait);
    }
}

/// Sees to it that the directory is there; it is made where only itself is missing.
///
/// # Errors
/// One sentence on what is wrong with it.
pub fn usable(settings: &Settings) -> Result<()> {
    let directory = Path::new(&settings.directory);
    let shown = directory.display();
    if !directory.exists() {
        return fs::create_dir(directory)
            .with_context(|| format!("backup.directory {shown} is not there and cannot be made"));
    }
    fs::read_dir(directory).map(drop).with_context(|| format!("backup.directory {shown} cannot be read"))
}

impl Thread {
    fn run(&self, woken: &Receiver<()>) {
        // When one that failed is tried again.
        let mut again: Vec<Option<Timestamp>> = vec![None; self.databases.len()];
        loop {
            let now = Timestamp::now();
            let next = self.next(&again, now);
            match next {
                Some((at, due)) if due <= now && !self.stop.load(Ordering::Relaxed) => {
                    let failed = !self.one(at, now);
                    if let Some(again) = again.get_mut(at) {
                        *again = failed.then(|| {
                            Timestamp::now().saturating_add(self.patience()).unwrap_or(Timestamp::MAX)
                        });
                    }
                }
                _ => {
                    let due = next.map_or(LOOK, |(_, due)| {
                        Duration::try_from(due.duration_since(now)).unwrap_or_default()
                    });
                    if woken.recv_timeout(due.min(LOOK)) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            }
        }
    }

    /// How long one that failed waits.
    fn patience(&self) -> jiff::SignedDuration {
        let patience = match self.schedule {
            Schedule::Every(every) => AGAIN.min(every),
            Schedule::At(..) => AGAIN,
        };
        jiff::SignedDuration::try_from(patience).unwrap_or(jiff::SignedDuration::ZERO)
    }

    /// Which database is the next, and when.
    fn next(&self, again: &[Option<Timestamp>], now: Timestamp) -> Option<(usize, Timestamp)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next: Option<(usize, Timestamp)> = None;
        for (at, (state, again)) in state.iter_mut().zip(again).enumerate() {
            let newest = state.newest.as_ref().map(|(time, _)| *time);
            let due = again.unwrap_or_else(|| schedule::due(&self.schedule, newest, now));
            state.due = Some(due);
            if next.is_none_or(|(_, first)| due < first) {
                next = Some((at, due));
            }
        }
        next
    }

    /// Makes a backup of one database, and removes the oldest. Whether it was made.
    fn one(&self, at: usize, now: Timestamp) -> bool {
        let Some(path) = self.databases.get(at) else { return false };
        let database = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(at)
            .map(|state| state.database.clone());
        let database = database.unwrap_or_default();
        let (output, since) = (files::name(&self.directory, &database, now), Instant::now());
        let made = self.copy(path, &output);
        if made.is_err() && self.stop.load(Ordering::Relaxed) {
            return false;
        }
        if made.is_ok() {
            self.thin(&database);
        }
        let kept = files::made(&self.directory, &database).map_or(0, |made| made.len());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = state.get_mut(at) else { return false };
        state.kept = kept;
        match made {
            Ok(bytes) => {
                let took = since.elapsed();
                let (shown, size) = (output.display(), db::size(bytes));
                log(format_args!(
                    "backup of {database}: {shown}, {size} in {} ms, verified",
                    took.as_millis()
                ));
                state.newest = Some((now, output));
                state.made = Some((bytes, took));
                state.failure = None;
                true
            }
            Err(error) => {
                let error = format!("{error:#}");
                // The same words once.
                if state.failure.as_ref().is_none_or(|(_, known)| *known != error) {
                    log(format_args!("backup of {database} failed, and is tried again: {error}"));
                }
                state.failure = Some((now, error));
                false
            }
        }
    }

    fn copy(&self, path: &Path, output: &Path) -> Result<u64> {
        if output.exists() {
            anyhow::bail!("{} is there already", output.display());
        }
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let sql = db::open(&path, Access::Read)?;
        let (bytes, _) = copy(&path, &sql, output, &self.stop)?;
        Ok(bytes)
    }

    /// Removes the oldest backups of a database.
    fn thin(&self, database: &str) {
        let made = files::made(&self.directory, database).map_err(|error| (self.directory.clone(), error));
        if let Err((path, error)) = made.and_then(|made| files::thin(&made, self.keep)) {
            log(format_args!("the old backup {} cannot be removed: {error}", path.display()));
        }
    }
}
