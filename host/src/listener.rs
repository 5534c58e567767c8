//! Where connections come from: a TCP port, with TLS or without, or a Unix socket. It knows nothing of HTTP.
//!
//! [`server::run`](crate::server::run) serves any number of them at once; what is to be answered otherwise (another set of paths, say)
//! is served by a `run` of its own, with a function of its own that answers.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anyhow::{Result, anyhow};
use sqlitrest_runtime::config::Server;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use crate::tls::Tls;
#[cfg(unix)]
use crate::unix_socket::UnixSocket;

/// Something to listen on, which is listened on.
pub struct Listener {
    socket: Socket,
    tls: Option<Arc<Tls>>,
}

enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener { socket: Socket::Tcp(listener), tls: None }
    }
}

impl Listener {
    /// Listens where `[server]` says: on its Unix socket, if it names one, or else on its port, with TLS if there is a certificate. A
    /// Unix socket has no TLS: what goes through it does not leave the machine.
    ///
    /// # Errors
    /// One sentence on what is in the way and what to do.
    pub async fn bind(server: &Server, tls: Option<Arc<Tls>>) -> Result<Listener> {
        if server.unix_socket.is_empty() {
            let socket = Socket::Tcp(bind_port(&server.host, server.port).await?);
            return Ok(Listener { socket, tls });
        }
        Listener::bind_unix(server).await
    }

    #[cfg(unix)]
    async fn bind_unix(server: &Server) -> Result<Listener> {
        let socket = UnixSocket::bind(server.unix_socket.as_ref(), server.unix_socket_mode.0).await?;
        Ok(Listener { socket: Socket::Unix(socket), tls: None })
    }

    /// What is in the way of a Unix socket at a path, as far as can be seen without making one.
    #[cfg(unix)]
    pub(crate) fn socket_mistake(path: &str) -> Option<String> {
        crate::unix_socket::mistake(path.as_ref())
    }

    /// There are none.
    #[cfg(not(unix))]
    pub(crate) fn socket_mistake(path: &str) -> Option<String> {
        Some(format!("{path}: this system has no Unix sockets"))
    }

    #[cfg(not(unix))]
    async fn bind_unix(_: &Server) -> Result<Listener> {
        Err(anyhow!(
            "this system has no Unix sockets: take server.unix_socket out, and name a host and a port"
        ))
    }

    /// A connection that has come.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let (stream, address) = match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = ready!(listener.poll_accept(cx))?;
                (Stream::Tcp(stream), Some(address.ip().to_canonical()))
            }
            #[cfg(unix)]
            Socket::Unix(socket) => (Stream::Unix(ready!(socket.listener.poll_accept(cx))?.0), None),
        };
        Poll::Ready(Ok(Accepted { stream, address, tls: self.tls.clone() }))
    }

    /// Listens no more. Clients that the system has let in already are handed over: they would be reset.
    pub(crate) fn close(self) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        let tls = self.tls;
        match self.socket {
            Socket::Tcp(listener) => {
                let Ok(listener) = listener.into_std() else { return accepted };
                while let Ok((stream, address)) = listener.accept() {
                    let ready = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    let address = Some(address.ip().to_canonical());
                    accepted.extend(ready.map(|stream| Accepted {
                        stream: Stream::Tcp(stream),
                        address,
                        tls: tls.clone(),
                    }));
                }
            }
            #[cfg(unix)]
            Socket::Unix(socket) => {
                let Ok(listener) = socket.listener.into_std() else { return accepted };
                while let Ok((stream, _)) = listener.accept() {
                    let ready = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
                    accepted.extend(ready.map(|stream| Accepted {
                        stream: Stream::Unix(stream),
                        address: None,
                        tls: None,
                    }));
                }
            }
        }
        accepted
    }
}

/// `http://127.0.0.1:3000`, `https://[::1]:3443` or `unix:/run/sqlitrest.sock`: what is said at the start.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Tcp(listener) => {
                let address = listener.local_addr().map_err(|_| fmt::Error)?;
                write!(f, "{}://{address}", if self.tls.is_some() { "https" } else { "http" })
            }
            #[cfg(unix)]
            Socket::Unix(socket) => write!(f, "unix:{}", socket.path().display()),
        }
    }
}

impl Listener {
    /// A line for a shell that asks for a path, on this machine.
    pub(crate) fn curl(&self, path: &str) -> String {
        match &self.socket {
            Socket::Tcp(listener) => {
                let Ok(address) = listener.local_addr() else { return String::new() };
                let scheme = if self.tls.is_some() { "https://" } else { "" };
                let host = match address.ip() {
                    ip if ip.is_loopback() => "localhost".to_owned(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                    ip => ip.to_string(),
                };
                format!("curl '{scheme}{host}:{}{path}'", address.port())
            }
            #[cfg(unix)]
            Socket::Unix(socket) => {
                format!("curl --unix-socket {} 'http://localhost{path}'", socket.path().display())
            }
        }
    }
}

async fn bind_port(host: &str, port: u16) -> Result<TcpListener> {
    TcpListener::bind((host, port))
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => anyhow!(
                "port {port} of {host} is in use; stop the other program, or choose another port with `--listen {host}:0`"
            ),
            ErrorKind::PermissionDenied => anyhow!(
                "port {port} of {host} is not allowed to this user; choose one above 1023 with `--listen {host}:3000`"
            ),
            _ => anyhow!("cannot listen on {host}, port {port}: {error}"),
        })
}

/// A connection of which nothing has been read.
pub(crate) struct Accepted {
    stream: Stream,
    /// Whose it is; none where it came through a Unix socket.
    pub(crate) address: Option<IpAddr>,
    tls: Option<Arc<Tls>>,
}

impl Accepted {
    /// The connection, after the handshake of TLS where there is one.
    ///
    /// # Errors
    /// The client speaks no TLS, none that we do, or goes away.
    pub(crate) async fn open(self) -> io::Result<Stream> {
        match (self.stream, self.tls) {
            (Stream::Tcp(stream), tls) => {
                // An answer leaves at once, however small.
                let _ = stream.set_nodelay(true);
                match tls {
                    Some(tls) => Ok(Stream::Tls(Box::new(tls.accept(stream).await?))),
                    None => Ok(Stream::Tcp(stream)),
                }
            }
            (stream, _) => Ok(stream),
        }
    }
}

/// The bytes of one connection, whatever carries them.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Calls a method of what carries the bytes.
macro_rules! carrier {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Tls(stream) => Pin::new(&mut **stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        carrier!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        carrier!(self, poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        carrier!(self, poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        // Each of them does.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carrier!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carrier!(self, poll_shutdown(cx))
    }
}
