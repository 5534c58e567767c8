//! Backups while a server runs: on a schedule, on a thread of its own, one after another. A backup that fails changes nothing of those
//! that are there, and is tried again.

mod files;
mod schedule;
pub mod settings;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};

use crate::db::backup::{Stop, copy};
use crate::db::{self, Access};
use crate::log;
use crate::serving::Serving;
use settings::{Schedule, Settings};

/// How long a backup that failed waits to be tried again, or the time between two, if that is less.
const AGAIN: Duration = Duration::from_secs(60);

/// How long the thread sleeps at the most: the clock may be set meanwhile.
const LOOK: Duration = Duration::from_secs(30);

/// How often the operator is told of what does not get better.
const SILENCE: SignedDuration = SignedDuration::from_hours(1);

/// The backups of a running server.
pub struct Backups {
    state: Arc<States>,
    stop: Stop,
    /// Wakes the thread.
    wake: Sender<()>,
    /// Is closed when it has come to its end.
    ended: Mutex<Receiver<()>>,
}

/// The backups of each database.
type States = Mutex<BTreeMap<String, State>>;

/// The backups of one database at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// When the newest was begun, and where it is.
    pub newest: Option<(Timestamp, PathBuf)>,
    /// How long it is, in bytes, and how long it took; of those that this server has made.
    pub made: Option<(u64, Duration)>,
    /// How many there are.
    pub kept: usize,
    /// When one has failed since the newest was made, and why.
    pub failure: Option<(Timestamp, String)>,
    /// How many have failed since the start.
    pub failures: u64,
    /// When the operator was told last that they fail.
    told: Option<Timestamp>,
    /// When the next is due.
    pub due: Option<Timestamp>,
}

/// What the thread has.
struct Thread {
    /// What is served at the moment.
    serving: Arc<Serving>,
    directory: PathBuf,
    schedule: Schedule,
    keep: usize,
    /// The databases; none: all.
    wanted: Vec<String>,
    state: Arc<States>,
    stop: Stop,
}

impl Backups {
    /// Starts the thread.
    ///
    /// # Errors
    /// One sentence on what is wrong with the directory.
    pub fn start(settings: &Settings, serving: Arc<Serving>) -> Result<Backups> {
        let (state, stop) = (Arc::default(), Stop::default());
        let thread = Thread {
            serving,
            directory: PathBuf::from(&settings.directory),
            schedule: settings.schedule(),
            keep: settings.keep,
            wanted: settings.databases.clone(),
            state: Arc::clone(&state),
            stop: Arc::clone(&stop),
        };
        thread.look().with_context(|| format!("backup.directory {} cannot be read", settings.directory))?;
        let (wake, woken) = channel();
        let (end, ended) = channel();
        let work = move || {
            thread.run(&woken);
            drop(end);
        };
        let spawned = std::thread::Builder::new().name("backup".to_owned()).spawn(work);
        spawned.context("the thread that makes backups cannot be started")?;
        Ok(Backups { state, stop, wake, ended: Mutex::new(ended) })
    }

    /// As they are now, for each database.
    pub fn snapshot(&self) -> BTreeMap<String, State> {
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
        let mut again = BTreeMap::new();
        loop {
            let now = Timestamp::now();
            let next = self.next(&again, now);
            match next {
                Some((database, path, due)) if due <= now && !self.stop.load(Ordering::Relaxed) => {
                    if self.one(&database, &path, now) {
                        again.remove(&database);
                    } else {
                        let then = Timestamp::now().saturating_add(self.patience());
                        again.insert(database, then.unwrap_or(Timestamp::MAX));
                    }
                }
                _ => {
                    let due = next.map_or(LOOK, |(_, _, due)| {
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
    fn patience(&self) -> SignedDuration {
        let patience = match self.schedule {
            Schedule::Every(every) => AGAIN.min(every),
            Schedule::At(..) => AGAIN,
        };
        SignedDuration::try_from(patience).unwrap_or(SignedDuration::ZERO)
    }

    /// The databases that are served at the moment, with their files. A server has its own way of keeping copies.
    fn databases(&self) -> Vec<(String, PathBuf)> {
        let engine = self.serving.engine();
        let wanted = |name: &String| self.wanted.is_empty() || self.wanted.contains(name);
        let databases = engine.config().databases.iter().filter(|(name, _)| wanted(name));
        let databases = databases.filter(|(_, database)| !database.is_on_server());
        databases.map(|(name, database)| (name.clone(), PathBuf::from(&database.path))).collect()
    }

    /// Looks for backups of those that are new.
    fn look(&self) -> std::io::Result<()> {
        let databases = self.databases();
        let mut states = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|known, _| databases.iter().any(|(name, _)| name == known));
        for (name, _) in databases {
            if states.contains_key(&name) {
                continue;
            }
            files::clean(&self.directory, &name)?;
            let made = files::made(&self.directory, &name)?;
            let newest = made.last().map(|made| (made.time, made.path.clone()));
            states.insert(name, State { newest, kept: made.len(), ..State::default() });
        }
        Ok(())
    }

    /// Which database is the next, and when.
    fn next(
        &self,
        again: &BTreeMap<String, Timestamp>,
        now: Timestamp,
    ) -> Option<(String, PathBuf, Timestamp)> {
        // Where the directory is gone, the backup fails and says so.
        let _ = self.look();
        let mut states = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next: Option<(String, PathBuf, Timestamp)> = None;
        for (name, path) in self.databases() {
            let state = states.entry(name.clone()).or_default();
            let newest = state.newest.as_ref().map(|(time, _)| *time);
            let due = schedule::due(&self.schedule, newest, now);
            let due = again.get(&name).copied().unwrap_or(due);
            state.due = Some(due);
            if next.as_ref().is_none_or(|(_, _, first)| due < *first) {
                next = Some((name, path, due));
            }
        }
        next
    }

    /// Makes a backup of one database, and removes the oldest. Whether it was made.
    fn one(&self, database: &str, path: &Path, now: Timestamp) -> bool {
        let (output, since) = (files::name(&self.directory, database, now), Instant::now());
        let made = self.copy(path, &output);
        if made.is_err() && self.stop.load(Ordering::Relaxed) {
            return false;
        }
        if made.is_ok() {
            self.thin(database);
        }
        let mut states = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(database.to_owned()).or_default();
        state.kept = files::made(&self.directory, database).map_or(0, |made| made.len());
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
                // It is tried again and again; the operator is not told each time.
                if state.failure.is_none()
                    || state.told.is_none_or(|told| now.duration_since(told) >= SILENCE)
                {
                    log(format_args!("backup of {database} failed, and is tried again: {error}"));
                    state.told = Some(now);
                }
                state.failure = Some((now, error));
                state.failures += 1;
                false
            }
        }
    }

    fn copy(&self, path: &Path, output: &Path) -> Result<u64> {
        ensure!(!output.exists(), "{} is there already", output.display());
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
