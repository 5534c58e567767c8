//! Signing in, for both engines: the core decides, and here is what it needs of the world: the time, files that change, keys
//! that are published, and processors for passwords.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use sha2::{Digest as _, Sha256};
use sqlitrest_runtime::auth::error::AuthError;
use sqlitrest_runtime::auth::{Authenticator, Verdict};
use sqlitrest_runtime::config::{Auth, Config, ConfigError, Reference, reference};
use sqlitrest_runtime::error::Error;
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::identity::Identity;
use tokio::sync::Semaphore;
use tokio::task::block_in_place;
use tokio::time::timeout;

use crate::key_set::KeySet;
use crate::log;
use crate::observe::logging;
use crate::settings;

/// How long a password waits for others to be checked; then 503.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who asks, of every request to a server.
pub struct SignIn {
    /// What it was made of.
    made_of: [u8; 32],
    authenticator: Arc<Authenticator>,
    /// Each password takes a processor and megabytes for a while.
    passwords: Semaphore,
    lists: Vec<List>,
    /// The second in which the lists were last looked at.
    looked: AtomicI64,
    keys: Option<KeySet>,
}

/// A file that is read again when it has changed.
struct List {
    path: PathBuf,
    take: fn(&Authenticator, &str) -> Result<(), ConfigError>,
    stamp: Mutex<Option<Stamp>>,
}

/// When a file was changed, and its size.
type Stamp = (SystemTime, u64);

impl SignIn {
    /// Reads what `[auth]` refers to, and begins to fetch keys where they are published.
    ///
    /// # Errors
    /// One sentence with the key of the configuration.
    pub fn new(config: &Config) -> Result<SignIn> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
        // Before the files are read: what changes meanwhile is read again.
        let lists = lists(config);
        let made_of = fingerprint(config);
        let authenticator = Arc::new(Authenticator::new(config, random, &mut settings::refer)?);
        let jwt = config.signing_in().and_then(|auth| auth.jwt());
        let url = jwt.and_then(|jwt| Some((jwt.jwks_url.clone()?, jwt.jwks_refresh_interval.0)));
        let keys = match url {
            Some((url, interval)) => Some(KeySet::new(url, interval, Arc::clone(&authenticator))?),
            None => None,
        };
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(SignIn {
            made_of,
            authenticator,
            passwords: Semaphore::new((cores / 2).max(1)),
            lists,
            looked: AtomicI64::new(0),
            keys,
        })
    }

    /// Whether another one made now, of this configuration, would be the same.
    pub fn is_of(&self, config: &Config) -> bool {
        self.made_of == fingerprint(config)
    }

    /// Nobody in particular, where a request comes without credentials.
    pub fn without_credentials(&self, request: &Request<'_>) -> Option<Arc<Identity>> {
        self.authenticator.without_credentials(request)
    }

    /// Who asks.
    ///
    /// # Errors
    /// Why the credentials are refused.
    pub async fn identify(&self, request: &Request<'_>) -> Result<Arc<Identity>, Error> {
        let now = seconds();
        if !self.lists.is_empty() && self.looked.swap(now, Ordering::Relaxed) != now {
            self.lists.iter().for_each(|list| list.look(&self.authenticator));
        }
        let attempts = self.keys.as_ref().map(KeySet::attempts);
        let mut verdict = self.authenticator.authenticate(request, now);
        if let (Verdict::FetchKeys(_), Some(keys), Some(attempts)) = (&verdict, &self.keys, attempts) {
            keys.fetch_after(attempts).await;
            verdict = self.authenticator.authenticate(request, now);
        }
        match verdict {
            Verdict::Is(identity) => Ok(identity),
            Verdict::Refused(error) | Verdict::FetchKeys(error) => Err(error),
            Verdict::CheckPassword(check) => match timeout(PATIENCE, self.passwords.acquire()).await {
                Ok(Ok(_permit)) => block_in_place(|| self.authenticator.check_password(&check, now)),
                _ => Err(Error::Auth(AuthError::Busy)),
            },
        }
    }
}

/// What `[auth]` says, with the contents of what it refers to.
fn fingerprint(config: &Config) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    add(&format!("{:?} {:?}", config.auth, config.api.anonymous_role));
    for text in config.auth.clone().iter_mut().flat_map(Auth::references) {
        add(text);
        let contents = reference(text).map(|reference| settings::refer(reference).unwrap_or_default());
        add(&contents.unwrap_or_default());
    }
    hash.finalize().into()
}

/// The files of the configuration that may change, as they are now.
fn lists(config: &Config) -> Vec<List> {
    let Some(auth) = config.signing_in() else { return Vec::new() };
    let list = |source: &str, take| match reference(source) {
        Some(Reference::File(path)) => {
            let path = PathBuf::from(path);
            Some(List { stamp: Mutex::new(stamp(&path)), path, take })
        }
        _ => None,
    };
    let keys = auth.apikey().and_then(|keys| list(&keys.source, Authenticator::take_api_keys));
    let users = auth.basic().and_then(|basic| list(&basic.source, Authenticator::take_users));
    keys.into_iter().chain(users).collect()
}

impl List {
    /// Reads the file again where it has changed. One that is broken or gone changes nothing.
    fn look(&self, authenticator: &Authenticator) {
        let now = stamp(&self.path);
        let mut known = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == now {
            return;
        }
        *known = now;
        let text = std::fs::read_to_string(&self.path).map_err(|error| error.to_string());
        let taken =
            text.and_then(|text| (self.take)(authenticator, &text).map_err(|error| error.to_string()));
        match taken {
            Ok(()) => logging::info(format_args!("{} is read again", self.path.display())),
            Err(error) => {
                log(format_args!(
                    "{} has changed, but what was read before is kept: {error}",
                    self.path.display()
                ));
            }
        }
    }
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// Since 1970.
fn seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
