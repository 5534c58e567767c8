//! What is served at the moment. It is replaced as a whole, so that a request has one state from its beginning to its end: the
//! one that it began with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use arc_swap::ArcSwap;
use sqlitrest_runtime::config::{Config, DatabaseFile};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::audit::Audit;
use crate::backup::Backups;
use crate::engine::Engine;
use crate::front::Front;
use crate::log;
use crate::observe::{self, logging, names};
use crate::persist;
use crate::sections::Sections;
use crate::settings::{Flags, Settings};
use crate::watch::{self, Seen};

/// How often it is looked whether requests that began with what was served before have ended.
const LOOK: Duration = Duration::from_millis(10);

/// How many engines come to their end at a time, before a change waits for one of them, and how long.
const RETIRING: usize = 4;
const PATIENCE: Duration = Duration::from_secs(1);

/// The engine that answers now, and how it becomes another.
pub struct Serving {
    engine: ArcSwap<Engine>,
    front: Front,
    is_draining: AtomicBool,
    audit: OnceLock<Arc<Audit>>,
    backups: OnceLock<Backups>,
    /// One change at a time.
    changes: Mutex<Changes>,
    /// A place for each engine that comes to its end.
    retiring: Arc<Semaphore>,
    /// The configuration that the server was started with.
    started: Config,
    /// What the configuration was read from, as it was then.
    files: ArcSwap<Vec<Seen>>,
    /// What was typed, by which the configuration is read again. None: there is nothing to read.
    flags: Option<Flags>,
    file: Option<PathBuf>,
}

/// What a change begins with.
struct Changes {
    /// The configuration as it was last read, without what was attached since.
    configured: Config,
    /// What an administrator has attached, and not persisted.
    attached: BTreeMap<String, DatabaseFile>,
}

/// Why a database is not attached.
#[derive(Debug)]
pub enum NotAttached {
    /// There is one of this name, or of one that differs in case only.
    Exists,
    /// One sentence on what is wrong.
    Wrong(anyhow::Error),
}

/// What came of a change.
#[derive(Debug, PartialEq)]
pub struct Changed {
    /// What is to be said of it.
    pub warnings: Vec<String>,
}

impl Serving {
    /// Of this engine, until another takes its place.
    ///
    /// # Errors
    /// One sentence on what is wrong with `[server]` or `[middleware]`.
    pub fn new(engine: Engine) -> Result<Arc<Serving>> {
        Serving::made(engine, None)
    }

    /// Of this engine, which was made of these settings.
    ///
    /// # Errors
    /// One sentence on what is wrong with `[server]`, `[middleware]` or `[tls]`.
    pub fn made_of(settings: &Settings, engine: Engine) -> Result<Arc<Serving>> {
        Serving::made(engine, Some(settings))
    }

    fn made(engine: Engine, settings: Option<&Settings>) -> Result<Arc<Serving>> {
        let none = Sections::default();
        let front = Front::new(engine.config(), settings.map_or(&none, |settings| &settings.sections))?;
        let started = engine.config().clone();
        let changes = Changes { configured: started.clone(), attached: BTreeMap::new() };
        let files = settings.map(watch::files).unwrap_or_default();
        Ok(Arc::new(Serving {
            started,
            files: ArcSwap::from_pointee(files),
            engine: ArcSwap::from_pointee(engine),
            front,
            is_draining: AtomicBool::new(false),
            audit: OnceLock::new(),
            backups: OnceLock::new(),
            changes: Mutex::new(changes),
            retiring: Arc::new(Semaphore::new(RETIRING)),
            flags: settings.map(|settings| settings.flags.clone()),
            file: settings.and_then(|settings| settings.file.clone()),
        }))
    }

    /// The engine that answers now. Whoever holds it keeps it whole.
    pub fn engine(&self) -> Arc<Engine> {
        self.engine.load_full()
    }

    /// Has requests recorded from now on.
    pub fn record(&self, audit: Arc<Audit>) {
        // There is one log for as long as the server runs.
        let _ = self.audit.set(audit);
    }

    /// Where requests are recorded, if they are.
    pub fn audit(&self) -> Option<&Arc<Audit>> {
        self.audit.get()
    }

    /// Has what makes backups be known.
    pub fn back_up(&self, backups: Backups) {
        let _ = self.backups.set(backups);
    }

