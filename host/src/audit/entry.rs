//! What a record says. A record is made of plain data on the way of a request, and becomes a line of JSON on the thread that writes.

use base64::Engine as _;
use jiff::Timestamp;
use serde::Serialize;
use sqlitrest_runtime::audit::Act;
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::value::Value;

use super::chain::{Head, Key, Link, seal};
use crate::answer::Answer;

/// How much of a path, a role or another text of a request is recorded, in bytes.
const MOST_TEXT: usize = 1 << 10;

/// How much of a query string or a body is recorded, in bytes.
const MOST_SENT: usize = 16 << 10;

/// What is recorded of one request.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// When it was answered.
    #[serde(skip)]
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
    /// `X-Request-Id`, where there is a sane one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The address that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// The database that it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The role; null where it is not known.
    pub role: Option<String>,
    /// Who that is: the claim `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether nobody has signed in.
    pub anonymous: bool,
    /// The method.
    pub method: String,
    /// The path, as it was sent.
    pub path: String,
    /// The query string and the body, where what is sent is recorded.
    #[serde(flatten)]
    pub sent: Option<Sent>,
    /// The answer's status.
    pub status: u16,
    /// The answer's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What it did; of one that was refused, what it would have done, where that is known.
    pub acts: Vec<Act>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// Rows were written.
    Write,
    /// Rows were read.
    Read,
    /// It was refused.
    Denied,
    /// An administrator had the server do something: read its configuration again, attach or detach a database.
    Admin,
}

/// What a client sent.
#[derive(Debug, PartialEq, Serialize)]
pub struct Sent {
    /// The query string.
    #[serde(skip_serializing_if = "String::is_empty")]
    query: String,
    /// The body: text, or base64 of what is not UTF-8.
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
    /// `base64`, where it is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_encoding: Option<&'static str>,
    /// How long the body is, where there is only its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_bytes: Option<usize>,
}

impl Entry {
    /// Of a request and its answer. `identity` is none where it is not known who asks.
    pub fn new(event: Event, request: &Request<'_>, identity: Option<&Identity>, answer: &Answer) -> Entry {
        let path = request.target.split('?').next().unwrap_or_default();
        let code = answer.header("proxy-status").and_then(|status| status.split_once("error="));
        Entry {
            time: Timestamp::now(),
            event,
            request_id: request.header("x-request-id").filter(|id| is_sane(id)).map(str::to_owned),
            remote: None,
            database: None,
            role: identity.and_then(|identity| identity.role.as_deref()).map(cut),
            subject: identity.and_then(subject),
            anonymous: identity.is_none_or(|identity| identity.is_anonymous),
            method: cut(request.method),
            path: cut(path),
            sent: None,
            status: answer.status,
            code: code.map(|(_, code)| code.to_owned()),
            acts: Vec::new(),
        }
    }
}

impl Sent {
    /// What this request has sent.
    pub fn of(request: &Request<'_>) -> Sent {
        let (_, query) = request.target.split_once('?').unwrap_or_default();
        let query = beginning(query, MOST_SENT).to_owned();
        let bytes = request.body.get(..MOST_SENT).unwrap_or(request.body);
        let body_bytes = (bytes.len() < request.body.len()).then_some(request.body.len());
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Some(text),
            // Cut in the middle of a character.
            Err(error) if body_bytes.is_some() && error.error_len().is_none() => {
                bytes.get(..error.valid_up_to()).and_then(|bytes| std::str::from_utf8(bytes).ok())
            }
            Err(_) => None,
        };
        match text {
            Some(text) => Sent { query, body: text.to_owned(), body_encoding: None, body_bytes },
            None => {
                let body = base64::engine::general_purpose::STANDARD.encode(bytes);
                Sent { query, body, body_encoding: Some("base64"), body_bytes }
            }
        }
    }
}

