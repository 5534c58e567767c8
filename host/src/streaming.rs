//! Rows that are sent while they are read, so that an answer of any size takes little memory.
//!
//! A long read has a thread of its own for its page. Where the page is short, the loan comes back with the rows, and all goes on as if
//! nothing had been; where it is not, the core makes the head of the answer from what is there, and the thread goes on sending rows
//! behind it, the transaction open until the last.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use sqlitrest_runtime::database::{Database, DbError, Paged};
use sqlitrest_runtime::encode::{MOST_BYTES, RowFormat};
use sqlitrest_runtime::value::{Value, ValueRef};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::connection::WHOLE;
use crate::observe::request::Ending;
use crate::observe::{context, errors};
use crate::pool::Loan;

/// What is sent at once of rows that are more than [`WHOLE`].
pub const CHUNK: usize = 64 << 10;

/// How many chunks are ready at the most: what a client that is slower than SQLite costs.
const CHUNKS: usize = 4;

/// How long a client may take nothing; then it is cut off, because its transaction keeps the write-ahead log from being emptied.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that reads, whose page may be sent on while it is read.
pub struct Streaming {
    /// `None` while the thread of a page has it.
    loan: Option<Loan>,
    rest: Option<Receiver<Message>>,
}

/// What comes from the thread of a page.
enum Message {
    /// Rows.
    Rows(Bytes),
    /// The last of them have come.
    End,
    /// All of them, and the connection.
    Whole(Result<(Vec<u8>, u64), DbError>, Loan),
}

/// The part of an answer that is not there yet.
pub struct Rest {
    messages: Receiver<Message>,
    tail: Option<Bytes>,
}

impl Streaming {
    /// Over a connection that may take its time.
    pub fn new(loan: Loan) -> Streaming {
        Streaming { loan: Some(loan), rest: None }
    }

    /// The connection.
    ///
    /// # Errors
    /// While its rows are being sent.
    pub fn loan(&mut self) -> Result<&mut Loan, DbError> {
        self.loan.as_mut().ok_or_else(|| DbError { message: "the connection is sending rows".to_owned() })
    }

    /// What is sent behind the body, if the page was not whole; `tail` stands at its end.
    pub fn into_rest(self, tail: Option<Vec<u8>>) -> Option<Rest> {
        let messages = self.rest?;
        // An answer that is not about the rows (an error) has no tail: they are not wanted.
        Some(Rest { messages, tail: Some(Bytes::from(tail?)) })
    }

    /// Whether a statement means nothing any more: the transaction ends with the last row.
    pub fn passes_over(&self, sql: &str) -> bool {
        self.rest.is_some() && matches!(sql, "COMMIT" | "ROLLBACK")
    }

    /// Begins a page, in this format or that which the statement asks for. Called where a thread may stand still.
    ///
    /// # Errors
    /// As [`Database::page`].
    pub fn begin(
        &mut self,
        sql: &str,
        params: &[Value],
        format: Option<&RowFormat>,
    ) -> Result<(Vec<u8>, Paged), DbError> {
        self.loan()?;
        let Some(loan) = self.loan.take() else { return Ok((Vec::new(), Paged::Whole(0))) };
        let (sender, mut messages) = channel(CHUNKS);
        let (sql, params, format) = (sql.to_owned(), params.to_vec(), format.cloned());
        let (runtime, context) = (Handle::current(), context::current());
        spawn_blocking(move || {
            context::within(&context, || send(loan, &sql, &params, format.as_ref(), &sender, &runtime));
        });
        match messages.blocking_recv() {
            Some(Message::Whole(result, loan)) => {
                self.loan = Some(loan);
                result.map(|(rows, count)| (rows, Paged::Whole(count)))
            }
            Some(Message::Rows(first)) => {
                self.rest = Some(messages);
                Ok((first.into(), Paged::Streams))
            }
            Some(Message::End) | None => Err(DbError { message: "the rows did not come".to_owned() }),
        }
    }
}

