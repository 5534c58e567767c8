//! Lets request targets pass that clients send raw and PostgREST takes: `/t?name=in.("a","b")`, `/t?select=doc->>key`.
//!
//! hyper refuses `"`, `<`, `>` and a backquote in a target with a bare 400. This stream stands between the socket and
//! hyper and percent-encodes them. It must touch nothing else, so it follows the messages by their `content-length`;
//! where it cannot tell any more where one ends (chunks, a wrong length), it lets everything through as it is, and so it does with
//! HTTP/2, whose targets stand nowhere in the clear.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose request targets hyper can read.
pub struct Lenient<S> {
    stream: S,
    follow: Follow,
    /// What has been read and repaired but not yet handed on, from `given` on.
    held: Vec<u8>,
    given: usize,
}

impl<S> Lenient<S> {
    /// Over a connection of which this much has been read, which is read again.
    pub fn after(stream: S, read: Vec<u8>) -> Self {
        let mut follow = Follow::default();
        let held = follow.pass(&read).unwrap_or(read);
        Lenient { stream, follow, held, given: 0 }
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = self.held.get(self.given..).unwrap_or_default();
        let now = rest.get(..rest.len().min(buf.remaining())).unwrap_or_default();
        buf.put_slice(now);
        self.given += now.len();
        if self.given == self.held.len() {
            (self.held, self.given) = (Vec::new(), 0);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let fresh = buf.filled().get(before..).unwrap_or_default();
            if let Some(repaired) = self.follow.pass(fresh) {
                buf.set_filled(before);
                self.held = repaired;
            }
        }
        self.hand_on(buf);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where in a message the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum At {
    /// In the request line.
    #[default]
    Line,
    /// In the header fields.
    Fields,
    /// In the body, with so many bytes left.
    Body(u64),
    /// Nobody knows.
    Lost,
}

/// Follows the messages of one connection.
#[derive(Default)]
struct Follow {
    at: At,
    /// The beginning of the line that is being read: enough for `content-length: …`.
    line: Vec<u8>,
    /// The body's length, as far as the fields have told it.
    length: Option<u64>,
}

/// How HTTP/2 begins.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n";

/// How much of a line is kept; no field that matters is longer.
const KEPT: usize = 64;

impl Follow {
    /// Passes over bytes as they were read. Where a target in them needs repair: the bytes to hand on instead.
    fn pass(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut repaired: Option<Vec<u8>> = None;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(self.reach(rest));
            let broken = self.at == At::Line && piece.iter().any(|&b| code(b).is_some());
            match (&mut repaired, broken) {
                (None, false) => {}
                (Some(out), false) => out.extend_from_slice(piece),
                (found, true) => {
                    let done = bytes.len() - rest.len();
                    let before = || bytes.get(..done).unwrap_or_default().to_vec();
                    repair(piece, found.get_or_insert_with(before));
                }
            }
            self.advance(piece);
            rest = after;
        }
        repaired
    }

    /// How many of the next bytes belong together: a line, or a body.
    fn reach(&self, rest: &[u8]) -> usize {
        let most = match self.at {
            At::Line | At::Fields => memchr(b'\n', rest).map_or(rest.len(), |at| at + 1),
            At::Body(left) => usize::try_from(left).unwrap_or(rest.len()),
            At::Lost => rest.len(),
        };
        most.min(rest.len())
    }

    fn advance(&mut self, piece: &[u8]) {
        match self.at {
            At::Lost => return,
            At::Body(left) => {
                let left = left.saturating_sub(piece.len() as u64);
                self.at = if left == 0 { At::Line } else { At::Body(left) };
                return;
            }
            At::Line | At::Fields => {}
        }
        let room = KEPT - self.line.len().min(KEPT);
        self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        if piece.ends_with(b"\n") {
            let line = std::mem::take(&mut self.line);
            self.at = self.after(&line);
            self.line = line;
            self.line.clear();
        }
    }

    /// Where the end of this line leads.
    fn after(&mut self, line: &[u8]) -> At {
        let blank = line.trim_ascii().is_empty();
        match self.at {
            At::Line if blank => At::Line,
            At::Line if line.starts_with(HTTP2) => At::Lost,
            At::Line => At::Fields,
            _ if blank => match self.length.take() {
                None | Some(0) => At::Line,
                Some(length) => At::Body(length),
            },
            at => match field(line) {
                Field::Other => at,
                Field::Length(length) if self.length.is_none() => {
                    self.length = Some(length);
                    at
                }
                Field::Length(_) | Field::Unclear => At::Lost,
            },
        }
    }
}

/// What a header field says of the body's end.
enum Field {
    Other,
    Length(u64),
    Unclear,
}

fn field(line: &[u8]) -> Field {
    let colon = memchr(b':', line).unwrap_or(line.len());
    let (name, value) = line.split_at(colon);
    if name.eq_ignore_ascii_case(b"transfer-encoding") {
        return Field::Unclear;
    }
    if !name.eq_ignore_ascii_case(b"content-length") {
        return Field::Other;
    }
    let digits = value.get(1..).unwrap_or_default().trim_ascii();
    let number = std::str::from_utf8(digits).ok().filter(|_| line.len() < KEPT);
    match number.and_then(|digits| digits.parse().ok()) {
        Some(length) => Field::Length(length),
        None => Field::Unclear,
    }
}

/// What stands for a byte that hyper refuses in a target.
fn code(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'"' => Some(b"%22"),
        b'<' => Some(b"%3C"),
        b'>' => Some(b"%3E"),
        b'`' => Some(b"%60"),
        _ => None,
    }
}