/// Whether an id of a request is one, and not a way to write into the log.
fn is_sane(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// Who signed in, in their own words.
fn subject(identity: &Identity) -> Option<String> {
    match identity.claim("sub") {
        Value::Text(text) => Some(cut(&text)),
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
        Value::Null | Value::Blob(_) => None,
    }
}

fn cut(text: &str) -> String {
    beginning(text, MOST_TEXT).to_owned()
}

/// The first `most` bytes of a text, or fewer where a character stands across.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// What the log says of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Note {
    /// A server begins to write.
    Start {
        /// Which.
        server: &'static str,
        /// By what the records behind it are hashed.
        algorithm: &'static str,
        /// The key's name.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Whether the server before it ended in order, or there was none.
        clean: bool,
        /// What was found and mended.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        found: Vec<String>,
        /// The files that begin here.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        begins: Vec<Form>,
    },
    /// It ends in order.
    Stop,
    /// Requests for whose records there was no room.
    Dropped {
        /// How many.
        count: u64,
    },
    /// Old files are removed.
    Removed {
        /// Of which form of the log.
        log: Form,
        /// The last record in them.
        through: u64,
    },
}

/// The forms of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// JSON on lines.
    File,
    /// A SQLite database.
    Database,
}

/// A record of something: its line in the chain behind `before`.
pub fn record(key: Option<&Key>, before: &Head, time: Timestamp, what: &impl Serialize) -> Link {
    let time = time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    let mut json = format!("{{\"seq\":{},\"time\":\"{time}\"", before.seq + 1);
    // Plain data in objects always becomes JSON.
    let members = serde_json::to_string(what).unwrap_or_default();
    if let Some(members) = members.strip_prefix('{').and_then(|members| members.strip_suffix('}')) {
        json.push(',');
        json.push_str(members);
    }
    seal(key, before, &json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::Sealed;

    fn request<'a>(target: &'a str, headers: &'a [(&'a str, &'a [u8])], body: &'a [u8]) -> Request<'a> {
        Request { method: "PATCH", target, headers, body }
    }

    #[test]
    fn who_what_when() {
        let headers: &[(&str, &[u8])] = &[("x-request-id", b"a-7"), ("authorization", b"Bearer secret")];
        let identity = Identity::from_json(
            br#"{"role":"author","claims":{"sub":7,"role":"author"},"is_anonymous":false}"#,
        );
        let answer = Answer::problem(403, "42501", "no", "");
        let request = request("/posts?id=eq.1", headers, b"{}");
        let mut entry = Entry::new(Event::Denied, &request, identity.as_ref(), &answer);
        entry.time = "2026-11-28T02:40:21.5Z".parse().expect("a time");
        let link = record(None, &Head { seq: 8, ..Head::default() }, entry.time, &entry);
        let line = link.line.split(",\"prev\"").next().expect("a line");
        assert_eq!(
            line,
            r#"{"seq":9,"time":"2026-11-28T02:40:21.500000Z","event":"denied","request_id":"a-7","role":"author","subject":"7","anonymous":false,"method":"PATCH","path":"/posts","status":403,"code":"42501","acts":[]"#
        );
        assert!(Sealed::read(&link.line).expect("a record").is_intact(None));
        entry.sent = Some(Sent::of(&request));
        let line = record(None, &Head::default(), entry.time, &entry).line;
        assert!(line.contains(r#""path":"/posts","query":"id=eq.1","body":"{}","status""#), "{line}");
    }

    #[test]
    fn what_was_sent_is_bounded() {
        let long = "ß".repeat(MOST_SENT);
        let sent = Sent::of(&request(&format!("/t?{long}"), &[], format!("x{long}").as_bytes()));
        assert_eq!((sent.query.len(), sent.body.len()), (MOST_SENT, MOST_SENT - 1));
        assert_eq!((sent.body_bytes, sent.body_encoding), (Some(2 * MOST_SENT + 1), None));
        let sent = Sent::of(&request("/t", &[], b"\xff\x00"));
        assert_eq!((sent.body.as_str(), sent.body_encoding), ("/wA=", Some("base64")));
    }

    #[test]
    fn an_id_of_a_request_writes_nothing_else() {
        for (id, sane) in [("a-1", true), ("", false), ("a b", false), ("a\nb", false), ("ä", false)] {
            assert_eq!(is_sane(id), sane, "{id}");
        }
        assert!(!is_sane(&"a".repeat(129)));
    }

    #[test]
    fn notes() {
        let note = Note::Removed { log: Form::File, through: 7 };
        let line = record(None, &Head::default(), Timestamp::UNIX_EPOCH, &note).line;
        assert!(line.starts_with(r#"{"seq":1,"time":"1970-01-01T00:00:00.000000Z","event":"removed","log":"file","through":7,"prev""#), "{line}");
    }
}
