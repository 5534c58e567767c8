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
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::audit::Audit;
use crate::backup::Backups;
use crate::engine::Engine;
use crate::front::Front;
use crate::log;
use crate::observe::{self, logging, names};
use crate::sections::Sections;
use crate::settings::{Flags, Settings};

/// How often it is looked whether requests that began with what was served before have ended.
const LOOK: Duration = Duration::from_millis(10);

/// How long a change waits for the end of what was served before it.
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
        let changes = Changes { configured: engine.config().clone(), attached: BTreeMap::new() };
        Ok(Arc::new(Serving {
            engine: ArcSwap::from_pointee(engine),
            front,
            is_draining: AtomicBool::new(false),
            audit: OnceLock::new(),
            backups: OnceLock::new(),
            changes: Mutex::new(changes),
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

    /// Reads the configuration, its policies and its keys again, and the schemas. Requests in flight end as they began.
    ///
    /// # Errors
    /// One sentence on what is wrong. What was served goes on.
    pub async fn reload(&self) -> Result<Changed> {
        let mut changes = self.changes.lock().await;
        let flags = self.flags.clone().context("there is no configuration to read again")?;
        let settings = spawn_blocking(move || Settings::resolve(&flags)).await??;
        let mut warnings = until_next_start(&changes.configured, &settings.config);
        let front = self.front.prepare(&settings.config, &settings.sections)?;
        // The log and what it asks of the core are those of the start.
        let mut configured = settings.config;
        configured.audit.clone_from(&changes.configured.audit);
        // What was attached stays, unless the file has one of that name now.
        changes.attached.retain(|name, _| !configured.databases.contains_key(name));
        warnings.extend(self.change(&with_attached(&configured, &changes.attached)).await?);
        self.front.take(front);
        changes.configured = configured;
        warnings.extend(observe::change(&settings.sections));
        Ok(Changed { warnings })
    }

    /// Serves a database beside the others.
    ///
    /// # Errors
    /// One sentence on what is wrong with it. What was served goes on.
    pub async fn attach(&self, name: &str, database: DatabaseFile) -> Result<Changed> {
        let mut changes = self.changes.lock().await;
        let mut attached = changes.attached.clone();
        attached.insert(name.to_owned(), database);
        let warnings = self.change(&with_attached(&changes.configured, &attached)).await?;
        changes.attached = attached;
        Ok(Changed { warnings })
    }

    /// Serves a database no longer.
    ///
    /// # Errors
    /// One sentence on what is wrong without it. What was served goes on.
    pub async fn detach(&self, name: &str) -> Result<Changed> {
        let mut changes = self.changes.lock().await;
        let mut attached = changes.attached.clone();
        let mut configured = changes.configured.clone();
        if attached.remove(name).is_none() {
            configured.databases.remove(name);
        }
        let warnings = self.change(&with_attached(&configured, &attached)).await?;
        (changes.attached, changes.configured) = (attached, configured);
        Ok(Changed { warnings })
    }

    /// Takes an engine of this configuration into service.
    async fn change(&self, config: &Config) -> Result<Vec<String>> {
        let (before, config) = (self.engine(), config.clone());
        // Files are opened and read.
        let opening = Arc::clone(&before);
        let engine = Arc::new(spawn_blocking(move || opening.changed(&config)).await??);
        let warnings = match engine.warnings().await {
            Ok(warnings) => warnings,
            Err(misfit) => {
                retire(engine, before).await;
                return Err(misfit);
            }
        };
        self.engine.store(Arc::clone(&engine));
        names::outdate();
        // Otherwise changes in quick succession would pile up what they leave behind.
        let _ = timeout(PATIENCE, tokio::spawn(retire(before, engine))).await;
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
    /// Reads everything again and says in the log what came of it; `why` begins the line.
    pub async fn reload_and_tell(&self, why: &str) {
        match self.reload().await {
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
    }
}

/// A library's message may have several lines; ours has one.
pub fn one_line(error: &anyhow::Error) -> String {
    let words = format!("{error:#}");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
