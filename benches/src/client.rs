//! The smallest HTTP client: one request on a connection of its own, for probes, set-up and streams. `wrk` makes the load.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::workloads::Request;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The status line and the header fields.
    pub head: String,
    /// The body, chunks put together.
    pub body: Vec<u8>,
}

impl Answer {
    /// The same, if the status is 2xx.
    ///
    /// # Errors
    /// Another status: the whole answer.
    pub fn good(self) -> Result<Answer> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body).into_owned();
        bail!(
            "{}: {}",
            self.head.lines().next().unwrap_or_default(),
            text.chars().take(500).collect::<String>()
        )
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).context("the answer is not JSON")
    }
}

/// Sends a request without placeholders and reads the whole answer.
///
/// # Errors
/// No connection, no answer in time, no HTTP.
pub fn send(address: &str, request: &Request) -> Result<Answer> {
    let mut stream = open(address, request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").context("no end of the headers")?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8_lossy(&answer).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { unchunk(&body)? } else { body };
    Ok(Answer { status, head, body })
}

/// The body of a GET that succeeds.
///
/// # Errors
/// As [`send`], and any other status.
pub fn get(address: &str, target: &str) -> Result<Vec<u8>> {
    Ok(send(address, &Request::get(target))?.good()?.body)
}

/// How an answer came in that is too large to be held.
#[derive(Debug)]
pub struct Stream {
    /// The status code.
    pub status: u16,
    /// Until the first byte of the body.
    pub first_byte: Duration,
    /// Until its end.
    pub whole: Duration,
    /// Bytes of the body, chunk sizes included.
    pub bytes: u64,
}

/// Sends a request and reads the answer as it comes, keeping nothing.
///
/// # Errors
/// As [`send`].
pub fn stream(address: &str, request: &Request) -> Result<Stream> {
    let begin = Instant::now();
    let mut stream = open(address, request)?;
    let mut room = vec![0; 1 << 16];
    let (mut head, mut bytes, mut first_byte) = (Vec::new(), 0, None);
    loop {
        let count = stream.read(&mut room)?;
        if count == 0 {
            break;
        }
        let part = room.get(..count).unwrap_or_default();
        if first_byte.is_some() {
            bytes += count as u64;
            continue;
        }
        head.extend_from_slice(part);
        if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n")
            && head.len() > end + 4
        {
            first_byte = Some(begin.elapsed());
            bytes = (head.len() - end - 4) as u64;
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok(Stream { status, first_byte: first_byte.context("no body")?, whole: begin.elapsed(), bytes })
}

fn open(address: &str, request: &Request) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut text =
        format!("{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !request.body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    text.push_str("\r\n");
    text.push_str(&request.body);
    stream.write_all(text.as_bytes())?;
    Ok(stream)
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n").context("a chunk without a size")?;
        let (size, after) = rest.split_at(end);
        let size = std::str::from_utf8(size)?.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        if size == 0 {
            return Ok(body);
        }
        ensure!(after.len() >= size + 4, "a chunk is cut short");
        body.extend_from_slice(&after[2..size + 2]);
        rest = &after[size + 4..];
    }
}

#[cfg(test)]
mod tests {
    use super::unchunk;

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(unchunk(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").expect("chunks"), b"abcde");
        assert!(unchunk(b"5\r\nabc").is_err());
    }
}
