//! Pipelines over HTTP: the token, the time that they may take, and what their failures are in the words that the core knows.
//!
//! The thread that sends one waits for its answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use sqlitrest_runtime::config::{DatabaseFile, Reference, reference};
use sqlitrest_runtime::database::DbError;
use sqlitrest_runtime::encode::{MOST_BYTES, TOO_LARGE};
use sqlitrest_runtime::value::ValueRef;

use super::hrana::{Ask, Batch, Cell, Failure, Held, Pipeline, Reply, Rows, Step, Stmt};
use crate::settings::refer;

/// How long a connection to the server may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How many connections are kept, and how long: less than servers and what stands before them keep theirs.
const KEPT: usize = super::MOST;
const KEPT_FOR: Duration = Duration::from_secs(10);

/// The most bytes of an answer. Values that become an answer of [`MOST_BYTES`] are about as many here.
const LARGEST: u64 = 2 * MOST_BYTES as u64;

/// So much of what a server says to a request that it refuses goes to the log.
const LONGEST_WORDS: usize = 200;

/// SQLite's own words, which the core knows.
const INTERRUPTED: &str = "interrupted";
const UNREACHABLE: &str = "unable to open database";
const LOCKED: &str = "database is locked";
/// The core says that the statement has to be smaller; which limit it is only the server knows.
const TOO_LARGE_FOR_SERVER: &str = "string or blob too big";

/// What asks one database on a server.
pub struct Client {
    /// As it is configured, for people.
    shown: String,
    /// Without a slash at its end.
    base: String,
    token: Option<Token>,
    agent: ureq::Agent,
}

/// What the server knows us by.
struct Token {
    configured: String,
    /// The header field.
    field: Mutex<Arc<str>>,
}

/// Of a pipeline that was sent.
pub enum Sent {
    /// The server has answered it.
    Answered(String),
    /// The connection broke off, and it is not known what became of it.
    Lost(DbError),
}

impl Client {
    /// Of a database with a URL.
    ///
    /// # Errors
    /// One sentence on what is wrong with its token.
    pub fn new(database: &DatabaseFile) -> Result<Client> {
        let shown = database.url.clone();
        let base = shown.replacen("libsql://", "https://", 1).trim_end_matches('/').to_owned();
        let token = database.auth_token.as_ref().map(|token| Token::new(&token.0)).transpose()?;
        let config = ureq::Agent::config_builder()
            .https_only(base.starts_with("https://"))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections_per_host(KEPT)
            .max_idle_connections(KEPT)
            .max_idle_age(KEPT_FOR)
            .timeout_connect(Some(CONNECT))
            .user_agent(crate::SERVER);
        let config = if base.starts_with("https://") { config } else { config.proxy(None) };
        Ok(Client { shown, base, token, agent: config.build().into() })
    }

    /// Sends a pipeline to the server, or to where the stream is. What comes of it is the text of a [`Reply`].
    ///
    /// # Errors
    /// In SQLite's words: `unable to open database` where there is no server that takes it, `interrupted` where `until` has come.
    pub fn send(
        &self,
        elsewhere: Option<&str>,
        pipeline: &Pipeline<'_>,
        until: Instant,
    ) -> Result<Sent, DbError> {
        let body = serde_json::to_string(pipeline).map_err(|error| self.unreachable(error))?;
        let base = elsewhere.unwrap_or(&self.base);
        let field = self.token.as_ref().map(Token::field);
        let result = self.post(base, field.as_deref(), &body, until)?;
        let (status, text) = match result {
            Posted::Answered(401, text) => {
                // It may be another by now.
                let renewed = self.token.as_ref().and_then(|token| token.renew(field.as_deref()));
                match renewed.map(|field| self.post(base, Some(&field), &body, until)).transpose()? {
                    None => (401, text),
                    Some(Posted::Answered(status, text)) => (status, text),
                    Some(Posted::Lost(error)) => return Ok(Sent::Lost(error)),
                }
            }
            Posted::Answered(status, text) => (status, text),
            Posted::Lost(error) => return Ok(Sent::Lost(error)),
        };
        if status == 200 { Ok(Sent::Answered(text)) } else { Err(self.refusal(status, &text)) }
    }

