//! The edges of HTTP, with clients of HTTP/1.1 and HTTP/2 that are not ours: where connections come from, what they may have, in which
//! coding answers leave, and how many requests somebody may send.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod coding;
mod connections;
mod http2;
mod rate;
mod tls;
#[cfg(unix)]
mod unix;