/// Reads a page to its end, or for as long as somebody takes its rows.
fn send(
    mut loan: Loan,
    sql: &str,
    params: &[Value],
    format: Option<&RowFormat>,
    sender: &Sender<Message>,
    runtime: &Handle,
) {
    let connection = match loan.get() {
        Ok(connection) => connection,
        Err(error) => return drop(sender.blocking_send(Message::Whole(Err(error), loan))),
    };
    let (waits, mut room) = (connection.waits(), WHOLE);
    let hand_over = |message| {
        let since = Instant::now();
        let sent = runtime.block_on(timeout(PATIENCE, sender.send(message)));
        waits(since.elapsed());
        sent.is_ok_and(|sent| sent.is_ok())
    };
    let rows = |rows: Vec<u8>| Message::Rows(rows.into());
    let result = connection.encode(sql, params, format, &mut |out| {
        if out.len() <= room {
            return true;
        }
        room = CHUNK;
        hand_over(rows(std::mem::take(out)))
    });
    if room == WHOLE {
        return drop(sender.blocking_send(Message::Whole(result, loan)));
    }
    // For what is left to be sent it is not needed, however long the client takes.
    drop(loan);
    match result {
        Ok((last, _)) => {
            let _ = (last.is_empty() || hand_over(rows(last))) && hand_over(Message::End);
        }
        // Without an end the connection breaks off, and the client knows that rows are missing. One that has left is no news.
        Err(error) if !sender.is_closed() => {
            errors::internal(format_args!("rows that were sent break off: {}", error.message))
        }
        Err(_) => {}
    }
}

impl Database for Streaming {
    fn columns(&mut self, sql: &str, params: &[Value]) -> Result<Vec<String>, DbError> {
        self.loan()?.columns(sql, params)
    }

    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        if self.passes_over(sql) { Ok(()) } else { self.loan()?.rows(sql, params, each) }
    }

    fn page(
        &mut self,
        sql: &str,
        params: &[Value],
        format: &RowFormat,
        out: &mut Vec<u8>,
    ) -> Result<Paged, DbError> {
        if !format.may_stream() {
            return self.loan()?.page(sql, params, format, out);
        }
        let (mut rows, page) = self.begin(sql, params, Some(format))?;
        out.append(&mut rows);
        Ok(page)
    }
}

/// The other end of a [`Rest`] that is not of a database.
pub struct Feed(Sender<Message>);

/// What is sent behind a body, piece by piece, and where they are put in.
pub fn feed() -> (Feed, Rest) {
    let (sender, messages) = channel(CHUNKS);
    (Feed(sender), Rest { messages, tail: None })
}

impl Feed {
    /// Puts a piece in; whether somebody takes them.
    pub async fn send(&self, piece: Bytes) -> bool {
        let sent = timeout(PATIENCE, self.0.send(Message::Rows(piece))).await;
        sent.is_ok_and(|sent| sent.is_ok())
    }

    /// There are no more. Where this is not said, the answer breaks off.
    pub async fn end(self) {
        let _ = timeout(PATIENCE, self.0.send(Message::End)).await;
    }
}

impl PartialEq for Rest {
    /// What is not there yet cannot be compared.
    fn eq(&self, _: &Rest) -> bool {
        false
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rest")
    }
}

impl Rest {
    /// Waits for all of it.
    ///
    /// # Errors
    /// It breaks off, or is more than [`MOST_BYTES`].
    pub async fn collect(mut self, body: &mut Vec<u8>) -> std::io::Result<()> {
        loop {
            match self.messages.recv().await {
                Some(Message::Rows(rows)) => {
                    body.extend_from_slice(&rows);
                    if body.len() > MOST_BYTES {
                        return Err(std::io::Error::other("the rows are too many"));
                    }
                }
                Some(Message::End) => break,
                Some(Message::Whole(..)) | None => return Err(broken()),
            }
        }
        body.extend_from_slice(&self.tail.take().unwrap_or_default());
        Ok(())
    }
}