    fn post(&self, base: &str, field: Option<&str>, body: &str, until: Instant) -> Result<Posted, DbError> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(db_error(INTERRUPTED));
        }
        let mut request = self.agent.post(format!("{base}/v3/pipeline"));
        if let Some(field) = field {
            request = request.header("authorization", field);
        }
        let request = request.header("content-type", "application/json");
        let sent = request.config().timeout_global(Some(left)).build().send(body).and_then(|mut response| {
            let status = response.status().as_u16();
            let text = response.body_mut().with_config().limit(LARGEST).read_to_string()?;
            Ok((status, text))
        });
        match sent {
            Ok((status, text)) => Ok(Posted::Answered(status, text)),
            Err(ureq::Error::Timeout(ureq::Timeout::Connect)) if Instant::now() < until => {
                Err(self.unreachable("it takes no connection in time"))
            }
            Err(ureq::Error::Timeout(_)) => Err(db_error(INTERRUPTED)),
            Err(ureq::Error::BodyExceedsLimit(_)) => Err(db_error(TOO_LARGE)),
            Err(error) => Ok(Posted::Lost(self.unreachable(error))),
        }
    }

    /// Runs one statement in a stream of its own.
    ///
    /// # Errors
    /// As [`Client::send`], or what the server says of the statement.
    pub fn query(
        &self,
        sql: &str,
        until: Instant,
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        let steps = vec![Step { condition: None, stmt: Stmt { sql, args: Vec::new() } }];
        let requests = vec![Ask::Batch { batch: Batch { steps } }, Ask::Close];
        let text = match self.send(None, &Pipeline { baton: None, requests }, until)? {
            Sent::Answered(text) => text,
            Sent::Lost(error) => return Err(error),
        };
        let reply = self.read(&text)?;
        let steps = reply.results.into_iter().next().map(|outcome| match (outcome.response, outcome.error) {
            (_, Some(failure)) => Err(in_our_words(&failure)),
            (Some(response), None) => response.result.ok_or_else(|| self.unreadable()),
            (None, None) => Err(self.unreadable()),
        });
        let mut steps = steps.unwrap_or_else(|| Err(self.unreadable()))?;
        if let Some(failure) = steps.step_errors.pop().flatten() {
            return Err(in_our_words(&failure));
        }
        let rows = steps.step_results.pop().flatten().ok_or_else(|| self.unreadable())?;
        self.hand_over(rows, each)
    }

    /// Hands rows over, one after the other.
    ///
    /// # Errors
    /// They are not of Hrana's form.
    pub fn hand_over(&self, rows: Rows<'_>, each: &mut dyn FnMut(&[ValueRef<'_>])) -> Result<(), DbError> {
        for row in rows.rows {
            let held: Option<Vec<Held<'_>>> = row.into_iter().map(Cell::hold).collect();
            let held = held.ok_or_else(|| self.unreadable())?;
            let values: Vec<ValueRef<'_>> = held.iter().map(Held::as_ref).collect();
            each(&values);
        }
        Ok(())
    }

    /// An answer.
    ///
    /// # Errors
    /// It is not of Hrana's form.
    pub fn read<'t>(&self, text: &'t str) -> Result<Reply<'t>, DbError> {
        serde_json::from_str(text).map_err(|_| self.unreadable())
    }

    /// What answers there is no libSQL server, or one that speaks otherwise.
    pub fn unreadable(&self) -> DbError {
        self.unreachable("what answers does not speak Hrana 3 over HTTP")
    }

    fn unreachable(&self, why: impl std::fmt::Display) -> DbError {
        DbError { message: format!("{UNREACHABLE}: {}: {why}", self.shown) }
    }

    /// Why a pipeline as a whole was not done.
    fn refusal(&self, status: u16, text: &str) -> DbError {
        if let Ok(failure) = serde_json::from_str::<Failure>(text)
            && failure.code.is_some()
        {
            return match failure.code.as_deref() {
                Some("STREAM_EXPIRED" | "RESPONSE_TOO_LARGE") => in_our_words(&failure),
                _ => self.unreachable(format_args!("status {status}, {}", brief(&failure.message))),
            };
        }
        match status {
            401 | 403 => self.unreachable(format_args!("it refuses the token (status {status})")),
            404 => self.unreachable("it has no such database (status 404)"),
            // What a statement gave was not UTF-8; the core is asked again (`Session`).
            500 if text.contains(NOT_UTF8) => DbError { message: NOT_UTF8.to_owned() },
            _ => self.unreachable(format_args!("status {status}, {}", brief(text))),
        }
    }
}

/// What sqld says where a text that it is to send is none.
pub const NOT_UTF8: &str = "invalid utf-8 sequence";

