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
use sqlitrest_runtime::encode::RowFormat;
use sqlitrest_runtime::value::{Value, ValueRef};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::connection::WHOLE;
use crate::log;
use crate::pool::Loan;

/// What is sent at once of rows that are more than [`WHOLE`].
const CHUNK: usize = 64 << 10;

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
        let runtime = Handle::current();
        spawn_blocking(move || send(loan, &sql, &params, format.as_ref(), &sender, &runtime));
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
    let hand_over = |rows: &mut Vec<u8>| {
        let rows = Message::Rows(std::mem::take(rows).into());
        let since = Instant::now();
        let is_taken = runtime.block_on(timeout(PATIENCE, sender.send(rows))).is_ok_and(|sent| sent.is_ok());
        waits(since.elapsed());
        is_taken
    };
    let result = connection.encode(sql, params, format, &mut |rows| {
        if rows.len() <= room {
            return true;
        }
        room = CHUNK;
        hand_over(rows)
    });
    if room == WHOLE {
        return drop(sender.blocking_send(Message::Whole(result, loan)));
    }
    match result {
        Ok((mut rows, _)) => {
            if rows.is_empty() || hand_over(&mut rows) {
                let _ = sender.blocking_send(Message::End);
            }
        }
        // Without an end the connection breaks off, and the client knows that rows are missing. One that has left is no news.
        Err(error) if !sender.is_closed() => {
            log(format_args!("rows that were sent break off: {}", error.message))
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
    /// It breaks off.
    pub async fn collect(mut self, body: &mut Vec<u8>) -> std::io::Result<()> {
        loop {
            match self.messages.recv().await {
                Some(Message::Rows(rows)) => body.extend_from_slice(&rows),
                Some(Message::End) => break,
                Some(Message::Whole(..)) | None => return Err(broken()),
            }
        }
        body.extend_from_slice(&self.tail.take().unwrap_or_default());
        Ok(())
    }
}

fn broken() -> std::io::Error {
    std::io::Error::other("the rows break off")
}

/// The body of an answer, as a whole or as it comes.
pub struct AnswerBody {
    first: Option<Bytes>,
    rest: Option<Rest>,
}

impl AnswerBody {
    /// What is there, and what is not yet.
    pub fn new(first: Vec<u8>, rest: Option<Rest>) -> AnswerBody {
        AnswerBody { first: (!first.is_empty()).then(|| first.into()), rest }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        match ready!(rest.messages.poll_recv(context)) {
            Some(Message::Rows(rows)) => Poll::Ready(Some(Ok(Frame::data(rows)))),
            Some(Message::End) => {
                let tail = rest.tail.take().filter(|tail| !tail.is_empty());
                self.rest = None;
                Poll::Ready(tail.map(|tail| Ok(Frame::data(tail))))
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
