//! `[admin]`: a listener for the administrator alone, so that nothing of what the server tells of itself need be public.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use sqlitrest_runtime::config::FileMode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::admin::Origin;
use crate::exchange::exchange;
use crate::log;
use crate::server::Peer;
use crate::serving::Serving;
#[cfg(unix)]
use crate::unix_socket::UnixSocket;

/// How long a client may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// How long no connection is taken where the system has no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// An address and a port, `127.0.0.1:3001`: whoever reaches it may read all that the server tells of itself.
    pub listen: Option<String>,
    /// A path: whoever may open the socket there is the administrator.
    pub unix_socket: Option<String>,
    /// Who may open the socket.
    pub unix_socket_mode: FileMode,
    /// Whether there are metrics, at `/metrics`. Unless it is said, there are where there is an admin listener.
    pub metrics: Option<bool>,
    /// Whether the API's listener answers `/health`, `/health/live` and `/health/ready`, too.
    pub health_on_api: bool,
}

impl Default for Admin {
    fn default() -> Self {
        Admin {
            listen: None,
            unix_socket: None,
            unix_socket_mode: FileMode(0o600),
            metrics: None,
            health_on_api: true,
        }
    }
}

impl Admin {
    /// Whether metrics are on.
    pub fn counts(&self) -> bool {
        self.metrics.unwrap_or(self.listen.is_some() || self.unix_socket.is_some())
    }
}

/// Listeners that have not begun.
#[derive(Default)]
pub struct Listeners {
    listeners: Vec<Listener>,
    /// Where they are, for people.
    pub places: Vec<String>,
}

/// A port or a socket that is ours.
enum Listener {
    Port(TcpListener),
    #[cfg(unix)]
    Socket(UnixSocket),
}

impl Listeners {
    /// Takes port and socket.
    ///
    /// # Errors
    /// One sentence on why one cannot be had, and what to do.
    pub async fn bind(admin: &Admin) -> Result<Listeners> {
        let mut bound = Listeners::default();
        if let Some(listen) = &admin.listen {
            let port = TcpListener::bind(listen.as_str()).await;
            let port = port
                .map_err(|error| anyhow!("admin.listen = \"{listen}\": {error}; write \"127.0.0.1:3001\""))?;
            bound.places.push(format!("http://{}", port.local_addr()?));
            bound.listeners.push(Listener::Port(port));
        }
        if let Some(path) = &admin.unix_socket {
            bound.places.push(format!("unix:{path}"));
            #[cfg(unix)]
            bound.listeners.push(Listener::Socket(
                UnixSocket::bind(path.as_ref(), admin.unix_socket_mode.0)
                    .await
                    .context("admin.unix_socket")?,
            ));
            #[cfg(not(unix))]
            anyhow::bail!("admin.unix_socket: this system has none; use admin.listen");
        }
        Ok(bound)
    }

    /// Answers what comes in, until what is returned is dropped.
    pub fn serve(self, serving: &Arc<Serving>) -> JoinSet<()> {
        let take = |listener| take_all(listener, Arc::clone(serving));
        self.listeners.into_iter().map(take).collect()
    }
}

impl Listener {
    /// Takes a connection, and has it answered beside others.
    async fn take(&self, serving: &Arc<Serving>, connections: &mut JoinSet<()>) -> std::io::Result<()> {
        let serving = Arc::clone(serving);
        match self {
            Listener::Port(port) => {
                let (stream, _) = port.accept().await?;
                connections.spawn(answer(stream, serving, Origin::AdminPort));
            }
            #[cfg(unix)]
            Listener::Socket(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                connections.spawn(answer(stream, serving, Origin::AdminSocket));
            }
        }
        Ok(())
    }
}

/// Answers connections, for as long as the task lives.
async fn take_all(listener: Listener, serving: Arc<Serving>) {
    let mut connections = JoinSet::new();
    loop {
        if let Err(error) = listener.take(&serving, &mut connections).await {
            log(format_args!("a connection of the administrator could not be taken: {error}"));
            sleep(PAUSE).await;
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Answers the requests of one connection, until either side closes it.
async fn answer<S>(stream: S, serving: Arc<Serving>, origin: Origin)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let serving = Arc::clone(&serving);
        async move { Ok::<_, Infallible>(exchange(serving, Peer { address: None }, origin, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    // A client that went away is no failure of ours.
    let _ = pin!(connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_where_an_admin_listener_is() {
        let of = |text: &str| toml::from_str::<Admin>(text).expect(text).counts();
        assert!(
            !of("") && of("listen = \"127.0.0.1:0\"") && of("unix_socket = \"a\"") && of("metrics = true")
        );
        assert!(!of("listen = \"127.0.0.1:0\"\nmetrics = false"));
    }
}
