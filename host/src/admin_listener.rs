//! `[admin]`: a listener for the administrator alone, so that nothing of what the server tells of itself need be public.

use std::future::pending;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use hyper::header::HOST;
use hyper::http::request::Parts;
use serde::{Deserialize, Serialize};
use sqlitrest_runtime::config::{FileMode, Reader, Server, expand, reference, texts};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::admin::Origin;
use crate::answer::Answer;
use crate::exchange::exchange;
use crate::listener::Listener;
use crate::server::{self, Limits};
use crate::serving::Serving;

/// What to write.
const EXAMPLES: &str = "write \"127.0.0.1:3001\", or admin.unix_socket = \"./admin.sock\"";

/// How many connections each may have at a time.
const MOST_CONNECTIONS: usize = 64;

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// An address and a port, `127.0.0.1:3001`: whoever reaches it may read all that the server tells of itself.
    pub listen: Option<String>,
    /// A path: whoever may open the socket there is the administrator.
    pub unix_socket: Option<String>,
    /// Who may open the socket.
    pub unix_socket_mode: FileMode,
    /// The names by which the port may be asked for, beside addresses and `localhost`.
    #[serde(deserialize_with = "texts")]
    pub hosts: Vec<String>,
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
            hosts: Vec::new(),
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

    /// What is wrong with it, in sentences with the key.
    pub fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(listen) = self.listen.as_ref().filter(|listen| !is_address(listen)) {
            found.push(format!("admin.listen = \"{listen}\" is no address with a port: {EXAMPLES}"));
        }
        if self.unix_socket.as_ref().is_some_and(String::is_empty) {
            found.push("admin.unix_socket = \"\" is no path: write \"./admin.sock\"".to_owned());
        }
        found.extend(self.wrong_hosts());
        found
    }

    /// Reads the names of hosts from where they are; what is wrong with them, in sentences with the key.
    pub fn read_lists(&mut self, read: &mut Reader<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.hosts.iter().any(|host| reference(host).is_some()) {
            expand("admin.hosts", &mut self.hosts, read, &mut wrong);
            wrong.extend(self.wrong_hosts());
        }
        wrong
    }

    fn wrong_hosts(&self) -> impl Iterator<Item = String> {
        let is_name = |host: &str| {
            let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            !host.is_empty() && host.bytes().all(is_part)
        };
        let wrong = self.hosts.iter().filter(move |host| reference(host).is_none() && !is_name(host));
        wrong.map(|host| {
            format!(
                "admin.hosts: \"{host}\" is no name of a host: write \"metrics.example.com\", without a port"
            )
        })
    }
}

/// Refuses a request that asks for the administrator's port by a name that is none of it. The port asks for no credentials, and a page in
/// the browser of whoever reaches it may have a name of its own lead here (DNS rebinding); its requests have that name.
///
/// # Errors
/// The refusal.
pub fn misdirected(hosts: &[String], head: &Parts) -> Result<(), Answer> {
    let fields = head.headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    // HTTP/2 has it in front of the path, and so may HTTP/1.1.
    let authority = head.uri.authority().map(|authority| authority.as_str());
    if fields.chain(authority).all(|host| is_ours(hosts, host)) {
        return Ok(());
    }
    let hint = "Ask by an address or by localhost; other names are those of admin.hosts.";
    Err(Answer::problem(421, "08004", "The administrator's port does not go by this name", hint))
}

/// Whether what stands in `Host`, with a port or without, is an address, `localhost` or one of these.
fn is_ours(hosts: &[String], host: &str) -> bool {
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = port.map_or(host, |(name, _)| name);
    let is_address = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<Ipv4Addr>().is_ok(),
    };
    let mut names = hosts.iter().map(String::as_str).chain(["localhost"]);
    is_address || names.any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether it is a host and a port.
fn is_address(text: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let is_bare = !host.contains([':', ' ', '/', '[', ']']);
        let has_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = is_bare || has_brackets.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
        is_host && !host.is_empty() && is_port(port)
    })
}

/// Listeners that have not begun, each with what its requests may do.
pub struct Listeners(Vec<(Listener, Origin)>);

impl Listeners {
    /// Takes port and socket.
    ///
    /// # Errors
    /// One sentence on why one cannot be had, and what to do.
    pub async fn bind(admin: &Admin) -> Result<Listeners> {
        let mut listeners = Vec::new();
        if let Some(listen) = &admin.listen {
            let port = TcpListener::bind(listen.as_str()).await;
            let port = port.map_err(|error| anyhow!("admin.listen = \"{listen}\": {error}; {EXAMPLES}"))?;
            listeners.push((Listener::from(port), Origin::AdminPort));
        }
        if let Some(path) = &admin.unix_socket {
            let server = Server {
                unix_socket: path.clone(),
                unix_socket_mode: admin.unix_socket_mode,
                ..Server::default()
            };
            let socket = Listener::bind(&server, None).await.context("admin.unix_socket")?;
            listeners.push((socket, Origin::AdminSocket));
        }
        Ok(Listeners(listeners))
    }

    /// Where they are, for people.
    pub fn places(&self) -> Vec<String> {
        self.0.iter().map(|(listener, _)| listener.to_string()).collect()
    }

    /// Answers what comes in, until what is returned is dropped.
    pub fn serve(self, serving: &Arc<Serving>) -> JoinSet<()> {
        let limits = Limits { max_connections: MOST_CONNECTIONS, ..serving.front().limits.clone() };
        let serve = |(listener, origin): (Listener, Origin)| {
            let (serving, limits) = (Arc::clone(serving), limits.clone());
            let answer = move |peer, request| exchange(Arc::clone(&serving), peer, origin, request);
            async move {
                server::run(vec![listener], &limits, answer, pending()).await;
            }
        };
        self.0.into_iter().map(serve).collect()
    }
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

    #[test]
    fn names_that_are_asked_for() {
        let hosts = ["Metrics.internal".to_owned()];
        for ours in
            ["127.0.0.1", "10.0.0.7:3001", "[::1]", "[::1]:3001", "LocalHost:1", "metrics.INTERNAL:80"]
        {
            assert!(is_ours(&hosts, ours), "{ours}");
        }
        for other in [
            "",
            "x",
            "evil.example:3001",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "metrics.internal.evil.example",
            "127.0.0.1@evil.example",
            "[::1",
            "[127.0.0.1]",
            "127.0.0.1:x",
        ] {
            assert!(!is_ours(&hosts, other), "{other}");
        }
    }

    #[test]
    fn names_that_stand_elsewhere() {
        let read = |text: &str| {
            let mut admin: Admin = toml::from_str(&format!("hosts = {text}")).expect(text);
            let mut wrong = admin.mistakes();
            wrong.extend(admin.read_lists(&mut |_| Ok("a, b c".to_owned())));
            (admin.hosts.join(" "), wrong.join("; "))
        };
        assert_eq!(read("\"a, b\""), ("a b".to_owned(), String::new()));
        let said = |host: &str| {
            format!(
                "admin.hosts: \"{host}\" is no name of a host: write \"metrics.example.com\", without a port"
            )
        };
        assert_eq!(read("\"env:HOSTS\""), ("a b c".to_owned(), said("b c")));
        assert_eq!(read("[\"a:1\"]"), ("a:1".to_owned(), said("a:1")));
    }

    #[test]
    fn what_is_no_address() {
        for good in ["127.0.0.1:0", "[::1]:3001", "localhost:3001", "0.0.0.0:65535"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "banana",
            "3001",
            ":3001",
            "::1",
            "::1:3001",
            "[x]:1",
            "a:65536",
            "a:",
            "http://a:1",
            "a b:1",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