    /// What makes backups, if they are made.
    pub fn backups(&self) -> Option<&Backups> {
        self.backups.get()
    }

    /// What stands in front of it.
    pub fn front(&self) -> &Front {
        &self.front
    }

    /// No more is begun; what is begun comes to its end.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Whether it comes to its end.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// The configuration file, where there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What the configuration was read from, as it was then.
    pub fn files(&self) -> Arc<Vec<Seen>> {
        self.files.load_full()
    }

    /// Reads the configuration, its policies and its keys again, and the schemas. Requests in flight end as they began.
    ///
    /// # Errors
    /// One sentence on what is wrong. What was served goes on.
    pub async fn reload(&self) -> Result<Changed> {
        let mut changes = self.changes.lock().await;
        let mut flags = self.flags.clone().context("there is no configuration to read again")?;
        // A file that was read once has to be there: without it there would be no policies, and nobody would have to sign in.
        if let Some(file) = &self.file {
            flags.config = Some(file.clone());
        }
        let settings = spawn_blocking(move || Settings::resolve(&flags)).await??;
        let mut warnings = until_next_start(&self.started, &settings.config);
        warnings.extend(let_go(&changes.configured, &settings.config));
        let files = watch::files(&settings);
        let front = self.front.prepare(&settings.config, &settings.sections)?;
        // The log and what it asks of the core are those of the start.
        let mut configured = settings.config;
        configured.audit.clone_from(&changes.configured.audit);
        // What was attached stays, unless the file has one of that name now.
        let mut attached = changes.attached.clone();
        attached.retain(|name, _| !configured.databases.contains_key(name));
        warnings.extend(self.change(&with_attached(&configured, &attached)).await?);
        self.front.take(front);
        warnings.extend(configured.awaited_databases());
        (changes.configured, changes.attached) = (configured, attached);
        self.files.store(Arc::new(files));
        warnings.extend(observe::change(&settings.sections));
        Ok(Changed { warnings })
    }

    /// Serves a database beside the others; with `persist` the configuration file says so, too.
    ///
    /// # Errors
    /// There is one of this name, or what is wrong with this one. What was served goes on.
    pub async fn attach(
        &self,
        name: &str,
        database: DatabaseFile,
        persist: bool,
    ) -> Result<Changed, NotAttached> {
        let mut changes = self.changes.lock().await;
        // Only here is it sure that no other change comes between.
        let served = self.engine();
        if served.served().iter().any(|served| served.name().eq_ignore_ascii_case(name)) {
            return Err(NotAttached::Exists);
        }
        let most = served.config().attach.most;
        if served.served().len() >= most {
            return Err(NotAttached::Wrong(anyhow!(
                "{most} databases are served, which are all of attach.most; detach one"
            )));
        }
        drop(served);
        let mut attached = changes.attached.clone();
        attached.insert(name.to_owned(), database.clone());
        let config = with_attached(&changes.configured, &attached);
        let mut warnings = self.change(&config).await.map_err(NotAttached::Wrong)?;
        changes.attached = attached;
        if persist && let Err(error) = persist::add(self.file(), name, &database) {
            warnings.push(format!("it is served, but not persisted: {}", one_line(&error)));
        }
        Ok(Changed { warnings })
    }

    /// Serves a database no longer; with `persist` it is not in the configuration file either. None: there is no such database.
    ///
    /// # Errors
    /// One sentence on what is wrong without it. What was served goes on.
    pub async fn detach(&self, name: &str, persist: bool) -> Result<Option<Changed>> {
        let mut changes = self.changes.lock().await;
        let mut attached = changes.attached.clone();
        let mut configured = changes.configured.clone();
        let was_attached = attached.remove(name).is_some();
        if !was_attached && configured.databases.remove(name).is_none() {
            return Ok(None);
        }
        let mut warnings = self.change(&with_attached(&configured, &attached)).await?;
        (changes.attached, changes.configured) = (attached, configured);
        if persist {
            if let Err(error) = persist::remove(self.file(), name) {
                warnings.push(format!("it is detached, but not from the file: {}", one_line(&error)));
            }
        } else if !was_attached {
            warnings.push(format!(
                "[databases.{name}] is still in the configuration file: it is served again when that is read again; take it out of the file, too, with ?persist=true"
            ));
        }
        Ok(Some(Changed { warnings }))
    }

