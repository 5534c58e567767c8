//! What a guest writes to its standard error: a line for each request of which clients are not told everything.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::observe::errors;

/// The longest line, in bytes; what is longer becomes several.
const LONGEST: usize = 16 << 10;

/// What the guest's lines begin with.
const BEGIN: &[u8] = b"sqlitrest: ";

/// The standard error of an instance.
pub struct Stderr;

/// A line that has not come to its end.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The guest writes a line in pieces, while it answers the request that the line is about.
    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.0.extend_from_slice(piece);
            if self.0.ends_with(b"\n") || self.0.len() > LONGEST {
                let line = std::mem::take(&mut self.0);
                let line = line.strip_prefix(BEGIN).unwrap_or(&line);
                errors::internal(format_args!("{}", String::from_utf8_lossy(line).trim_end()));
            }
        }
    }
}

impl IsTerminal for Stderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stderr {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Lines::default())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines::default())
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LONGEST)
    }
}

impl AsyncWrite for Lines {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
