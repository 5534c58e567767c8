//! The log: lines to standard error, for people or as JSON, written by a thread of its own. Whoever has a line never waits for whoever
//! reads them: where that one is too slow, lines are lost, and it is said how many.

use std::fmt::Arguments;
use std::io::Write as _;
use std::str::FromStr as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sqlitrest_runtime::config::Span;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Registry, reload};

use super::line::{Line, Lines};
use crate::terminal::{ERROR, To};

/// What our own lines come from.
pub const OURS: &str = "sqlitrest";

/// A library that warns of what clients send and of those that leave, as often as they like, without a word of the request. Unless it is
/// named it is silent.
const QUIET: &str = "rmcp";

/// How many lines may wait to be written.
const MOST_WAITING: usize = 8_192;

/// How much is written at once.
const CHUNK: usize = 64 << 10;

/// So often it is tried to hand over the last word.
const AGAIN: Duration = Duration::from_millis(5);

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Which lines there are: `off`, `error`, `warn`, `info`, `debug` or `trace`; after it others for parts of the program may
    /// stand, as in `info,hyper=debug`. Of libraries that are not named there are warnings and errors, of `rmcp` nothing.
    pub level: Levels,
    /// How lines look.
    pub format: Format,
    /// Whether there is a line for each request, at the level `info`.
    pub requests: bool,
    /// A statement that takes longer has a line with its plan; `0ms`: none has.
    pub slow_query: Span,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            level: Levels("info".to_owned()),
            format: Format::Human,
            requests: false,
            slow_query: Span(Duration::ZERO),
        }
    }
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `sqlitrest: ` and what there is to say.
    Human,
    /// An object of JSON.
    Json,
}

/// Levels that can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Levels(String);

impl TryFrom<String> for Levels {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let is_level = |text: &str| {
            !text.is_empty() && LevelFilter::from_str(text).is_ok() && text.parse::<u8>().is_err()
        };
        let is_known = |part: &str| match part.split_once('=') {
            Some((target, level)) => !target.trim().is_empty() && is_level(level.trim()),
            None => is_level(part.trim()),
        };
        match text.split(',').all(is_known) {
            true => Ok(Levels(text)),
            false => Err(format!(
                "`{text}` is no level: write off, error, warn, info, debug or trace, or `info,hyper=debug`"
            )),
        }
    }
}

impl Levels {
    /// As a filter. Every part is known to be right.
    fn targets(&self) -> Targets {
        let mut targets = Targets::new();
        let level = |text: &str| LevelFilter::from_str(text.trim()).unwrap_or(LevelFilter::INFO);
        let names = |part: &str| part.split_once('=').is_some_and(|(target, _)| target.trim() == QUIET);
        let is_quiet = !self.0.split(',').any(names);
        for part in self.0.split(',') {
            targets = match part.split_once('=') {
                Some((target, text)) => targets.with_target(target.trim().to_owned(), level(text)),
                None => {
                    let all = level(part);
                    let targets = targets.with_default(all.min(LevelFilter::WARN)).with_target(OURS, all);
                    match is_quiet {
                        true => targets.with_target(QUIET, LevelFilter::OFF),
                        false => targets,
                    }
                }
            };
        }
        targets
    }
}

static OUTPUT: OnceLock<Output> = OnceLock::new();
static LEVELS: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// The thread that writes, as those see it who have lines.
struct Output {
    format: Format,
    lines: SyncSender<Message>,
    lost: AtomicU64,
    /// Whether the thread takes lines. After its end each is written by whoever has it.
    is_open: AtomicBool,
    /// Whether nobody reads any more: then nothing is written, because it would never end.
    is_stuck: AtomicBool,
}

enum Message {
    Line(Vec<u8>),
    /// Everything before it is written.
    End(SyncSender<()>),
}

/// Begins to write lines as the configuration wants them. Once for a process.
pub fn begin(log: &Log) {
    let (lines, messages) = sync_channel(MOST_WAITING);
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || write(&messages));
    let output = Output {
        format: log.format,
        lines,
        lost: AtomicU64::new(0),
        is_open: AtomicBool::new(thread.is_ok()),
        is_stuck: AtomicBool::new(false),
    };
    if OUTPUT.set(output).is_err() {
        return;
    }
    let (levels, handle) = reload::Layer::new(log.level.targets());
    let _ = LEVELS.set(handle);
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(levels).with(Lines));
    // A panic is a line, too.
    std::panic::set_hook(Box::new(|panic| error(format_args!("{panic}"))));
}

/// From now on there are lines of other levels.
pub fn change(levels: &Levels) {
    if let Some(handle) = LEVELS.get() {
        // It fails only where the lines are gone.
        let _ = handle.reload(levels.targets());
    }
}