fn repair(line: &[u8], out: &mut Vec<u8>) {
    for &byte in line {
        match code(byte) {
            Some(code) => out.extend_from_slice(code),
            None => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `wire` in pieces of every size; each way must give `expected`.
    fn check(wire: &str, expected: &str) {
        for size in 1..=wire.len() {
            let mut follow = Follow::default();
            let mut out = Vec::new();
            for piece in wire.as_bytes().chunks(size) {
                out.extend(follow.pass(piece).unwrap_or_else(|| piece.to_vec()));
            }
            assert_eq!(String::from_utf8_lossy(&out), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn raw_targets_are_encoded() {
        check(
            "GET /t?a=in.(\"x\")&select=b->>c HTTP/1.1\r\nx-y: <\"`>\r\n\r\n",
            "GET /t?a=in.(%22x%22)&select=b-%3E%3Ec HTTP/1.1\r\nx-y: <\"`>\r\n\r\n",
        );
    }

    #[test]
    fn bodies_are_not_touched() {
        check(
            "POST /t HTTP/1.1\r\nContent-Length:  7 \r\n\r\n{\"a\":1}GET /<>` HTTP/1.1\r\n\r\n",
            "POST /t HTTP/1.1\r\nContent-Length:  7 \r\n\r\n{\"a\":1}GET /%3C%3E%60 HTTP/1.1\r\n\r\n",
        );
    }

    #[test]
    fn what_cannot_be_followed_passes_as_it_is() {
        for field in [
            "transfer-encoding: chunked",
            "content-length: x",
            "content-length: 1\r\ncontent-length: 1",
            "content-length:                                                              1",
        ] {
            let wire = format!("POST /t HTTP/1.1\r\n{field}\r\n\r\nGET /\"<> HTTP/1.1\r\n\r\n");
            check(&wire, &wire);
        }
    }

    #[test]
    fn frames_of_http_2_are_not_touched() {
        let wire = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\"<>`\n\"<>`\r\n\r\nGET /\" HTTP/1.1\r\n";
        check(wire, wire);
    }

    #[tokio::test]
    async fn longer_than_the_readers_room() {
        use tokio::io::AsyncReadExt as _;
        let wire = format!("GET /{} HTTP/1.1\r\n\r\n", "\"".repeat(1000));
        let (first, rest) = wire.as_bytes().split_at(10);
        let mut stream = Lenient::after(rest, first.to_vec());
        let (mut all, mut room) = (Vec::new(), [0; 100]);
        loop {
            let read = stream.read(&mut room).await.expect("memory");
            if read == 0 {
                break;
            }
            all.extend_from_slice(&room[..read]);
        }
        assert_eq!(String::from_utf8_lossy(&all), wire.replace('"', "%22"));
    }
}