enum Posted {
    Answered(u16, String),
    Lost(DbError),
}

impl Token {
    fn new(configured: &str) -> Result<Token> {
        let field = Mutex::new(read(configured)?);
        Ok(Token { configured: configured.to_owned(), field })
    }

    fn field(&self) -> Arc<str> {
        Arc::clone(&self.field.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What stands in the file by now, if that is not what was refused.
    fn renew(&self, refused: Option<&str>) -> Option<Arc<str>> {
        let Some(Reference::File(_)) = reference(&self.configured) else { return None };
        let field = read(&self.configured).ok().filter(|field| Some(&**field) != refused)?;
        *self.field.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&field);
        Some(field)
    }
}

/// The header field of a token, or of what it refers to.
fn read(configured: &str) -> Result<Arc<str>> {
    let text = match reference(configured) {
        Some(reference) => refer(reference).map_err(|reason| anyhow!("{reason}"))?,
        None => configured.to_owned(),
    };
    let token = text.trim();
    ensure!(!token.is_empty(), "it is empty; take the key out where the server needs no token");
    ensure!(token.bytes().all(|b| b.is_ascii_graphic()), "it has characters that no token has");
    Ok(format!("Bearer {token}").into())
}

/// What a server says of a statement, or of a stream, as SQLite would.
pub fn in_our_words(failure: &Failure) -> DbError {
    match failure.code.as_deref() {
        // It held a lock that another waited for, or did nothing for long; its transaction is rolled back.
        Some("TRANSACTION_TIMEOUT" | "STREAM_EXPIRED") => db_error(INTERRUPTED),
        Some("TRANSACTION_BUSY") => db_error(LOCKED),
        Some("RESPONSE_TOO_LARGE") => db_error(TOO_LARGE_FOR_SERVER),
        _ => DbError { message: failure.message.clone() },
    }
}

fn db_error(message: &str) -> DbError {
    DbError { message: message.to_owned() }
}

/// The beginning of what a server says, on one line.
fn brief(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.get(..line.floor_char_boundary(LONGEST_WORDS)).unwrap_or_default().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlitrest_runtime::config::Secret;

    fn client(url: &str, token: Option<&str>) -> Result<Client> {
        let auth_token = token.map(|token| Secret(token.to_owned()));
        Client::new(&DatabaseFile { url: url.to_owned(), auth_token, ..DatabaseFile::at(String::new()) })
    }

    #[test]
    fn where_pipelines_go() {
        let base = |url| client(url, None).expect(url).base;
        assert_eq!(base("libsql://a.turso.io"), "https://a.turso.io");
        assert_eq!(base("http://127.0.0.1:8080/"), "http://127.0.0.1:8080");
    }

    #[test]
    fn tokens_that_are_none() {
        for bad in ["", " \n", "a b", "ä", "env:SQLITREST_THERE_IS_NO_SUCH_VARIABLE", "file:/nowhere/at/all"]
        {
            let Err(error) = client("libsql://a", Some(bad)) else { panic!("{bad}") };
            assert!(!error.to_string().contains("Bearer"), "{error}");
        }
        let token = client("libsql://a", Some("ey.J")).expect("a token").token.expect("one");
        assert_eq!(&*token.field(), "Bearer ey.J");
    }

    #[test]
    fn refusals_in_words_that_the_core_knows() {
        let client = client("libsql://a", Some("secret")).expect("a client");
        let of = |status, text: &str| client.refusal(status, text).message;
        assert_eq!(of(400, r#"{"message":"The stream has expired","code":"STREAM_EXPIRED"}"#), "interrupted");
        assert_eq!(of(400, r#"{"message":"x","code":"RESPONSE_TOO_LARGE"}"#), TOO_LARGE_FOR_SERVER);
        assert_eq!(of(500, r#"{"error":"invalid utf-8 sequence of 1 bytes"}"#), NOT_UTF8);
        for (status, text, words) in [
            (401, "no", "refuses the token"),
            (404, "no", "no such database"),
            (400, "Received an invalid baton", "Received an invalid baton"),
            (502, "<html>\n<p>", "status 502, <html>"),
            (400, r#"{"message":"m","code":"C"}"#, "status 400, m"),
        ] {
            let message = of(status, text);
            let is_known = message.starts_with("unable to open database: libsql://a: ");
            assert!(is_known && message.contains(words) && !message.contains("secret"), "{message}");
        }
    }
}