    /// Takes an engine of this configuration into service.
    async fn change(&self, config: &Config) -> Result<Vec<String>> {
        // Changes in quick succession would pile up what they leave behind; what is held for long by its requests hinders none.
        let place = timeout(PATIENCE, Arc::clone(&self.retiring).acquire_owned()).await;
        let (before, config, audit) = (self.engine(), config.clone(), self.audit().cloned());
        // Files are looked at, opened and read.
        let opening = Arc::clone(&before);
        let open = move || {
            audit.map_or(Ok(()), |audit| audit.refuse_served(&config))?;
            opening.changed(&config)
        };
        let engine = Arc::new(spawn_blocking(open).await??);
        let warnings = match engine.warnings().await {
            Ok(warnings) => warnings,
            Err(misfit) => {
                retire(engine, before).await;
                return Err(misfit);
            }
        };
        self.engine.store(Arc::clone(&engine));
        names::outdate();
        tokio::spawn(async move {
            retire(before, engine).await;
            drop(place);
        });
        Ok(warnings)
    }
}

/// Closes what only the engine `old` has, when the last request has ended that began with it.
async fn retire(old: Arc<Engine>, new: Arc<Engine>) {
    while Arc::strong_count(&old) > 1 {
        sleep(LOOK).await;
    }
    let patience = old.config().middleware.request_timeout.0 + old.config().server.shutdown_timeout.0;
    if let Err(error) = old.close_but(patience, new.served()).await {
        log(format_args!("{error:#}"));
    }
}

fn with_attached(configured: &Config, attached: &BTreeMap<String, DatabaseFile>) -> Config {
    let mut config = configured.clone();
    config.databases.extend(attached.clone());
    config
}

/// What is said loudly of a configuration that keeps less to itself than the one before.
fn let_go(before: &Config, now: &Config) -> Vec<String> {
    let gone = [
        ("[auth]: nobody has to sign in", before.signing_in().is_some() && now.signing_in().is_none()),
        ("[policies]: every role may do everything", before.policies.is_some() && now.policies.is_none()),
    ];
    let gone = gone.into_iter().filter_map(|(what, is_gone)| is_gone.then_some(what));
    gone.map(|what| format!("the configuration has no more {what}")).collect()
}

/// What has changed and is not taken up while the server runs.
fn until_next_start(before: &Config, now: &Config) -> Vec<String> {
    let server = (&before.server, &now.server);
    let changed = [
        ("server.host", server.0.host != server.1.host),
        ("server.port", server.0.port != server.1.port),
        ("server.unix_socket", server.0.unix_socket != server.1.unix_socket),
        ("server.unix_socket_mode", server.0.unix_socket_mode != server.1.unix_socket_mode),
        ("server.max_header_size", server.0.max_header_size != server.1.max_header_size),
        ("server.max_headers", server.0.max_headers != server.1.max_headers),
        ("server.max_connections", server.0.max_connections != server.1.max_connections),
        ("server.header_timeout", server.0.header_timeout != server.1.header_timeout),
        ("server.shutdown_timeout", server.0.shutdown_timeout != server.1.shutdown_timeout),
        ("tls", before.tls.is_some() != now.tls.is_some()),
        ("server.engine", server.0.engine != server.1.engine),
        ("server.watch", server.0.watch != server.1.watch),
        ("[audit]", before.audit != now.audit),
        ("[backup]", before.backup != now.backup),
    ];
    let changed = changed.into_iter().filter_map(|(key, is_changed)| is_changed.then_some(key));
    changed.map(|key| format!("{key} has changed, which is taken up at the next start")).collect()
}

impl Serving {
    /// Reads everything again and says in the log what came of it; `why` begins the line. Returns whether it was taken up.
    pub async fn reload_and_tell(&self, why: &str) -> bool {
        let result = self.reload().await;
        let is_taken = result.is_ok();
        match result {
            Ok(changed) => {
                logging::info(format_args!("{why}: the configuration is read again"));
                for warning in changed.warnings {
                    log(format_args!("warning: {warning}"));
                }
            }
            Err(error) => {
                let error = anyhow!("{error:#}");
                log(format_args!("{why}: what was read before is kept: {}", one_line(&error)));
            }
        }
        is_taken
    }
}

/// A library's message may have several lines; ours has one.
pub fn one_line(error: &anyhow::Error) -> String {
    let words = format!("{error:#}");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