impl Rest {
    /// Waits until a body has so many bytes, or all. Whether it has all; what is beyond is not read any more.
    ///
    /// # Errors
    /// It breaks off.
    pub async fn collect_until(mut self, body: &mut Vec<u8>, most: usize) -> std::io::Result<bool> {
        while body.len() <= most {
            match self.messages.recv().await {
                Some(Message::Rows(rows)) => body.extend_from_slice(&rows),
                Some(Message::End) => {
                    body.extend_from_slice(&self.tail.take().unwrap_or_default());
                    return Ok(true);
                }
                Some(Message::Whole(..)) | None => return Err(broken()),
            }
        }
        Ok(false)
    }
}

fn broken() -> std::io::Error {
    std::io::Error::other("the rows break off")
}

/// The body of an answer, as a whole or as it comes.
pub struct AnswerBody {
    first: Option<Bytes>,
    rest: Option<Rest>,
    /// What is recorded at its end, where that is not known before.
    ending: Option<Box<Ending>>,
    sent: u64,
}

impl AnswerBody {
    /// What is there, and what is not yet.
    pub fn new(first: Vec<u8>, rest: Option<Rest>, ending: Option<Box<Ending>>) -> AnswerBody {
        AnswerBody { first: (!first.is_empty()).then(|| first.into()), rest, ending, sent: 0 }
    }

    fn send(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.sent += bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn end(&mut self) {
        if let Some(ending) = self.ending.take() {
            ending.end(self.sent);
        }
    }
}

impl Drop for AnswerBody {
    /// Also where a client has left in the middle.
    fn drop(&mut self) {
        self.end();
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(mut first) = self.first.take() {
            // In pieces, each of which is taken when the client has taken those before: that is how it is seen that it takes any.
            if first.len() > CHUNK {
                let piece = first.split_to(CHUNK);
                self.first = Some(first);
                first = piece;
            }
            return self.send(first);
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        match ready!(rest.messages.poll_recv(context)) {
            Some(Message::Rows(rows)) => self.send(rows),
            Some(Message::End) => {
                let tail = rest.tail.take().filter(|tail| !tail.is_empty());
                self.rest = None;
                let last = tail.map_or(Poll::Ready(None), |tail| self.send(tail));
                // Before the client can have read it.
                self.end();
                last
            }
            Some(Message::Whole(..)) | None => {
                self.rest = None;
                Poll::Ready(Some(Err(broken())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            None => SizeHint::with_exact(self.first.as_ref().map_or(0, |first| first.len() as u64)),
            Some(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlitrest_runtime::encode::{Kind, Shape};

    use crate::open::tests::Scratch;
    use crate::pool::{Lane, Pool};

    #[tokio::test]
    async fn who_takes_the_last_rows_late_has_no_connection() {
        // A row is 13 bytes, so that the last message waits behind those that nobody takes.
        let rows = (WHOLE + CHUNK * 5 / 2) / 13;
        let counts = format!("SELECT 1 UNION ALL SELECT 1 FROM c LIMIT {rows}");
        let view = format!("CREATE VIEW v AS WITH RECURSIVE c (n) AS ({counts}) SELECT 'aaaaa' AS n FROM c");
        let scratch = Scratch::new("streaming-late", &view);
        let mut config = scratch.config();
        (config.pool.readers_per_db, config.pool.busy_timeout.0) = (2, Duration::from_secs(20));
        let pool = Pool::open(&config).expect("a database");
        let mut streaming = Streaming::new(pool.take(Lane::Long).await.expect("a connection"));
        let mut format = RowFormat::new(Shape::Objects, [("n", Kind::Any)]);
        format.stream();
        let begin = move || {
            let sql = "SELECT n FROM v";
            (streaming.begin(sql, &[], Some(&format)), streaming.into_rest(Some(Vec::new())))
        };
        let (begun, rest) = spawn_blocking(begin).await.expect("no panic");
        assert_eq!(begun.expect("rows").1, Paged::Streams);
        // One of the two connections may be long.
        assert!(pool.take(Lane::Long).await.is_ok());
        let mut body = Vec::new();
        rest.expect("rows").collect(&mut body).await.expect("all of them");
        assert!(body.ends_with(b"{\"n\":\"aaaaa\"}"));
    }
}
