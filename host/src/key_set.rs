//! The keys that an issuer publishes (`auth.jwt.jwks_url`): fetched at the start, on an interval, and when a token names a key that
//! is not known. Where they cannot be had, those that were are kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sqlitrest_runtime::auth::Authenticator;
use tokio::sync::Mutex;

use crate::log;

/// How long a whole fetch may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes of a set.
const MOST: u64 = 1 << 20;

/// How long after a fetch a token of an unknown key is refused without another: whoever makes up tokens must not make us ask
/// the issuer for each.
const PAUSE: Duration = Duration::from_secs(10);

/// The same while there are no keys at all.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A published set, fetched again by a thread for as long as this lives.
pub struct KeySet {
    source: Arc<Source>,
    thread: Thread,
}

struct Source {
    url: String,
    authenticator: Arc<Authenticator>,
    agent: ureq::Agent,
    /// How many fetches have ended.
    attempts: AtomicU64,
    /// When the last one ended. Held while one is under way.
    last: Mutex<Option<Instant>>,
}

impl KeySet {
    /// Begins to fetch.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(url: String, interval: Duration, authenticator: Arc<Authenticator>) -> Result<KeySet> {
        let agent = agent(&url);
        let source =
            Source { url, authenticator, agent, attempts: AtomicU64::new(0), last: Mutex::default() };
        let source = Arc::new(source);
        let weak = Arc::downgrade(&source);
        let thread = std::thread::Builder::new().name("keys".to_owned());
        let thread = thread.spawn(move || fetch_again(&weak, interval)).context("no thread to fetch keys")?;
        Ok(KeySet { source, thread: thread.thread().clone() })
    }

    /// How many fetches have ended.
    pub fn attempts(&self) -> u64 {
        self.source.attempts.load(Ordering::Acquire)
    }

    /// Waits for a fetch that ends after so many, unless the last one is too recent.
    pub async fn fetch_after(&self, attempts: u64) {
        let mut last = self.source.last.lock().await;
        let pause = if self.source.authenticator.has_keys() { PAUSE } else { FIRST_PAUSE };
        let is_recent = last.is_some_and(|last| last.elapsed() < pause);
        if is_recent || self.attempts() != attempts {
            return;
        }
        let source = Arc::clone(&self.source);
        // One that panics has fetched nothing.
        let _ = tokio::task::spawn_blocking(move || source.fetch()).await;
        *last = Some(Instant::now());
    }
}

impl Drop for KeySet {
    fn drop(&mut self) {
        self.thread.unpark();
    }
}

/// The thread's work.
fn fetch_again(source: &Weak<Source>, interval: Duration) {
    while let Some(source) = source.upgrade() {
        {
            let mut last = source.last.blocking_lock();
            // A request may have fetched them in the moment before.
            if last.is_none_or(|last| last.elapsed() >= FIRST_PAUSE.min(interval)) {
                source.fetch();
                *last = Some(Instant::now());
            }
        }
        let pause = if source.authenticator.has_keys() { interval } else { interval.min(PAUSE) };
        drop(source);
        std::thread::park_timeout(pause);
    }
}

impl Source {
    fn fetch(&self) {
        let taken = self.get().and_then(|text| Ok(self.authenticator.take_keys(&text)?));
        self.attempts.fetch_add(1, Ordering::Release);
        if let Err(error) = taken {
            log(format_args!("{}: no keys, those that were fetched before are kept: {error:#}", self.url));
        }
    }

    fn get(&self) -> Result<String> {
        let mut response = self.agent.get(&self.url).header("accept", "application/json").call()?;
        ensure!(response.status() == 200, "status {}", response.status());
        Ok(response.body_mut().with_config().limit(MOST).read_to_string()?)
    }
}

/// By TLS alone, redirects included; only on this machine (see the configuration) without, and then without redirects.
fn agent(url: &str) -> ureq::Agent {
    let is_secure = url.starts_with("https://");
    let config = ureq::Agent::config_builder().https_only(is_secure).timeout_global(Some(PATIENCE));
    let config = match is_secure {
        true => config.max_redirects(3),
        false => config.max_redirects(0).proxy(None),
    };
    config.user_agent(crate::SERVER).build().into()
}
