//! `Server-Timing` (<https://www.w3.org/TR/server-timing/>): how long each stage took, by the clock that the shell hands in.

use std::fmt::Write as _;
use std::time::Duration;

use crate::config::Config;

/// A monotonic clock of the shell: the time since any fixed moment.
pub type Clock = fn() -> Duration;

/// What a request spends its time on.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// Finding out who asks, by whatever credentials; the name is PostgREST's.
    Jwt,
    /// Reading the request.
    Parse,
    /// From names to SQL.
    Plan,
    /// Everything that the database does.
    Transaction,
    /// Making the answer.
    Response,
}

const NAMES: [&str; 5] = ["jwt", "parse", "plan", "transaction", "response"];

/// A stopwatch; it stands still unless `api.server_timing` is on.
#[derive(Clone, Debug, Default)]
pub struct Timing(Option<Running>);

#[derive(Clone, Debug)]
struct Running {
    clock: Clock,
    last: Duration,
    spent: [Duration; NAMES.len()],
}

/// What a request means does not depend on how long it took.
impl PartialEq for Timing {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Timing {
    /// Begins with the first stage.
    pub fn start(config: &Config, clock: Clock) -> Timing {
        let begin = || Running { clock, last: clock(), spent: Default::default() };
        Timing(config.api.server_timing.then(begin))
    }

    /// Begins after that much time was spent on the first stage elsewhere.
    pub fn start_after(config: &Config, clock: Clock, spent: Duration) -> Timing {
        let mut timing = Timing::start(config, clock);
        if let Some(first) = timing.0.as_mut().and_then(|running| running.spent.first_mut()) {
            *first = spent;
        }
        timing
    }

    /// The time since the last call was spent on this stage.
    pub fn spend(&mut self, stage: Stage) {
        if let Some(running) = &mut self.0 {
            let now = (running.clock)();
            if let Some(spent) = running.spent.get_mut(stage as usize) {
                *spent += now.saturating_sub(running.last);
            }
            running.last = now;
        }
    }

    /// The value of the header field, in milliseconds.
    pub(crate) fn header(&self) -> Option<String> {
        let running = self.0.as_ref()?;
        let mut value = String::new();
        for (name, spent) in NAMES.iter().zip(running.spent) {
            let separator = if value.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(value, "{separator}{name};dur={:.3}", spent.as_secs_f64() * 1000.0);
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn stages_add_up() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let clock: Clock = || Duration::from_micros(NOW.fetch_add(1_500, Ordering::Relaxed));
        let mut config = Config::default();
        assert_eq!(Timing::start(&config, clock).header(), None);
        config.api.server_timing = true;
        let mut timing = Timing::start(&config, clock);
        for stage in [Stage::Parse, Stage::Transaction, Stage::Plan, Stage::Transaction] {
            timing.spend(stage);
        }
        let expected =
            "jwt;dur=0.000, parse;dur=1.500, plan;dur=1.500, transaction;dur=3.000, response;dur=0.000";
        assert_eq!(timing.header().as_deref(), Some(expected));
    }
}