/// Writes what is waiting, for at most `wait`. What comes after is written at once by whoever has it.
pub fn end(wait: Duration) {
    let Some(output) = OUTPUT.get() else { return };
    if !output.is_open.swap(false, Ordering::AcqRel) {
        return;
    }
    let until = Instant::now() + wait;
    let (done, is_done) = sync_channel(1);
    let mut message = Message::End(done);
    while let Err(TrySendError::Full(again)) = output.lines.try_send(message) {
        if Instant::now() > until {
            break;
        }
        message = again;
        std::thread::sleep(AGAIN);
    }
    let is_stuck = is_done.recv_timeout(until.saturating_duration_since(Instant::now())).is_err();
    output.is_stuck.store(is_stuck, Ordering::Release);
}

/// How many lines were lost, because nobody read them.
pub fn lost() -> u64 {
    OUTPUT.get().map_or(0, |output| output.lost.load(Ordering::Relaxed))
}

/// Something went wrong that somebody has to look at.
pub fn error(line: Arguments<'_>) {
    match OUTPUT.get() {
        Some(_) => tracing::error!(target: OURS, "{line}"),
        None => {
            let name = To::Error.paint(ERROR, &format!("{OURS}:"));
            let _ = writeln!(std::io::stderr(), "{name} {line}");
        }
    }
}

/// Something that should not stay so.
pub fn warn(line: Arguments<'_>) {
    match OUTPUT.get() {
        Some(_) => tracing::warn!(target: OURS, "{line}"),
        None => plain(line),
    }
}

/// Something that happened.
pub fn info(line: Arguments<'_>) {
    match OUTPUT.get() {
        Some(_) => tracing::info!(target: OURS, "{line}"),
        None => plain(line),
    }
}

/// For commands that end soon: one line to standard error, which may be closed.
fn plain(line: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{OURS}: {line}");
}

/// Has a line written.
pub fn put(line: Line) {
    if let Some(output) = OUTPUT.get() {
        output.put(line.written(output.format));
    }
}

impl Output {
    fn put(&self, line: Vec<u8>) {
        if self.is_open.load(Ordering::Acquire) {
            if self.lines.try_send(Message::Line(line)).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        } else if !self.is_stuck.load(Ordering::Acquire) {
            let _ = std::io::stderr().write_all(&line);
        }
    }
}

/// The thread's work.
fn write(messages: &Receiver<Message>) {
    let (mut chunk, mut told) = (Vec::with_capacity(CHUNK), 0);
    while let Ok(first) = messages.recv() {
        let mut end = None;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => chunk.extend_from_slice(&line),
                Message::End(done) => end = Some(done),
            }
            next = if chunk.len() < CHUNK { messages.try_recv().ok() } else { None };
        }
        if let Some(output) = OUTPUT.get() {
            let lost = output.lost.load(Ordering::Relaxed);
            if lost > told {
                let message =
                    format!("{} lines of the log are lost, because it was not read in time", lost - told);
                let line = Line { message, ..Line::of(Level::WARN, OURS) };
                chunk.extend_from_slice(&line.written(output.format));
                told = lost;
            }
        }
        let _ = std::io::stderr().write_all(&chunk);
        chunk.clear();
        if let Some(end) = end {
            let _ = end.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let levels = |text: &str| Levels::try_from(text.to_owned());
        let passes = |text: &str, target: &str, level: Level| {
            levels(text).expect("levels").targets().would_enable(target, &level)
        };
        assert!(passes("info", "sqlitrest", Level::INFO) && !passes("info", "sqlitrest", Level::DEBUG));
        assert!(passes("debug", "sqlitrest::request", Level::DEBUG));
        assert!(!passes("debug", "hyper", Level::INFO) && passes("debug", "hyper", Level::WARN));
        assert!(passes("info,hyper=debug", "hyper::proto", Level::DEBUG));
        assert!(!passes("info, sqlitrest::request = off", "sqlitrest::request", Level::ERROR));
        assert!(!passes("off", "sqlitrest", Level::ERROR));
        // Clients could fill the log by it.
        assert!(!passes("info", "rmcp::service", Level::WARN) && !passes("info", "rmcp", Level::ERROR));
        assert!(!passes("trace,hyper=debug", "rmcp::service", Level::WARN));
        assert!(!passes("off", "rmcp", Level::ERROR));
        for named in ["info,rmcp=debug", "rmcp=debug,info"] {
            assert!(passes(named, "rmcp::service", Level::DEBUG), "{named}");
        }
        for bad in ["", "inf", "3", "info,", "hyper=", "=info", "hyper=loud"] {
            let error = levels(bad).expect_err(bad);
            assert!(error.contains("is no level: write off"), "{error}");
        }
    }
}
