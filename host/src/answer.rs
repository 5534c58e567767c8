//! What goes back to a client, from either engine, and the few answers that the core never sees.

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use sqlitrest_runtime::audit::Act;
use sqlitrest_runtime::encode::{MOST_BYTES, write_text};
use sqlitrest_runtime::http::Response;

use crate::streaming::Rest;

/// A finished answer. The server adds `content-length`, `date` and `server`.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header fields in the order to send.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; empty for HEAD and 204.
    pub body: Vec<u8>,
    /// The length that a GET would have had, where the body is left out (HEAD).
    pub content_length: Option<u64>,
    /// What is sent behind the body as it comes.
    pub rest: Option<Rest>,
    /// What the request did, for the audit log. Never sent.
    pub acts: Vec<Act>,
}

impl Answer {
    /// One that is whole, of a request that did nothing.
    pub fn of(status: u16, headers: Vec<(HeaderName, HeaderValue)>, body: Vec<u8>) -> Self {
        Answer { status, headers, body, content_length: None, rest: None, acts: Vec::new() }
    }

    /// What HEAD has of it.
    pub fn without_body(self) -> Self {
        Answer { content_length: Some(self.body.len() as u64), body: Vec::new(), ..self }
    }

    /// An error in PostgREST's form, as the core would write it.
    pub fn problem(status: u16, code: &str, message: &str, hint: &str) -> Self {
        let mut body = br#"{"code":"#.to_vec();
        write_text(code, &mut body);
        body.extend_from_slice(br#","details":null,"hint":"#);
        write_text(hint, &mut body);
        body.extend_from_slice(br#","message":"#);
        write_text(message, &mut body);
        body.push(b'}');
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        let mut headers = vec![(CONTENT_TYPE, json)];
        if let Ok(status) = HeaderValue::try_from(format!("SQLitREST; error={code}")) {
            headers.push((HeaderName::from_static("proxy-status"), status));
        }
        if status == 503 {
            headers.push((RETRY_AFTER, HeaderValue::from_static("1")));
        }
        Answer::of(status, headers, body)
    }

    /// The answer to a method that is not among `methods`.
    pub fn not_allowed(methods: &'static str, hint: &str) -> Self {
        let mut answer = Answer::problem(405, "PGRST117", "Unsupported HTTP method", hint);
        answer.headers.push((ALLOW, HeaderValue::from_static(methods)));
        answer
    }

    /// The answer to a request that broke the engine; the reason goes to the log.
    pub fn internal() -> Self {
        let hint = "The server's log says more.";
        Answer::problem(500, "PGRSTX00", "Internal error", hint)
    }

    /// An answer from the parts of the core's [`Response`] in the form that the component hands over: fields as
    /// `name: value\n`.
    pub fn from_lines(status: u16, lines: &[u8], body: Vec<u8>, content_length: Option<u64>) -> Self {
        Answer {
            status,
            headers: lines.split(|&b| b == b'\n').filter_map(field).collect(),
            body,
            content_length,
            rest: None,
            acts: Vec::new(),
        }
    }

    /// The same with the whole of its body, or an error in its place.
    pub async fn whole(mut self) -> Self {
        let Some(rest) = self.rest.take() else { return self };
        match rest.collect(&mut self.body).await {
            Ok(()) => self,
            Err(_) if self.body.len() > MOST_BYTES => {
                let message = format!(
                    "The answer is larger than {} MiB: ask for fewer rows with limit",
                    MOST_BYTES >> 20
                );
                Answer::problem(400, "54001", &message, "HTTP/1.1 has no such limit.")
            }
            Err(_) => Answer::internal(),
        }
    }

    /// The same with so much of its body as is wanted, and whether that is all of it; or an error in its place.
    pub async fn beginning(mut self, most: usize) -> (Self, bool) {
        let Some(rest) = self.rest.take() else { return (self, true) };
        match rest.collect_until(&mut self.body, most).await {
            Ok(is_whole) => (self, is_whole),
            Err(_) => (Answer::internal(), true),
        }
    }

    /// The first field of this name that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(n, _)| n.as_str() == name)?;
        value.to_str().ok()
    }
}

/// A field whose value cannot stand in a header (the core makes none) is left out rather than sent in another meaning.
impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let headers = response.headers.into_iter().filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::try_from(value).ok()?))
        });
        Answer {
            status: response.status,
            headers: headers.collect(),
            body: response.body,
            content_length: response.content_length,
            rest: None,
            acts: response.acts,
        }
    }
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|&b| b == b':')?;
    let value = line.get(colon + 1..)?;
    Some((
        HeaderName::from_bytes(line.get(..colon)?).ok()?,
        HeaderValue::from_bytes(value.strip_prefix(b" ").unwrap_or(value)).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_make_the_same_answer() {
        let response = Response {
            status: 201,
            headers: vec![
                ("content-type".into(), "application/json; charset=utf-8".to_owned()),
                ("location".into(), "/t?id=eq.ß".to_owned()),
                ("x-none".into(), String::new()),
                ("bad name".into(), "left out".to_owned()),
                ("x-bad".into(), "left\u{1}out".to_owned()),
            ],
            body: b"[]".to_vec(),
            content_length: Some(2),
            ..Default::default()
        };
        let mut lines = Vec::new();
        for (name, value) in &response.headers {
            lines.extend_from_slice(format!("{name}: {value}\n").as_bytes());
        }
        let native = Answer::from(response.clone());
        assert_eq!(native.headers.len(), 3);
        assert_eq!(native, Answer::from_lines(201, &lines, response.body, response.content_length));
    }

    #[test]
    fn a_problem_is_json() {
        let answer = Answer::problem(413, "X", "a \"b\"", "c");
        assert_eq!(answer.header("proxy-status"), Some("SQLitREST; error=X"));
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(Answer::problem(503, "X", "", "").header("retry-after"), Some("1"));
        assert_eq!(
            String::from_utf8_lossy(&answer.body),
            r#"{"code":"X","details":null,"hint":"c","message":"a \"b\""}"#
        );
    }
}
