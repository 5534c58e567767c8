//! A client that sends the bytes it is told to and reads one reply at a time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use super::LIMIT;

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    /// Lower-case names, without `date` and `x-request-id`, which no two replies share.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub fn connect(address: &str) -> Self {
        Client::try_connect(address).expect("connection")
    }

    pub fn try_connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Sends bytes as they are; `false` where the server has closed.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Sends a request with its length.
    pub fn request(&mut self, method: &str, target: &str, body: &str) -> bool {
        self.request_with(method, target, &[], body)
    }

    /// [`Client::request`] with header fields.
    pub fn request_with(&mut self, method: &str, target: &str, fields: &[&str], body: &str) -> bool {
        let length = body.len();
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !fields.iter().any(|field| field.starts_with("host:")) {
            head += "host: x\r\n";
        }
        for field in fields.iter().chain(&["content-type: application/json"]) {
            head += &format!("{field}\r\n");
        }
        self.send(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes())
    }

    /// Reads one reply; `None` where the connection ended before its first byte.
    pub fn reply(&mut self, head_only: bool) -> Option<Reply> {
        let first = self.line()?;
        Some(self.after(&first, head_only).expect("a whole head and a whole body"))
    }

    /// [`Client::reply`] of a server that may be killed: `None` also where it broke off.
    pub fn reply_if_whole(&mut self) -> Option<Reply> {
        let first = self.line().filter(|line| !line.is_empty())?;
        self.after(&first, false)
    }

    /// What comes after the first line of a reply; `None` where the connection ended too early.
    fn after(&mut self, first: &str, head_only: bool) -> Option<Reply> {
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(0, |(_, value)| value.parse().expect("length"));
        let mut body = vec![0; if head_only { 0 } else { length }];
        self.stream.read_exact(&mut body).ok()?;
        let is_chunked =
            headers.iter().any(|field| *field == ("transfer-encoding".to_owned(), "chunked".to_owned()));
        let whole = head_only || !is_chunked || self.chunks(&mut body);
        headers.retain(|(name, _)| name != "date" && name != "x-request-id");
        Some(Reply { status, headers, body: String::from_utf8(body).expect("UTF-8"), whole })
    }

    /// Reads chunks; whether the last of them came.
    fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        while let Some(size) = self.line() {
            let size = usize::from_str_radix(&size, 16).expect("the size of a chunk");
            let begin = body.len();
            body.resize(begin + size, 0);
            if self.stream.read_exact(&mut body[begin..]).is_err() {
                body.truncate(begin);
                return false;
            }
            assert_eq!(self.line().as_deref(), Some(""));
            if size == 0 {
                return true;
            }
        }
        false
    }

    /// Reads no more than so many bytes.
    pub fn read(&mut self, count: usize) {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("bytes");
    }

    /// Whether the server closes, without another byte.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no reply: {error}"),
        }
    }
}

/// The reply to one request on a connection of its own.
pub fn reply_to(address: &str, method: &str, target: &str, body: &str) -> Reply {
    let mut client = Client::connect(address);
    assert!(client.request(method, target, body));
    client.reply(method == "HEAD").expect("a reply")
}

/// The reply to one request with header fields.
pub fn ask(address: &str, method: &str, target: &str, fields: &[&str], body: &str) -> Reply {
    let mut client = Client::connect(address);
    assert!(client.request_with(method, target, fields, body));
    client.reply(method == "HEAD").expect("a reply")
}

/// The reply to a GET.
pub fn get(address: &str, target: &str) -> Reply {
    reply_to(address, "GET", target, "")
}
