//! `sqlitrest serve`: opens everything, says so, runs until a signal, closes everything.

use std::io::Write as _;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use sqlitrest_runtime::config::{Config, Engine as Kind};

use crate::admin::Origin;
use crate::admin_listener::Listeners;
use crate::audit::Audit;
use crate::backup::Backups;
use crate::cli::Failure;
use crate::engine::Engine;
use crate::examples::curl_lines;
use crate::exchange::exchange;
use crate::front::Front;
use crate::listener::Listener;
use crate::observe::{logging, names};
use crate::served::Served;
use crate::serving::Serving;
use crate::settings::Settings;
use crate::watch::watch;
use crate::{admin, backup, docs, log, mcp, observe, server};

/// How long the end waits for connections to the database that were cut off.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// How long the log is waited for where nobody wants to wait.
const SHORT_WAIT: Duration = Duration::from_millis(200);

/// Serves until SIGTERM or ctrl-c.
pub(crate) fn serve(settings: Settings) -> Result<(), Failure> {
    let config = &settings.config;
    // Before there is anything to observe, and to the end.
    let placed = |error: anyhow::Error| Failure::Start(anyhow!(settings.found.placed(&format!("{error:#}"))));
    let _observing = observe::begin(&settings.sections).map_err(placed)?;
    let engine = open(&settings).map_err(Failure::Start)?;
    let serving = Serving::made_of(&settings, engine).map_err(placed)?;
    let engine = serving.engine();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // One for each core: short statements run on these threads, and long ones make room for another.
        .worker_threads(available_parallelism().map_or(1, usize::from))
        .enable_all()
        .build()
        .context("the threads of the server cannot be started")
        .map_err(Failure::Start)?;
    let result = runtime.block_on(async {
        // Signals first: who reads the line below may send one at once.
        let signals = Signals::new().map_err(Failure::Start)?;
        #[cfg(unix)]
        reload_by_signal(Arc::clone(&serving)).map_err(Failure::Start)?;
        let listener = listen(&settings, &serving).await.map_err(placed)?;
        let admin = Listeners::bind(&settings.sections.admin).await.map_err(placed)?;
        let warnings = engine.warnings().await.map_err(Failure::Start)?;
        names::refresh(&serving).await;
        keep_records(&settings, &serving).map_err(placed)?;
        let examples = match (settings.flags.examples, engine.served().first()) {
            (true, Some(served)) => curl_lines(served.source(), served.config(), &listener).await,
            _ => Vec::new(),
        };
        announce(&settings, &engine, &listener, &admin.places(), &examples);
        let doubtful = config.auth_warnings().into_iter().chain(config.awaited_databases());
        for warning in doubtful.chain(warnings) {
            log(format_args!("warning: {warning}"));
        }
        warn_of_same_names(config, serving.front());
        let _admin = admin.serve(&serving);
        // Held any longer it could not be given up when another takes its place.
        drop(engine);
        if let (true, Some(_)) = (config.server.watch, &settings.file) {
            match watch(Arc::clone(&serving)) {
                Ok(watching) => drop(tokio::spawn(watching)),
                Err(error) => log(format_args!("warning: {error:#}")),
            }
        }
        until_signal(listener, &serving, signals).await.map_err(Failure::Run)
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Says which paths of the server and relations of the same name stand in each other's way.
fn warn_of_same_names(config: &Config, front: &Front) {
    for page in admin::hidden_pages(config) {
        log(format_args!(
            "warning: {page} is that of a relation, not what the server tells of itself: use the admin listener, or set api.base_path"
        ));
    }
    if mcp::hides_relation(front) {
        log(format_args!(
            "warning: /_mcp is where agents are served, not the relation of this name: that is at /%5Fmcp, or set api.base_path"
        ));
    }
    if docs::is_hidden(config) {
        log(format_args!("warning: /_docs is that of a relation, not the page that shows the API"));
    }
}

/// Listens where the command line or the configuration says.
async fn listen(settings: &Settings, serving: &Serving) -> Result<Listener> {
    let server = &settings.config.server;
    let listening = serving.front().listen(server).await;
    if server.unix_socket.is_empty() || settings.flags.listen.is_some() {
        return listening;
    }
    listening.context("server.unix_socket")
}

/// Begins to record requests and to make backups, where that is configured.
fn keep_records(settings: &Settings, serving: &Arc<Serving>) -> Result<()> {
    if let Some(backup) = &settings.sections.backup {
        backup::usable(backup)?;
    }
    if let Some(audit) = &settings.sections.audit {
        serving.record(Audit::open(&settings.config, audit)?);
    }
    if let Some(backup) = &settings.sections.backup {
        serving.back_up(Backups::start(backup, Arc::clone(serving))?);
    }
    Ok(())
}

/// The engine of these settings.
///
/// # Errors
/// As [`Engine::native`].
pub(crate) fn open(settings: &Settings) -> Result<Engine> {
    match settings.config.server.engine {
        Kind::Native => Engine::native(&settings.config),
        Kind::Component => Engine::component(&settings.config, &settings.guest),
    }
}

/// To standard output, which may be closed: what is served, and where.
fn announce(
    settings: &Settings,
    engine: &Engine,
    listener: &Listener,
    admin: &[String],
    examples: &[String],
) {
    let what: Vec<String> = engine.served().iter().map(|served| about(served)).collect();
    let mut out = std::io::stdout();
    let _ = writeln!(
        out,
        "sqlitrest {}: serving {} on {listener}, engine {}",
        env!("CARGO_PKG_VERSION"),
        what.join(", "),
        engine.name(),
    );
    if !admin.is_empty() {
        let _ = writeln!(out, "administrator: {}", admin.join(", "));
    }
    if settings.file.is_none() {
        let writable = engine.served().iter().any(|served| served.source().about().writable);
        let deeds = if writable { "reading and writing" } else { "reading" };
        let _ = writeln!(out, "no configuration file: everything in it is open for {deeds}");
    }
    if !examples.is_empty() {
        let _ = writeln!(out, "try in another terminal:\n  {}", examples.join("\n  "));
    }
    let _ = out.flush();
}

/// `my.db (3 tables, read-only)`
fn about(served: &Served) -> String {
    let known = served.source().about();
    let mut about = format!("{} ({} tables", served.config().database().1.place(), known.tables);
    if known.views > 0 {
        about += &format!(", {} views", known.views);
    }
    if !known.writable {
        about += ", read-only";
    }
    about + ")"
}

async fn until_signal(listener: Listener, serving: &Arc<Serving>, mut signals: Signals) -> Result<()> {
    let (began, begin) = tokio::sync::oneshot::channel();
    let drains = Arc::clone(serving);
    let shutdown = async move {
        signals.next().await;
        drains.drain();
        let _ = began.send(signals);
    };
    // Whoever asks twice does not want to wait. SQLite repairs what is left at the next start.
    tokio::spawn(async {
        if let Ok(mut signals) = begin.await {
            signals.next().await;
            log(format_args!("stopped by a second signal"));
            logging::end(SHORT_WAIT);
            std::process::exit(1);
        }
    });
    tokio::spawn({
        let serving = Arc::clone(serving);
        async move { serving.front().edge.forget().await }
    });
    let api = Arc::clone(serving);
    let answer = move |peer, request| exchange(Arc::clone(&api), peer, Origin::Api, request);
    let cut = server::run(vec![listener], &serving.front().limits, answer, shutdown).await;
    let engine = serving.engine();
    if cut > 0 {
        log(format_args!("{cut} connections were still open after server.shutdown_timeout and are cut"));
        engine.interrupt();
    }
    if let Some(backups) = serving.backups() {
        tokio::task::block_in_place(|| backups.close(LAST_WAIT));
    }
    let closed = engine.close(LAST_WAIT).await;
    // What was written last has its record.
    if let Some(audit) = serving.audit() {
        audit.close(LAST_WAIT).await?;
    }
    closed
}

/// From now on SIGHUP means that everything is read again.
#[cfg(unix)]
fn reload_by_signal(serving: Arc<Serving>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            serving.reload_and_tell("SIGHUP").await;
        }
    });
    Ok(())
}

/// SIGTERM and SIGINT (ctrl-c).
#[cfg(unix)]
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Waits for them from now on.
    ///
    /// # Errors
    /// The system does not let it.
    pub(crate) fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot wait for ctrl-c")?,
        })
    }

    /// The next of them.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ctrl-c.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Waits for them from now on.
    ///
    /// # Errors
    /// The system does not let it.
    pub(crate) fn new() -> Result<Self> {
        Ok(Signals)
    }

    /// The next of them.
    pub(crate) async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
