//! `sqlitrest mcp`: the protocol by standard input and output, for an agent that starts the program. The engine runs in it, with one identity.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use rmcp::service::ServerInitializeError;
use rmcp::transport::async_rw::AsyncRwTransport;
use serde_json::{Map, Value as Json};
use sqlitrest_runtime::config::{Config, Mode};
use sqlitrest_runtime::identity::Identity;

use super::always_writes;
use super::caller::Caller;
use super::handler::Handler;
use crate::asking::{claims, identity};
use crate::audit::Audit;
use crate::cli::Failure;
use crate::engine::Engine;
use crate::serve::{Signals, open};
use crate::settings::{EngineName, Flags, Settings};
use crate::{log, observe};

/// How long the end waits for statements that still run.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// What `sqlitrest mcp` can be told.
#[derive(Args, Debug)]
pub struct McpFlags {
    /// The SQLite database, a file or the URL of a libSQL server (or databases.main in the configuration file)
    path: Option<PathBuf>,
    /// The role that the agent has; without one, nobody has signed in
    #[arg(long)]
    role: Option<String>,
    /// The user's id (the claim sub)
    #[arg(long)]
    sub: Option<String>,
    /// Another claim
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// The configuration file, by default ./sqlitrest.toml if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What runs the core: the WebAssembly component, or the same code compiled into this program
    #[arg(long, value_enum)]
    engine: Option<EngineName>,
    /// Another component than the one in this program (.wasm or .cwasm)
    #[arg(long, value_name = "FILE")]
    guest: Option<PathBuf>,
}

impl McpFlags {
    /// What `serve` would be told, but for files that stay as they are where nothing is written.
    fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::resolve(&Flags {
            path: self.path.clone(),
            engine: self.engine,
            config: self.config.clone(),
            guest: self.guest.clone(),
            ..Flags::default()
        })?;
        if !settings.sections.mcp.write && !always_writes(&settings.config) {
            settings.config.databases.values_mut().for_each(|file| file.mode = Mode::ReadOnly);
        }
        Ok(settings)
    }

    /// Who the agent is.
    fn identity(&self, config: &Config) -> Result<Arc<Identity>> {
        let claims: Map<String, Json> = claims(&self.claim)?;
        let identity = identity(config, self.role.clone(), self.sub.as_deref().map(Json::from), claims);
        if config.signing_in().is_some() && identity.role.is_none() {
            return Err(anyhow!(
                "with [auth] and no api.anonymous_role nobody may ask without a role: type `sqlitrest mcp --role ROLE`"
            ));
        }
        Ok(identity)
    }
}

/// Serves whoever started the program, until its standard input ends or a signal comes.
pub(crate) fn run(flags: &McpFlags) -> Result<(), Failure> {
    let settings = flags.settings().map_err(Failure::Start)?;
    let identity = flags.identity(&settings.config).map_err(Failure::Start)?;
    // The log goes to standard error: standard output is the agent's.
    let _observing = observe::begin(&settings.sections).map_err(Failure::Start)?;
    let engine = Arc::new(open(&settings).map_err(Failure::Start)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads of the server cannot be started")
        .map_err(Failure::Start)?;
    let result = runtime.block_on(async {
        for warning in engine.warnings().await.map_err(Failure::Start)? {
            log(format_args!("warning: {warning}"));
        }
        let audit = settings.sections.audit.as_ref().map(|own| Audit::open(&settings.config, own));
        let audit = audit.transpose().map_err(Failure::Start)?;
        let mut signals = Signals::new().map_err(Failure::Start)?;
        let own = Arc::new(settings.sections.mcp.clone());
        let handler = Handler(Arc::new(Caller::new(&engine, own, identity, audit.as_ref(), None)));
        let served = tokio::select! {
            served = serve(handler, &settings.config) => served,
            () = signals.next() => Ok(()),
        };
        served.and(close(&engine, audit.as_deref()).await).map_err(Failure::Run)
    });
    // A thread may still wait for standard input.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn serve(handler: Handler, config: &Config) -> Result<()> {
    let most = usize::try_from(config.server.max_body.0).unwrap_or(usize::MAX);
    let transport = AsyncRwTransport::new_server(tokio::io::stdin(), tokio::io::stdout());
    match rmcp::serve_server(handler, transport.with_max_line_length(most)).await {
        Ok(running) => running.waiting().await.map(drop).context("the conversation broke off"),
        // Who has nothing to say may leave.
        Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        // What was said instead is not for the log.
        Err(ServerInitializeError::ExpectedInitializeRequest(_)) => {
            Err(anyhow!("the agent did not begin as MCP does, with `initialize`"))
        }
        Err(error) => Err(anyhow!("the conversation could not begin: {error}")),
    }
}

async fn close(engine: &Engine, audit: Option<&Audit>) -> Result<()> {
    engine.interrupt();
    let closed = engine.close(LAST_WAIT).await;
    if let Some(audit) = audit {
        audit.close(LAST_WAIT).await?;
    }
    closed
}
