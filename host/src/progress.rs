//! How far long work has come, for a person at a terminal: on standard error, and gone when the work is done. Anywhere else nothing
//! is written, nor where a server does the same work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often it is drawn anew while nothing is known of the work.
const TICK: Duration = Duration::from_millis(100);

/// Work of so many steps.
const BAR: &str = "{msg} [{bar:40}] {percent}% {eta}";

/// Work of so many bytes.
const BYTES: &str = "{msg} [{bar:40}] {binary_bytes} of {binary_total_bytes} {eta}";

/// Work of which nobody knows how long it takes.
const SPINNER: &str = "{spinner} {msg} {elapsed}";

/// Whether a person waits for the work.
static IS_WAITED_FOR: AtomicBool = AtomicBool::new(false);

/// From now on a person waits for what this process does.
pub fn show() {
    IS_WAITED_FOR.store(true, Ordering::Relaxed);
}

fn target() -> ProgressDrawTarget {
    match IS_WAITED_FOR.load(Ordering::Relaxed) {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    }
}

/// Work of so many steps.
pub fn bar(what: String, steps: u64) -> Progress {
    Progress::new(ProgressBar::with_draw_target(Some(steps), target()), BAR, what)
}

/// Work of so many bytes.
pub fn bytes(what: String, bytes: u64) -> Progress {
    Progress::new(ProgressBar::with_draw_target(Some(bytes), target()), BYTES, what)
}

/// Work of which nobody knows how long it takes.
pub fn spinner(what: String) -> Progress {
    let bar = ProgressBar::with_draw_target(None, target());
    if !bar.is_hidden() {
        bar.enable_steady_tick(TICK);
    }
    Progress::new(bar, SPINNER, what)
}

/// What is drawn, until it is dropped.
pub struct Progress(ProgressBar);

impl Progress {
    fn new(bar: ProgressBar, template: &str, what: String) -> Progress {
        // A template that cannot be read is not worth an error.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Progress(bar.with_style(style.progress_chars("=> ")).with_message(what))
    }

    /// So much is done of so much.
    pub fn set(&self, done: u64, of: u64) {
        self.0.set_length(of);
        self.0.set_position(done);
    }

    /// So much more is done.
    pub fn advance(&self, more: u64) {
        self.0.inc(more);
    }

    /// What is being done now.
    pub fn say(&self, what: String) {
        self.0.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
